"""How a chip is painted."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from app import icons, theme

CHIP_HEIGHT = 28
PAD = 10
CROSS = 22
MOST_DRAGGED_WIDTH = 220


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLook:
    """What is to be seen of a chip. Partial ones belong to some of the pictures only; marked is the trigger word."""

    label: str
    is_partial: bool
    is_marked: bool
    is_learned: bool
    is_selected: bool
    is_hot: bool
    has_focus: bool
    is_enabled: bool


def draw_chip(painter: QPainter, rect: QRect, look: ChipLook) -> None:
    """Draw a chip without its cross."""
    tokens = theme.tokens()
    fill, line, text = tokens.hover, tokens.hover, tokens.text
    if look.is_partial:
        fill, line, text = tokens.sunken, tokens.border_strong, tokens.muted
    if look.is_marked:
        fill, line = tokens.accent_soft, tokens.accent_soft
    if not look.is_learned:
        fill, line, text = tokens.warning_soft, tokens.warning, tokens.warning
    if look.is_selected:
        fill, line, text = tokens.accent_soft, tokens.accent, tokens.text
    elif look.is_hot:
        line = tokens.muted if look.is_partial else tokens.border_strong
    pen = QPen(theme.colour(line), 1)
    if look.has_focus:
        pen = QPen(theme.colour(tokens.accent), 2)
    elif not look.is_learned and not look.is_selected:
        pen.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(pen)
    painter.setBrush(theme.colour(fill))
    painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)
    painter.setPen(theme.colour(text if look.is_enabled else tokens.faint))
    room = rect.width() - 2 * PAD + 2
    label = painter.fontMetrics().elidedText(look.label, Qt.TextElideMode.ElideRight, room)
    painter.drawText(rect.adjusted(PAD, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), label)


def cross_of(rect: QRect) -> QRect:
    """Where a chip is clicked to remove it."""
    return QRect(rect.right() - CROSS + 1, rect.top(), CROSS, rect.height())


def draw_cross(painter: QPainter, rect: QRect, ratio: float) -> None:
    """Draw the cross over the end of a selected chip."""
    tokens = theme.tokens()
    cross = cross_of(rect)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(tokens.accent_soft))
    painter.drawRoundedRect(cross.adjusted(-2, 2, -2, -2), 6, 6)
    painter.drawPixmap(QPointF(cross.center()) - QPointF(7, 6.5), icons.pixmap("close", 14, tokens.muted, ratio))


def draw_gap(painter: QPainter, x: float, rect: QRect) -> None:
    """Draw the line where dragged chips would go, beside the chip at `rect`."""
    pen = QPen(theme.colour(theme.tokens().accent), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.drawLine(QPointF(x, rect.top() + 3), QPointF(x, rect.bottom() - 2))


def draw_dragged(painter: QPainter, at: QPoint, text: str) -> None:
    """Draw what is dragged under the mouse."""
    tokens = theme.tokens()
    metrics = painter.fontMetrics()
    width = min(MOST_DRAGGED_WIDTH, metrics.horizontalAdvance(text) + 2 * PAD)
    place = QRect(at.x() + 8, at.y() + 6, width, CHIP_HEIGHT)
    painter.setOpacity(0.9)
    painter.setPen(theme.colour(tokens.accent))
    painter.setBrush(theme.colour(tokens.accent_soft))
    painter.drawRoundedRect(QRectF(place), theme.RADIUS, theme.RADIUS)
    painter.setPen(theme.colour(tokens.text))
    short = metrics.elidedText(text, Qt.TextElideMode.ElideRight, width - 2 * PAD + 2)
    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), short)
