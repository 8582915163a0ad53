"""What the user decides about pictures without touching a file: folders, exclusions, crops, turns, repeats.

A dataset file keeps it, beside a backup of its last good state. Nothing here reads a picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from core.config.base import Section
from core.dataset.caption_ending import no_picture_ending
from core.dataset.geometry import Box
from core.errors import UserError
from core.files import write_bytes, write_text
from core.paths import user_data_folder
from core.text import tr

VERSION = 1

Fit = Literal["buckets", "smart", "crop", "pad"]
"""How a picture is brought to a training size; see `core.dataset.fitting`."""

Turn = Literal[0, 90, 180, 270]
"""Quarter turns clockwise, in degrees."""


class Concept(Section):
    """One folder of pictures with what holds for all of them. Empty values leave the choice to the run's settings."""

    folder: Path
    repeats: int = Field(0, ge=0, le=1000)
    trigger_word: str = ""
    class_word: str = ""
    caption_extension: str = Field("", pattern=r"^(\.[A-Za-z0-9_]+)?$")
    include_subfolders: bool = False
    is_regularization: bool = False

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)


class Crop(Section):
    """A part of a picture that is trained as a picture of its own, in pixels of the upright, turned picture."""

    box: Box
    name: str = ""

    @field_validator("box")
    @classmethod
    def _has_an_inside(cls, box: Box) -> Box:
        left, top, right, bottom = box
        if not (0 <= left < right and 0 <= top < bottom):
            raise ValueError("a crop needs a left edge before its right one and a top above its bottom")
        return box


class PictureEdits(Section):
    """What was decided about one picture.

    With crops, each of them is trained and the whole picture is not; without, the whole picture is. `fit` None means
    the fit of the run; `repeats` 0 those of the folder.
    """

    excluded: bool = False
    turn: Turn = 0
    fit: Fit | None = None
    crops: tuple[Crop, ...] = ()
    repeats: int = Field(0, ge=0, le=1000)


UNTOUCHED = PictureEdits()


class DatasetFile(Section):
    """The content of a dataset file. Pictures without an entry are untouched; the first concept names the dataset."""

    version: int = VERSION
    concepts: tuple[Concept, ...] = Field(min_length=1)
    pictures: dict[str, PictureEdits] = Field(default_factory=dict)
    view: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """What the window remembers about its looks for this dataset: filter, order, selected picture."""

    @field_validator("concepts")
    @classmethod
    def _say_where_they_are(cls, concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
        # From where a folder is meant depends on who reads the file: the window, a job, or a run continued later.
        if not all(concept.folder.is_absolute() for concept in concepts):
            raise ValueError("folders of a dataset file are absolute paths")
        return concepts


@dataclass(frozen=True, slots=True)
class Dataset:
    """Folders and decisions, as jobs and window use them."""

    concepts: tuple[Concept, ...]
    pictures: Mapping[Path, PictureEdits]

    @classmethod
    def of_folder(cls, folder: Path) -> Dataset:
        """One folder, nothing decided."""
        return cls((Concept(folder=folder),), {})

    @property
    def folder(self) -> Path:
        """The folder that names the dataset."""
        return self.concepts[0].folder

    def edits(self, image: Path) -> PictureEdits:
        """What was decided about a picture."""
        return self.pictures.get(image, UNTOUCHED)


def dataset_of(content: DatasetFile) -> Dataset:
    """Folders and decisions of a dataset file."""
    return Dataset(content.concepts, {Path(path): edits for path, edits in content.pictures.items()})


def moved_to(content: DatasetFile, folder: Path) -> DatasetFile:
    """The same folders and decisions now that the first folder is somewhere else, with all that was in it."""
    old = content.concepts[0].folder

    def place(path: Path) -> Path:
        return folder / path.relative_to(old) if path.is_relative_to(old) else path

    concepts = tuple(concept.model_copy(update={"folder": place(concept.folder)}) for concept in content.concepts)
    pictures = {str(place(Path(path))): edits for path, edits in content.pictures.items()}
    return content.model_copy(update={"concepts": concepts, "pictures": pictures})


def dataset_file_of(folder: Path) -> Path:
    """Where the window keeps the dataset file of a folder: in the user's data folder, one for each path."""
    name = re.sub(r"[^\w-]+", "_", folder.name)[:40] or "pictures"
    digest = hashlib.blake2b(str(folder).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return user_data_folder() / "datasets" / f"{name}-{digest}.json"


def load_dataset(path: Path) -> tuple[DatasetFile, str]:
    """Read a dataset file, or its backup when it is damaged.

    Returns:
        The content, and a sentence when it is not that of the file itself, else "".

    Raises:
        UserError: There is no such file, it is from a newer Kiln, or it and its backup cannot be read.
    """
    try:
        return _read(path), ""
    except FileNotFoundError as error:
        if not backup_of(path).exists():
            raise UserError(
                "The dataset file {path} does not exist.",
                remedy="Open the picture folder again, or take dataset.edits out of the settings.",
                path=path,
            ) from error
        first: Exception = error
    except (OSError, ValueError) as error:
        first = error
    try:
        content = _read(backup_of(path))
    except (OSError, ValueError):
        raise UserError(
            "The dataset file {path} is damaged, and so is its backup: {error}.",
            remedy="Your pictures and captions are untouched. Delete the file to start with a fresh one.",
            path=path,
            error=str(first).splitlines()[0][:200],
        ) from first
    return content, tr(
        "The dataset file {name} was damaged, so its backup was opened. The last few decisions may be missing.",
        name=path.name,
    )


def save_dataset(path: Path, content: DatasetFile) -> None:
    """Write a dataset file; what it held before becomes the backup, if it could be read.

    Raises:
        OSError: The file cannot be written; the old one is as it was.
        ValueError: The content could not be read again; the old file is as it was.
    """
    # Copies of a model with other values are not checked when they are made.
    values = content.model_dump()
    DatasetFile.model_validate(values)
    with contextlib.suppress(OSError, ValueError, UserError):
        old = path.read_bytes()
        _parsed(old, path)
        write_bytes(backup_of(path), old)
    # ASCII, because a path may hold bytes that are no text.
    write_text(path, json.dumps(values, default=str, indent=1))


def backup_of(path: Path) -> Path:
    """Where the last good state of a dataset file is kept."""
    return path.with_name(path.name + ".backup")


def _read(path: Path) -> DatasetFile:
    return _parsed(path.read_bytes(), path)


def _parsed(data: bytes, path: Path) -> DatasetFile:
    try:
        values = json.loads(data.decode())
    except RecursionError as error:
        raise ValueError("too many brackets within each other") from error
    if isinstance(values, dict) and isinstance(values.get("version"), int) and values["version"] > VERSION:
        raise UserError(
            "The dataset file {path} was written by a newer version of Kiln.",
            remedy="Update Kiln, or delete the file to decide anew about crops and exclusions.",
            path=path,
        )
    try:
        return DatasetFile.model_validate(values)
    except ValidationError as error:
        raise ValueError(str(error)) from error
