"""Getting a model: choose it, see how it comes, or point to a folder that has one already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QFrame, QHBoxLayout, QWidget

from app import icons, theme
from app.background import Background
from app.editors import browse_start, guard_wheel
from app.job_worker import JobWorker
from app.model_store import ModelState, model_states, unread_states
from app.widgets.card import Card, ElidedLabel, PathLabel, button, label, set_role
from app.widgets.download_progress import DownloadProgressView
from app.widgets.model_list import ModelList
from app.widgets.outcome_line import OutcomeLine
from app.wording import size_text
from core.events import Failed, Finished, Notice
from core.hub.catalog import ModelKind
from core.hub.folder import models_folder, models_folder_is_fixed, set_models_folder
from core.hub.sources import Wish, title_of
from core.jobs import DownloadJob, Job, failure
from core.runner import Run
from core.text import sentences, tr

_WISHES: tuple[Wish, ...] = ("auto", "huggingface", "mirror", "modelscope")


class DownloadCard(Card):
    """The models of one kind, with a button to download the selected one, or to check one that is here.

    `model_ready` carries the name and the folder of a model that just came, or that is here and was chosen.
    `folder_chosen` carries a folder in which the user says to have a model; whether one is in it is for others to see.
    """

    model_ready = Signal(str, object)
    folder_chosen = Signal(object)

    def __init__(self, kind: ModelKind, make_run: Callable[[Job], Run], parent: QWidget | None = None) -> None:
        """Build the card.

        Args:
            kind: Which models are offered.
            make_run: Starts a job.
            parent: Qt's parent.
        """
        super().__init__(parent=parent)
        self._kind: ModelKind = kind
        self._make_run = make_run
        self._background = Background(self)
        self.worker: JobWorker | None = None
        self._running: ModelState | None = None
        self._is_stopping = False
        self._root = models_folder()
        self._result: Finished | Failed | None = None
        self._may_try_again = False
        self._unread: Failed | None = None
        self._told = ""
        self._note = ""
        self._build()
        theme.signals.changed.connect(self._show)
        self.retranslate()

    # Building

    def _build(self) -> None:
        self.list = ModelList()
        self.list.selected.connect(self._show)
        self.list.confirmed.connect(self.start)
        self._about = label(role="small", wrap=True)
        self._about.setTextFormat(Qt.TextFormat.RichText)
        self._about.setOpenExternalLinks(True)
        self._about.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._source_title = label(role="muted")
        self.sources = QComboBox()
        guard_wheel(self.sources)
        for wish in _WISHES:
            self.sources.addItem("", wish)
        self._source_title.setBuddy(self.sources)
        self.have_button = button(icon="folder-open")
        self.have_button.clicked.connect(self._choose_folder)
        self.start_button = button(kind="primary", icon="download")
        self.start_button.clicked.connect(self.start)
        self.check_button = button(icon="refresh")
        self.check_button.clicked.connect(self._run)
        self._choice = _row(
            self._source_title, self.sources, None, self.have_button, self.check_button, self.start_button
        )
        self.progress = DownloadProgressView()
        self.progress.cancelled.connect(self.request_stop)
        self.outcome = OutcomeLine()
        self.outcome.again_clicked.connect(self._try_again)
        self._place_title = label(role="small")
        self._place = PathLabel()
        set_role(self._place, "small")
        self.change_button = button(kind="quiet")
        self.change_button.clicked.connect(self._change_folder)
        self.open_button = button(kind="quiet")
        self.open_button.clicked.connect(self._open_folder)
        self._place_row = _row(self._place_title, self._place, self.change_button, self.open_button)
        rule = QFrame()
        rule.setProperty("role", "line")
        self.body.addWidget(self.list, 1)
        for widget in (self._about, self._choice, self.progress, self.outcome, rule, self._place_row):
            self.body.addWidget(widget)
        self.body.setSpacing(theme.SPACE_M)

    # What others ask

    @property
    def is_running(self) -> bool:
        """Whether a model is being downloaded."""
        return self.worker is not None

    @property
    def source(self) -> Wish:
        """Where models are to come from."""
        return _WISHES[self.sources.currentIndex()]

    def select(self, key: str) -> None:
        """Select a model by name."""
        self.list.select(key)

    def refresh(self) -> None:
        """Look again at what is on disk."""
        kind = self._kind
        self._background.start(lambda: (models_folder(), model_states(kind)), self._take_states)

    def start(self) -> None:
        """Download the selected model, or say that it is ready when it is here."""
        state = self.list.chosen
        if state is None or not state.is_here:
            self._run()
        elif not self.is_running:
            self.model_ready.emit(state.card.key, state.folder)

    def _run(self) -> None:
        state = self.list.chosen
        if state is None or self.is_running:
            return
        self._running = state
        self._result = None
        self._told = self._note = ""
        self._is_stopping = False
        self.progress.begin(state.card.title)
        worker = JobWorker(self._make_run(DownloadJob(model=state.card.key, source=self.source)), self)
        worker.stage_started.connect(self.progress.take_stage)
        worker.download_progress.connect(self.progress.take_progress)
        worker.notice.connect(self._on_notice)
        worker.job_finished.connect(self._on_end)
        worker.job_failed.connect(self._on_end)
        worker.finished.connect(worker.deleteLater)
        self.worker = worker
        self._show()
        worker.start()

    def request_stop(self) -> None:
        """Cancel; what came so far stays for the next time."""
        if self.worker is not None and not self._is_stopping:
            self._is_stopping = True
            self.progress.show_stopping()
            self.worker.stop()

    def force_stop(self) -> None:
        """End the download at once."""
        if self.worker is not None:
            self.worker.kill()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Models may have come or gone in the meantime."""
        super().showEvent(event)
        self.refresh()

    # What the user does beside it

    def _try_again(self) -> None:
        if self._running is not None:
            self.list.select(self._running.card.key)
        self._run()

    def _choose_folder(self) -> None:
        start = str(browse_start(self._root))
        if text := QFileDialog.getExistingDirectory(self, tr("Choose a model folder"), start):
            self.folder_chosen.emit(Path(text))

    def _change_folder(self) -> None:
        start = str(browse_start(self._root))
        if text := QFileDialog.getExistingDirectory(self, tr("Choose where models are kept"), start):
            self._background.start(lambda: set_models_folder(Path(text)), self._on_folder_set)

    def _on_folder_set(self, result: Exception | None) -> None:
        if isinstance(result, Exception):
            self._fail(result)
            return
        self._result = None
        self._told = tr("New models go there; those that you have stay where they are.")
        self.refresh()

    def _open_folder(self) -> None:
        folder = self._root
        self._background.start(lambda: _made(folder), self._on_folder_made)

    def _on_folder_made(self, result: Path | Exception) -> None:
        if isinstance(result, Exception):
            self._fail(result)
        else:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(result)))

    def _fail(self, error: Exception) -> None:
        """Tell that something else than a download failed."""
        self._result = failure(error)
        self._may_try_again = False
        self._show_message()

    # What the run says

    def _on_notice(self, event: Notice) -> None:
        self._note = event.message
        self._show_message()

    def _on_end(self, event: Finished | Failed) -> None:
        state = self._running
        self.worker = None
        self._result = event
        self._may_try_again = True
        self._note = ""
        is_ready = isinstance(event, Finished) and not event.stopped and event.output is not None
        if state is not None and isinstance(event, Finished):
            self._told = (
                tr("{title} is ready.", title=state.card.title)
                if is_ready
                else tr("Cancelled. What came so far is kept, and the next download goes on from there.")
            )
        self._show()
        self.refresh()
        if is_ready and state is not None and not state.is_here:  # One that was checked is not chosen by that.
            self.model_ready.emit(state.card.key, event.output if isinstance(event, Finished) else state.folder)

    # What is shown

    def retranslate(self) -> None:
        """Take up the language in use."""
        titles: dict[ModelKind, str] = {
            "tagger": tr("Get a tagger"),
            "captioner": tr("Get a model for sentences"),
            "base": tr("Get a base model"),
            "detector": tr("Get a detector"),
        }
        self.set_title(titles[self._kind])
        self.list.setAccessibleName(titles[self._kind])
        self._source_title.setText(tr("From"))
        self.sources.setAccessibleName(tr("Where the model comes from"))
        self.sources.setToolTip(
            tr("Automatic: Hugging Face first; if it does not answer, its mirror, then ModelScope.")
        )
        names = (tr("Automatic"), title_of("huggingface"), title_of("mirror"), title_of("modelscope"))
        for row, name in enumerate(names):
            self.sources.setItemText(row, name)
        self.have_button.setText(tr("A folder I have…"))
        self.have_button.setToolTip(tr("Use a model that is on this machine already, without any download."))
        self.check_button.setText(tr("Check files"))
        self.check_button.setToolTip(tr("Read the files of this model, and download what is damaged again."))
        self.progress.retranslate()
        self.outcome.retranslate()
        self._place_title.setText(tr("Models are kept in"))
        self.change_button.setText(tr("Change…"))
        self.change_button.setAccessibleName(tr("Choose where models are kept"))
        self.open_button.setText(tr("Open"))
        self.open_button.setAccessibleName(tr("Open the folder of models"))
        known = {state.card.key: state for state in self.list.rows.states}
        fresh = unread_states(self._kind)
        self.list.show_states([replace(known.get(state.card.key, state), card=state.card) for state in fresh])
        self._show()

    def _take_states(self, result: tuple[Path, tuple[ModelState, ...]] | Exception) -> None:
        if isinstance(result, Exception):
            self._unread = failure(result)
        else:
            self._unread = None
            self._root, states = result
            self.list.show_states(states)
        self._show()

    def _show(self) -> None:
        running = self.is_running
        self.list.setEnabled(not running)
        self._choice.setVisible(not running)
        self.progress.setVisible(running)
        self.change_button.setEnabled(not running and not models_folder_is_fixed())
        self.change_button.setToolTip(tr("Set by KILN_MODELS.") if models_folder_is_fixed() else "")
        self._place.set_path(self._root)
        state = self.list.chosen
        self.start_button.setEnabled(state is not None)
        self.check_button.setVisible(state is not None and state.is_here)
        if state is not None:
            self.start_button.setText(_action(state))
            icons.set_icon(self.start_button, "check" if state.is_here else "download", 16, "on_accent")
            link = f'<a href="{state.card.page}" style="color: {theme.tokens().accent}">{state.card.page[8:]}</a>'
            self._about.setText(sentences(tr("Licence: {name}.", name=state.card.license), link))
        self._show_message()

    def _show_message(self) -> None:
        if self.is_running:
            self.outcome.say(self._note)
        elif isinstance(self._result, Failed):
            self.outcome.show_failure(self._result, may_try_again=self._may_try_again)
        elif self._unread is not None:
            self.outcome.show_failure(self._unread, may_try_again=False)
        else:
            is_ready = isinstance(self._result, Finished) and not self._result.stopped
            self.outcome.say(self._told, "success" if is_ready else "muted")


def _action(state: ModelState) -> str:
    """What the main button does with a model."""
    if state.is_here:
        return tr("Use this model")
    if state.waiting_bytes:
        return tr("Go on with the download")
    return tr("Download {size}", size=size_text(state.card.size_bytes)) if state.card.size_bytes else tr("Download")


def _made(folder: Path) -> Path:
    """A folder, once it exists."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _row(*widgets: QWidget | None) -> QWidget:
    """Widgets beside each other; None is the space between."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(theme.SPACE_S)
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget, 1 if isinstance(widget, ElidedLabel) else 0)
    return made
