"""Bars drawn in the colours of the theme, to read and to click: lying ones with names, standing ones for histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app import theme

ROW_HEIGHT = 28
COLUMNS_HEIGHT = 132
MOST_WIDTH = 56
_SMALL_PX = 11

_STEPS: dict[int, int] = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}

Tone = Literal["curve_a", "curve_b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar. `value` is its length, `text` what is written at its end, `query` the filter that a click asks for."""

    name: str
    value: float
    text: str
    second: str = ""
    query: str = ""
    tip: str = ""
    tone: Tone = "curve_a"


class _Chart(QWidget):
    """Bars of which one may be under the mouse or the keyboard. Enter, Space and a click choose it."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bars: tuple[Bar, ...] = ()
        self._hot = -1
        self._full = 1.0
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def set_bars(self, bars: Sequence[Bar], full: float = 0.0) -> None:
        """Show other bars.

        Args:
            bars: What to draw.
            full: The value of the longest possible bar; 0 takes the largest value.
        """
        self.bars = tuple(bars)
        self._full = full or max((bar.value for bar in bars), default=0.0) or 1.0
        self._hot = min(self._hot, len(self.bars) - 1)
        self.setAccessibleDescription(", ".join(f"{bar.name}: {bar.text}" for bar in self.bars))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if bars else Qt.FocusPolicy.NoFocus)
        self.updateGeometry()
        self.update()

    def rect_of(self, number: int) -> QRectF:
        """Where a bar and all that belongs to it is."""
        raise NotImplementedError

    def _at(self, place: QPointF) -> int:
        return next((number for number in range(len(self.bars)) if self.rect_of(number).contains(place)), -1)

    def _set_hot(self, number: int) -> None:
        if number != self._hot:
            self._hot = number
            can_choose = number >= 0 and bool(self.bars[number].query)
            self.setCursor(Qt.CursorShape.PointingHandCursor if can_choose else Qt.CursorShape.ArrowCursor)
            self.update()

    def _choose(self, number: int) -> None:
        if 0 <= number < len(self.bars) and self.bars[number].query:
            self.chosen.emit(self.bars[number].query)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """The bar under the mouse is lit."""
        self._set_hot(self._at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Back to rest."""
        self._set_hot(-1)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Choose the bar that was clicked."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._choose(self._at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows go from bar to bar, Enter and Space choose."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}.get(
            Qt.Key(event.key())
        )
        if step is not None and 0 <= self._hot + step < len(self.bars):
            self._set_hot(self._hot + step)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose(self._hot)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """The keyboard begins at the first bar."""
        super().focusInEvent(event)
        if self._hot < 0 and event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self._set_hot(0)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """No bar is lit any more."""
        super().focusOutEvent(event)
        self._set_hot(-1)
        self.update()

    def event(self, event: QEvent) -> bool:
        """Tell more about the bar under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            number = self._at(QPointF(event.pos()))
            tip = self.bars[number].tip if number >= 0 else ""
            QToolTip.showText(event.globalPos() if tip else QPoint(), tip, self)
            return True
        return super().event(event)


class BarList(_Chart):
    """Lying bars, one below the other, with the name on the bar and the number at the right."""

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A line for each bar."""
        return QSize(200, max(1, len(self.bars)) * ROW_HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As high as all bars."""
        return QSize(120, self.sizeHint().height())

    def rect_of(self, number: int) -> QRectF:
        """A line of the list."""
        return QRectF(0, number * ROW_HEIGHT, self.width(), ROW_HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the lines that are to be seen."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = QFontMetricsF(self.font())
        room = max((metrics.horizontalAdvance(bar.text) for bar in self.bars), default=0.0) + theme.SPACE_S
        for number, bar in enumerate(self.bars):
            line = self.rect_of(number)
            if line.toRect().intersects(event.rect()):
                self._paint_bar(painter, bar, line, room, bar.value / self._full, number == self._hot)

    def _paint_bar(self, painter: QPainter, bar: Bar, line: QRectF, room: float, share: float, is_hot: bool) -> None:
        tokens = theme.tokens()
        track = line.adjusted(0, 2, -room, -2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.hover if is_hot else tokens.sunken))
        painter.drawRoundedRect(track, 5, 5)
        painter.setBrush(theme.colour(getattr(tokens, bar.tone), 110 if is_hot else 70))
        painter.drawRoundedRect(
            QRectF(track.left(), track.top(), max(4.0, track.width() * share), track.height()), 5, 5
        )
        if is_hot and self.hasFocus():
            painter.setPen(theme.colour(tokens.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        metrics = painter.fontMetrics()
        place = track.adjusted(theme.SPACE_S, 0, -theme.SPACE_S, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        name = metrics.elidedText(bar.name, Qt.TextElideMode.ElideRight, int(place.width()))
        painter.setPen(theme.colour(tokens.text))
        painter.drawText(place, middle, name)
        painter.setPen(theme.colour(tokens.muted))
        if bar.second:
            left = place.adjusted(metrics.horizontalAdvance(name) + theme.SPACE_S, 0, 0, 0)
            if left.width() > metrics.averageCharWidth() * 4:
                second = metrics.elidedText(bar.second, Qt.TextElideMode.ElideRight, int(left.width()))
                painter.drawText(left, middle, second)
        painter.drawText(line, middle | Qt.AlignmentFlag.AlignRight, bar.text)


class Columns(_Chart):
    """Standing bars side by side, with their names below and their numbers on top."""

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Always of one height."""
        return QSize(200, COLUMNS_HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The same."""
        return QSize(120, COLUMNS_HEIGHT)

    def rect_of(self, number: int) -> QRectF:
        """A column of the chart."""
        width = self.width() / max(1, len(self.bars))
        return QRectF(number * width, 0, width, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the columns on their line."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self.font()
        font.setPixelSize(_SMALL_PX)
        painter.setFont(font)
        line = QFontMetricsF(font).height()
        floor = self.height() - line - 4
        for number, bar in enumerate(self.bars):
            place = self.rect_of(number)
            is_hot = number == self._hot
            gap = max(min(4.0, place.width() * 0.12), (place.width() - MOST_WIDTH) / 2)
            high = max(2.0 if bar.value else 0.0, (floor - line - 2) * bar.value / self._full)
            column = QRectF(place.left() + gap, floor - high, place.width() - 2 * gap, high)
            if is_hot:
                painter.setPen(theme.colour(tokens.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(tokens.hover))
                painter.drawRoundedRect(place.adjusted(1, 0.5, -1, -line - 3), 5, 5)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(getattr(tokens, bar.tone), 230 if is_hot else 170))
            painter.drawRoundedRect(column, min(4.0, high / 2), min(4.0, high / 2))
            painter.setPen(theme.colour(tokens.text if is_hot else tokens.muted))
            if bar.value:
                above = QRectF(place.left(), column.top() - line - 1, place.width(), line)
                painter.drawText(above, Qt.AlignmentFlag.AlignCenter, bar.text)
            below = QRectF(place.left(), floor + 4, place.width(), line)
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, bar.name)
        painter.setPen(theme.colour(tokens.border_strong))
        painter.drawLine(QPointF(0, floor + 0.5), QPointF(self.width(), floor + 0.5))
