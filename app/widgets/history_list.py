"""The runs as a list with a picture, a name, facts and how each ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app import theme
from app.past_runs import PastRun
from app.widgets.sample_strip import changed_at
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from app.wording import date_text
from core.text import tr

Order = Literal["newest", "name", "validation", "steps"]
ORDERS: tuple[Order, ...] = ("newest", "name", "validation", "steps")
ROW_HEIGHT = 68
_PICTURE = 52
_RUN = Qt.ItemDataRole.UserRole
_Index = QModelIndex | QPersistentModelIndex


class HistoryModel(QAbstractListModel):
    """The runs that fit the search, in the order that was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._all: list[PastRun] = []
        self._words = ""
        self._order: Order = "newest"
        self.runs: list[PastRun] = []

    def set_runs(self, runs: Sequence[PastRun]) -> None:
        """Show other runs."""
        self._all = list(runs)
        self._arrange()

    def search(self, words: str) -> None:
        """Show only runs with all these words in their name, folder or state."""
        self._words = words
        self._arrange()

    def sort_by(self, order: Order) -> None:
        """Show them in another order."""
        self._order = order
        self._arrange()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        """So many runs."""
        return 0 if parent.isValid() else len(self.runs)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The run itself; for screen readers and typing its name."""
        run = self.runs[index.row()]
        if role == _RUN:
            return run
        if role == Qt.ItemDataRole.DisplayRole:
            return run.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{run.name}, {status_words(run)}, {facts(run)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(run.folder.path)
        return None

    def _arrange(self) -> None:
        wanted = self._words.casefold().split()
        runs = [run for run in self._all if all(word in _text(run) for word in wanted)]
        keys = {
            "newest": lambda run: -run.changed_at,
            "name": lambda run: run.name.casefold(),
            "validation": lambda run: (run.validation is None, run.validation or 0.0),
            "steps": lambda run: -run.step,
        }
        self.beginResetModel()
        self.runs = sorted(runs, key=keys[self._order])
        self.endResetModel()


class HistoryList(QListView):
    """Several runs can be chosen; a double click or Return opens one, Delete asks to remove the chosen ones."""

    opened = Signal(object)
    delete_requested = Signal()
    selection_changed = Signal()

    def __init__(self, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self.runs = HistoryModel()
        self.setModel(self.runs)
        self.setItemDelegate(_RunDelegate(loader, self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.data(_RUN)))
        self.selectionModel().selectionChanged.connect(self.selection_changed)
        self.runs.modelReset.connect(self.selection_changed)
        loader.loaded.connect(self.viewport().update)

    @property
    def chosen(self) -> list[PastRun]:
        """The chosen runs, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        return [self.runs.runs[row] for row in rows if row < len(self.runs.runs)]

    def show_runs(self, runs: Sequence[PastRun]) -> None:
        """Show these runs; what is chosen stays so."""
        chosen = {run.folder.path for run in self.chosen}
        top = self.verticalScrollBar().value()
        self.runs.set_runs(runs)
        self.choose(*(run for run in self.runs.runs if run.folder.path in chosen))
        self.verticalScrollBar().setValue(top)

    def choose(self, *runs: PastRun) -> None:
        """Choose these runs and no others."""
        selection = self.selectionModel()
        selection.clearSelection()
        for run in runs:
            index = self.runs.index(self.runs.runs.index(run))
            selection.select(index, selection.SelectionFlag.Select)
            selection.setCurrentIndex(index, selection.SelectionFlag.NoUpdate)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Return opens, Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex().data(_RUN))
        elif event.key() == Qt.Key.Key_Delete and self.chosen:
            self.delete_requested.emit()
        else:
            super().keyPressEvent(event)


