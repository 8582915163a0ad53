"""The number of a row in a list of things to do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from app import theme


class StepNumber(QLabel):
    """A number in a circle."""

    SIDE = 26

    def __init__(self, number: int) -> None:
        super().__init__(str(number))
        self.setFixedSize(self.SIDE, self.SIDE)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setContentsMargins(0, 0, 0, 0)
        theme.signals.changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        colours = theme.tokens()
        self.setStyleSheet(
            f"background: {colours.accent_soft}; color: {colours.accent}; border-radius: 13px; font-weight: 600;"
        )
