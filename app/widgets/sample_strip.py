"""The previews of a run: one row per prompt, one column per step, the newest at the right."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QBrush,
    QImageReader,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app import theme
from app.run_record import RunRecord
from core.text import tr

_GAP = 8
_TEXT = 20
_CORNER = 6
_KEPT_PIXMAPS = 400


class SampleStrip(QAbstractScrollArea):
    """A table of pictures that draws and reads only what is seen; a click asks for the large view."""

    opened = Signal(int, int)
    """Step and prompt that were clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = RunRecord()
        self._empty_text = ""
        self._steps: list[int] = []
        self._prompts: dict[int, str] = {}
        self._pixmaps: dict[tuple[Path, int], QPixmap] = {}
        self._wanted: deque[tuple[Path, int]] = deque()
        self._hovered: tuple[int, int] | None = None
        self._reader = QTimer(self)
        self._reader.setInterval(0)
        self._reader.timeout.connect(self._read_one)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        theme.signals.changed.connect(self.viewport().update)

    @property
    def num_pictures(self) -> int:
        """Pictures in the table."""
        return len(self._record.samples)

    @property
    def num_loaded(self) -> int:
        """Pictures that were read so far."""
        return len(self._pixmaps)

    def show_record(self, record: RunRecord) -> None:
        """Show another run, its newest pictures first."""
        self._record = record
        self._steps = []
        self._pixmaps.clear()
        self._wanted.clear()
        self.refresh()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.maximum())

    @property
    def empty_text(self) -> str:
        """What is said while there are no pictures."""
        return self._empty_text

    def set_empty_text(self, text: str) -> None:
        """Say this while there are no pictures."""
        self._empty_text = text
        self.viewport().update()

    def refresh(self) -> None:
        """The record may have more pictures."""
        self._steps = self._record.sample_steps
        self._prompts = self._record.prompts
        self._update_bars()
        self.viewport().update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for two rows and three columns."""
        return QSize(420, 320)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for one picture."""
        return QSize(180, 150)

    def cell_px(self) -> int:
        """Side of a picture: all rows fit when they can, and two columns do."""
        rows = max(1, len(self._prompts))
        view = self.viewport()
        high = (view.height() - _TEXT) // rows - _TEXT - _GAP
        wide = (view.width() - _GAP) // 2
        return max(64, min(high, wide, 220))

    def cell_rect(self, step: int, index: int) -> QRect:
        """Where a picture is drawn now, in the viewport."""
        side = self.cell_px()
        column, row = self._steps.index(step), list(self._prompts).index(index)
        x = column * (side + _GAP) - self.horizontalScrollBar().value()
        y = row * (side + _GAP + _TEXT) + _TEXT - self.verticalScrollBar().value()
        return QRect(x, y, side, side)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Prompts, pictures and steps that are in view; asks for pictures not read yet."""
        colours = theme.tokens()
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if not self._steps:
            painter.setPen(theme.colour(colours.muted))
            painter.drawText(
                self.viewport().rect().adjusted(16, 0, -16, 0),
                int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap),
                self._empty_text,
            )
            return
        side = self.cell_px()
        self._wanted.clear()
        small = painter.font()
        small.setPixelSize(theme.FONT_PX - 1)
        painter.setFont(small)
        view = self.viewport().rect()
        for row, (index, prompt) in enumerate(self._prompts.items()):
            top = row * (side + _GAP + _TEXT) - self.verticalScrollBar().value()
            painter.setPen(theme.colour(colours.muted))
            text = painter.fontMetrics().elidedText(prompt, Qt.TextElideMode.ElideRight, view.width() - 4)
            painter.drawText(QRect(0, top, view.width(), _TEXT), int(Qt.AlignmentFlag.AlignVCenter), text)
            for step in self._steps_in_view():
                place = self.cell_rect(step, index)
                if place.intersects(view):
                    self._paint_cell(painter, place, step, index)
        bottom = len(self._prompts) * (side + _GAP + _TEXT) - self.verticalScrollBar().value()
        foot = min(bottom - _GAP + 2, view.height() - _TEXT)
        painter.fillRect(QRect(0, foot, view.width(), _TEXT), theme.colour(colours.surface))
        for step in self._steps_in_view():
            place = self.cell_rect(step, next(iter(self._prompts)))
            painter.setPen(theme.colour(colours.muted))
            words = tr("before") if step == 0 else str(step)
            painter.drawText(QRect(place.x(), foot, side, _TEXT), int(Qt.AlignmentFlag.AlignCenter), words)
        if self._wanted:
            self._reader.start()

    def _paint_cell(self, painter: QPainter, place: QRect, step: int, index: int) -> None:
        colours = theme.tokens()
        sample = self._record.samples.get((step, index))
        if sample is None:
            return
        key = (sample_file(sample.image, self._record.folder), place.width())
        pixmap = self._pixmaps.get(key)
        if pixmap is None:
            painter.fillRect(place, theme.colour(colours.sunken))
            self._wanted.appendleft(key)
        elif pixmap.isNull():
            painter.fillRect(place, theme.colour(colours.sunken))
            painter.setPen(theme.colour(colours.muted))
            painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), tr("File missing"))
        else:
            size = pixmap.deviceIndependentSize().toSize()
            inner = QRect(QPoint(0, 0), size)
            inner.moveCenter(place.center())
            painter.drawPixmap(inner.topLeft(), pixmap)
        if self._hovered == (step, index):
            painter.setPen(theme.colour(colours.accent))
            painter.drawRect(place.adjusted(0, 0, -1, -1))

    def _read_one(self) -> None:
        """Read one picture per pass of the event loop, so that a long run opens without a pause."""
        if not self._wanted:
            self._reader.stop()
            return
        path, side = self._wanted.popleft()
        while len(self._pixmaps) >= _KEPT_PIXMAPS:
            self._pixmaps.pop(next(iter(self._pixmaps)))
        self._pixmaps[path, side] = rounded(read_pixmap(path, QSize(side, side), self.devicePixelRatioF()))
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Other room, other size of pictures."""
        super().resizeEvent(event)
        self._update_bars()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Show what can be clicked."""
        hovered = self._cell_at(event.position().toPoint())
        if hovered != self._hovered:
            self._hovered = hovered
            pointing = Qt.CursorShape.PointingHandCursor if hovered else Qt.CursorShape.ArrowCursor
            self.viewport().setCursor(pointing)
            self.viewport().setToolTip(self._prompts.get(hovered[1], "") if hovered else "")
            self.viewport().update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Open the picture under the mouse."""
        cell = self._cell_at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and cell:
            self.opened.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Return opens the newest picture; arrows scroll."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._steps:
            self.opened.emit(self._steps[-1], next(iter(self._prompts)))
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """The wheel goes through the steps when the rows need no scrolling."""
        if self.verticalScrollBar().maximum() == 0 and self.horizontalScrollBar().maximum():
            self.horizontalScrollBar().event(event)
        else:
            super().wheelEvent(event)

    def _cell_at(self, point: QPoint) -> tuple[int, int] | None:
        side = self.cell_px()
        column, x = divmod(point.x() + self.horizontalScrollBar().value(), side + _GAP)
        row, y = divmod(point.y() + self.verticalScrollBar().value() - _TEXT, side + _GAP + _TEXT)
        if not (0 <= column < len(self._steps) and 0 <= row < len(self._prompts) and x < side and 0 <= y < side):
            return None
        cell = self._steps[column], list(self._prompts)[row]
        return cell if cell in self._record.samples else None

    def _steps_in_view(self) -> list[int]:
        width = self.cell_px() + _GAP
        first, room = self.horizontalScrollBar().value(), self.viewport().width()
        return self._steps[first // width : (first + room) // width + 1]

    def _update_bars(self) -> None:
        """Fit the bars; whoever looks at the newest pictures goes on looking at the newest."""
        steps = self.horizontalScrollBar()
        at_end = steps.value() >= steps.maximum()
        side = self.cell_px()
        view = self.viewport().size()
        width = len(self._steps) * (side + _GAP) - _GAP
        height = len(self._prompts) * (side + _GAP + _TEXT) + _TEXT - _GAP
        for bar, length, room in (
            (self.horizontalScrollBar(), width, view.width()),
            (self.verticalScrollBar(), height, view.height()),
        ):
            bar.setRange(0, max(0, length - room))
            bar.setPageStep(room)
            bar.setSingleStep(side + _GAP)
        if at_end:
            steps.setValue(steps.maximum())


def sample_file(image: Path, run_folder: Path | None) -> Path:
    """Where a preview lies now: the run's folder may have been moved since."""
    if run_folder is not None and not image.exists():
        return run_folder / "samples" / image.name
    return image


def read_pixmap(path: Path, size: QSize, ratio: float = 1.0) -> QPixmap:
    """A picture fitted into a size, keeping its shape; null when it cannot be read."""
    reader = QImageReader(str(path))
    full = reader.size()
    if full.isValid():
        reader.setScaledSize(full.scaled(size * ratio, Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    if image.isNull():
        return QPixmap()
    pixmap = QPixmap.fromImage(image)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def rounded(pixmap: QPixmap) -> QPixmap:
    """The picture with round corners."""
    if pixmap.isNull():
        return pixmap
    made = QPixmap(pixmap.size())
    made.setDevicePixelRatio(pixmap.devicePixelRatio())
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    path = QPainterPath()
    path.addRoundedRect(QRectF(QPointF(0, 0), pixmap.deviceIndependentSize()), _CORNER, _CORNER)
    painter.fillPath(path, QBrush(pixmap))
    painter.end()
    return made
