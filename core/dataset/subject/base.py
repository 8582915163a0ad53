"""What a subject detector is, and how its findings become the one box that a crop should keep whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from core.dataset.geometry import Box, Size

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["subject", "person", "head", "face"]

_CONFIDENT = 0.6
"""A second person counts when it is at least this share as certain as the first."""
_NOTABLE = 0.05
"""A second person counts when its area is at least this share of the largest one's; the rest are passers-by."""
_FACE_TO_HEAD = 0.5
"""A face box starts at the forehead and ends at the chin: hair and ears add this share of its side all around."""
_BODY = (3.0, 5.0)
"""Width and height of head and body together, in heads: a figure that is seen to the hips or a little below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that stands out: its box in pixels of the picture, how certain it is (0 to 1), and what it is."""

    box: Box
    score: float
    kind: Kind


class SubjectDetector(Protocol):
    """A loaded detector. `version` rises whenever the same picture may give other boxes than before."""

    @property
    def name(self) -> str:
        """What `load_detector` takes."""

    @property
    def version(self) -> int:
        """Kept with remembered boxes, to know when they are outdated."""

    def find(self, image: Image) -> list[Subject]:
        """All subjects of an upright RGB picture of any size, the best first; empty when nothing stands out."""


def box_to_keep(subjects: list[Subject], size_px: Size) -> Box | None:
    """The box that a crop should keep whole.

    Persons win over subjects of unknown kind, those over heads, and heads over faces. Of several of the winning kind,
    all that are about as certain as the best and not tiny beside the largest are kept together. Around a head, and
    around the head that belongs to a face, room is added for a body: 3 heads wide and 5 heads high, from the top of the
    head downwards, as far as the picture goes.

    Args:
        subjects: What a detector found, in any order.
        size_px: Width and height of the picture.

    Returns:
        A box inside the picture, or None when there is no subject inside it.
    """
    for kind in ("person", "subject", "head", "face"):
        of_kind = [(one, inside) for one in subjects if one.kind == kind and (inside := _inside(one.box, size_px))]
        if not of_kind:
            continue
        best = max(one.score for one, _ in of_kind)
        largest = max(_area(inside) for _, inside in of_kind)
        kept = [
            _whole(inside, one.kind, size_px)
            for one, inside in of_kind
            if one.score >= _CONFIDENT * best and _area(inside) >= _NOTABLE * largest
        ]
        return (
            (
                min(box[0] for box in kept),
                min(box[1] for box in kept),
                max(box[2] for box in kept),
                max(box[3] for box in kept),
            )
            if kept
            else None
        )
    return None


def _whole(box: Box, kind: Kind, size_px: Size) -> Box:
    """The box of head and body for that of a head or a face; others as they are."""
    if kind in ("person", "subject"):
        return box
    left, top, right, bottom = box
    if kind == "face":
        side = round(_FACE_TO_HEAD * max(right - left, bottom - top) / 2)
        left, top, right, bottom = left - side, top - 2 * side, right + side, bottom
    head = max(right - left, bottom - top)
    middle, wide = (left + right) / 2, max(right - left, round(_BODY[0] * head)) / 2
    body = (round(middle - wide), top, round(middle + wide), max(bottom, top + round(_BODY[1] * head)))
    return _inside(body, size_px) or box


def _inside(box: Box, size_px: Size) -> Box | None:
    """The part of a box that lies in the picture."""
    left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(size_px[0], box[2]), min(size_px[1], box[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
