"""The first pictures of a folder that is still being read: to look at and to choose one, not to act on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtWidgets import QListView

from app.dataset_reading import Arrival
from app.widgets.image_grid import ImageGrid
from app.widgets.thumbnails import ThumbnailLoader
from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.records import ImageRecord


class ArrivingGrid(ImageGrid):
    """Stands in the place of the grid, and shows every picture where it will be there."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__(loader)
        self._pictures: Mapping[Path, PictureEdits] = {}
        self.setSelectionMode(QListView.SelectionMode.SingleSelection)

    def show_arrival(self, arrival: Arrival) -> None:
        """Show some of the pictures of a folder, with the one that was looked at last.

        The row of the first of them is full: in the whole folder, too, every picture has the same ones beside it.
        """
        glimpse = arrival.glimpse
        self._pictures = arrival.pictures
        self.images.set_records(glimpse.records[-glimpse.first % self.num_columns :])
        if not self.select(arrival.picture):
            self.select_first()

    def place(self) -> tuple[Path, int] | None:
        """The chosen picture and how far below the upper edge it begins, for the grid that takes over."""
        record = self.current()
        return None if record is None else (record.path, self.top_of(record.path))

    def _edits(self, record: ImageRecord) -> PictureEdits:
        return self._pictures.get(record.path, UNTOUCHED)
