"""How a showing of a picture came to its size, as families are told that learn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.families.base import Sizes
from core.training.encoding import placed

if TYPE_CHECKING:
    from core.training.data import Example, Shown


def sizes_of(example: Example, shown: Shown) -> Sizes:
    """The true sizes of a showing.

    A picture that the user cropped is the crop: its own pixels say how sharp it can be, and what was cut away was not
    cut off by chance. So the original size is that of the crop, and only what the fit cuts off counts as cropped:
    nothing where a picture is padded, and what is at the right of a picture that is shown mirrored.

    Args:
        example: The picture or crop.
        shown: Where its box is and whether it is mirrored this time.
    """
    plan = placed(example, shown).plan
    part = plan.part or (0, 0, *plan.source_px)
    left, top, right, bottom = plan.box
    across, along = plan.target_px[0] / (right - left), plan.target_px[1] / (bottom - top)
    beside = part[2] - right if shown.mirrored else left - part[0]
    return Sizes(
        original_px=(part[2] - part[0], part[3] - part[1]),
        crop_px=(max(0, round(beside * across)), max(0, round((top - part[1]) * along))),
        target_px=plan.target_px,
    )
