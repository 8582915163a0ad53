"""What a tagger is, and which ones there are: one file in this folder each, ending in `TAGGER = ...`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from core.errors import UserError, explain

if TYPE_CHECKING:
    from PIL.Image import Image

Category = Literal["general", "character", "copyright", "artist", "meta", "rating", "quality", "model", "other"]
LEAST_SCORE = 0.05
"""What is less certain is never kept: no threshold goes below it."""


class ScoredTag(NamedTuple):
    """A tag with the tagger's confidence, 0 to 1. The name is spelled as in the tagger's list: `long_hair`."""

    name: str
    score: float
    category: Category


class Seen(NamedTuple):
    """What a model saw in a picture: tags, the most certain first, or a sentence; with two models both."""

    tags: tuple[ScoredTag, ...] = ()
    sentence: str = ""


class Tagger(Protocol):
    """A loaded tagger or sentence model. `look` may be called from `parallel_calls` threads at once."""

    name: ClassVar[str]
    title: ClassVar[str]
    gives: ClassVar[Literal["tags", "sentence"]]
    """What it fills of `Seen`."""

    @property
    def device(self) -> str:
        """What it computes on, to be shown: CPU, CUDA, ..."""

    @property
    def note(self) -> str:
        """A sentence about why it is not on the graphics card, where there is one; else ""."""

    @property
    def batch_size(self) -> int:
        """Pictures per call that serve the device best; it falls when the memory turns out to be too small."""

    @property
    def parallel_calls(self) -> int:
        """Calls of `look` at once that serve the machine best."""

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether a folder looks like a tagger of this kind, complete or not."""

    @classmethod
    def load(cls, folder: Path) -> Tagger:
        """Load the tagger of a folder.

        Raises:
            UserError: A file is missing, damaged, or does not belong to the other.
        """

    def look(self, images: Iterable[Image]) -> list[Seen]:
        """What is in each picture (RGB): tags of at least `LEAST_SCORE`, or a sentence.

        Pictures are taken one by one, so that a generator keeps only one decoded at a time.
        """


@cache
def taggers() -> dict[str, type[Tagger]]:
    """All kinds of taggers by name."""
    import core.tagging as package

    found: dict[str, type[Tagger]] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        tagger = getattr(importlib.import_module(module.name), "TAGGER", None)
        if tagger is not None:
            found[tagger.name] = tagger
    return found


def load_tagger(folder: Path) -> Tagger:
    """Load the tagger of a folder, of whatever kind it is.

    Raises:
        UserError: There is no such folder, no tagger in it, or one that cannot be loaded.
    """
    if not folder.is_dir():
        raise UserError(
            "The tagger folder {folder} does not exist.",
            remedy="Choose the folder of a tagger, or leave the field empty for the starter tagger.",
            folder=folder,
        )
    tagger = kind_of(folder)
    if tagger is not None:
        return tagger.load(folder)
    inside = next((path for path in _folders_in(folder) if kind_of(path) is not None), None)
    if inside is not None:
        raise UserError(
            "There is no tagger in {folder} itself, but there is one in its folder {name}.",
            remedy="Choose that folder: {inside}",
            folder=folder,
            name=inside.name,
            inside=inside,
        )
    raise UserError(
        "There is no tagger in {folder}.",
        remedy="Choose a folder with model.onnx and its list of tags, or with a BLIP or Florence-2 model.",
        folder=folder,
    )


def kind_of(folder: Path) -> type[Tagger] | None:
    """The kind of tagger that a folder holds, complete or not; None when it holds none."""
    return next((tagger for tagger in taggers().values() if tagger.fits(folder)), None)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise explain(error) or error from error
