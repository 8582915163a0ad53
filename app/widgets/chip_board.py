"""Tags as chips that wrap over lines: painted, selected, dragged into another order, and reached by keys."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from app import theme
from app.widgets.chip_look import CHIP_HEIGHT, PAD, ChipLook, cross_of, draw_chip, draw_cross, draw_dragged, draw_gap
from core.dataset.statistics import TagCount

LINE_GAP = 6
CHIP_GAP = 6
MARGIN = 2
_CONTROL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier
_ALT = Qt.KeyboardModifier.AltModifier


class ChipBoard(QWidget):
    """Shows chips and says what the user wants; it changes none of them itself.

    A chip is a tag with its count: one that not all pictures have is outlined.
    """

    moved = Signal(object)  # list[int]: the places of now, in the new order
    removal_wanted = Signal(object)  # list[int]: places
    rename_wanted = Signal(int)
    opened = Signal(int)  # a chip of only some pictures was clicked
    menu_wanted = Signal(int, QPoint)
    typed = Signal(str)  # letters, for a new tag
    went_on = Signal()  # past the last chip, or a click beside the chips
    escaped = Signal()
    move_requested = Signal(int)  # so many pictures on
    shown_place = Signal(QRect)  # what should be scrolled into view
    hovered = Signal(int)  # a place, or -1

    def __init__(self) -> None:
        super().__init__()
        self._chips: list[TagCount] = []
        self._places: list[QRect] = []
        self._selected: set[int] = set()
        self._current = self._anchor = -1
        self._pressed: tuple[int, QPoint] | None = None
        self._drag_to: int | None = None
        self._drag_at = QPoint()
        self._hot = -1
        self.is_movable = True
        self.num_learned: int | None = None
        """So many chips fit into what the text encoder reads; None for all."""
        self.marked: frozenset[str] = frozenset()
        """Tags that are shown as special: the trigger word."""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        theme.signals.changed.connect(self.update)

    # What is shown

    @property
    def chips(self) -> list[TagCount]:
        """What is shown, in order."""
        return self._chips

    @property
    def current(self) -> int:
        """The place that keys act on, or -1."""
        return self._current

    @property
    def selected(self) -> list[int]:
        """The selected places, in order."""
        return sorted(self._selected)

    def set_chips(self, chips: Sequence[TagCount]) -> None:
        """Show other chips. Those that stay keep being selected; a selection that is gone goes to what came after."""
        tags = [chip.tag for chip in chips]
        kept = {self._chips[place].tag for place in self._selected}
        current = self._chips[self._current].tag if self._current >= 0 else ""
        self._chips = list(chips)
        self._selected = {place for place, tag in enumerate(tags) if tag in kept}
        if current in tags:
            self._current = tags.index(current)
        elif self._current >= 0:
            self._current = min(self._current, len(tags) - 1)
            if not self._selected and self._current >= 0:
                self._selected = {self._current}
        self._anchor = self._current
        self._pressed = self._drag_to = None
        self._hot = -1
        self._lay_out()

    def select(self, place: int, *, extend: bool = False, toggle: bool = False) -> None:
        """Select a chip alone, or from the anchor to it, or in addition; a place of -1 selects none."""
        place = min(place, len(self._chips) - 1)
        if extend and self._anchor >= 0:
            low, high = sorted((self._anchor, place))
            self._selected = set(range(low, high + 1))
        elif toggle:
            self._selected ^= {place}
            self._anchor = place
        else:
            self._selected = {place} if place >= 0 else set()
            self._anchor = place
        self._current = place
        if place >= 0:
            self.setAccessibleDescription(self._chips[place].tag)
            self.shown_place.emit(self._places[place])
        self.update()

    def select_all(self) -> None:
        """Select every chip."""
        self._selected = set(range(len(self._chips)))
        self._current = self._current if self._current >= 0 else len(self._chips) - 1
        self.update()

    def place_of(self, place: int) -> QRect:
        """Where a chip is, in pixels of this widget."""
        return QRect(self._places[place])

    def chip_at(self, point: QPoint) -> int:
        """The chip under a point, or -1."""
        return next((place for place, rect in enumerate(self._places) if rect.contains(point)), -1)

    # Layout

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the chips need in the width of now."""
        return QSize(280, self.heightForWidth(max(self.width(), 120)))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """One line."""
        return QSize(120, CHIP_HEIGHT + 2 * MARGIN)

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Room for all lines."""
        places = self._flow(width)
        return (places[-1].bottom() + 1 if places else CHIP_HEIGHT) + MARGIN

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Another width breaks the lines elsewhere."""
        super().resizeEvent(event)
        self._lay_out()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """So does another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._lay_out()

    def label_of(self, place: int) -> str:
        """What a chip says: its tag, and of how many pictures when not of all."""
        chip = self._chips[place]
        return chip.tag if chip.is_in_all else f"{chip.tag}  {chip.count}/{chip.total}"

    def _flow(self, width: int) -> list[QRect]:
        """The places of the chips in a width."""
        metrics = self.fontMetrics()
        room = max(60, width - 2 * MARGIN)
        places = []
        x, y = MARGIN, MARGIN
        for number in range(len(self._chips)):
            wide = min(room, metrics.horizontalAdvance(self.label_of(number)) + 2 * PAD)
            if x > MARGIN and x + wide > MARGIN + room:
                x, y = MARGIN, y + CHIP_HEIGHT + LINE_GAP
            places.append(QRect(x, y, wide, CHIP_HEIGHT))
            x += wide + CHIP_GAP
        return places

    def _lay_out(self) -> None:
        self._places = self._flow(self.width())
        self.updateGeometry()
        self.update()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """The chips; while some are dragged, a line where they would go, and what is dragged under the mouse."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for place, rect in enumerate(self._places):
            if rect.intersects(event.rect()):
                painter.setOpacity(0.35 if self._drag_to is not None and place in self._selected else 1.0)
                self._draw_chip(painter, place)
        if self._drag_to is not None:
            painter.setOpacity(1.0)
            self._draw_drag(painter, self._drag_to)

    def _draw_chip(self, painter: QPainter, place: int) -> None:
        chip, rect = self._chips[place], self._places[place]
        look = ChipLook(
            label=self.label_of(place),
            is_partial=not chip.is_in_all,
            is_marked=chip.tag in self.marked,
            is_learned=self.num_learned is None or place < self.num_learned,
            is_selected=place in self._selected,
            is_hot=place == self._hot,
            has_focus=place == self._current and self.hasFocus(),
            is_enabled=self.isEnabled(),
        )
        draw_chip(painter, rect, look)
        if self._has_cross(place):
            draw_cross(painter, rect, self.devicePixelRatioF())

    def _draw_drag(self, painter: QPainter, target: int) -> None:
        is_end = target == len(self._places)
        rect = self._places[-1] if is_end else self._places[target]
        x = rect.right() + 1 + CHIP_GAP / 2 if is_end else rect.left() - CHIP_GAP / 2
        draw_gap(painter, max(2.0, x), rect)
        dragged = self.selected
        more = f"  +{len(dragged) - 1}" if len(dragged) > 1 else ""
        draw_dragged(painter, self._drag_at, self._chips[dragged[0]].tag + more)

    def _has_cross(self, place: int) -> bool:
        """Only what is selected, so that a click that wants to select never removes."""
        return place == self._hot and place in self._selected and self._drag_to is None

    # The mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Select; a press beside the chips selects none."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = event.position().toPoint()
        place = self.chip_at(point)
        if place < 0:
            self.select(-1)
            self.went_on.emit()
            return
        if self._has_cross(place) and cross_of(self._places[place]).contains(point):
            self.removal_wanted.emit([place])
            return
        self._pressed = place, point
        extend = bool(event.modifiers() & _SHIFT)
        toggle = bool(event.modifiers() & _CONTROL)
        if extend or toggle or place not in self._selected:
            self.select(place, extend=extend, toggle=toggle)
        else:
            self._current = place
        self.setFocus()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drag what is selected, or show what is under the mouse."""
        point = event.position().toPoint()
        if self._pressed is None or not self.is_movable:
            self._set_hot(self.chip_at(point))
            return
        far = (point - self._pressed[1]).manhattanLength() >= QApplication.startDragDistance()
        if (far or self._drag_to is not None) and self._pressed[0] in self._selected:
            self._drag_to, self._drag_at = self._gap_at(point), point
            self.shown_place.emit(QRect(point - QPoint(4, 16), QSize(8, 32)))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Put down what is dragged; else a click on one of several selected chips selects it alone."""
        pressed, target = self._pressed, self._drag_to
        self._pressed = self._drag_to = None
        if event.button() != Qt.MouseButton.LeftButton or pressed is None:
            return
        if target is not None:
            self._move(target)
        elif not event.modifiers() & (_CONTROL | _SHIFT):
            self.select(pressed[0])
            if not self._chips[pressed[0]].is_in_all:
                self.opened.emit(pressed[0])
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Rename in place."""
        place = self.chip_at(event.position().toPoint())
        if place >= 0 and event.button() == Qt.MouseButton.LeftButton and self._chips[place].is_in_all:
            self._pressed = None
            self.rename_wanted.emit(place)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Nothing is under the mouse."""
        super().leaveEvent(event)
        self._set_hot(-1)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """By mouse for the chip under it, by key for the current one."""
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        place = self._current if by_key else self.chip_at(event.pos())
        if place < 0:
            return
        if place not in self._selected:
            self.select(place)
        at = self.mapToGlobal(self._places[place].bottomLeft()) if by_key else event.globalPos()
        self.menu_wanted.emit(place, at)

    def _set_hot(self, place: int) -> None:
        if place != self._hot:
            self._hot = place
            self.setCursor(Qt.CursorShape.PointingHandCursor if place >= 0 else Qt.CursorShape.IBeamCursor)
            self.hovered.emit(place)
            self.update()

    def _gap_at(self, point: QPoint) -> int:
        """Before which chip something put down at a point would go."""
        line = [place for place, rect in enumerate(self._places) if rect.top() - LINE_GAP <= point.y() <= rect.bottom()]
        if not line:
            return 0 if point.y() < MARGIN else len(self._chips)
        return next((place for place in line if point.x() < self._places[place].center().x()), line[-1] + 1)

    def _move(self, target: int) -> None:
        """Put the selected chips before the one at `target`."""
        moved = self.selected
        before = [place for place in range(target) if place not in self._selected]
        after = [place for place in range(target, len(self._chips)) if place not in self._selected]
        order = [*before, *moved, *after]
        if order != list(range(len(self._chips))):
            self.moved.emit(order)

    # The keyboard

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Coming by Tab, there is a chip to act on."""
        super().focusInEvent(event)
        if self._current < 0 and self._chips and event.reason() != Qt.FocusReason.MouseFocusReason:
            self.select(len(self._chips) - 1 if event.reason() == Qt.FocusReason.BacktabFocusReason else 0)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows walk, Alt with them moves, Delete removes, F2 renames, letters begin a new tag."""
        key, modifiers = event.key(), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if modifiers == _ALT and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._shift(1 if key == Qt.Key.Key_Right else -1)
        elif modifiers == _CONTROL and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_requested.emit(1 if key == Qt.Key.Key_Down else -1)
        elif modifiers == _CONTROL and key == Qt.Key.Key_A:
            self.select_all()
        elif modifiers == _CONTROL and key == Qt.Key.Key_C:
            QApplication.clipboard().setText(", ".join(self._chips[place].tag for place in self.selected))
        elif modifiers in (Qt.KeyboardModifier.NoModifier, _SHIFT) and self._walked(key, bool(modifiers & _SHIFT)):
            pass
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and not modifiers:
            if self._selected:
                self.removal_wanted.emit(self.selected)
        elif key == Qt.Key.Key_Escape:
            if self._drag_to is not None:
                self._pressed = self._drag_to = None
                self.update()
            else:
                self.escaped.emit()
        elif key in (Qt.Key.Key_F2, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and not modifiers:
            self._open(self._current)
        elif event.text().isprintable() and event.text() and modifiers in (Qt.KeyboardModifier.NoModifier, _SHIFT):
            self.typed.emit(event.text())
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def _open(self, place: int) -> None:
        if place >= 0:
            (self.rename_wanted if self._chips[place].is_in_all else self.opened).emit(place)

    def _walked(self, key: int, extend: bool) -> bool:
        """Whether a key goes to another chip."""
        last = len(self._chips) - 1
        steps = {
            Qt.Key.Key_Left: self._current - 1,
            Qt.Key.Key_Right: self._current + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
            Qt.Key.Key_Up: self._above(-1),
            Qt.Key.Key_Down: self._above(1),
        }
        target = steps.get(Qt.Key(key))
        if target is None:
            return False
        if target > last and not extend:
            self.select(-1)
            self.went_on.emit()
        elif last >= 0:
            self.select(max(0, min(target, last)), extend=extend)
        return True

    def _above(self, lines: int) -> int:
        """The chip of the line above (-1) or below (1) the current one; past the last one when there is none."""
        if self._current < 0:
            return 0
        here = self._places[self._current]
        y = here.top() + lines * (CHIP_HEIGHT + LINE_GAP)
        line = [place for place, rect in enumerate(self._places) if rect.top() == y]
        if not line:
            return 0 if lines < 0 else len(self._chips)
        return min(line, key=lambda place: abs(self._places[place].center().x() - here.center().x()))

    def _shift(self, step: int) -> None:
        """Move the selected chips one place on."""
        if not self._selected or not self.is_movable:
            return
        edge = min(self._selected) - 1 if step < 0 else max(self._selected) + 2
        if 0 <= edge <= len(self._chips):
            self._move(edge)
