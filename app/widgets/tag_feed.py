"""The captions of a tagging run, in the order in which they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QTimer,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QListView, QStyledItemDelegate, QStyleOptionViewItem

from app import icons, theme
from app.widgets.card import two_lines
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.text import tr

Outcome = Literal["written", "kept", "skipped"]
ROW_HEIGHT = 68
THUMB = 52
_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A picture and what became of it: its caption, or why there is none."""

    image: Path
    text: str
    outcome: Outcome


class TagFeedModel(QAbstractListModel):
    """Entries, oldest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[FeedEntry] = []

    def clear(self) -> None:
        """Forget all."""
        self.beginResetModel()
        self.entries.clear()
        self.endResetModel()

    def add(self, entry: FeedEntry) -> None:
        """Add one at the end."""
        row = len(self.entries)
        self.beginInsertRows(_NOWHERE, row, row)
        self.entries.append(entry)
        self.endInsertRows()

    def count(self, outcome: Outcome) -> int:
        """Number of pictures with this outcome."""
        return sum(entry.outcome == outcome for entry in self.entries)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of entries."""
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Text, tooltip, or the whole entry."""
        if not 0 <= index.row() < len(self.entries):
            return None
        entry = self.entries[index.row()]
        if role == _ROLE:
            return entry
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return f"{entry.image.name}: {entry.text}"
        return None


class TagFeed(QListView):
    """Follows the newest entry, unless the user has scrolled up to read."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self.loader = loader
        self.feed = TagFeedModel(self)
        self.setModel(self.feed)
        self.setItemDelegate(_FeedDelegate(self))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setSelectionMode(QListView.SelectionMode.NoSelection)
        self._follows = True
        bar = self.verticalScrollBar()
        bar.actionTriggered.connect(lambda _action: QTimer.singleShot(0, self, self._note_place))
        bar.rangeChanged.connect(lambda _low, _high: self._follow())
        loader.loaded.connect(lambda _key: self.viewport().update())
        theme.signals.changed.connect(self.viewport().update)

    def start(self) -> None:
        """Begin a new run."""
        self.feed.clear()
        self._follows = True

    def _note_place(self) -> None:
        bar = self.verticalScrollBar()
        self._follows = bar.value() >= bar.maximum() - ROW_HEIGHT

    def _follow(self) -> None:
        if self._follows:
            self.scrollToBottom()


class _FeedDelegate(QStyledItemDelegate):
    """Small picture, name, caption in two lines, a mark for what became of it."""

    def __init__(self, view: TagFeed) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """All rows are alike."""
        return QSize(200, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one entry."""
        entry = index.data(_ROLE)
        if not isinstance(entry, FeedEntry):
            return
        tokens = theme.tokens()
        row: QRect = option.rect
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRect(row.left() + 2, row.top() + (ROW_HEIGHT - THUMB) // 2, THUMB, THUMB)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(box, 6, 6)
        self._draw_picture(painter, entry.image, box)
        text = row.adjusted(THUMB + 14, 8, -30, -6)
        metrics = painter.fontMetrics()
        painter.setPen(theme.colour(tokens.text))
        name = metrics.elidedText(entry.image.name, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(QRect(text.left(), text.top(), text.width(), metrics.height()), 0, name)
        font = painter.font()
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.warning if entry.outcome == "skipped" else tokens.muted))
        words = entry.text if entry.outcome != "kept" else tr("kept: {caption}", caption=entry.text)
        top = text.top() + metrics.height()
        small = painter.fontMetrics()
        for line in two_lines(words, small, text.width()):
            painter.drawText(QRect(text.left(), top, text.width(), small.height()), 0, line)
            top += small.height()
        sign, tone = {
            "written": ("check", tokens.success),
            "kept": ("minus", tokens.faint),
            "skipped": ("warning", tokens.warning),
        }[entry.outcome]
        mark = icons.pixmap(sign, 18, tone, self._view.devicePixelRatioF())
        painter.drawPixmap(row.right() - 24, row.top() + (ROW_HEIGHT - 18) // 2, mark)
        painter.fillRect(row.left(), row.bottom(), row.width(), 1, theme.colour(tokens.border))
        painter.restore()

    def _draw_picture(self, painter: QPainter, image: Path, box: QRect) -> None:
        ratio = self._view.devicePixelRatioF()
        side = round(THUMB * ratio)
        pixmap = self._view.loader.get(PictureKey(image, 0.0, side, side, round(5 * ratio)))
        if pixmap is None or pixmap.isNull():
            sign = icons.pixmap("image", 22, theme.tokens().faint, ratio)
            painter.drawPixmap(box.center().x() - 11, box.center().y() - 11, sign)
            return
        size = pixmap.size() / ratio
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(box.center())
        painter.drawPixmap(place, pixmap)
