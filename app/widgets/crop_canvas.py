"""A picture with crop frames on it: drawn, moved and resized with mouse and keyboard, in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import icons, theme
from app.widgets import crop_geometry as geometry
from app.widgets import crop_painting as painting
from core.dataset.edits import Turn
from core.dataset.geometry import Box, Size
from core.text import tr

REACH = 11  # A handle is grabbed from so many pixels away.
MARGIN = 28
MOST_ZOOM = 16.0  # pixels of the screen per pixel of the picture
_ZOOM_STEP = 1.2
_DRAWN_FROM = 6  # A press that moves by so many pixels draws a new frame.
_CURSORS = {
    (-1, -1): Qt.CursorShape.SizeFDiagCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
    (-1, 1): Qt.CursorShape.SizeBDiagCursor,
    (0, -1): Qt.CursorShape.SizeVerCursor,
    (0, 1): Qt.CursorShape.SizeVerCursor,
    (-1, 0): Qt.CursorShape.SizeHorCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
}
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


@dataclass(slots=True)
class _Drag:
    """What the mouse is doing: moving or resizing a frame, drawing a new one, or moving the view."""

    kind: str  # "move", "resize", "draw" or "pan"
    start: QPointF
    box: Box = (0, 0, 1, 1)
    sides: tuple[int, int] = (0, 0)


class CropCanvas(QWidget):
    """Shows one picture. The wheel zooms, the middle button or the space bar moves, a double click shows all of it."""

    changed = Signal()  # the boxes
    current_changed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._is_broken = False
        self._size_px: Size = (1, 1)
        self._boxes: list[Box] = []
        self._current = -1
        self._ratio: geometry.Ratio = geometry.free
        self._zoom = 1.0
        self._origin = QPointF()
        self._is_fitted = True
        self._drag: _Drag | None = None
        self._is_space_down = False
        self._scaled: tuple[QSize, QPixmap] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(240, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.signals.changed.connect(self.update)
        self.retranslate()

    # The picture and its frames

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All frames."""
        return tuple(self._boxes)

    @property
    def current(self) -> int:
        """Which frame is the chosen one; -1 for none."""
        return self._current

    @property
    def size_px(self) -> Size:
        """Of the picture as it is shown."""
        return self._size_px

    def set_picture(self, image: QImage | None, size_px: Size, turn: Turn = 0, *, is_broken: bool = False) -> None:
        """Show another picture, or a sign while it is read.

        Args:
            image: Upright and not turned, of any size; None while it is read.
            size_px: Size of the picture after turning it.
            turn: How to turn the image.
            is_broken: Whether it cannot be read.
        """
        if image is not None and turn:
            image = image.transformed(QTransform().rotate(turn))
        is_other = size_px != self._size_px or self._image is None
        self._image, self._size_px, self._is_broken = image, size_px, is_broken
        self._scaled = None
        if is_other:
            self.fit()
        self.update()

    def set_boxes(self, boxes: tuple[Box, ...], current: int) -> None:
        """Show other frames, as far as they lie in the picture, without a signal."""
        self._boxes = [geometry.inside(box, self._size_px) for box in boxes]
        self._current = min(current, len(boxes) - 1)
        self.update()

    def set_current(self, index: int) -> None:
        """Choose another frame."""
        if index != self._current and -1 <= index < len(self._boxes):
            self._current = index
            self.current_changed.emit(index)
            self.update()

    def set_ratio(self, ratio: geometry.Ratio) -> None:
        """Keep frames that are drawn or resized from now on in a shape."""
        self._ratio = ratio

    # The view

    def fit(self) -> None:
        """Show all of the picture, as large as the place allows."""
        width, height = self._size_px
        room = self.size() - QSize(2 * MARGIN, 2 * MARGIN)
        self._zoom = min(MOST_ZOOM, max(0.001, min(room.width() / width, room.height() / height)))
        self._origin = QPointF((self.width() - width * self._zoom) / 2, (self.height() - height * self._zoom) / 2)
        self._is_fitted = True
        self.update()

    @property
    def zoom(self) -> float:
        """Pixels of the screen per pixel of the picture."""
        return self._zoom

    def zoom_at(self, place: QPointF, factor: float) -> None:
        """Enlarge or shrink the view; what is at a place stays there."""
        before = self.to_picture(place)
        least = min(self.width() / self._size_px[0], self.height() / self._size_px[1], 1.0) * 0.25
        self._zoom = min(max(self._zoom * factor, least), MOST_ZOOM)
        self._origin = place - before * self._zoom
        self._is_fitted = False
        self._keep_in_view()
        self.update()

    def to_picture(self, place: QPointF) -> QPointF:
        """A place of the widget in pixels of the picture."""
        return (place - self._origin) / self._zoom

    def to_view(self, box: Box) -> QRectF:
        """Where a box of the picture is in the widget."""
        left, top, right, bottom = (side * self._zoom for side in box)
        return QRectF(left, top, right - left, bottom - top).translated(self._origin)

    def _keep_in_view(self) -> None:
        """Part of the picture is always visible."""
        width, height = self._size_px[0] * self._zoom, self._size_px[1] * self._zoom
        x = min(max(self._origin.x(), MARGIN * 2 - width), self.width() - MARGIN * 2)
        y = min(max(self._origin.y(), MARGIN * 2 - height), self.height() - MARGIN * 2)
        self._origin = QPointF(x, y)

    # The mouse

    def _hit(self, place: QPointF) -> tuple[int, tuple[int, int] | None]:
        """The frame at a place and the sides of its handle there; None inside of it; (-1, None) for no frame."""
        order = sorted(range(len(self._boxes)), key=lambda index: (index != self._current, _area(self._boxes[index])))
        for index in order:
            rect = self.to_view(self._boxes[index])
            for sides in painting.SIDES:
                offset = painting.handle_at(rect, sides) - place
                if max(abs(offset.x()), abs(offset.y())) <= REACH:
                    return index, sides
        for index in order:
            if self.to_view(self._boxes[index]).contains(place):
                return index, None
        return -1, None

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Grab what is under the pointer."""
        place = event.position()
        pans = event.button() == Qt.MouseButton.MiddleButton
        if pans or (event.button() == Qt.MouseButton.LeftButton and self._is_space_down):
            self._drag = _Drag("pan", place)
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif event.button() == Qt.MouseButton.LeftButton and self._image is not None:
            index, sides = self._hit(place)
            if index >= 0:
                self.set_current(index)
                self._drag = _Drag("resize" if sides else "move", place, self._boxes[index], sides or (0, 0))
            else:
                self._drag = _Drag("draw", place)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Move, resize, draw, or show what could be grabbed."""
        place, drag = event.position(), self._drag
        if drag is None:
            self._show_cursor(place)
        elif drag.kind == "pan":
            self._origin += place - drag.start
            drag.start = place
            self._is_fitted = False
            self._keep_in_view()
            self.update()
        elif drag.kind == "draw":
            self._begin_drawing(drag, place)
        else:
            self._pull(drag, place)

    def _begin_drawing(self, drag: _Drag, place: QPointF) -> None:
        if (place - drag.start).manhattanLength() < _DRAWN_FROM:
            return
        start = self.to_picture(drag.start)
        across, along = (1 if place.x() >= drag.start.x() else -1), (1 if place.y() >= drag.start.y() else -1)
        # At least one pixel lies in the direction in which the frame grows.
        x = min(max(round(start.x()), int(across < 0)), self._size_px[0] - int(across > 0))
        y = min(max(round(start.y()), int(along < 0)), self._size_px[1] - int(along > 0))
        drag.box = (x, y, x, y)
        drag.kind, drag.sides = "resize", (across, along)
        self._boxes.append(drag.box)
        self._current = len(self._boxes) - 1
        self._pull(drag, place)
        self.current_changed.emit(self._current)

    def _pull(self, drag: _Drag, place: QPointF) -> None:
        box = self._boxes[self._current]
        if drag.kind == "move":
            by = (place - drag.start) / self._zoom
            box = geometry.moved(drag.box, (by.x(), by.y()), self._size_px)
        else:
            to = self.to_picture(place)
            box = geometry.resized(drag.box, drag.sides, (to.x(), to.y()), self._size_px, self._ratio)
        self._set_current_box(box)

    def _set_current_box(self, box: Box) -> None:
        if box != self._boxes[self._current]:
            self._boxes[self._current] = box
            self.changed.emit()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let go."""
        self._drag = None
        self._show_cursor(event.position())
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Show all of the picture."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom at the pointer."""
        if turns := event.angleDelta().y() / 120:
            self.zoom_at(event.position(), _ZOOM_STEP**turns)

    def _show_cursor(self, place: QPointF) -> None:
        if self._is_space_down:
            self.setCursor(Qt.CursorShape.OpenHandCursor)
            return
        index, sides = self._hit(place)
        if sides:
            self.setCursor(_CURSORS[sides])
        else:
            self.setCursor(Qt.CursorShape.SizeAllCursor if index >= 0 else Qt.CursorShape.CrossCursor)

    # The keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows move the chosen frame by a pixel, with Shift by ten; with Alt they resize it."""
        arrow = _ARROWS.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._is_space_down = True
                self.setCursor(Qt.CursorShape.OpenHandCursor)
        elif arrow is None or self._current < 0 or event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().keyPressEvent(event)
        else:
            step = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            self._nudge((arrow[0] * step, arrow[1] * step), bool(event.modifiers() & Qt.KeyboardModifier.AltModifier))

    def _nudge(self, by: tuple[int, int], resizes: bool) -> None:
        box = self._boxes[self._current]
        if resizes:
            to = (box[2] + by[0], box[3] + by[1])
            sides = (1 if by[0] else 0, 1 if by[1] else 0)
            box = geometry.resized(box, sides, to, self._size_px, self._ratio)
        else:
            box = geometry.moved(box, by, self._size_px)
        self._set_current_box(box)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """The space bar no longer moves the view."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._is_space_down = False
            self.unsetCursor()
        else:
            super().keyReleaseEvent(event)

    def focusNextPrevChild(self, next: bool) -> bool:  # noqa: N802 - Qt's name
        """Tab goes from frame to frame, and after the last one on to the next control."""
        index = self._current + (1 if next else -1)
        if 0 <= index < len(self._boxes):
            self.set_current(index)
            return True
        return super().focusNextPrevChild(next)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """A key that is let go elsewhere is not held here any more."""
        self._is_space_down = False
        self.unsetCursor()
        super().focusOutEvent(event)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """A picture that was shown as a whole stays so."""
        super().resizeEvent(event)
        if self._is_fitted:
            self.fit()
        else:
            self._keep_in_view()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setAccessibleName(tr("Picture with crop frames"))
        self.setAccessibleDescription(tr("Arrows move the frame, Alt and arrows resize it, Tab goes to the next one."))

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """The picture, dark outside of the frames, and the frames."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(self.rect(), theme.RADIUS_L, theme.RADIUS_L)
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(self.rect()), theme.RADIUS_L, theme.RADIUS_L)
        painter.setClipPath(clip)
        whole = self.to_view((0, 0, *self._size_px))
        if self._image is None or self._image.isNull():
            sign = icons.pixmap("error" if self._is_broken else "image", 40, tokens.faint, self.devicePixelRatioF())
            painter.drawPixmap(self.rect().center() - QPoint(20, 20), sign)
            return
        painter.fillRect(whole, Qt.GlobalColor.white)  # What is transparent is trained as white.
        self._draw_picture(painter, self._image, whole)
        rects = [self.to_view(box) for box in self._boxes]
        painting.shade_outside(painter, whole, rects)
        for index in sorted(range(len(rects)), key=lambda index: index == self._current):  # The chosen one on top.
            box, is_current = self._boxes[index], index == self._current
            text = f"{index + 1}   {box[2] - box[0]} × {box[3] - box[1]}" if is_current else f"{index + 1}"
            painting.draw_frame(painter, rects[index], text, is_current=is_current)
        if self.hasFocus():
            painter.setPen(QPen(theme.colour(tokens.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS_L, theme.RADIUS_L)

    def _draw_picture(self, painter: QPainter, image: QImage, whole: QRectF) -> None:
        ratio = self.devicePixelRatioF()
        size = QSize(max(1, round(whole.width() * ratio)), max(1, round(whole.height() * ratio)))
        if size.width() < image.width():  # Made smaller well once, not badly at each move of a frame.
            if self._scaled is None or self._scaled[0] != size:
                smooth = Qt.TransformationMode.SmoothTransformation
                scaled = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
                self._scaled = size, QPixmap.fromImage(scaled)
            painter.drawPixmap(whole, self._scaled[1], QRectF(self._scaled[1].rect()))
            return
        seen = whole.intersected(QRectF(self.rect()))
        across, along = image.width() / whole.width(), image.height() / whole.height()
        source = QRectF(
            (seen.left() - whole.left()) * across,
            (seen.top() - whole.top()) * along,
            seen.width() * across,
            seen.height() * along,
        )
        painter.drawImage(seen, image, source)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
