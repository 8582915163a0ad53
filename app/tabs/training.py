"""The page with the run: what will be trained, how it goes, how it ended, and the runs of before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.job_worker import JobWorker
from app.past_runs import PastRun, has_state, past_run, past_runs
from app.project import Project
from app.run_record import RunRecord
from app.settings import Settings
from app.speed import remember_speed
from app.widgets.card import label
from app.widgets.run_card import Action, RunCard
from app.widgets.run_list import RunList
from app.widgets.run_summary import RunSummary
from app.widgets.run_view import RunView
from app.wording import duration_text, size_text
from core.config import TrainConfig, with_values
from core.control import Command
from core.errors import UserError, explain
from core.events import Event, Failed, Finished, StateSaved
from core.jobs import Job, TrainJob
from core.paths import default_output_folder
from core.quick import free_name
from core.run_folder import RunFolder, lora_path
from core.runner import Run
from core.text import tr


class TrainingTab(QWidget):
    """Starts, shows, steers and reopens runs."""

    running_changed = Signal(bool)

    def __init__(
        self, project: Project, settings: Settings, make_run: Callable[[Job], Run], parent: QWidget | None = None
    ) -> None:
        """Build the page; nothing runs yet.

        Args:
            project: Its settings are what is trained.
            settings: Keeps the measured speed.
            make_run: Makes the run of a job.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._make_run = make_run
        self._config: TrainConfig | None = None
        self._folder: RunFolder | None = None
        self._asked_about: TrainConfig | None = None
        self.worker: JobWorker | None = None
        self.title = label(role="title")
        self.subtitle = label(role="muted")
        self.question = RunCard()
        self.question.hide()
        self.summary = RunSummary(project, settings)
        self.runs = RunList()
        self.view = RunView()
        self._lay_out()
        self._connect()
        self.retranslate()

    def _lay_out(self) -> None:
        start = QWidget()
        head = QVBoxLayout()
        head.setSpacing(2)
        head.addWidget(self.title)
        head.addWidget(self.subtitle)
        cards = QHBoxLayout()
        cards.setSpacing(theme.SPACE_M)
        cards.addWidget(self.summary, 3, Qt.AlignmentFlag.AlignTop)
        cards.addWidget(self.runs, 2)
        column = QVBoxLayout(start)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(head)
        column.addWidget(self.question)
        column.addLayout(cards, 1)
        self._stack = QStackedWidget()
        self._start_page = start
        self._stack.addWidget(start)
        self._stack.addWidget(self.view)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _connect(self) -> None:
        self.summary.start_clicked.connect(self.start)
        self.runs.opened.connect(lambda run: self.open_run(run.folder))
        self.runs.browse_clicked.connect(self._browse)
        header = self.view.header
        header.back_clicked.connect(self.show_start)
        header.stop_clicked.connect(self.request_stop)
        header.force_stop_clicked.connect(self.force_stop)
        header.sample_clicked.connect(lambda: self._send("sample"))
        header.save_clicked.connect(lambda: self._send("save"))
        self._settings.language_changed.connect(self.retranslate)
        self._project.config_changed.connect(self._forget_question)

    # Starting

    @property
    def is_running(self) -> bool:
        """Whether a run is going on."""
        return self.worker is not None

    @property
    def shows_run(self) -> bool:
        """Whether a run is shown, and not the page before it."""
        return self._stack.currentWidget() is self.view

    def start(self) -> None:
        """Train with the settings of the project; when a run of that name exists, ask what is meant."""
        if self.is_running:
            self._stack.setCurrentWidget(self.view)
            return
        if self._project.waits_for_captions(self.start):
            return
        if self._project.config.output.folder == Path():
            self._project.change({"output.folder": default_output_folder()})
        config = self._project.config
        folder = RunFolder.of(config)
        if not folder.config.exists() and not lora_path(config).exists():
            self._launch(config, resume=False)
        elif not lora_path(config).exists() and not has_state(folder):
            # That run failed before there was anything to keep: the name is as good as free.
            self._launch(config, resume=True)
        else:
            self._asked_about = config
            self.show_start()

    def continue_run(self, folder: RunFolder) -> None:
        """Go on from the last state of a run."""
        if self.is_running:
            return
        try:
            config = folder.continued_config()
        except (UserError, OSError) as error:
            self._tell(error)
            return
        self._launch(config, resume=True)

    def request_stop(self) -> None:
        """Ask the run to finish its step, save and end."""
        if self.worker is not None:
            self.view.set_phase("stopping")
            self.worker.stop()

    def force_stop(self) -> None:
        """End the run at once."""
        if self.worker is not None:
            self.view.set_phase("stopping")
            self.view.record.was_force_stopped = True
            self.worker.kill()

    def _send(self, command: Command) -> None:
        if self.worker is not None:
            self.worker.send(command)

    def _launch(self, config: TrainConfig, *, resume: bool) -> None:
        self._forget_question()
        self._config = config
        self._folder = folder = RunFolder.of(config)
        record = RunRecord.of(folder.recorded()) if resume and has_state(folder) else RunRecord()
        record.outcome = None
        record.folder = folder.path
        self.view.show_run(record, folder, "running", can_sample=bool(config.sampling.prompts))
        self._stack.setCurrentWidget(self.view)
        self._project.save()  # The job reads what was decided about the pictures.
        self.worker = worker = JobWorker(self._make_run(TrainJob(config=config, resume=resume)), self)
        worker.happened.connect(self._take)
        worker.finished.connect(self._on_worker_finished)
        worker.start()
        self.running_changed.emit(True)

    def _take(self, event: Event) -> None:
        self.view.take(event)
        if isinstance(event, (StateSaved, Finished, Failed)) and self._config is not None:
            seconds = self.view.record.seconds_per_step
            if seconds is not None:
                remember_speed(self._settings, self._config, seconds)

    def _on_worker_finished(self) -> None:
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.deleteLater()
        self._show_end()
        self.running_changed.emit(False)

    # Looking at runs

    def show_start(self) -> None:
        """Show what will be trained, and the runs of before."""
        self._stack.setCurrentWidget(self._start_page)
        self.refresh_runs()

    def open_run(self, folder: RunFolder) -> None:
        """Show a run of before."""
        if self.is_running:
            return
        record = RunRecord.of(folder.recorded())
        record.folder = folder.path
        self._folder, self._config = folder, None
        self.view.show_run(record, folder, "ended")
        self._stack.setCurrentWidget(self.view)
        self._show_end()

    def refresh_runs(self) -> None:
        """Look into the output folder again."""
        output = self._project.config.output.folder
        runs = past_runs(output if output != Path() else default_output_folder())
        self.runs.show_runs(runs)
        self._show_question(runs)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have made runs in the meantime."""
        super().showEvent(event)
        if not self.shows_run:
            self.refresh_runs()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Training"))
        self.subtitle.setText(tr("What will be trained, and the runs of before."))
        self.summary.retranslate()
        self.runs.retranslate()
        self.view.retranslate()
        if self.shows_run and not self.is_running:
            self._show_end()
        elif not self.shows_run:
            self.refresh_runs()

    # The question before a start, and the offer to go on

    def _show_question(self, runs: list[PastRun]) -> None:
        if self._asked_about is not None:
            self._ask_about(self._asked_about)
        elif runs and runs[0].status == "unfinished" and runs[0].can_continue:
            run = runs[0]
            self.question.show_message(
                icon="clock",
                tone="warning",
                heading=tr("{name} was interrupted at step {step} of {total}.", **_facts_of(run)),
                text=tr("Its last state is on disk; it can go on as if nothing had happened."),
                actions=[
                    Action(tr("Continue"), lambda: self.continue_run(run.folder), "primary", "play"),
                    Action(tr("Look at it"), lambda: self.open_run(run.folder)),
                ],
            )
        else:
            self.question.hide()

    def _ask_about(self, config: TrainConfig) -> None:
        name, output = config.output.name, config.output.folder
        folder = RunFolder.of(config)
        new = free_name(name, output)
        actions = [
            Action(tr("Start a new one as {name}", name=new), lambda: self._start_as(config, new), icon="plus"),
            Action(tr("Cancel"), self._cancel_question, "quiet"),
        ]
        run = past_run(folder) if folder.config.exists() else None
        if run is not None and run.can_continue:
            heading = tr("{name} exists already and stopped at step {step} of {total}.", **_facts_of(run))
            text = tr("Continue it with its own settings, or start a new run; nothing is overwritten.")
            actions.insert(0, Action(tr("Continue"), lambda: self.continue_run(folder), "primary", "play"))
        else:
            heading = tr("There is already a LoRA named {name}.", name=name)
            text = tr("Start a new run under another name; nothing is overwritten.")
            actions[0] = Action(actions[0].text, actions[0].do, "primary", "plus")
        self.question.show_message(icon="info", tone="accent", heading=heading, text=text, actions=actions)

    def _start_as(self, config: TrainConfig, name: str) -> None:
        self._project.set_config(with_values(config, {"output.name": name}))
        self.start()

    def _cancel_question(self) -> None:
        self._forget_question()
        self.refresh_runs()

    def _forget_question(self) -> None:
        if self._asked_about is not None:
            self._asked_about = None
            self.question.hide()

    # The end of a run

    def _show_end(self) -> None:
        """Say how the shown run ended, and what can be done now."""
        self.view.set_phase("ended")
        folder, outcome = self._folder, self.view.record.outcome
        assert folder is not None
        if isinstance(outcome, Failed) and not self.view.record.ended_by_force:
            self._show_failure(folder, outcome)
        elif isinstance(outcome, Finished) and not outcome.stopped:
            self._show_result(outcome)
        else:
            self._show_stopped(folder, outcome)

    def _show_result(self, outcome: Finished) -> None:
        record = self.view.record
        facts = [tr("{steps} steps", steps=record.step)]
        if outcome.elapsed_s:
            facts.append(duration_text(outcome.elapsed_s))
        self.view.outcome.show_message(
            icon="check-circle",
            tone="success",
            heading=tr("The LoRA is ready."),
            text="\n".join([self._file_text(), " · ".join(facts)]).strip(),
            actions=[
                Action(tr("Open folder"), self._open_folder, "primary", "folder-open"),
                Action(tr("Train again"), self._train_again, icon="refresh"),
            ],
        )

    def _show_stopped(self, folder: RunFolder, outcome: Event | None) -> None:
        record = self.view.record
        facts = {"step": record.step, "total": record.total_steps}
        if outcome is None:
            heading = tr("This run was interrupted at step {step} of {total}.", **facts)
        elif not record.step:
            heading = tr("Stopped before the first step.")
        else:
            heading = tr("Stopped at step {step} of {total}.", **facts)
        actions = []
        if not record.ended_by_force or self._newest_file() is not None:
            actions.append(Action(tr("Open folder"), self._open_folder, icon="folder-open"))
        if has_state(folder):
            actions.insert(0, self._continue_action(folder))
        else:
            actions.insert(0, Action(tr("Train again"), self._train_again, icon="refresh"))
        self.view.outcome.show_message(
            icon="clock", tone="warning", heading=heading, text=self._file_text(), actions=actions
        )

    def _show_failure(self, folder: RunFolder, outcome: Failed) -> None:
        actions = [Action(tr("Copy details"), lambda: self._copy(outcome), icon="copy")]
        if has_state(folder):
            actions.insert(0, self._continue_action(folder))
        elif self._config is not None:
            actions.insert(0, Action(tr("Try again"), self._try_again, "primary", "refresh"))
        self.view.outcome.show_message(
            icon="error",
            tone="danger",
            heading=outcome.message,
            text=outcome.remedy,
            actions=actions,
            detail=outcome.detail,
        )

    def _continue_action(self, folder: RunFolder) -> Action:
        step = self.view.record.state_step
        text = tr("Continue from step {step}", step=step) if step else tr("Continue from the last state")
        return Action(text, lambda: self.continue_run(folder), "primary", "play")

    def _file_text(self) -> str:
        """The newest file of the run, with its size."""
        record = self.view.record
        path = self._newest_file()
        if path is None:
            return ""
        try:
            size = path.stat().st_size
        except OSError:
            size = next((saved.size_bytes for saved in reversed(record.loras) if saved.path == path), 0)
        return f"{path} · {size_text(size)}" if size else str(path)

    def _newest_file(self) -> Path | None:
        """The newest LoRA file of the run; after a forced stop, only one that is really there."""
        record = self.view.record
        if isinstance(record.outcome, Finished) and record.outcome.output is not None:
            return record.outcome.output
        paths = [saved.path for saved in reversed(record.loras)]
        if record.ended_by_force:
            paths = [path for path in paths if path.is_file()]
        return paths[0] if paths else None

    def _open_folder(self) -> None:
        assert self._folder is not None
        record = self.view.record
        file = self._newest_file() if record.ended_by_force or isinstance(record.outcome, Finished) else None
        path = file.parent if file is not None else self._folder.path
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _train_again(self) -> None:
        """Back to the start with the settings of this run under a free name."""
        assert self._folder is not None
        try:
            config = self._config or self._folder.continued_config()
        except (UserError, OSError) as error:
            self._tell(error)
            return
        name = free_name(config.output.name, config.output.folder)
        self._project.set_config(with_values(config, {"output.name": name}))
        self.show_start()

    def _try_again(self) -> None:
        """Start anew with the settings as they are now: they may have been mended."""
        self.start()

    def _copy(self, outcome: Failed) -> None:
        text = "\n".join([outcome.message, outcome.remedy, "", outcome.detail])
        QGuiApplication.clipboard().setText(text)

    def _browse(self) -> None:
        start = str(self._project.config.output.folder)
        text = QFileDialog.getExistingDirectory(self, tr("Open the folder of a run"), start)
        if text:
            try:
                self.open_run(RunFolder.find(Path(text)))
            except UserError as error:
                self._tell(error)

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self._project.problem.emit(known.message, known.remedy)


def _facts_of(run: PastRun) -> dict[str, object]:
    return {"name": run.name, "step": run.step, "total": run.total_steps}
