"""What the next run will train, before it starts."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app import theme
from app.project import Project
from app.queue import Queue
from app.run_sum import RunSum
from app.settings import Settings
from app.speed import remembered_duration
from app.widgets.base_model_picker import base_title
from app.widgets.card import Card, button, label, set_role
from app.widgets.quick_words import notes_text, sum_text
from app.widgets.run_card import Facts
from core.config import TrainConfig
from core.config.labels import number_text
from core.dataset.records import Scan
from core.errors import UserError
from core.models import describe_base
from core.text import tr


class RunSummary(Card):
    """Model, pictures, sum and target in plain words, and *Start*; beside it the way into the queue.

    While an entry of the queue is being changed, its settings go back into the queue from here.
    """

    start_clicked = Signal()
    queue_clicked = Signal()
    cancel_edit_clicked = Signal()

    def __init__(self, project: Project, settings: Settings, queue: Queue, parent: QWidget | None = None) -> None:
        """Build the card.

        Args:
            project: Its settings are what is trained next.
            settings: Keeps the measured speed.
            queue: Says whether one of its entries is being changed.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent=parent)
        self._queue = queue
        self._is_running = False
        self._project = project
        self._settings = settings
        self._run_sum = RunSum(project, self)
        self._run_sum.counted.connect(self._refresh_if_seen)
        self.facts = Facts()
        self.sum = label(role="heading", wrap=True)
        self.time = label(role="small", wrap=True)
        self.reason = label(role="muted", wrap=True)
        self.start_button = button(kind="primary", icon="play", size=18)
        self.start_button.setProperty("big", True)
        self.start_button.clicked.connect(self.start_clicked)
        self.queue_button = button(icon="queue")
        self.queue_button.clicked.connect(self.queue_clicked)
        self.cancel_button = button(kind="quiet")
        self.cancel_button.clicked.connect(self.cancel_edit_clicked)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        for made in (self.start_button, self.queue_button, self.cancel_button):
            row.addWidget(made)
        row.addStretch(1)
        self.body.setSpacing(theme.SPACE_M)
        self.body.addWidget(self.facts)
        self.body.addSpacing(theme.SPACE_XS)
        self.body.addWidget(self.sum)
        self.body.addWidget(self.time)
        self.body.addSpacing(theme.SPACE_XS)
        self.body.addLayout(row)
        self.body.addWidget(self.reason)
        queue.changed.connect(self._name_buttons)
        for signal in (project.config_changed, project.records_changed):
            signal.connect(self._refresh_if_seen)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.set_title(tr("Next run"))
        self.start_button.setText(tr("Start training"))
        self.cancel_button.setText(tr("Leave it as it was"))
        self._name_buttons()
        self.refresh()

    def refresh(self) -> None:
        """Show what the project holds now."""
        config, scan = self._project.config, self._project.scan
        if scan is not None and scan.folder != config.dataset.folder:
            scan = None
        base, reason = _base(config)
        if not reason and config.dataset.folder == Path():
            reason = tr("Choose a folder with pictures first.")
        self.facts.set_facts([(tr("Base model"), base), *_facts(config, scan)])
        self.reason.setText(reason)
        set_role(self.reason, "muted")
        self.reason.setVisible(bool(reason))
        self.start_button.setEnabled(not reason and not self._is_running)
        self.start_button.setToolTip(tr("Another run is going on.") if self._is_running else "")
        self.queue_button.setEnabled(not reason)
        length = self._run_sum.now() if scan is not None and scan.records else None
        if length is None:
            self.sum.clear()
            self.time.clear()
        else:
            self.sum.setText(sum_text(config, length))
            duration = remembered_duration(self._settings, config, length.total_steps)
            self.time.setText(notes_text(config, length, duration))
        self.sum.setVisible(bool(self.sum.text()))
        self.time.setVisible(bool(self.time.text()))

    def set_running(self, running: bool) -> None:
        """Say whether a run is going on: another one has to wait in the queue."""
        if running != self._is_running:
            self._is_running = running
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """The settings may have changed while nobody looked."""
        super().showEvent(event)
        self.refresh()

    def _name_buttons(self) -> None:
        is_editing = self._queue.editing is not None
        self.queue_button.setText(tr("Save in the queue") if is_editing else tr("Add to queue"))
        self.cancel_button.setVisible(is_editing)

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()


def _facts(config: TrainConfig, scan: Scan | None) -> list[tuple[str, str]]:
    folder = config.dataset.folder
    pictures = tr("not chosen yet") if folder == Path() else str(folder)
    if scan is not None:
        pictures = tr("{number} pictures in {folder}", number=len(scan.records), folder=folder)
    network = tr(
        "rank {rank}, learning rate {rate}, {pixels} px",
        rank=config.network.rank,
        rate=number_text(config.optimizer.learning_rate),
        pixels=config.dataset.resolution,
    )
    return [
        (tr("Pictures"), pictures),
        (tr("Trigger word"), config.dataset.trigger_word or tr("none")),
        (tr("LoRA"), network),
        (tr("Preview prompts"), str(len(config.sampling.prompts) or tr("none"))),
        (tr("Saved as"), str(config.output.folder / f"{config.output.name}.safetensors")),
    ]


def _base(config: TrainConfig) -> tuple[str, str]:
    """What the base model is called, and why it cannot be used or nothing."""
    path = config.model.base
    try:
        base = describe_base(path)
    except UserError as error:
        return tr("not chosen yet") if path == Path() else str(path), str(error)
    return base_title(base), ""
