"""How crop frames look on a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen

from app import theme

HANDLE = 9
SIDES = ((-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0))
"""The eight handles of a frame: left or right, top or bottom, 0 for the middle."""


def handle_at(rect: QRectF, sides: tuple[int, int]) -> QPointF:
    """The middle of a handle."""
    middle = rect.center()
    return QPointF(middle.x() + sides[0] * rect.width() / 2, middle.y() + sides[1] * rect.height() / 2)


def shade_outside(painter: QPainter, whole: QRectF, frames: Sequence[QRectF]) -> None:
    """Darken what lies in no frame; nothing when there is none."""
    if not frames:
        return
    outside, inside = QPainterPath(), QPainterPath()
    outside.addRect(whole)
    inside.setFillRule(Qt.FillRule.WindingFill)
    for frame in frames:
        inside.addRect(frame)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.fillPath(outside.subtracted(inside), theme.colour("#000000", 150))


def draw_frame(painter: QPainter, rect: QRectF, text: str, *, is_current: bool) -> None:
    """One frame with its tag; the chosen one with thirds and handles."""
    accent = theme.colour(theme.tokens().accent)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if is_current:
        painter.setPen(QPen(theme.colour("#ffffff", 110), 1))
        for third in (1, 2):
            x, y = rect.left() + rect.width() * third / 3, rect.top() + rect.height() * third / 3
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
    painter.setPen(QPen(theme.colour("#000000", 120), 3))  # Seen on any picture.
    painter.drawRect(rect)
    painter.setPen(QPen(accent, 2) if is_current else QPen(Qt.GlobalColor.white, 1.5))
    painter.drawRect(rect)
    if is_current:
        painter.setPen(QPen(accent, 1.5))
        painter.setBrush(Qt.GlobalColor.white)
        for sides in SIDES:
            handle = QRectF(0, 0, HANDLE, HANDLE)
            handle.moveCenter(handle_at(rect, sides))
            painter.drawRoundedRect(handle, 2, 2)
    _draw_tag(painter, rect, text)


def _draw_tag(painter: QPainter, rect: QRectF, text: str) -> None:
    font = painter.font()
    font.setPixelSize(11)
    font.setBold(True)
    painter.setFont(font)
    width = painter.fontMetrics().horizontalAdvance(text) + 14
    place = QRect(round(rect.left()) + 8, round(rect.top()) + 8, width, 20)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(theme.tokens().shade))
    painter.drawRoundedRect(place, 10, 10)
    painter.setPen(Qt.GlobalColor.white)
    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)
