"""The entries of the queue as a list that is reordered by dragging or with Alt and the arrow keys."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDropEvent, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app import icons, theme
from core.queue import EntryState, QueueEntry
from core.text import tr

_ENTRY = Qt.ItemDataRole.UserRole
ROW_HEIGHT = 52
_ICONS: dict[EntryState, tuple[str, icons.Tone]] = {
    "waiting": ("clock", "muted"),
    "running": ("play", "accent"),
    "paused": ("pause", "warning"),
    "done": ("check-circle", "success"),
    "failed": ("error", "danger"),
}


class QueueList(QListWidget):
    """Shows entries; what the user wants of them is said by signals with the key of the entry."""

    moved = Signal(str, int)
    edit_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "list")
        self.setItemDelegate(_EntryDelegate(self))
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.itemDoubleClicked.connect(lambda item: self.edit_requested.emit(_entry_of(item).key))

    @property
    def key(self) -> str | None:
        """The key of the chosen entry."""
        item = self.currentItem()
        return _entry_of(item).key if item is not None else None

    def show_entries(self, entries: list[QueueEntry]) -> None:
        """Show these entries; the chosen one stays chosen."""
        chosen, row = self.key, self.currentRow()
        self.blockSignals(True)
        self.clear()
        for entry in entries:
            item = QListWidgetItem(f"{entry.name}, {state_words(entry.state)}")
            item.setData(_ENTRY, entry)
            item.setToolTip(entry.message)
            item.setSizeHint(QSize(0, ROW_HEIGHT))
            self.addItem(item)
            if entry.key == chosen:
                self.setCurrentItem(item)
        if self.currentItem() is None and entries:
            self.setCurrentRow(min(max(row, 0), len(entries) - 1))
        self.blockSignals(False)
        self.itemSelectionChanged.emit()

    def choose(self, key: str) -> None:
        """Choose an entry."""
        for row in range(self.count()):
            if _entry_of(self.item(row)).key == key:
                self.setCurrentRow(row)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Alt with Up and Down moves the entry, Return opens it, Delete takes it out."""
        key, chosen, row = event.key(), self.key, self.currentRow()
        if chosen is None:
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.moved.emit(chosen, row + (1 if key == Qt.Key.Key_Down else -1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
            self.edit_requested.emit(chosen)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_requested.emit(chosen)
        else:
            super().keyPressEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Say where the entry was dropped; whoever holds the queue moves it."""
        if event.source() is self and (chosen := self.key) is not None:
            self.drop(chosen, event.position().toPoint())
        event.setDropAction(Qt.DropAction.IgnoreAction)  # The list itself moves nothing.
        event.accept()

    def drop(self, key: str, point: QPoint) -> None:
        """An entry was dropped at a place of the list."""
        before = self.currentRow()
        target = self.indexAt(point)
        row = self.count() if not target.isValid() else target.row()
        if target.isValid() and point.y() > self.visualRect(target).center().y():
            row += 1
        self.moved.emit(key, row - 1 if row > before else row)


def _entry_of(item: QListWidgetItem) -> QueueEntry:
    entry = item.data(_ENTRY)
    assert isinstance(entry, QueueEntry)
    return entry


class _EntryDelegate(QStyledItemDelegate):
    """Sign of the state, name, a line of facts, and dots to drag it by."""

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Two lines."""
        return QSize(120, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one entry."""
        entry: QueueEntry = index.data(_ENTRY)
        tokens = theme.tokens()
        widget = option.widget
        ratio = widget.devicePixelRatioF() if widget is not None else 1.0
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, theme.colour(tokens.accent_soft))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, theme.colour(tokens.hover))
        place: QRect = option.rect.adjusted(theme.SPACE_S, 0, -theme.SPACE_S, 0)
        middle = place.center().y() - 8
        painter.drawPixmap(place.left(), middle, icons.pixmap("grip", 16, tokens.faint, ratio))
        icon, tone = _ICONS[entry.state]
        painter.drawPixmap(place.left() + 22, middle - 1, icons.pixmap(icon, 18, getattr(tokens, tone), ratio))
        words = place.adjusted(52, 7, 0, -7)
        half = words.height() // 2
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.text))
        _draw(painter, QFontMetrics(font), QRect(words.left(), words.top(), words.width(), half), entry.name)
        font.setBold(False)
        font.setPixelSize(theme.FONT_PX - 1)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.danger if entry.state == "failed" else tokens.muted))
        _draw(painter, QFontMetrics(font), QRect(words.left(), words.top() + half, words.width(), half), facts(entry))
        painter.restore()


def _draw(painter: QPainter, metrics: QFontMetrics, place: QRect, text: str) -> None:
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, place.width())
    painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)


def facts(entry: QueueEntry) -> str:
    """The second line of an entry."""
    if entry.state == "failed" and entry.message:
        return entry.message
    config = entry.config
    epochs = config.training.epochs
    return " · ".join(
        [
            state_words(entry.state),
            config.dataset.folder.name or str(config.dataset.folder),
            tr("1 epoch") if epochs == 1 else tr("{number} epochs", number=epochs),
            tr("rank {rank}", rank=config.network.rank),
        ]
    )


def state_words(state: EntryState) -> str:
    """How an entry stands, in a word."""
    return {
        "waiting": tr("waiting"),
        "running": tr("running"),
        "paused": tr("paused"),
        "done": tr("finished"),
        "failed": tr("problem"),
    }[state]
