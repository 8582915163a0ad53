"""Parts of a page that can be folded away: a row of lines to click, and below it what they hide."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import button


class Folds(QWidget):
    """Each part opens and closes for itself. `opened` follows a click that opened one, `toggled` every change."""

    opened = Signal()
    toggled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: dict[str, tuple[QPushButton, QWidget]] = {}
        self._lines = QHBoxLayout()
        self._lines.setSpacing(theme.SPACE_XS)
        self._lines.addStretch(1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.SPACE_XS)
        self._column.addLayout(self._lines)

    def add(self, name: str, body: QWidget) -> None:
        """Add a part, closed."""
        line = button(kind="quiet")
        line.setCheckable(True)
        line.setStyleSheet("padding: 0 8px 0 2px")
        line.clicked.connect(lambda is_open: self._toggle(name, is_open))
        self._parts[name] = line, body
        self._lines.insertWidget(len(self._parts) - 1, line)
        self._column.addWidget(body)
        self.set_open(name, False)

    def is_open(self, name: str) -> bool:
        """Whether a part is shown."""
        return not self._parts[name][1].isHidden()

    def set_open(self, name: str, is_open: bool) -> None:
        """Show or hide a part."""
        line, body = self._parts[name]
        line.setChecked(is_open)
        icons.set_icon(line, "chevron-down" if is_open else "chevron-right", 16, "muted")
        body.setVisible(is_open)
        self.toggled.emit()

    def set_title(self, name: str, title: str) -> None:
        """What the line of a part says; without words it is not there."""
        line = self._parts[name][0]
        line.setText(title)
        line.setVisible(bool(title))
        if not title:
            self.set_open(name, False)

    def _toggle(self, name: str, is_open: bool) -> None:
        self.set_open(name, is_open)
        if is_open:
            self.opened.emit()
