"""The one thing that the files of some base models do not say, asked where the model is chosen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.widgets.card import button, label
from core.checkpoints.answers import needs_answer, remember
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
        self._background = Background(self)
        self._sentence = label(role="smallWarning", wrap=True)
        self.noise_button = button()
        self.velocity_button = button()
        self.zero_button = button()
        row = QHBoxLayout()
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
        column.addWidget(self._sentence)
        column.addLayout(row)
        self.retranslate()
        self.hide()

    def ask_about(self, model: BaseModel | None) -> None:
        """Show the question if a model needs it."""
        self._path = model.path if model is not None else Path()
        self.setVisible(model is not None and needs_answer(model))

    def retranslate(self) -> None:
        """Take up the language in use."""
        self._sentence.setText(
            tr("The file does not say what this model answers. Its page on the web does; most answer the noise.")
        )
        self.noise_button.setText(tr("Noise (epsilon)"))
        self.velocity_button.setText(tr("Velocity (v)"))
        self.zero_button.setText(tr("Velocity, zero-terminal"))
        self.noise_button.setToolTip(tr("The usual kind. With the wrong one a LoRA draws nothing but noise."))
        self.velocity_button.setToolTip(tr("Pages call it v-prediction or vpred."))
        self.zero_button.setToolTip(tr("Pages call it v-prediction with zero-terminal SNR (ztsnr)."))

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
