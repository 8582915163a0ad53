"""The page with the run: what will be trained, the queue, how a run goes and ended, and the runs of before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QStackedWidget, QVBoxLayout, QWidget

from app.job_worker import JobWorker
from app.project import Project
from app.queue import Queue
from app.queue_driver import QueueDriver
from app.run_compare import RunCompare
from app.run_deletion import RunDeletion
from app.run_fixes import Deeds, RunFixes, open_folder
from app.run_history import RunHistory
from app.run_places import find_run, is_at_home
from app.run_question import RunQuestion
from app.run_starter import RunStarter
from app.run_starting import RunStarting
from app.settings import Settings
from app.shown_run import ShownRun
from app.widgets.place_dialog import PlaceDialog
from app.widgets.report_dialog import ReportDialog
from app.widgets.run_outcome import newest_file
from app.widgets.run_start_page import RunStartPage
from app.widgets.run_view import RunView
from core.config import TrainConfig
from core.control import Command
from core.errors import UserError, explain
from core.jobs import Job
from core.run_folder import RunFolder, StateFile
from core.runner import Run
from core.text import tr

LIVE_MS = 1000


class TrainingTab(QWidget):
    """Starts, shows, steers, queues, compares and reopens runs."""

    running_changed = Signal(bool)
    page_requested = Signal(str)  # "params", "dataset", "doctor" or "models": where the user has to do something
    told = Signal(str)  # good news in a sentence

    def __init__(
        self, project: Project, settings: Settings, make_run: Callable[[Job], Run], parent: QWidget | None = None
    ) -> None:
        """Build the page; nothing runs yet.

        Args:
            project: Its settings are what is trained.
            settings: Keeps the measured speed and the folders of runs.
            make_run: Makes the run of a job.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self.starter = RunStarter(project, settings, make_run, self)
        self.queue = Queue(self)
        self.history = RunHistory(project, settings, self)
        deeds = Deeds(
            start_anew=lambda config: self.starting.start_anew(config), go_on=self._go_on, ask_place=self._ask_place
        )
        self.fixes = RunFixes(self, project, deeds, self)
        self.view = RunView(self.fixes)
        self.shown = ShownRun(self.view, self.starter, self)
        self.page = RunStartPage(project, settings, self.queue, self.history, self.view.loader)
        self.question = RunQuestion(self.page.question, self)
        self.starting = RunStarting(project, self.starter, self.question, self)
        self.deletion = RunDeletion(self)
        self.driver = QueueDriver(self.queue, self.starter, project, self.starting.start_queued, self)
        self._live = QTimer(self)
        self._live.setInterval(LIVE_MS)
        self._live.timeout.connect(self._show_live)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.page)
        self._stack.addWidget(self.view)
        self.comparing = RunCompare(self._stack, self.view.loader)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)
        self._connect()
        self._connect_run()
        self.queue.load()
        self.retranslate()

    def _connect(self) -> None:
        page, history = self.page, self.page.history
        page.show_run_clicked.connect(self.show_run)
        page.summary.start_clicked.connect(self.start)
        page.summary.queue_clicked.connect(self.add_to_queue)
        page.summary.cancel_edit_clicked.connect(self.queue.cancel_edit)
        page.queue.start_clicked.connect(self.driver.start)
        page.queue.hold_clicked.connect(self.driver.hold)
        page.queue.edit_requested.connect(self._edit_queued)
        history.opened.connect(lambda run: self.open_run(run.folder))
        history.compared.connect(self.comparing.compare)
        history.repeated.connect(lambda run: self._repeat(run.folder))
        history.folder_requested.connect(lambda run: open_folder(run.folder.path))
        history.deleted.connect(self.deletion.ask)
        history.browse_clicked.connect(self._browse)
        self.history.changed.connect(lambda: self.question.offer(self.history.runs))
        self.deletion.done.connect(self.history.refresh)
        self.comparing.back_clicked.connect(lambda: self.show_start("history"))
        self.question.look_clicked.connect(self.open_run)
        self.starting.asked.connect(lambda: self.show_start("next"))
        self.starting.already.connect(self.show_run)
        for source in (self.driver, self.queue, self.deletion):
            source.problem.connect(lambda message, remedy: self._project.problem.emit(message, remedy))
        self.fixes.told.connect(self.told)
        self.fixes.page_requested.connect(self.page_requested)
        self._settings.language_changed.connect(self.retranslate)
        self._project.config_changed.connect(self.question.forget)

    def _connect_run(self) -> None:
        header, outcome = self.view.header, self.view.outcome
        header.back_clicked.connect(lambda: self.show_start())
        header.pause_clicked.connect(self.request_pause)
        header.stop_clicked.connect(self.request_stop)
        header.force_stop_clicked.connect(self.force_stop)
        header.sample_clicked.connect(lambda: self._send("sample"))
        header.save_clicked.connect(lambda: self._send("save"))
        outcome.continue_clicked.connect(lambda: self._with_shown(self.continue_run))
        outcome.change_clicked.connect(lambda: self._with_shown(self.ask_changes))
        outcome.back_to_clicked.connect(lambda state: self._with_shown(lambda folder: self.ask_changes(folder, state)))
        outcome.again_clicked.connect(lambda: self._with_shown(self._repeat))
        outcome.open_clicked.connect(self._open_folder)
        outcome.report_clicked.connect(lambda: ReportDialog(self.shown.folder, self).open())
        outcome.copied.connect(self.told)
        self.view.files.copy_clicked.connect(outcome.copy_path)
        self.view.files.folder_clicked.connect(lambda path: open_folder(path.parent))
        self.starter.started.connect(self._on_started)
        self.starter.ended.connect(self._on_ended)

    # What others ask

    @property
    def is_running(self) -> bool:
        """Whether this window has started a run that is going on."""
        return self.starter.is_running

    @property
    def worker(self) -> JobWorker | None:
        """What drives the run that is going on."""
        return self.starter.worker

    @property
    def shows_run(self) -> bool:
        """Whether a run is shown, and not the page before it."""
        return self._stack.currentWidget() is self.view

    @property
    def shown_folder(self) -> RunFolder | None:
        """Where the shown run lies."""
        return self.shown.folder

    @property
    def shown_config(self) -> TrainConfig | None:
        """The settings of the shown run, if they can be read."""
        return self.shown.config

    # Starting

    def start(self) -> None:
        """Train with the settings of the project; when a run of that name exists, ask what is meant."""
        self.starting.start()

    def add_to_queue(self) -> None:
        """Put the settings of the project at the end of the queue, or back in the place that they came from."""
        config = self.starting.config()
        entry = self.queue.finish_edit(config) if self.queue.editing is not None else None
        entry = entry or self.queue.add(config)
        self.page.queue.list.choose(entry.key)
        self.told.emit(tr("{name} is in the queue.", name=entry.name))

    def continue_run(self, folder: RunFolder) -> None:
        """Go on from the last state of a run."""
        self.starting.go_on(folder)

    def ask_changes(self, folder: RunFolder, back_to: StateFile | None = None) -> None:
        """Ask what should be different before the shown run goes on, from its last state or an earlier one."""
        self.starting.ask_changes(folder, self.view.record, back_to)

    def request_stop(self) -> None:
        """Ask the run to finish its step, save and end."""
        self._end_with("stop")

    def request_pause(self) -> None:
        """Ask the run to keep its state and end, so that the graphics card is free."""
        self._end_with("pause")

    def force_stop(self) -> None:
        """End the run at once."""
        if self.shown.is_own:
            self.view.set_phase("stopping")
        self.starter.force_stop()

    def shut_down(self) -> None:
        """End what reads beside the window."""
        self.view.loader.shut_down()

    def _end_with(self, command: Command) -> None:
        if self.shown.is_own:
            self.view.set_phase("pausing" if command == "pause" else "stopping")
        self._send(command)

    def _send(self, command: Command) -> None:
        self.starter.send(command)

    def _go_on(self, config: TrainConfig) -> None:
        self._with_shown(lambda folder: self.starting.go_on(folder, config))

    def _ask_place(self, config: TrainConfig, key: str) -> None:
        dialog = PlaceDialog(config, key, self)
        dialog.chosen.connect(lambda path: self.fixes.take_place(config, key, path))
        dialog.open()

    def _edit_queued(self, key: str) -> None:
        config = self.queue.edit(key)
        if config is not None:
            self._project.set_config(config)
            self.page_requested.emit("params")

    def _repeat(self, folder: RunFolder) -> None:
        """Take the settings of a run into the parameters, in its output folder if it still lies in one."""
        output = folder.path.parent.parent if is_at_home(folder) else self.history.output
        if self.starting.repeat(folder, output):
            self.show_start("next")

    # Looking

    def _on_started(self) -> None:
        self.question.forget()
        assert self.starter.config is not None
        self.history.remember(self.starter.config.output.folder)
        self.shown.show_own()
        self.show_run()
        self.running_changed.emit(True)

    def _on_ended(self) -> None:
        self._live.stop()
        self.page.show_live("", None)
        if self.view.record is self.starter.record:
            self.shown.say_end()
        self.history.refresh()
        self.running_changed.emit(False)

    def show_run(self) -> None:
        """Show the run that is going on, or the one that was shown last."""
        if self.is_running and not self.shown.is_own and self.starter.worker is not None:
            self.shown.show_own()
        self._stack.setCurrentWidget(self.view)
        self._live.stop()

    def show_start(self, part: str = "") -> None:
        """Show what will be trained, the queue, and the runs of before."""
        if part in ("next", "history"):
            self.page.show_part("history" if part == "history" else "next")
        self._stack.setCurrentWidget(self.page)
        self._show_live()
        self.refresh_runs()

    def open_run(self, folder: RunFolder) -> None:
        """Show a run of before, or watch one that goes on elsewhere."""
        self.shown.open(folder)
        self._stack.setCurrentWidget(self.view)

    def refresh_runs(self) -> None:
        """Look for runs again."""
        self.question.offer(self.history.runs)
        self.history.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have made runs in the meantime."""
        super().showEvent(event)
        if not self.shows_run:
            self.refresh_runs()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.page.retranslate()
        self.view.retranslate()
        self.comparing.retranslate()
        self.shown.say_end()
        self.question.offer(self.history.runs)
        self._show_live()

    def _show_live(self) -> None:
        """Say on the first page that a run is going on; the timer keeps it true."""
        if self.starter.worker is None:
            self.page.show_live("", None)
            return
        assert self.starter.folder is not None
        self.page.show_live(self.starter.folder.path.name, self.starter.record)
        self._live.start()

    def _with_shown(self, act: Callable[[RunFolder], object]) -> None:
        if self.shown.folder is not None:
            act(self.shown.folder)

    def _open_folder(self) -> None:
        file = newest_file(self.view.record)
        if file is not None and file.is_file():
            open_folder(file.parent)
        else:
            self._with_shown(lambda folder: open_folder(folder.path))

    def _browse(self) -> None:
        text = QFileDialog.getExistingDirectory(self, tr("Open the folder of a run"), str(self.history.output))
        if text:
            self.open_folder_of_run(Path(text))

    def open_folder_of_run(self, place: Path) -> None:
        """Open the run in a folder that the user chose, wherever it was copied to; the history keeps it."""
        try:
            folder = find_run(place)
        except UserError as error:
            self._tell(error)
            return
        self.history.remember(folder.path)
        self.open_run(folder)

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self._project.problem.emit(known.message, known.remedy)
