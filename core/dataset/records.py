"""What Kiln knows about the pictures of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One usable picture.

    `size_px` is (width, height) as a person sees it, after EXIF rotation. `caption` is None when there is no caption
    file; `caption_problem` is a sentence when there is one that could not be used as it is. `repeats` comes from a
    folder named like `10_name`, and is 0 elsewhere.
    """

    path: Path
    size_px: tuple[int, int]
    caption_path: Path
    caption: str | None = None
    caption_problem: str = ""
    repeats: int = 0
    class_tokens: str = ""
    num_bytes: int = 0
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that cannot be used, or not as it is: one sentence and a remedy, in the user's language."""

    path: Path
    message: str
    remedy: str
    excludes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """All usable pictures of a folder in natural order, and what is wrong with the rest."""

    folder: Path
    records: tuple[ImageRecord, ...]
    problems: tuple[Problem, ...] = ()


def automatic_repeats(num_images: int) -> int:
    """Repeats per epoch for a flat folder: small sets are shown more often, so that an epoch is worth its name."""
    if num_images <= 10:
        return 7
    if num_images <= 50:
        return 5
    return 3 if num_images <= 100 else 1
