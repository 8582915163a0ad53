"""A row of names of which one is chosen; the arrow keys move between them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget


class Segments(QWidget):
    """`chosen` says the key of the button that was clicked."""

    chosen = Signal(str)

    def __init__(self, keys: tuple[str, ...], *, narrow: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for key in keys:
            made = QPushButton()
            made.setProperty("role", "segment")
            made.setProperty("narrow", narrow)
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            made.clicked.connect(lambda _checked, key=key: self.chosen.emit(key))
            self._group.addButton(made)
            self.buttons[key] = made
            row.addWidget(made)
        self.buttons[keys[0]].setChecked(True)

    @property
    def key(self) -> str:
        """The key of what is chosen."""
        return next(key for key, made in self.buttons.items() if made.isChecked())

    def choose(self, key: str) -> None:
        """Choose one, without a signal."""
        self.buttons[key].setChecked(True)

    def set_text(self, key: str, text: str, tooltip: str = "") -> None:
        """Set what a button says."""
        self.buttons[key].setText(text)
        self.buttons[key].setToolTip(tooltip)
