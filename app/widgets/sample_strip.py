"""The previews of a run: one row per prompt, one column per epoch, those without the LoRA always at the left."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app import theme
from app.run_places import sample_file
from app.run_record import RunRecord
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.text import tr

_GAP = 8
_TEXT = 20
_CORNER = 6
_MOST_PX = 240
_COLUMNS = 3

Cell = tuple[int, int]
"""Step and number of the prompt."""


class SampleStrip(QAbstractScrollArea):
    """A table of pictures that draws and reads only what is seen; a click or Return asks for the large view."""

    opened = Signal(int, int)
    """Step and prompt that were clicked."""

    def __init__(self, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._loader = loader
        self._record = RunRecord()
        self._empty_text = ""
        self._steps: list[int] = []
        self._prompts: dict[int, str] = {}
        self._hovered: Cell | None = None
        self._current: Cell | None = None
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        theme.signals.changed.connect(self.viewport().update)
        loader.loaded.connect(self.viewport().update)

    @property
    def num_pictures(self) -> int:
        """Pictures in the table."""
        return len(self._record.samples)

    @property
    def current(self) -> Cell | None:
        """Step and prompt of the picture that the keyboard is at."""
        return self._current

    def show_record(self, record: RunRecord) -> None:
        """Show another run, its newest pictures first."""
        self._record = record
        self._steps = []
        self._current = None
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

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.setAccessibleName(tr("Previews by epoch; the arrow keys move, Return shows one large"))
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

    @property
    def is_pinned(self) -> bool:
        """Whether the first column, of the model without the LoRA, stays when the others scroll."""
        return len(self._steps) > 1 and self._steps[0] == 0

    def cell_px(self) -> int:
        """Side of a picture: all rows fit when they can, and up to three columns do."""
        rows = max(1, len(self._prompts))
        view = self.viewport()
        high = (view.height() - _TEXT) // rows - _TEXT - _GAP
        columns = min(max(len(self._steps), 2), _COLUMNS)
        wide = (view.width() - (columns - 1) * _GAP) // columns
        return max(72, min(high, wide, _MOST_PX))

    def cell_rect(self, step: int, index: int) -> QRect:
        """Where a picture is drawn now, in the viewport."""
        side = self.cell_px()
        column, row = self._steps.index(step), list(self._prompts).index(index)
        scrolled = 0 if column == 0 and self.is_pinned else self.horizontalScrollBar().value()
        x = column * (side + _GAP) - scrolled
        y = row * (side + _GAP + _TEXT) + 2 * _TEXT - self.verticalScrollBar().value()
        return QRect(x, y, side, side)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Prompts, pictures and epochs that are in view; asks for pictures not read yet."""
        colours = theme.tokens()
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        view = self.viewport().rect()
        if not self._steps:
            painter.setPen(theme.colour(colours.muted))
            flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
            painter.drawText(view.adjusted(16, 0, -16, 0), flags, self._empty_text)
            return
        side = self.cell_px()
        small = painter.font()
        small.setPixelSize(theme.FONT_PX - 1)
        painter.setFont(small)
        painter.setClipRect(view.adjusted(0, _TEXT, 0, 0))
        pinned = side + _GAP if self.is_pinned else 0
        for row, (index, prompt) in enumerate(self._prompts.items()):
            top = row * (side + _GAP + _TEXT) + _TEXT - self.verticalScrollBar().value()
            painter.setPen(theme.colour(colours.muted))
            text = painter.fontMetrics().elidedText(prompt, Qt.TextElideMode.ElideRight, view.width() - 4)
            painter.drawText(QRect(0, top, view.width(), _TEXT), int(Qt.AlignmentFlag.AlignVCenter), text)
            for step in self._steps_in_view():
                if (place := self.cell_rect(step, index)).intersects(view):
                    painter.setClipRect(self._room_of(step, pinned, _TEXT))
                    self._paint_cell(painter, place, (step, index))
            painter.setClipRect(view.adjusted(0, _TEXT, 0, 0))
        painter.setClipping(False)
        first = next(iter(self._prompts))
        for step in self._steps_in_view():
            place = self.cell_rect(step, first)
            painter.setClipRect(self._room_of(step, pinned, 0))
            painter.setPen(theme.colour(colours.text if step == 0 else colours.muted))
            words = painter.fontMetrics().elidedText(self.words_of(step), Qt.TextElideMode.ElideRight, side)
            painter.drawText(QRect(place.x(), 0, side, _TEXT), int(Qt.AlignmentFlag.AlignCenter), words)

    def words_of(self, step: int) -> str:
        """What stands above a column: the epoch that ended there, else the step."""
        return moment_words(self._record, step)

    def _room_of(self, step: int, pinned: int, top: int) -> QRect:
        """The part of the view where a column may be drawn: scrolled ones leave the pinned one alone."""
        left = pinned if step != self._steps[0] else 0
        return self.viewport().rect().adjusted(left, top, 0, 0)

    def _paint_cell(self, painter: QPainter, place: QRect, cell: Cell) -> None:
        colours = theme.tokens()
        pixmap = self._pixmap(cell, place.width())
        if pixmap is None or pixmap.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(colours.sunken))
            painter.drawRoundedRect(place, _CORNER, _CORNER)
            if pixmap is not None and cell in self._record.samples:
                painter.setPen(theme.colour(colours.muted))
                words = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
                painter.drawText(place, words, tr("File missing"))
        else:
            inner = QRect(QPoint(0, 0), pixmap.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio))
            inner.moveCenter(place.center())
            painter.drawPixmap(inner, pixmap)
        if cell == self._hovered or (cell == self._current and self.hasFocus()):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(theme.colour(colours.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(place.adjusted(0, 0, -1, -1), _CORNER, _CORNER)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _pixmap(self, cell: Cell, side: int) -> QPixmap | None:
        """The picture in its size; null when there is none, None while it is on its way."""
        sample = self._record.samples.get(cell)
        if sample is None:
            return QPixmap()
        ratio = self.devicePixelRatioF()
        path = sample_file(sample.image, self._record.folder)
        return self._loader.get(
            PictureKey(path, changed_at(path), round(side * ratio), round(side * ratio), round(_CORNER * ratio))
        )

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Other room, other size of pictures."""
        super().resizeEvent(event)
        self._update_bars()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """The keyboard begins at the newest picture."""
        super().focusInEvent(event)
        if self._current is None and self._steps:
            self._current = self._steps[-1], next(iter(self._prompts))
        self.viewport().update()

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
            self._current = cell
            self.opened.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Arrows move from picture to picture, Return opens one."""
        moves = {
            Qt.Key.Key_Left: (-1, 0),
            Qt.Key.Key_Right: (1, 0),
            Qt.Key.Key_Up: (0, -1),
            Qt.Key.Key_Down: (0, 1),
            Qt.Key.Key_Home: (-len(self._steps), 0),
            Qt.Key.Key_End: (len(self._steps), 0),
        }
        key = Qt.Key(event.key())
        if self._current is None or not self._steps:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.opened.emit(*self._current)
        elif key in moves:
            self._move(*moves[key])
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """The wheel goes through the epochs when the rows need no scrolling."""
        if self.verticalScrollBar().maximum() == 0 and self.horizontalScrollBar().maximum():
            self.horizontalScrollBar().event(event)
        else:
            super().wheelEvent(event)

    def _move(self, columns: int, rows: int) -> None:
        assert self._current is not None
        step, index = self._current
        prompts = list(self._prompts)
        column = self._steps.index(step) if step in self._steps else len(self._steps) - 1
        row = prompts.index(index) if index in prompts else 0
        column = min(max(column + columns, 0), len(self._steps) - 1)
        row = min(max(row + rows, 0), len(prompts) - 1)
        self._current = self._steps[column], prompts[row]
        place = self.cell_rect(*self._current)
        left = self.cell_px() + _GAP if self.is_pinned and column else 0
        for bar, low, high, room in (
            (self.horizontalScrollBar(), place.left() - left, place.right(), self.viewport().width()),
            (self.verticalScrollBar(), place.top() - 2 * _TEXT, place.bottom(), self.viewport().height()),
        ):
            if low < 0:
                bar.setValue(bar.value() + low)
            elif high >= room:
                bar.setValue(bar.value() + high - room + 1)
        self.viewport().update()

    def _cell_at(self, point: QPoint) -> Cell | None:
        for step in self._steps_in_view():
            for index in self._prompts:
                place = self.cell_rect(step, index).intersected(
                    self._room_of(step, self.cell_px() + _GAP if self.is_pinned else 0, _TEXT)
                )
                if place.contains(point):
                    return (step, index) if (step, index) in self._record.samples else None
        return None

    def _steps_in_view(self) -> list[int]:
        width = self.cell_px() + _GAP
        first, room = self.horizontalScrollBar().value(), self.viewport().width()
        seen = self._steps[first // width : (first + room) // width + 1]
        return [self._steps[0], *(step for step in seen if step != self._steps[0])] if self.is_pinned else seen

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


def moment_words(record: RunRecord, step: int) -> str:
    """What a moment of a run is called: without the LoRA, after an epoch, or after a step."""
    if step == 0:
        return tr("Without LoRA")
    epoch = record.epoch_ended_at(step)
    return tr("Epoch {epoch}", epoch=epoch) if epoch is not None else tr("Step {step}", step=step)


def changed_at(path: Path) -> float:
    """When a file was last written, 0 when it is not there: a preview may be drawn again."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
