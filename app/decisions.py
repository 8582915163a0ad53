"""What was decided about the open dataset, in memory and in its dataset file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from app.background import Background
from core.dataset.edits import (
    UNTOUCHED,
    Concept,
    Dataset,
    DatasetFile,
    PictureEdits,
    dataset_file_of,
    dataset_of,
    save_dataset,
)

View = Mapping[str, str | int | float | bool]


class Decisions:
    """Folders, exclusions and crops of one folder's dataset. Every change makes new mappings, never changes old ones.

    A file from a newer version of Kiln is left alone: `refusal` says so, and nothing can be decided.
    """

    def __init__(self, content: DatasetFile, refusal: str = "") -> None:
        self.concepts: tuple[Concept, ...] = content.concepts
        self.pictures: Mapping[Path, PictureEdits] = dataset_of(content).pictures
        self.view: View = content.view
        self.refusal = refusal
        self._version = self._saved = 0
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """The folder that names the dataset."""
        return self.concepts[0].folder

    @property
    def file(self) -> Path:
        """What jobs are told to read: the dataset file, or `Path()` when it would say nothing."""
        says_something = self.pictures or self.concepts != (Concept(folder=self.folder),)
        return dataset_file_of(self.folder) if says_something and not self.refusal else Path()

    def set_concepts(self, concepts: tuple[Concept, ...]) -> None:
        """Use other folders, or other settings for them."""
        self.concepts = concepts
        self._version += 1

    def set_pictures(self, changes: Mapping[Path, PictureEdits]) -> None:
        """Decide something about some pictures."""
        pictures = {**self.pictures, **changes}
        for image, edits in changes.items():
            if edits == UNTOUCHED:
                del pictures[image]
        self.pictures = pictures
        self._version += 1

    def set_view(self, view: View) -> None:
        """Remember how the dataset is looked at."""
        self.view = view
        self._version += 1

    @property
    def dataset(self) -> Dataset:
        """Folders and decisions, as a scan takes them."""
        return Dataset(self.concepts, self.pictures)

    def save(self) -> None:
        """Write what has changed since the last time.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(self._version, self.dataset, self.view)

    def save_beside(self, background: Background, failed: Callable[[Exception], None]) -> None:
        """As `save`, beside the window."""
        version, dataset, view = self._version, self.dataset, self.view

        def then(result: Exception | None) -> None:
            if isinstance(result, Exception):
                failed(result)

        background.start(lambda: self._write(version, dataset, view), then)

    def _write(self, version: int, dataset: Dataset, view: View) -> None:
        with self._lock:  # Of two writers the newer content wins, whoever comes last.
            if version > self._saved and not self.refusal:
                pictures = {str(image): edits for image, edits in dataset.pictures.items()}
                content = DatasetFile(concepts=dataset.concepts, pictures=pictures, view=dict(view))
                save_dataset(dataset_file_of(dataset.folder), content)
                self._saved = version
