"""Tags to turn on and off, by group, each with a bar for how many pictures have it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app import icons, theme
from core.dataset.tag_names import chinese_name
from core.tagging.trait_words import Group
from core.tagging.traits import Trait
from core.text import language, tr

ROW_HEIGHT = 30
TITLE_HEIGHT = 24
_BOX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitRow:
    """One tag: `second` is its name in the user's language or "", `share` from 0 to 1, `text` stands at the end."""

    tag: str
    group: str
    second: str
    share: float
    text: str
    tip: str
    is_proposed: bool


def trait_rows(traits: Iterable[Trait], total: int) -> list[TraitRow]:
    """What is shown of traits that were found in `total` pictures, in the language in use."""
    names: dict[Group, str] = {
        "hair": tr("Hair"),
        "eyes": tr("Eyes"),
        "face": tr("Face"),
        "body": tr("Body"),
        "animal": tr("Ears, tail, wings"),
        "accessories": tr("Accessories"),
        "clothes": tr("Clothes"),
        "style": tr("Style"),
        "quality": tr("Quality"),
        "thing": tr("Things"),
    }
    return [
        TraitRow(
            tag=trait.tag,
            group=names[trait.group],
            second=chinese_name(trait.tag) if language() == "zh" else "",
            share=trait.share,
            text=tr("{n} of {total}", n=f"{trait.number:,}", total=f"{total:,}"),
            tip=tr("Proposed") if trait.is_proposed else tr("Not proposed"),
            is_proposed=trait.is_proposed,
        )
        for trait in traits
    ]


