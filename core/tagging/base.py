"""What a tagger is, and which ones there are: one file in this folder each, ending in `TAGGER = ...`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Category = Literal["general", "character", "copyright", "artist", "meta", "rating", "other"]


class ScoredTag(NamedTuple):
    """A tag with the tagger's confidence, 0 to 1. The name is spelled as in the tagger's list: `long_hair`."""

    name: str
    score: float
    category: Category


class Tagger(Protocol):
    """A loaded tagger. `tag` may be called from `parallel_calls` threads at once."""

    name: ClassVar[str]
    title: ClassVar[str]
    device: str
    """What it computes on, to be shown: CPU, CUDA, ..."""
    batch_size: int
    """Pictures per call that serve the device best."""
    parallel_calls: int
    """Calls of `tag` at once that serve the machine best."""

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether a folder looks like a tagger of this kind, complete or not."""

    @classmethod
    def load(cls, folder: Path) -> Tagger:
        """Load the tagger of a folder.

        Raises:
            UserError: A file is missing, damaged, or does not belong to the other.
        """

    def tag(self, images: Iterable[Image], *, least_score: float = 0.0) -> list[list[ScoredTag]]:
        """For each picture (RGB) all tags with at least that score, the most certain first.

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
    for tagger in taggers().values():
        if tagger.fits(folder):
            return tagger.load(folder)
    raise UserError(
        "There is no tagger in {folder}.",
        remedy="Choose a folder with model.onnx and selected_tags.csv, or leave it empty for the starter tagger.",
        folder=folder,
    )
