"""Qt item models over what core knows about a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from core.dataset.records import ImageRecord
from core.text import tr

Only = Literal["all", "uncaptioned", "odd"]
RECORD_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()


def is_captioned(record: ImageRecord) -> bool:
    """Whether a picture has words to train with."""
    return bool(record.caption and record.caption.strip())


def matches(record: ImageRecord, words: list[str], only: Only) -> bool:
    """Whether a picture passes the filter: every word is in its name or caption."""
    if only == "uncaptioned" and is_captioned(record):
        return False
    if only == "odd" and not record.caption_problem:
        return False
    if not words:
        return True
    text = f"{record.path.parent.name}/{record.path.name}\n{record.caption or ''}".casefold()
    return all(word in text for word in words)


class ImageListModel(QAbstractListModel):
    """The pictures of the open folder that pass the filter."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: list[ImageRecord] = []
        self._places: dict[Path, int] = {}
        self._shown: list[ImageRecord] = []
        self._rows: dict[Path, int] = {}
        self._words: list[str] = []
        self._only: Only = "all"

    def set_records(self, records: tuple[ImageRecord, ...]) -> None:
        """Show other pictures."""
        self._all = list(records)
        self._places = {record.path: place for place, record in enumerate(self._all)}
        self._refilter()

    def set_filter(self, text: str, only: Only) -> None:
        """Show the pictures with all of these words in name or caption, and only those of a kind."""
        words = text.casefold().split()
        if (words, only) != (self._words, self._only):
            self._words, self._only = words, only
            self._refilter()

    def update_record(self, record: ImageRecord) -> None:
        """Take the new caption of a picture. It stays in view even when the filter would hide it now."""
        place = self._places.get(record.path)
        if place is None:
            return
        self._all[place] = record
        row = self._rows.get(record.path)
        if row is not None:
            self._shown[row] = record
            index = self.index(row)
            self.dataChanged.emit(index, index)

    def record(self, row: int) -> ImageRecord | None:
        """The picture of a row."""
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def row_of(self, image: Path) -> int:
        """The row of a picture, or -1 when the filter hides it."""
        return self._rows.get(image, -1)

    def repaint(self, image: Path) -> None:
        """Tell views that the looks of a picture changed."""
        row = self.row_of(image)
        if row >= 0:
            index = self.index(row)
            self.dataChanged.emit(index, index, [int(Qt.ItemDataRole.DecorationRole)])

    def _refilter(self) -> None:
        self.beginResetModel()
        self._shown = [record for record in self._all if matches(record, self._words, self._only)]
        self._rows = {record.path: row for row, record in enumerate(self._shown)}
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of pictures that pass the filter."""
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Name, tooltip, or the whole record."""
        record = self.record(index.row())
        if record is None:
            return None
        if role == RECORD_ROLE:
            return record
        if role == Qt.ItemDataRole.DisplayRole:
            return record.path.name
        if role == Qt.ItemDataRole.ToolTipRole:
            width, height = record.size_px
            lines = [record.path.name, f"{width} × {height}"]
            if record.caption_problem:
                lines.append(record.caption_problem)
            elif record.caption:
                lines.append(record.caption[:400])
            return "\n".join(lines)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{record.path.name}: {record.caption or tr('no caption')}"
        return None
