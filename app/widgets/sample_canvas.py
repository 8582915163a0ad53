"""Two previews in one place: one of them, both with a divider to drag, or side by side."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import theme
from core.text import tr

Mode = Literal["one", "divided", "beside"]
_LARGEST = 4
"""Small pictures are enlarged at most so many times."""
_GAP = 16


class SampleCanvas(QWidget):
    """Paints a picture B, and with a mode other than `one` a picture A to compare it with, at its left."""

    divided = Signal(float)  # where the divider is now, 0 to 1

    def __init__(self) -> None:
        super().__init__()
        self._before = QPixmap()
        self._after = QPixmap()
        self._mode: Mode = "one"
        self._divider = 0.5
        self._shows_before = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        theme.signals.changed.connect(self.update)

    @property
    def divider(self) -> float:
        """Where the divider is, from 0 at the left to 1 at the right."""
        return self._divider

    @property
    def shows_before(self) -> bool:
        """Whether picture A is shown in the place of B."""
        return self._shows_before

    def show_pixmaps(self, before: QPixmap, after: QPixmap) -> None:
        """Show other pictures."""
        self._before, self._after = before, after
        self.update()

    def set_mode(self, mode: Mode) -> None:
        """Compare in another way."""
        self._mode = mode
        self.setCursor(Qt.CursorShape.SplitHCursor if mode == "divided" else Qt.CursorShape.ArrowCursor)
        self.update()

    def set_divider(self, share: float) -> None:
        """Move the divider."""
        self._divider = min(max(share, 0.0), 1.0)
        self.divided.emit(self._divider)
        self.update()

    def show_before(self, shown: bool) -> None:
        """Show picture A in the place of B, for as long as a key is held."""
        self._shows_before = shown
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As large as a usual preview."""
        return QSize(512, 512)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take the divider."""
        if self._mode == "divided" and event.buttons() & Qt.MouseButton.LeftButton:
            place = self._place(self._after, self.rect())
            self.set_divider((event.position().x() - place.left()) / max(1, place.width()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Drag the divider."""
        self.mousePressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw what the mode asks for."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._mode == "beside":
            half = (self.width() - _GAP) // 2
            self._draw(painter, self._before, QRect(0, 0, half, self.height()))
            self._draw(painter, self._after, QRect(half + _GAP, 0, half, self.height()))
            return
        if self._shows_before:
            self._draw(painter, self._before, self.rect())
            return
        self._draw(painter, self._after, self.rect())
        if self._mode == "divided" and not self._before.isNull() and not self._after.isNull():
            self._draw_divided(painter)

    def _draw_divided(self, painter: QPainter) -> None:
        place = self._place(self._after, self.rect())
        x = place.left() + round(self._divider * place.width())
        painter.setClipRect(QRect(QPoint(place.left(), place.top()), QPoint(x - 1, place.bottom())))
        painter.drawPixmap(place, self._before)
        painter.setClipping(False)
        tokens = theme.tokens()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(QRect(x - 1, place.top(), 2, place.height()), theme.colour("#ffffff"))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.accent))
        painter.drawEllipse(QPoint(x, place.center().y()), 9, 9)

    def _draw(self, painter: QPainter, pixmap: QPixmap, room: QRect) -> None:
        if pixmap.isNull():
            painter.setPen(theme.colour(theme.tokens().muted))
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), tr("File missing"))
        else:
            painter.drawPixmap(self._place(pixmap, room), pixmap)

    @staticmethod
    def _place(pixmap: QPixmap, room: QRect) -> QRect:
        """As large as there is room, in the middle."""
        size = pixmap.size()
        if size.isEmpty():
            return room
        fitting = size.scaled(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(QPoint(0, 0), fitting if fitting.width() <= _LARGEST * size.width() else size * _LARGEST)
        place.moveCenter(room.center())
        return place
