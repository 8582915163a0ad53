"""Qt item models over what core knows about a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt

from core.dataset.doctor.findings import Finding
from core.dataset.records import ImageRecord
from core.text import sentences, tr

Predicate = Callable[[ImageRecord], bool]
RECORD_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_MOST_FINDINGS = 6  # of one picture, in its tooltip


def is_captioned(record: ImageRecord) -> bool:
    """Whether a picture has words to train with."""
    return bool(record.caption and record.caption.strip())


class ImageListModel(QStringListModel):
    """The pictures of the open folder that pass the filter, in an order.

    Qt counts the rows, as empty strings, because it asks for their number with every index it makes: a `rowCount` in
    Python takes 15 of the 16 ms of laying out 10,000 pictures.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: list[ImageRecord] = []
        self._places: Mapping[Path, int] = {}
        self._shown: list[ImageRecord] = []
        self._rows: Mapping[Path, int] = {}
        self._passes: Predicate | None = None
        self._order: Callable[[ImageRecord], Any] | None = None
        self._findings: Callable[[Path], Sequence[Finding]] | None = None

    def set_records(self, records: Sequence[ImageRecord], places: Mapping[Path, int] | None = None) -> None:
        """Show other pictures.

        Args:
            records: The pictures in the order of the folder.
            places: Where each is among them, if somebody knows that already.
        """
        self._all = list(records)
        self._places = {record.path: place for place, record in enumerate(records)} if places is None else places
        self._refilter()

    def set_filter(self, predicate: Predicate | None) -> None:
        """Show only the pictures that a test lets pass, or all; the test is asked once for each picture, now."""
        if predicate is not self._passes:
            self._passes = predicate
            self._refilter()

    def set_order(self, key: Callable[[ImageRecord], Any] | None) -> None:
        """Show the pictures by a key, smallest first and equals in the order of the folder; None for that order."""
        if key is not self._order:
            self._order = key
            self._refilter()

    def set_findings(self, findings: Callable[[Path], Sequence[Finding]] | None) -> None:
        """Ask here what is wrong with a picture."""
        self._findings = findings

    def findings(self, image: Path) -> Sequence[Finding]:
        """What is wrong with a picture, as far as it is known."""
        return self._findings(image) if self._findings else ()

    def update_records(self, records: Sequence[ImageRecord]) -> None:
        """Take the new captions of some pictures. They stay in view even when the filter would hide them now."""
        rows = []
        for record in records:
            place = self._places.get(record.path)
            if place is None:
                continue
            self._all[place] = record
            row = self._rows.get(record.path)
            if row is not None:
                self._shown[row] = record
                rows.append(row)
        if rows:
            self.dataChanged.emit(self.index(min(rows)), self.index(max(rows)))

    def record(self, row: int) -> ImageRecord | None:
        """The picture of a row."""
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def records(self, first: int, last: int) -> list[ImageRecord]:
        """The pictures of a range of rows, both ends included."""
        return self._shown[first : last + 1]

    def row_of(self, image: Path) -> int:
        """The row of a picture, or -1 when the filter hides it."""
        return self._rows.get(image, -1)

    def _refilter(self) -> None:
        passes, order = self._passes, self._order
        self._shown = [record for record in self._all if passes(record)] if passes else list(self._all)
        if order is not None:
            self._shown.sort(key=order)
        is_all = passes is None and order is None
        self._rows = self._places if is_all else {record.path: row for row, record in enumerate(self._shown)}
        self.setStringList([""] * len(self._shown))

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Pictures are chosen, not typed over."""
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

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
            return self._tooltip(record)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{record.path.name}: {record.caption or tr('no caption')}"
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return sentences(*(finding.message for finding in self.findings(record.path)[:_MOST_FINDINGS]))
        return None

    def _tooltip(self, record: ImageRecord) -> str:
        width, height = record.size_px
        lines = [record.path.name, f"{width} × {height}"]
        lines += [f"• {finding.message}" for finding in self.findings(record.path)[:_MOST_FINDINGS]]
        if record.caption_problem:
            lines.append(record.caption_problem)
        elif record.caption:
            lines.append(record.caption[:400])
        return "\n".join(lines)