class _RunDelegate(QStyledItemDelegate):
    """The last preview, name and facts, and at the right a chip with the state."""

    def __init__(self, loader: ThumbnailLoader, parent: QWidget) -> None:
        super().__init__(parent)
        self._loader = loader

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802 - Qt's name
        """A picture and two lines."""
        return QSize(200, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Draw one run."""
        run: PastRun = index.data(_RUN)
        tokens = theme.tokens()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row = option.rect.adjusted(0, 1, -1, -2)
        state = option.state
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(Qt.PenStyle.NoPen)
            is_chosen = state & QStyle.StateFlag.State_Selected
            painter.setBrush(theme.colour(tokens.accent_soft if is_chosen else tokens.hover))
            painter.drawRoundedRect(row, theme.RADIUS, theme.RADIUS)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(theme.colour(tokens.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(row, theme.RADIUS, theme.RADIUS)
        picture = QRect(row.left() + theme.SPACE_S, row.center().y() - _PICTURE // 2, _PICTURE, _PICTURE)
        self._draw_picture(painter, picture, run, option.widget)
        words = row.adjusted(_PICTURE + 2 * theme.SPACE_M, 12, -theme.SPACE_M, -12)
        words.setRight(self._draw_chip(painter, words, run) - theme.SPACE_M)
        half = words.height() // 2
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.text))
        _draw(painter, QRect(words.left(), words.top(), words.width(), half), run.name)
        font.setBold(False)
        font.setPixelSize(theme.FONT_PX - 1)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.muted))
        _draw(painter, QRect(words.left(), words.top() + half, words.width(), half), facts(run))
        painter.restore()

    def _draw_picture(self, painter: QPainter, place: QRect, run: PastRun, widget: QWidget | None) -> None:
        ratio = widget.devicePixelRatioF() if widget is not None else 1.0
        pixmap = None
        if run.preview is not None:
            side = round(_PICTURE * ratio)
            pixmap = self._loader.get(PictureKey(run.preview, changed_at(run.preview), side, side, round(6 * ratio)))
        if pixmap is None or pixmap.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.tokens().sunken))
            painter.drawRoundedRect(place, 6, 6)
            return
        pixmap.setDevicePixelRatio(ratio)
        inner = QRect(place.topLeft(), pixmap.deviceIndependentSize().toSize())
        inner.moveCenter(place.center())
        painter.drawPixmap(inner.topLeft(), pixmap)

    @staticmethod
    def _draw_chip(painter: QPainter, room: QRect, run: PastRun) -> int:
        """Draw how the run ended at the right of a place. Returns where the chip begins."""
        tokens = theme.tokens()
        front, back = {
            "finished": (tokens.success, tokens.success_soft),
            "failed": (tokens.danger, tokens.danger_soft),
            "stopped": (tokens.muted, tokens.hover),
        }.get(run.status, (tokens.warning, tokens.warning_soft))
        if run.is_running:
            front, back = tokens.accent, tokens.accent_soft
        font = painter.font()
        font.setPixelSize(theme.FONT_PX - 1)
        painter.setFont(font)
        text = status_words(run)
        width = QFontMetrics(font).horizontalAdvance(text) + 18
        chip = QRect(room.right() - width, room.center().y() - 11, width, 22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(back))
        painter.drawRoundedRect(chip, 11, 11)
        painter.setPen(theme.colour(front))
        painter.drawText(chip, int(Qt.AlignmentFlag.AlignCenter), text)
        font.setPixelSize(theme.FONT_PX)
        painter.setFont(font)
        return chip.left()


def facts(run: PastRun) -> str:
    """The second line of a run."""
    parts = [date_text(run.changed_at)]
    if run.total_steps:
        parts.append(tr("{step} / {total} steps", step=run.step, total=run.total_steps))
    if run.validation is not None:
        parts.append(tr("held-out {loss}", loss=f"{run.validation:.4f}"))
    elif run.loss is not None:
        parts.append(tr("loss {loss}", loss=f"{run.loss:.4f}"))
    if run.files:
        parts.append(tr("{number} LoRA files", number=len(run.files)) if len(run.files) > 1 else tr("1 LoRA file"))
    return " · ".join(parts)


def status_words(run: PastRun) -> str:
    """How a run ended, in a word."""
    if run.is_running:
        return tr("running")
    return {
        "finished": tr("finished"),
        "stopped": tr("stopped"),
        "paused": tr("paused"),
        "failed": tr("problem"),
        "unfinished": tr("interrupted"),
    }[run.status]


def _text(run: PastRun) -> str:
    return f"{run.folder.path} {status_words(run)} {date_text(run.changed_at)}".casefold()


def _draw(painter: QPainter, place: QRect, text: str) -> None:
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, place.width())
    painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)
