"""What may be changed before a run goes on: its length, its previews, what it keeps."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QPlainTextEdit, QSpinBox, QWidget

from app.run_record import RunRecord
from app.widgets.card import label, pad_spin_box
from app.widgets.message_dialog import MessageDialog
from core.config import TrainConfig, with_values
from core.run_folder import StateFile
from core.text import tr

_ENDLESS = ("constant", "constant_with_warmup", "inverse_sqrt")
"""Schedules that know no end; all others are drawn over the whole length, so that another length bends them."""


class RunChangeDialog(MessageDialog):
    """`accepted_config` gives the changed settings when the user wants to go on with them."""

    accepted_config = Signal(object)

    def __init__(
        self, config: TrainConfig, record: RunRecord, back_to: StateFile | None = None, parent: QWidget | None = None
    ) -> None:
        """Build the dialog; `open` shows it.

        Args:
            config: The settings that the run goes on with if nothing is changed.
            record: What the run has said so far.
            back_to: The state to go back to, or None to go on from the last one.
            parent: The window it belongs to.
        """
        super().__init__("play", "accent", _heading(back_to), _text(record, back_to), parent)
        self._config = config
        done = back_to.epoch if back_to is not None else record.epoch
        self.epochs = _spin(max(1, done or 1), 10_000, config.training.epochs)
        self.save_every = _spin(0, 10_000, config.output.save_every_n_epochs)
        self.preview_every = _spin(0, 10_000, config.sampling.every_n_epochs)
        self.prompts = QPlainTextEdit("\n".join(config.sampling.prompts))
        self.prompts.setTabChangesFocus(True)
        self.prompts.setFixedHeight(84)
        self.warning = label(role="warning", wrap=True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, field in (
            (tr("Epochs in all"), self.epochs),
            (tr("Save after every … epochs"), self.save_every),
            (tr("Preview after every … epochs"), self.preview_every),
            (tr("Preview prompts"), self.prompts),
        ):
            field.setAccessibleName(title)
            form.addRow(label(title, role="muted"), field)
        self.body.addLayout(form)
        self.body.addWidget(self.warning)
        self.add_button(
            "go", tr("Continue") if back_to is None else tr("Go back and continue"), "primary", default=True
        )
        self.add_button("cancel", tr("Cancel"))
        self.epochs.valueChanged.connect(self._judge)
        self.answered.connect(self._on_answer)
        self._judge()
        self.epochs.setFocus()
        self.epochs.selectAll()

    def changed_config(self) -> TrainConfig:
        """The settings as they are in the fields now."""
        prompts = tuple(line.strip() for line in self.prompts.toPlainText().splitlines() if line.strip())
        return with_values(
            self._config,
            {
                "training.epochs": self.epochs.value(),
                "output.save_every_n_epochs": self.save_every.value(),
                "sampling.every_n_epochs": self.preview_every.value(),
                "sampling.prompts": prompts,
            },
        )

    def _judge(self) -> None:
        """Say what a change means for what was trained so far."""
        is_longer = self.epochs.value() != self._config.training.epochs
        bends = is_longer and self._config.schedule.name not in _ENDLESS
        words = tr("The learning rate follows a curve over the whole length, so it jumps to another value here.")
        self.warning.setText(words if bends else "")
        self.warning.setVisible(bends)
        self.adjustSize()

    def _on_answer(self, answer: str) -> None:
        if answer == "go":
            self.accepted_config.emit(self.changed_config())


def state_words(state: StateFile) -> str:
    """What a state is called."""
    if state.epoch is not None:
        return tr("Epoch {epoch} (step {step})", epoch=state.epoch, step=state.step)
    return tr("Step {step}", step=state.step)


def _heading(back_to: StateFile | None) -> str:
    if back_to is None:
        return tr("Continue with changes")
    if back_to.epoch is None:
        return tr("Go back to step {step}?", step=back_to.step)
    return tr("Go back to epoch {epoch}?", epoch=back_to.epoch)


def _text(record: RunRecord, back_to: StateFile | None) -> str:
    if back_to is None:
        return tr("The run goes on from its last state. Everything else stays as it was.")
    return tr(
        "The run goes on from step {step} as it was then. Files and previews of later steps move into the folder "
        "set_aside of the run, and the curve forgets them.",
        step=back_to.step,
    )


def _spin(low: int, high: int, value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    pad_spin_box(box)
    return box
