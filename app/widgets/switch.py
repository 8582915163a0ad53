"""A sliding on-off switch."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from app import theme


class Switch(QAbstractButton):
    """A sliding on-off switch in the colours of the theme."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for the track, and for the text beside it when there is one."""
        width = self.fontMetrics().horizontalAdvance(self.text()) + 10 if self.text() else 0
        return QSize(38 + width, max(22, self.fontMetrics().height() + 2))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Track, knob, and a ring when it has the keyboard."""
        colours = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.5)
        top = (self.height() - 20) / 2
        on = self.isChecked()
        painter.setPen(theme.colour(colours.accent if on or self.hasFocus() else colours.muted))
        painter.setBrush(theme.colour(colours.accent if on else colours.raised))
        painter.drawRoundedRect(QRectF(0.5, top + 0.5, 35, 19), 9.5, 9.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(colours.on_accent if on else colours.muted))
        painter.drawEllipse(QRectF(19 if on else 5, top + 4, 12, 12))
        if self.text():
            painter.setPen(theme.colour(colours.text))
            painter.drawText(self.rect().adjusted(46, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text())
