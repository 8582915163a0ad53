"""What the doctor says: findings, the fixes that it proposes, and the table of all problems it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.fitting import FitOptions
from core.dataset.geometry import Box
from core.text import tr

ProblemCode = Literal[
    "unreadable",
    "truncated",
    "not_readable_format",
    "unusable",
    "duplicate",
    "near_duplicate",
    "tiny",
    "blurry",
    "dark",
    "bright",
    "jpeg_artefacts",
    "letterbox",
    "no_caption",
    "empty_caption",
    "caption_unreadable",
    "caption_not_utf8",
    "shared_caption",
    "caption_too_long",
    "orphan_caption",
    "too_few",
    "one_background",
    "one_shape",
    "too_many",
    "upscaled",
    "rotated",
    "transparent",
    "animated",
]
Severity = Literal["danger", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What would mend a finding. Nothing here is done yet; whoever does it keeps the way back.

    `title` is the text of a button. A fix is safe when it is certain and takes nothing that anybody would miss; what is
    a matter of taste is not.
    """

    title: str
    exclude: tuple[Path, ...] = ()
    crop: tuple[tuple[Path, Box], ...] = ()
    """Pictures with the part to keep, in pixels of the upright, turned picture."""
    captions: tuple[tuple[Path, str], ...] = ()
    """Pictures with the text to write into their caption files."""
    is_safe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or that one should know, with a sentence and a remedy in the user's language.

    `path` is the picture, the caption file of an orphan, or the folder when all of its pictures are meant. Of a group
    of alike pictures, it is the one worth keeping, and `others` are the rest.
    """

    problem: ProblemCode
    path: Path
    others: tuple[Path, ...] = ()
    severity: Severity
    message: str
    remedy: str
    fix: Fix | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What the pictures are judged for.

    `count_tokens` counts the tokens of a caption; without it, no caption is too long. `max_tokens` is how many the
    model reads.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    pictures: Mapping[Path, PictureEdits] = field(default_factory=dict)
    count_tokens: Callable[[str], int] | None = None
    max_tokens: int = 75
    least_images: int = 10
    most_images: int = 300
    dominated_share: float = 0.8
    """From this share of the pictures on, one background is said to dominate."""
    same_shape_share: float = 0.9

    def edits(self, image: Path) -> PictureEdits:
        """What was decided about a picture."""
        return self.pictures.get(image, UNTOUCHED)


@dataclass(frozen=True, slots=True)
class Kind:
    """How the window speaks of all findings of one problem. The title is asked for when the language is known."""

    title: Callable[[], str]
    severity: Severity


PROBLEMS: dict[ProblemCode, Kind] = {
    "unreadable": Kind(lambda: tr("Files that cannot be read"), "danger"),
    "truncated": Kind(lambda: tr("Pictures that are cut off"), "danger"),
    "not_readable_format": Kind(lambda: tr("Formats that Kiln does not read"), "warning"),
    "unusable": Kind(lambda: tr("Other problems with files"), "warning"),
    "duplicate": Kind(lambda: tr("The same picture twice"), "warning"),
    "near_duplicate": Kind(lambda: tr("Almost the same picture"), "warning"),
    "tiny": Kind(lambda: tr("Much too small"), "warning"),
    "blurry": Kind(lambda: tr("Blurry"), "warning"),
    "dark": Kind(lambda: tr("Too dark"), "warning"),
    "bright": Kind(lambda: tr("Too bright"), "warning"),
    "jpeg_artefacts": Kind(lambda: tr("Damaged by strong compression"), "warning"),
    "letterbox": Kind(lambda: tr("Bars at the edges"), "warning"),
    "no_caption": Kind(lambda: tr("No caption"), "warning"),
    "empty_caption": Kind(lambda: tr("Empty captions"), "warning"),
    "caption_unreadable": Kind(lambda: tr("Captions that cannot be read"), "warning"),
    "caption_not_utf8": Kind(lambda: tr("Captions in an old encoding"), "warning"),
    "shared_caption": Kind(lambda: tr("Two pictures with one caption file"), "warning"),
    "caption_too_long": Kind(lambda: tr("Captions that are too long"), "info"),
    "orphan_caption": Kind(lambda: tr("Captions without a picture"), "info"),
    "too_few": Kind(lambda: tr("Too few pictures"), "warning"),
    "one_background": Kind(lambda: tr("The same background everywhere"), "info"),
    "one_shape": Kind(lambda: tr("All pictures have one long shape"), "info"),
    "too_many": Kind(lambda: tr("Very many pictures"), "info"),
    "upscaled": Kind(lambda: tr("A little too small"), "info"),
    "rotated": Kind(lambda: tr("Turned by a mark in the file"), "info"),
    "transparent": Kind(lambda: tr("Transparent pictures"), "info"),
    "animated": Kind(lambda: tr("Animated pictures"), "info"),
}
"""All problems in the order in which they matter, with a title for their group."""


def finding(
    problem: ProblemCode,
    path: Path,
    message: str,
    remedy: str,
    *,
    others: tuple[Path, ...] = (),
    fix: Fix | None = None,
) -> Finding:
    """A finding with the severity of its problem."""
    severity = PROBLEMS[problem].severity
    return Finding(
        problem=problem, path=path, others=others, severity=severity, message=message, remedy=remedy, fix=fix
    )


def leave_out(*paths: Path, is_safe: bool = False) -> Fix:
    """The fix that takes pictures out of the training; the files stay."""
    return Fix(title=tr("Exclude"), exclude=paths, is_safe=is_safe)
