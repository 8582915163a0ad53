"""The one thing that the files of some base models do not say, asked where the model is chosen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.widgets.card import button, label, set_role
from core.checkpoints.answers import Answer, answer_for, needs_answer, remember
from core.checkpoints.recognition import Prediction
from core.errors import explain
from core.models import BaseModel
from core.text import tr


class BaseModelQuestion(QWidget):
    """Asks what a base model answers, and keeps what was said for this file. Hidden while there is nothing to ask.

    `answered` follows an answer that was kept, `failed` an error that kept it from being kept.
    """

    answered = Signal()
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = Path()
        self._looks_like_velocity = False
        self._answer: Answer | None = None
        self._background = Background(self)
        self._sentence = label(role="smallWarning", wrap=True)
        self.change_button = button(kind="quiet")
        self.change_button.setProperty("small", True)
        self.change_button.clicked.connect(self._ask_again)
        self.noise_button = button()
        self.velocity_button = button()
        self.zero_button = button()
        self._answers = QWidget()
        row = QHBoxLayout(self._answers)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_S)
        self.noise_button.clicked.connect(lambda: self._say("epsilon", zero_terminal=False))
        self.velocity_button.clicked.connect(lambda: self._say("v_prediction", zero_terminal=False))
        self.zero_button.clicked.connect(lambda: self._say("v_prediction", zero_terminal=True))
        for made in (self.noise_button, self.velocity_button, self.zero_button):
            made.setProperty("small", True)
            row.addWidget(made)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE_S)
        head.addWidget(self._sentence, 1)
        head.addWidget(self.change_button)
        column.addLayout(head)
        column.addWidget(self._answers)
        self.retranslate()
        self.hide()

    def ask_about(self, model: BaseModel | None) -> None:
        """Show the question if a model needs it, and what was answered before with a way to change it."""
        self._path = model.path if model is not None else Path()
        self._looks_like_velocity = model is not None and model.prediction == "v_prediction"
        asks = model is not None and needs_answer(model)
        self._answer = _answer_for(model) if model is not None and not asks else None
        self._show(asks=asks)

    def _ask_again(self) -> None:
        self._answer = None
        self._show(asks=True)

    def _show(self, *, asks: bool) -> None:
        self._say_sentence()
        set_role(self._sentence, "small" if self._answer is not None else "smallWarning")
        self._answers.setVisible(asks)
        self.change_button.setVisible(self._answer is not None)
        self.setVisible(asks or self._answer is not None)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self._say_sentence()
        self.change_button.setText(tr("Change"))
        self.noise_button.setText(tr("Noise (epsilon)"))
        self.velocity_button.setText(tr("Velocity (v-prediction)"))
        self.zero_button.setText(tr("Velocity, zero-terminal (ztsnr)"))
        self.noise_button.setToolTip(tr("The usual kind. With the wrong one a LoRA draws nothing but noise."))
        self.velocity_button.setToolTip(tr("Pages call it v-prediction or vpred."))
        self.zero_button.setToolTip(tr("Pages call it v-prediction with zero-terminal SNR (ztsnr)."))

    def _say_sentence(self) -> None:
        if self._answer is not None:
            answers = {
                ("epsilon", False): tr("Noise (epsilon)"),
                ("v_prediction", False): tr("Velocity (v-prediction)"),
                ("v_prediction", True): tr("Velocity, zero-terminal (ztsnr)"),
            }
            is_zero = self._answer.zero_terminal_snr and self._answer.prediction == "v_prediction"
            said = answers[self._answer.prediction, is_zero]
            words = tr("{answer}: as you said of this file.", answer=said)
        elif self._looks_like_velocity:
            words = tr("This model looks like v-prediction, but the file does not say so. Its page on the web does.")
        else:
            words = tr(
                "The file does not say what this model predicts. Its page on the web does; "
                "if that says nothing of v-prediction, it is the noise."
            )
        self._sentence.setText(words)

    def _say(self, prediction: Prediction, *, zero_terminal: bool) -> None:
        path = self._path
        self.setEnabled(False)
        self._background.start(lambda: remember(path, prediction, zero_terminal), self._kept)

    def _kept(self, result: object) -> None:
        self.setEnabled(True)
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                raise result
            self.failed.emit(str(known))
            return
        self.answered.emit()


def _answer_for(model: BaseModel) -> Answer | None:
    """What the user said of a file before."""
    if not model.is_file:
        return None
    try:
        return answer_for(model.path)
    except OSError:  # It went meanwhile, which the picker says.
        return None
