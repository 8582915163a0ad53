"""What is said below an option: a contradiction with its way out, and why an option has no effect."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import button, label, restyle
from core.config.rules import Changes, Conflict, Level

SIGNS: dict[Level, tuple[str, icons.Tone]] = {
    "error": ("error", "danger"),
    "warning": ("warning", "warning"),
    "info": ("info", "muted"),
}


class ConflictNotice(QFrame):
    """A sentence with a sign in the colour of its weight, and a button that mends it."""

    mended = Signal(object)  # the changes of the way out

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._changes: Changes = {}
        self._sign = QLabel()
        self.sentence = label(wrap=True)
        self.way_out = button()
        self.way_out.setProperty("small", True)
        self.way_out.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.way_out.clicked.connect(lambda: self.mended.emit(self._changes))
        words = QVBoxLayout()
        words.setSpacing(theme.SPACE_XS)
        words.addWidget(self.sentence)
        words.addWidget(self.way_out, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_S)
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.setProperty("role", "conflict")
        self._level: Level = "info"
        theme.signals.changed.connect(self._draw_sign)

    def show_conflict(self, conflict: Conflict) -> None:
        """Say what is wrong."""
        self._changes = conflict.changes
        self._level = conflict.level
        self.sentence.setText(conflict.sentence)
        self.way_out.setText(conflict.button)
        self.way_out.setAccessibleDescription(conflict.sentence)
        self.setProperty("level", conflict.level)
        restyle(self)
        self._draw_sign()

    def _draw_sign(self) -> None:
        name, tone = SIGNS[self._level]
        colour = getattr(theme.tokens(), tone)
        self._sign.setPixmap(icons.pixmap(name, 16, colour, self.devicePixelRatioF()))


class IdleNotice(QPushButton):
    """Why an option has no effect; pressing it goes to the option that is the reason."""

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._because = ""
        self.setProperty("role", "reason")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        icons.set_icon(self, "info", 14, "muted")
        self.clicked.connect(lambda: self.asked.emit(self._because))

    def show_reason(self, because: str, reason: str) -> None:
        """Say the reason, and know the option that is it."""
        self._because = because
        self.setText(reason)
