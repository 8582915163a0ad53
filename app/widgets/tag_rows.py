"""Rows of tags: name, Chinese name and count, in suggestions and in the list of all tags."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import theme
from core.dataset.tag_names import Suggestion
from core.text import language, tr

ROW_HEIGHT = 30
TAG_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()


class TagRows(QAbstractListModel):
    """Tags in the order given. `total` is the number of captions, for the bar behind each row; 0 for no bars."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[Suggestion] = ()
        self.total = 0

    def set_rows(self, rows: Sequence[Suggestion], total: int = 0) -> None:
        """Show other tags."""
        self.beginResetModel()
        self.rows = rows
        self.total = total
        self.endResetModel()

    def tag(self, row: int) -> str:
        """The tag of a row, or "" when there is none."""
        return self.rows[row].tag if 0 <= row < len(self.rows) else ""

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of tags."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The tag, what it means, or the whole row."""
        if not 0 <= index.row() < len(self.rows):
            return None
        row = self.rows[index.row()]
        if role == TAG_ROLE:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.tag
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return tag_tooltip(row.tag, row.count, row.chinese)
        return None


def tag_tooltip(tag: str, count: int, chinese: str) -> str:
    """What is known about a tag, over several lines."""
    lines = [tag]
    if chinese and language() == "zh":
        lines.append(chinese)
    if count == 1:
        lines.append(tr("in 1 caption"))
    elif count:
        lines.append(tr("in {n} captions", n=f"{count:,}"))
    return "\n".join(lines)


def tag_filter(tags: Sequence[str]) -> str:
    """The filter that shows the pictures with all of some tags."""
    return " ".join('tag:"{}"'.format(tag.replace('"', "")) for tag in tags)


class TagDelegate(QStyledItemDelegate):
    """Draws one tag: a bar for its share, its name, its Chinese name for who reads Chinese, its count."""

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """All rows are alike."""
        return QSize(120, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one row."""
        row = index.data(TAG_ROLE)
        if not isinstance(row, Suggestion):
            return
        tokens = theme.tokens()
        state: QStyle.StateFlag = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        place: QRect = option.rect.adjusted(3, 1, -3, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.colour(tokens.accent_soft if selected else tokens.hover))
            painter.drawRoundedRect(place, 6, 6)
        model = index.model()
        total = model.total if isinstance(model, TagRows) else 0
        if total and row.count:
            line = QRectF(place.left() + 8, place.bottom() - 2, place.width() - 16, 2)
            painter.setBrush(theme.colour(tokens.border))
            painter.drawRoundedRect(line, 1, 1)
            line.setWidth(max(2.0, line.width() * row.count / total))
            painter.setBrush(theme.colour(tokens.accent, 255 if selected else 150))
            painter.drawRoundedRect(line, 1, 1)
        self._draw_texts(painter, row, place.adjusted(8, 0, -8, -2 if total else 0))
        painter.restore()

    @staticmethod
    def _draw_texts(painter: QPainter, row: Suggestion, place: QRect) -> None:
        tokens = theme.tokens()
        metrics = painter.fontMetrics()
        small = QFont(painter.font())
        small.setPixelSize(12)
        small_metrics = QFontMetrics(small)
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        count = f"{row.count:,}" if row.count else ""
        count_width = small_metrics.horizontalAdvance(count)
        room = place.width() - count_width - theme.SPACE_S
        name = metrics.elidedText(row.tag, Qt.TextElideMode.ElideRight, room)
        painter.setPen(theme.colour(tokens.text))
        painter.drawText(place, middle, name)
        painter.setFont(small)
        painter.setPen(theme.colour(tokens.muted))
        painter.drawText(place, middle | int(Qt.AlignmentFlag.AlignRight), count)
        left = metrics.horizontalAdvance(name) + theme.SPACE_S
        if row.chinese and language() == "zh" and room - left > 24:
            chinese = small_metrics.elidedText(row.chinese, Qt.TextElideMode.ElideRight, room - left)
            painter.drawText(place.adjusted(left, 0, 0, 0), middle, chinese)


class TagView(QListView):
    """A list of tags: a plain click chooses a tag to filter by, with Ctrl or Shift it selects several."""

    chosen = Signal()
    removal_wanted = Signal()
    rename_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "list")
        self.setItemDelegate(TagDelegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        theme.signals.changed.connect(self.viewport().update)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A click without Ctrl or Shift."""
        super().mouseReleaseEvent(event)
        index: QModelIndex = self.indexAt(event.position().toPoint())
        is_plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if event.button() == Qt.MouseButton.LeftButton and is_plain and index.isValid():
            self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter filters, F2 renames, Delete removes."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit()
        elif event.key() == Qt.Key.Key_F2:
            self.rename_wanted.emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.removal_wanted.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()
