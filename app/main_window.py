"""The window: navigation, pages, messages, dropped folders, and the question on closing during a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QRect, Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMainWindow, QStackedWidget, QStatusBar, QVBoxLayout, QWidget

from app import icons, theme
from app.crash import CrashDialog
from app.machine_bar import MachineBar
from app.project import Project
from app.run_reminder import RunReminder
from app.settings import Settings
from app.tabs.dataset import CHECK, DatasetTab
from app.widgets.card import label
from app.widgets.message_dialog import MessageDialog
from app.widgets.sidebar import Sidebar
from app.widgets.toast import Level, ToastArea
from core.jobs import Job
from core.paths import default_output_folder
from core.runner import ChildRun, Run
from core.text import tr

if TYPE_CHECKING:
    from app.lora_tools import LoraToolsDialog
    from app.tabs.params import ParamsTab
    from app.tabs.tagger import TaggerTab
    from app.tabs.training import TrainingTab
    from app.widgets.models_dialog import ModelsDialog
    from core.hub.catalog import ModelKind

DEFAULT_SIZE = (1280, 800)
MINIMUM_SIZE = (960, 600)
TITLE_BAR_PX = 40  # Room for it; how high it is, is known only when the window is shown.
IDLE_BUILD_MS = 400
DATASET, TAGGER, PARAMS, TRAINING = range(4)


class MainWindow(QMainWindow):
    """Holds the four pages. All but the first are built on first visit, or when the window has nothing else to do."""

    def __init__(self, project: Project, settings: Settings, make_run: Callable[[Job], Run] = ChildRun) -> None:
        """Build the frame and the first page.

        Args:
            project: What the user works on.
            settings: What the window remembers about itself.
            make_run: Starts a job; the default starts a child process.
        """
        super().__init__()
        self._project = project
        self._settings = settings
        self._make_run = make_run
        self._closing = False
        self._told_waiting: Path | None = None
        self.question: MessageDialog | None = None
        self.models: ModelsDialog | None = None
        self.tools: LoraToolsDialog | None = None
        self._reminder: RunReminder | None = None
        self.tagger: TaggerTab | None = None
        self.params: ParamsTab | None = None
        self.training: TrainingTab | None = None
        self.setWindowIcon(icons.app_icon())
        self.setAcceptDrops(True)
        self.setMinimumSize(*MINIMUM_SIZE)

        self.sidebar = Sidebar(
            [
                ("dataset", lambda: tr("Dataset")),
                ("tagger", lambda: tr("Tagger")),
                ("params", lambda: tr("Params")),
                ("training", lambda: tr("Training")),
            ],
            settings,
        )
        self.sidebar.page_chosen.connect(self.show_page)
        self.sidebar.tools_requested.connect(self.open_tools)
        self._stack = QStackedWidget()
        self.dataset = DatasetTab(project, settings, make_run)
        self.dataset.tagger_requested.connect(lambda: self.show_page(TAGGER))
        self.dataset.params_requested.connect(lambda: self.show_page(PARAMS))
        self.dataset.models_requested.connect(self.open_models)
        self._stack.addWidget(self.dataset)
        for _ in (TAGGER, PARAMS, TRAINING):
            self._stack.addWidget(QWidget())
        central = QWidget()
        central.setProperty("role", "page")
        row = QHBoxLayout(central)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(self._stack, 1)
        self.setCentralWidget(central)
        self.machine = MachineBar(self._output_folder)
        status = QStatusBar()
        status.setSizeGripEnabled(False)
        status.addWidget(self.machine, 1)
        self.setStatusBar(status)
        self.toasts = ToastArea(self._stack)
        self._drop_sign = _DropSign(self._stack)

        QShortcut(QKeySequence(QKeySequence.StandardKey.Quit), self).activated.connect(self.close)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Open), self).activated.connect(self._open_folder)
        project.problem.connect(self.show_problem)
        project.crashed.connect(self.show_crash)
        project.folder_changed.connect(self._on_folder_changed)
        settings.language_changed.connect(self.retranslate)
        self.sidebar.show_page(DATASET)
        self.retranslate()
        self._restore_geometry()

    # Pages

    @property
    def page(self) -> int:
        """Number of the page that is shown."""
        return self._stack.currentIndex()

    def show_page(self, index: int) -> None:
        """Show a page, building it when this is the first visit."""
        self.sidebar.show_page(index)
        if index == self._stack.currentIndex():
            return
        self.dataset.flush()
        self._build(index)
        self._stack.setCurrentIndex(index)
        page = self._stack.currentWidget()
        (self.dataset.grid if index == DATASET or page is None else page).setFocus()  # Its keys work at once.
        self.toasts.raise_()

    def start_training(self) -> None:
        """Show the training page and start."""
        self.show_page(TRAINING)
        assert self.training is not None
        self.training.start()

    def add_to_queue(self) -> None:
        """Put the settings into the queue of the training page."""
        self._build(TRAINING)
        assert self.training is not None
        self.training.add_to_queue()

    def _show_queue_edit(self) -> None:
        if self.params is not None and self.training is not None:
            self.params.footer.show_queue_edit(self.training.queue.editing is not None)

    def _go_to(self, place: str) -> None:
        """Show where the user has something to do after a run failed."""
        if place == "models":
            self.open_models("base")
        elif place == "doctor":
            from app.widgets.machine_check import InstallationCheck

            InstallationCheck(self).open()
        else:
            self.show_page(PARAMS if place == "params" else DATASET)
        if place == "dataset":
            self.dataset.side.show_panel(CHECK)

    def open_models(self, kind: ModelKind) -> None:
        """Show the models of a kind that can be downloaded."""
        from app.widgets.models_dialog import ModelsDialog

        if self.models is None:
            self.models = ModelsDialog(self._make_run, self)
            self.models.model_ready.connect(self._use_model)
        self.models.show_kind(kind)

    def open_tools(self) -> None:
        """Show the tools for LoRA files."""
        from app.lora_tools import LoraToolsDialog

        if self.tools is None:
            self.tools = LoraToolsDialog(self._make_run, self)
            self._settings.language_changed.connect(self.tools.retranslate)
        self.tools.show()
        self.tools.raise_()
        self.tools.activateWindow()

    def _use_model(self, kind: ModelKind, folder: Path) -> None:
        if kind in ("tagger", "captioner") and self.tagger is not None:
            self.tagger.form.use_model(kind, folder)
        elif kind == "base" and self.params is not None:
            self.params.quick.use_base(folder)
        elif kind == "detector":
            self.dataset.doctor.check_again()

    def _build(self, index: int) -> None:
        if index == TAGGER and self.tagger is None:
            from app.tabs.tagger import TaggerTab

            self.tagger = TaggerTab(self._project, self._settings, self._make_run)
            self.tagger.running_changed.connect(lambda running: self._on_running_changed(TAGGER, running))
            self.tagger.dataset_requested.connect(lambda: self.show_page(DATASET))
            self.tagger.params_requested.connect(lambda: self.show_page(PARAMS))
            self.tagger.models_requested.connect(self.open_models)
            self._put(index, self.tagger)
        elif index == PARAMS and self.params is None:
            from app.tabs.params import ParamsTab

            self.params = ParamsTab(self._project, self._settings)
            self.params.start_requested.connect(self.start_training)
            self.params.models_requested.connect(self.open_models)
            self.params.queue_requested.connect(self.add_to_queue)
            self._put(index, self.params)
            self._show_queue_edit()
        elif index == TRAINING and self.training is None:
            from app.tabs.training import TrainingTab

            self.training = TrainingTab(self._project, self._settings, self._make_run)
            self.training.running_changed.connect(lambda running: self._on_running_changed(TRAINING, running))
            self.training.page_requested.connect(self._go_to)
            self.training.told.connect(lambda message: self.show_message("success", message))
            self.training.queue.changed.connect(self._show_queue_edit)
            self._put(index, self.training)

    def _put(self, index: int, page: QWidget) -> None:
        placeholder = self._stack.widget(index)
        assert placeholder is not None
        current = self._stack.currentIndex()
        self._stack.removeWidget(placeholder)
        placeholder.deleteLater()
        self._stack.insertWidget(index, page)
        self._stack.setCurrentIndex(current)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Build the light pages a moment after the first paint. Training waits for a visit: it brings numpy."""
        super().showEvent(event)
        self._stack.setFocus()
        for wait, index in ((1, TAGGER), (2, PARAMS)):
            QTimer.singleShot(wait * IDLE_BUILD_MS, self, lambda index=index: self._build(index))
        QTimer.singleShot(3 * IDLE_BUILD_MS, self, self._remind)

    def _remind(self) -> None:
        """Once: say that a run waits to go on. The training page itself says it to whoever is there."""
        if self._reminder is None:
            self._reminder = RunReminder(self._project, self._settings, self)
            self._reminder.found.connect(self._show_reminder)

    def _show_reminder(self, message: str, remedy: str) -> None:
        if self.page != TRAINING and not self._is_running():
            self.show_message("info", message, remedy)

    def _open_folder(self) -> None:
        self.show_page(DATASET)
        self.dataset.choose_folder()

    # Messages

    def show_problem(self, message: str, remedy: str, detail: str = "") -> None:
        """Show what went wrong and what to do."""
        self.toasts.show_message("danger", message, remedy, detail)

    def show_message(self, level: Level, message: str, remedy: str = "") -> None:
        """Show something worth knowing."""
        self.toasts.show_message(level, message, remedy)

    def show_crash(self, detail: str) -> None:
        """Show an error nobody foresaw; one dialog at a time is enough."""
        if self.findChild(CrashDialog) is None:
            CrashDialog(detail, self).open()

    def _on_folder_changed(self) -> None:
        self.retranslate()

    def _on_running_changed(self, index: int, running: bool) -> None:
        self.sidebar.buttons[index].set_busy(running)
        if self._closing and not self._is_running():
            QTimer.singleShot(0, self, self.close)

    def retranslate(self) -> None:
        """Set the window's own texts in the language in use."""
        folder = self._project.folder
        name = tr("Kiln")
        self.setWindowTitle(f"{folder.name or folder} - {name}" if folder else name)
        self._drop_sign.retranslate()
        self.machine.retranslate()

    def _output_folder(self) -> Path:
        chosen = self._project.config.output.folder
        return chosen if chosen != Path() else default_output_folder()

    # Dropped folders

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take folders, and pictures for the folder they are in."""
        if _dropped_folder(event) is not None:
            event.acceptProposedAction()
            self._drop_sign.start()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        """The folder was carried on."""
        self._drop_sign.hide()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open what was dropped."""
        self._drop_sign.hide()
        folder = _dropped_folder(event)
        if folder is not None:
            event.acceptProposedAction()
            self.show_page(DATASET)
            self._project.open_folder(folder)

    # Closing

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Ask while something runs; else keep everything and go."""
        self.dataset.flush()
        if (waiting := self.dataset.show_waiting()) is not None and waiting != self._told_waiting:
            self._told_waiting = waiting
            event.ignore()
            self.show_page(DATASET)
            self.show_message(
                "warning",
                tr("The caption you typed for {name} is not saved.", name=waiting.name),
                tr("Choose which one to keep. Closing once more leaves the file as it is.")
                if self._project.record(waiting) is not None
                else tr("Open its folder again to save it. Closing once more leaves the file as it is."),
            )
            return
        if self._is_running():
            event.ignore()
            self._ask()
            return
        self._settings.set_value("window/geometry", self.saveGeometry())
        if self.models is not None:
            self.models.shut_down()
        if self.tools is not None:
            self.tools.shut_down()
        self.dataset.shut_down()
        if self.tagger is not None:
            self.tagger.shut_down()
        if self.training is not None:
            self.training.shut_down()
        self._project.save()
        self._settings.save()
        super().closeEvent(event)

    def _is_running(self) -> bool:
        return bool((self.training and self.training.is_running) or (self.tagger and self.tagger.is_running))

    def _ask(self) -> None:
        if self.question is not None:
            return
        if self.training is not None and self.training.is_running:
            heading = tr("A training is running.")
            text = tr("Pause keeps the state, so that the run can go on later; stop also saves the LoRA as it is now.")
            stop = tr("Stop and save")
        else:
            heading = tr("Pictures are being tagged.")
            text = tr("Nothing is written yet; the next run goes on from here.")
            stop = tr("Stop and close")
        self.question = MessageDialog("info", "accent", heading, text, self)
        self.question.add_button("force", tr("Force stop"), "danger")
        self.question.add_button("stop", stop)
        if self.training is not None and self.training.is_running:
            self.question.add_button("pause", tr("Pause and close"))
        self.question.add_button("keep", tr("Do not close"), "primary", default=True)
        self.question.answered.connect(self._answer)
        self.question.open()

    def _answer(self, answer: str) -> None:
        self.question = None
        if answer == "keep":
            self._closing = False
            return
        self._closing = True
        if not self._is_running():  # It ended while the question was open.
            self.close()
            return
        for tab in (self.training, self.tagger):
            if tab is not None and tab.is_running:
                if answer == "force":
                    tab.force_stop()
                elif answer == "pause" and tab is self.training:
                    self.training.request_pause()
                else:
                    tab.request_stop()
        self.show_message("info", tr("Stopping. The window closes by itself when everything is saved."))

    # Geometry

    def _restore_geometry(self) -> None:
        saved = self._settings.value("window/geometry", QByteArray())
        self.resize(*DEFAULT_SIZE)
        if not saved.isEmpty() and self.restoreGeometry(saved) and _is_on_a_screen(self.geometry()):
            return
        screen = QGuiApplication.primaryScreen().availableGeometry()
        room = screen.height() - TITLE_BAR_PX
        width, height = min(DEFAULT_SIZE[0], screen.width()), min(DEFAULT_SIZE[1], room)
        self.resize(width, height)
        self.move(screen.x() + (screen.width() - width) // 2, screen.y() + (room - height) // 2)


class _DropSign(QFrame):
    """What covers the page while a folder is carried over the window."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setProperty("role", "drop")
        self._text = label(role="heading")
        layout = QVBoxLayout(self)
        layout.addWidget(self._text, 0, Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def start(self) -> None:
        """Cover the page."""
        margin = theme.SPACE_L
        self.setGeometry(self._over.rect().adjusted(margin, margin, -margin, -margin))
        self.raise_()
        self.show()

    def retranslate(self) -> None:
        """Set the text in the language in use."""
        self._text.setText(tr("Drop to open this folder"))


def _dropped_folder(event: QDropEvent) -> Path | None:
    """The folder that a drag means: the first folder in it, else the one around its first file."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    for path in paths:
        if path.is_dir():
            return path
    return paths[0].parent if paths and paths[0].is_file() else None


def _is_on_a_screen(frame: QRect) -> bool:
    """Whether enough of a window is on some screen to be seen and moved."""
    for screen in QGuiApplication.screens():
        seen = screen.availableGeometry().intersected(frame)
        if seen.width() >= min(200, frame.width()) and seen.height() >= min(100, frame.height()):
            return True
    return False