class TraitList(QWidget):
    """A click or Space turns a tag on or off; the arrow keys walk. It only says what is wanted."""

    toggled = Signal(str)
    shown_place = Signal(QRect)  # what should be scrolled into view

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[TraitRow, ...] = ()
        self._places: list[QRect] = []
        self._titles: list[tuple[str, int]] = []
        self._on: frozenset[str] = frozenset()
        self._current = self._hot = self._pressed = -1
        self._height = ROW_HEIGHT
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    @property
    def on(self) -> frozenset[str]:
        """The tags that are shown as on."""
        return self._on

    @property
    def current(self) -> int:
        """The row that keys act on, or -1."""
        return self._current

    def set_rows(self, rows: Sequence[TraitRow]) -> None:
        """Show other tags; those of one group stand together."""
        current = self.rows[self._current].tag if self._current >= 0 else ""
        self.rows = tuple(rows)
        self._places, self._titles = [], []
        y = 0
        for row in self.rows:
            if not self._titles or self._titles[-1][0] != row.group:
                self._titles.append((row.group, y))
                y += TITLE_HEIGHT
            self._places.append(QRect(0, y, 1, ROW_HEIGHT))
            y += ROW_HEIGHT
        self._height = max(y, ROW_HEIGHT)
        self._hot = self._pressed = -1
        self._current = next((number for number, row in enumerate(self.rows) if row.tag == current), -1)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if rows else Qt.FocusPolicy.NoFocus)
        self.updateGeometry()
        self._say()

    def set_on(self, tags: Collection[str]) -> None:
        """Show other tags as on."""
        self._on = frozenset(tags)
        self._say()

    def place_of(self, number: int) -> QRect:
        """Where a row is, in pixels of this widget."""
        return QRect(0, self._places[number].top(), self.width(), ROW_HEIGHT)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as all rows."""
        return QSize(260, self._height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The same height."""
        return QSize(160, self._height)

    def _say(self) -> None:
        """Tell screen readers about the current row."""
        if self._current >= 0:
            row = self.rows[self._current]
            self.setAccessibleDescription(f"{row.tag}, {row.text}, {'✓' if row.tag in self._on else '–'}")
        self.update()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the titles and the rows that are to be seen."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        room = max((metrics.horizontalAdvance(row.text) for row in self.rows), default=0) + theme.SPACE_S
        painter.setPen(theme.colour(theme.tokens().muted))
        for title, y in self._titles:
            place = QRect(0, y, self.width(), TITLE_HEIGHT - 2)
            painter.drawText(place, int(Qt.AlignmentFlag.AlignBottom), title)
        for number in range(len(self.rows)):
            if self.place_of(number).intersects(event.rect()):
                self._paint_row(painter, number, room)

    def _paint_row(self, painter: QPainter, number: int, room: int) -> None:
        tokens = theme.tokens()
        row, line = self.rows[number], QRectF(self.place_of(number)).adjusted(0.5, 2, -0.5, -2)
        is_hot = number == self._hot
        self._paint_box(painter, QRectF(1, line.center().y() - _BOX / 2, _BOX, _BOX), row.tag in self._on, is_hot)
        track = line.adjusted(_BOX + theme.SPACE_S, 0, -room, 0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.hover if is_hot else tokens.sunken))
        painter.drawRoundedRect(track, 5, 5)
        tone = theme.colour(tokens.curve_a, 110 if is_hot else 70) if row.is_proposed else theme.colour(tokens.border)
        painter.setBrush(tone)
        painter.drawRoundedRect(
            QRectF(track.topLeft(), track.size()).adjusted(0, 0, -track.width() * (1 - row.share), 0), 5, 5
        )
        if number == self._current and self.hasFocus():
            painter.setPen(QPen(theme.colour(tokens.accent), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        metrics = painter.fontMetrics()
        place = track.adjusted(theme.SPACE_S, 0, -theme.SPACE_XS, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        name = metrics.elidedText(row.tag, Qt.TextElideMode.ElideRight, int(place.width()))
        painter.setPen(theme.colour(tokens.text))
        painter.drawText(place, middle, name)
        painter.setPen(theme.colour(tokens.muted))
        left = place.adjusted(metrics.horizontalAdvance(name) + theme.SPACE_S, 0, 0, 0)
        if row.second and left.width() > 2 * metrics.height():
            painter.drawText(
                left, middle, metrics.elidedText(row.second, Qt.TextElideMode.ElideRight, int(left.width()))
            )
        painter.drawText(line, middle | Qt.AlignmentFlag.AlignRight, row.text)

    def _paint_box(self, painter: QPainter, box: QRectF, is_on: bool, is_hot: bool) -> None:
        tokens = theme.tokens()
        painter.setPen(theme.colour(tokens.accent if is_on or is_hot else tokens.border_strong))
        painter.setBrush(theme.colour(tokens.accent if is_on else tokens.sunken))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        if is_on:
            sign = icons.pixmap("check", 14, tokens.on_accent, self.devicePixelRatioF())
            painter.drawPixmap(box.topLeft() + QPointF(1, 1), sign)

    # Mouse and keys

    def _at(self, point: QPoint) -> int:
        return next((number for number in range(len(self.rows)) if self.place_of(number).contains(point)), -1)

    def _go(self, number: int) -> None:
        self._current = number
        self._say()
        if number >= 0:
            self.shown_place.emit(self.place_of(number))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """The row under the mouse is lit."""
        hot = self._at(event.position().toPoint())
        if hot != self._hot:
            self._hot = hot
            self.setCursor(Qt.CursorShape.PointingHandCursor if hot >= 0 else Qt.CursorShape.ArrowCursor)
            self.update()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Nothing is under the mouse."""
        super().leaveEvent(event)
        self._hot = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click begins."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = self._at(event.position().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Turn the row that was clicked on or off."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        number, pressed = self._at(event.position().toPoint()), self._pressed
        self._pressed = -1
        if number == pressed >= 0:
            self._go(number)
            self.toggled.emit(self.rows[number].tag)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows, Home and End walk; Space and Enter turn on or off."""
        last = len(self.rows) - 1
        targets = {
            Qt.Key.Key_Up: self._current - 1,
            Qt.Key.Key_Down: self._current + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }
        target = targets.get(Qt.Key(event.key()))
        if target is not None and last >= 0:
            self._go(max(0, min(target, last)))
        elif event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self.toggled.emit(self.rows[self._current].tag)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Coming by Tab, there is a row to act on."""
        super().focusInEvent(event)
        if self._current < 0 and self.rows and event.reason() != Qt.FocusReason.MouseFocusReason:
            self._go(0)
        self.update()

    def event(self, event: QEvent) -> bool:
        """Tell more about the row under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            number = self._at(event.pos())
            tip = self.rows[number].tip if number >= 0 else ""
            QToolTip.showText(event.globalPos() if tip else QPoint(), tip, self)
            return True
        return super().event(event)
