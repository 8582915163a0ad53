"""What was decided about the open dataset, in memory and in its dataset file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from app.background import Background
from core.dataset.edits import UNTOUCHED, Concept, DatasetFile, PictureEdits, dataset_file_of, save_dataset

View = Mapping[str, str | int | float | bool]


class Decisions:
    """Folders, exclusions and crops of one folder's dataset. Every change makes new mappings, never changes old ones.

    A file from a newer version of Kiln is left alone: `refusal` says so, and nothing can be decided.
    """

    def __init__(self, content: DatasetFile, refusal: str = "") -> None:
        self.concepts: tuple[Concept, ...] = content.concepts
        self.pictures: Mapping[Path, PictureEdits] = {Path(path): edits for path, edits in content.pictures.items()}
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

    def content(self) -> DatasetFile:
        """All of it, as it stands in the file."""
        pictures = {str(image): edits for image, edits in self.pictures.items()}
        return DatasetFile(concepts=self.concepts, pictures=pictures, view=dict(self.view))

    def save(self) -> None:
        """Write what has changed since the last time.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(self._version, self.content)

    def save_beside(self, background: Background, failed: Callable[[Exception], None]) -> None:
        """As `save`, beside the window."""
        concepts, pictures, view, version = self.concepts, self.pictures, self.view, self._version

        def content() -> DatasetFile:
            by_name = {str(image): edits for image, edits in pictures.items()}
            return DatasetFile(concepts=concepts, pictures=by_name, view=dict(view))

        def then(result: Exception | None) -> None:
            if isinstance(result, Exception):
                failed(result)

        background.start(lambda: self._write(version, content), then)

    def _write(self, version: int, content: Callable[[], DatasetFile]) -> None:
        with self._lock:  # Of two writers the newer content wins, whoever comes last.
            if version > self._saved and not self.refusal:
                save_dataset(dataset_file_of(self.folder), content())
                self._saved = version
