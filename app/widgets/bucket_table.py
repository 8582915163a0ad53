"""Which training sizes the pictures of a dataset get, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app import icons, theme
from core.dataset.edits import PictureEdits
from core.dataset.fitting import FitOptions, FitPlan, plans_of
from core.dataset.geometry import Box, Size
from core.text import tr

SIZE, PICTURES, CROPPED, ENLARGED = range(4)
_NOWHERE = QModelIndex()


class Trained(NamedTuple):
    """All that decides how a picture is trained, beside the settings."""

    size_px: Size
    edits: PictureEdits
    subject: Box | None


@dataclass(frozen=True, slots=True)
class SizeRow:
    """A training size: how many pictures and crops have it, how much of them is cut away, and how many are enlarged."""

    size_px: Size
    num_images: int
    cropped_share: float
    num_enlarged: int


@dataclass(frozen=True, slots=True)
class FitSummary:
    """All training sizes in use, from the tallest to the widest, and the sums over them."""

    rows: tuple[SizeRow, ...] = ()
    num_images: int = 0
    cropped_share: float = 0.0
    num_enlarged: int = 0
    num_padded: int = 0


def summarize(pictures: Iterable[Trained], options: FitOptions) -> FitSummary:
    """Count what pictures become; those that are left out must not be among them."""
    known: dict[tuple[Size, object, Box | None], tuple[FitPlan, ...]] = {}
    plans: list[FitPlan] = []
    for picture in pictures:
        key = picture.size_px, (picture.edits.crops, picture.edits.turn, picture.edits.fit), picture.subject
        if key not in known:
            known[key] = plans_of(picture.size_px, options, picture.edits, picture.subject)
        plans += known[key]
    by_size: dict[Size, list[FitPlan]] = {}
    for plan in plans:
        by_size.setdefault(plan.target_px, []).append(plan)
    rows = tuple(
        SizeRow(size, len(there), _mean_cropped(there), sum(plan.is_upscaled for plan in there))
        for size, there in sorted(by_size.items(), key=lambda item: (item[0][0] / item[0][1], item[0]))
    )
    return FitSummary(
        rows=rows,
        num_images=len(plans),
        cropped_share=_mean_cropped(plans),
        num_enlarged=sum(row.num_enlarged for row in rows),
        num_padded=sum(plan.is_padded for plan in plans),
    )


def _mean_cropped(plans: list[FitPlan]) -> float:
    return sum(plan.cropped_share for plan in plans) / len(plans) if plans else 0.0


class BucketModel(QAbstractTableModel):
    """The rows of a summary."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[SizeRow, ...] = ()

    def set_rows(self, rows: tuple[SizeRow, ...]) -> None:
        """Show other sizes."""
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row(self, index: int) -> SizeRow | None:
        """The size of a row."""
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of sizes in use."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Size, pictures, cropped, enlarged."""
        return 0 if parent.isValid() else 4

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return (tr("Size"), tr("Pictures"), tr("Cut"), tr("Enlarged"))[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                tr("Width × height that pictures are trained at"),
                tr("How many pictures and crops have this size"),
                tr("How much of them is cut away on average"),
                tr("How many of them have fewer pixels than that"),
            )[section]
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The numbers, and a sign at what deserves a look."""
        row = self.row(index.row())
        if row is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            width, height = row.size_px
            enlarged = str(row.num_enlarged) if row.num_enlarged else "–"
            return (f"{width} × {height}", str(row.num_images), f"{row.cropped_share * 100:.0f} %", enlarged)[column]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        is_single = row.num_images == 1
        if role == Qt.ItemDataRole.ForegroundRole:
            warns = (column == ENLARGED and row.num_enlarged) or (column == PICTURES and is_single)
            return theme.colour(theme.tokens().warning) if warns else None
        if role == Qt.ItemDataRole.DecorationRole and column == PICTURES and is_single:
            return icons.icon("warning", 14, "warning")
        if role == Qt.ItemDataRole.ToolTipRole:
            if is_single:
                return tr("Only one picture has this size, so it never shares a batch with another one.")
            return tr("Click to see these pictures")
        return None


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignLeft if column == SIZE else Qt.AlignmentFlag.AlignRight
    return int(side | Qt.AlignmentFlag.AlignVCenter)
