"""What Kiln knows about the pictures of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.geometry import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One usable picture.

    `size_px` is (width, height) as a person sees it, after EXIF rotation. `caption` is None when there is no caption
    file; `caption_problem` is a sentence when there is one that could not be used as it is. `repeats` comes from the
    concept or from a folder named like `10_name`, and is 0 elsewhere. `concept` counts the folders of the project from
    0; the trigger word is the concept's own and empty when it has none. Times are those of the file system, in seconds;
    `num_bytes` and `caption_bytes` are the sizes of the two files.
    """

    path: Path
    size_px: Size
    caption_path: Path
    caption: str | None = None
    caption_problem: str = ""
    repeats: int = 0
    class_tokens: str = ""
    num_bytes: int = 0
    changed_at: float = 0.0
    caption_changed_at: float = 0.0
    caption_bytes: int = 0
    concept: int = 0
    trigger_word: str = ""
    is_regularization: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that cannot be used, or not as it is: one sentence and a remedy, in the user's language."""

    path: Path
    message: str
    remedy: str
    excludes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """All readable pictures of a dataset in natural order, what is wrong with the rest, and what the user decided.

    `records` holds the pictures that are left out, too: the window shows them. `folder` is the first of the folders
    that the user named; `folders` are all that have pictures in them, sub-folders among them.
    """

    folder: Path
    records: tuple[ImageRecord, ...]
    problems: tuple[Problem, ...] = ()
    pictures: Mapping[Path, PictureEdits] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()

    def edits(self, image: Path) -> PictureEdits:
        """What was decided about a picture."""
        return self.pictures.get(image, UNTOUCHED) if self.pictures else UNTOUCHED  # A path takes long to look up.


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """Some neighbouring pictures of a dataset that is still being read, in its order.

    `first` is the place of the first of them among all files that may be pictures, of which there are `num_pictures`.
    """

    records: tuple[ImageRecord, ...]
    first: int
    num_pictures: int


def automatic_repeats(num_images: int) -> int:
    """Repeats per epoch for a flat folder: small sets are shown more often, so that an epoch is worth its name."""
    if num_images <= 10:
        return 7
    if num_images <= 50:
        return 5
    return 3 if num_images <= 100 else 1
