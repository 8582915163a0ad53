"""The top of a run: what it is doing, how far it is, how long it takes, and the buttons that steer it."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QProgressBar, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.run_record import RunRecord
from app.widgets.card import ElidedLabel, button, label, set_role
from app.wording import duration_text, size_text, step_time_text
from core.events import Stage
from core.text import tr

Phase = Literal["running", "pausing", "stopping", "watching", "reading", "ended"]
"""`watching` is a run that goes on without this window having started it: it can be looked at, not steered. `reading`
is one whose events are on their way."""


class ProgressHeader(QWidget):
    """Shows a record; the run is steered by whoever hears the signals.

    *Force stop* is there once the run was asked to end and has not ended yet; it asks before it is meant.
    """

    pause_clicked = Signal()
    stop_clicked = Signal()
    force_stop_clicked = Signal()
    sample_clicked = Signal()
    save_clicked = Signal()
    back_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = RunRecord()
        self._phase: Phase = "ended"
        self.name = ElidedLabel()
        set_role(self.name, "title")
        self.stage = label(role="muted")
        self.sample_button = button(icon="camera")
        self.save_button = button(icon="save")
        self.pause_button = button(icon="pause")
        self.stop_button = button(kind="danger", icon="stop")
        self.force_button = button(kind="danger", icon="power")
        self.back_button = QToolButton()
        icons.set_icon(self.back_button, "chevron-left", 20, "muted")
        self.back_button.setCursor(Qt.CursorShape.PointingHandCursor)
        self.question = QFrame()
        self.question.setProperty("role", "notice")
        self.question_text = label(wrap=True)
        self.confirm_button = button(kind="danger")
        self.keep_button = button()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.tiles = {name: _Tile() for name in ("step", "epoch", "left", "speed", "loss", "memory")}
        self._lay_out()
        self.pause_button.clicked.connect(self._pause)
        self.stop_button.clicked.connect(self._stop)
        self.force_button.clicked.connect(self._ask)
        self.confirm_button.clicked.connect(self._force)
        self.keep_button.clicked.connect(self.question.hide)
        self.sample_button.clicked.connect(self._sample)
        self.save_button.clicked.connect(self._save)
        self.back_button.clicked.connect(self.back_clicked)
        self.retranslate()

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.name)
        words.addWidget(self.stage)
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_S)
        top.addWidget(self.back_button, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)
        for made in (self.sample_button, self.save_button, self.pause_button, self.stop_button, self.force_button):
            top.addWidget(made)
        ask = QHBoxLayout(self.question)
        ask.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_S)
        ask.addWidget(self.question_text, 1)
        ask.addWidget(self.confirm_button)
        ask.addWidget(self.keep_button)
        self.question.hide()
        tiles = QGridLayout()
        tiles.setSpacing(theme.SPACE_S)
        for column, tile in enumerate(self.tiles.values()):
            tiles.addWidget(tile, 0, column)
            tiles.setColumnStretch(column, 1)
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(0, 0, 0, 0)
        column_layout.setSpacing(theme.SPACE_M)
        column_layout.addLayout(top)
        column_layout.addWidget(self.question)
        column_layout.addLayout(tiles)
        column_layout.addWidget(self.bar)

    def show_record(self, record: RunRecord, name: str) -> None:
        """Show another run."""
        self._record = record
        self.name.setText(name)
        self.refresh()

    def set_phase(self, phase: Phase) -> None:
        """Say whether the run goes on, was asked to end, is only watched, or is over."""
        self._phase = phase
        steered = phase in ("running", "pausing", "stopping")
        for made in (self.sample_button, self.save_button, self.pause_button, self.stop_button):
            made.setVisible(steered)
            made.setEnabled(phase == "running")
        self.force_button.setVisible(phase in ("pausing", "stopping"))
        if not steered:
            self.question.hide()
        self._name_buttons()
        self.refresh()

    def allow_sample(self, allowed: bool) -> None:
        """Whether previews can be asked for: not while asked ones are being drawn, and not without prompts."""
        self.sample_button.setEnabled(allowed and self._phase == "running")

    def allow_save(self, allowed: bool) -> None:
        """Whether a save can be asked for."""
        self.save_button.setEnabled(allowed and self._phase == "running")

    def refresh(self) -> None:
        """Show what the record holds now."""
        record = self._record
        running = self._phase not in ("ended", "reading")
        self.stage.setText(self._stage_text())
        before_training = running and not record.steps and record.stage in ("scan", "load", "cache", "sample")
        if before_training:
            self.bar.setRange(0, record.stage_total or 0)
            self.bar.setValue(record.stage_done)
        else:
            self.bar.setRange(0, max(record.total_steps, 1))
            self.bar.setValue(record.step)
        unknown = "–"
        tiles = self.tiles
        tiles["step"].value.setText(f"{record.step} / {record.total_steps}" if record.total_steps else unknown)
        tiles["epoch"].value.setText(f"{record.epoch} / {record.total_epochs}" if record.total_epochs else unknown)
        left = record.remaining_s if self._phase in ("running", "watching") else None
        tiles["left"].value.setText(duration_text(left) if left is not None else unknown)
        speed = record.seconds_per_step
        tiles["speed"].value.setText(step_time_text(speed) if speed is not None else unknown)
        loss = record.loss
        tiles["loss"].value.setText(f"{loss:.4f}" if loss is not None and math.isfinite(loss) else unknown)
        on_processor = record.device in ("", "CPU")
        tiles["memory"].title.setText(tr("Peak memory") if on_processor else tr("Peak graphics memory"))
        memory = record.peak_memory_bytes
        tiles["memory"].value.setText(size_text(memory) if memory else unknown)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.sample_button.setText(tr("Preview now"))
        self.save_button.setText(tr("Save now"))
        self.back_button.setToolTip(tr("All runs"))
        self.back_button.setAccessibleName(tr("All runs"))
        self.force_button.setText(tr("Force stop"))
        self.force_button.setToolTip(tr("Ends the process at once; steps since the last state are lost"))
        self.pause_button.setToolTip(tr("Keeps the state and frees its memory; the run goes on later as if unbroken"))
        self.sample_button.setToolTip(tr("Draws the previews at this step"))
        self.save_button.setToolTip(tr("Saves the LoRA and the state at this step"))
        self.stop_button.setToolTip(tr("Finishes the step, saves the LoRA and the state, and ends"))
        self.confirm_button.setText(tr("End it now"))
        self.keep_button.setText(tr("Keep running"))
        titles = (tr("Step"), tr("Epoch"), tr("Time left"), tr("Per step"), tr("Loss"))
        for tile, title in zip(self.tiles.values(), titles, strict=False):
            tile.title.setText(title)
        self.tiles["loss"].setToolTip(tr("How far off the training is; only its trend says something"))
        self._name_buttons()
        self.refresh()

    def _name_buttons(self) -> None:
        self.pause_button.setText(tr("Pausing…") if self._phase == "pausing" else tr("Pause"))
        self.stop_button.setText(tr("Stopping…") if self._phase == "stopping" else tr("Stop"))

    def _stage_text(self) -> str:
        record = self._record
        if self._phase == "ended":
            words = {
                "finished": tr("Finished"),
                "paused": tr("Paused"),
                "stopped": tr("Stopped at once") if record.ended_by_force else tr("Stopped and saved"),
                "failed": tr("Ended with a problem"),
                "unfinished": tr("Did not finish"),
            }[record.status]
        elif self._phase == "reading":
            words = tr("Reading the run…")
        elif record.stage is None:
            words = tr("Starting…")
        else:
            words = stage_words(record.stage)
            if record.stage != "train" and record.stage_total:
                words = f"{words} · {record.stage_done} / {record.stage_total}"
        elsewhere = tr("started outside this window") if self._phase == "watching" else ""
        return " · ".join(part for part in (words, record.device, record.precision, elsewhere) if part)

    def _stop(self) -> None:
        self._leave_buttons()
        self.set_phase("stopping")
        self.stop_clicked.emit()

    def _pause(self) -> None:
        self._leave_buttons()
        self.set_phase("pausing")
        self.pause_clicked.emit()

    def _leave_buttons(self) -> None:
        """A button that is disabled hands the keyboard to the next one: the space bar must not stop the run."""
        if (focused := self.focusWidget()) is not None:
            focused.clearFocus()

    def _ask(self) -> None:
        step = self._record.state_step
        if step:
            text = tr("End the run at once? It can continue from step {step}; later steps are lost.", step=step)
        else:
            text = tr("End the run at once? Nothing is saved yet, so all its steps are lost.")
        self.question_text.setText(text)
        self.question.show()
        self.keep_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _force(self) -> None:
        self.question.hide()
        self.force_stop_clicked.emit()

    def _sample(self) -> None:
        self._leave_buttons()
        self.allow_sample(False)
        self.sample_clicked.emit()

    def _save(self) -> None:
        self._leave_buttons()
        self.allow_save(False)
        self.save_clicked.emit()


class _Tile(QFrame):
    """One number with its name above it."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.title = ElidedLabel()
        set_role(self.title, "small")
        self.value = ElidedLabel()
        set_role(self.value, "figure")
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_S)
        column.setSpacing(0)
        column.addWidget(self.title)
        column.addWidget(self.value)


def stage_words(stage: Stage) -> str:
    """What the run is doing, in words."""
    return {
        "scan": tr("Looking at the pictures"),
        "check": tr("Checking the pictures"),
        "prepare": tr("Preparing the pictures"),
        "connect": tr("Asking the source"),
        "download": tr("Downloading"),
        "verify": tr("Checking what came"),
        "tag": tr("Tagging"),
        "write": tr("Writing captions"),
        "load": tr("Loading the base model"),
        "cache": tr("Encoding the pictures"),
        "train": tr("Training"),
        "sample": tr("Drawing previews"),
        "save": tr("Saving"),
    }[stage]
