"""Bringing pictures of every shape to training sizes: which sizes there are, which one fits, what is cut away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

# A bucket at the longest allowed shape may waste a quarter of the pixels; without it such pictures would lose more.
_LEAST_AREA = 0.75


def training_sizes(
    resolution: int, fit: Literal["buckets", "crop"] = "buckets", step: int = 64, max_aspect: float = 2.0
) -> tuple[Size, ...]:
    """All sizes that pictures are brought to: the buckets, or the one square when pictures are cropped."""
    return ((resolution, resolution),) if fit == "crop" else bucket_sizes(resolution, step, max_aspect)


def bucket_sizes(resolution: int, step: int = 64, max_aspect: float = 2.0) -> tuple[Size, ...]:
    """Sizes with about as many pixels as a square of `resolution`, never more, from the tallest to the widest.

    For every short side there is the longest fitting long side, as in sd-scripts; where that is longer than allowed,
    the longest allowed one, if it still has three quarters of the pixels.

    Args:
        resolution: Side of the square, in pixels.
        step: Both sides are multiples of this. Where even the square would be smaller, there is one bucket of
            `resolution` rounded down to a multiple of 8.
        max_aspect: Largest ratio of long to short side, at least 1.
    """
    area = resolution * resolution
    sizes: set[Size] = set()
    for short in reversed(range(step, resolution + 1, step)):  # From the square to longer and longer shapes.
        fitting = area // short // step * step
        allowed = int(short * max_aspect + 1e-6) // step * step
        long = min(fitting, allowed)
        if fitting <= allowed or short * long >= _LEAST_AREA * area:
            sizes |= {(short, long), (long, short)}
        if fitting > allowed:  # From here on all have the longest shape, with fewer and fewer pixels.
            break
    if not sizes:
        side = resolution // step * step or resolution // 8 * 8
        sizes.add((side, side))
    return tuple(sorted(sizes, key=lambda size: (size[0] / size[1], size)))


def assign(size_px: Size, buckets: Sequence[Size]) -> Size:
    """The bucket in which most of a picture remains; of equals the one with more pixels."""
    return max(buckets, key=lambda bucket: (_kept(size_px, bucket), bucket[0] * bucket[1]))


def _kept(size_px: Size, target: Size) -> float:
    """Share of a picture that remains when it is cropped to the shape of the target, 0 to 1."""
    across, along = size_px[0] * target[1], size_px[1] * target[0]
    return min(across, along) / max(across, along)


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How a picture is brought to a size: the box is cut out of it and resized to the target."""

    source_px: Size
    target_px: Size
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the source; fractions are meant."""

    @property
    def scale(self) -> float:
        """Target pixels per source pixel."""
        return max(self.target_px[0] / self.source_px[0], self.target_px[1] / self.source_px[1])

    @property
    def scaled_px(self) -> Size:
        """Size of the whole picture at this scale, before the cut."""
        return round(self.source_px[0] * self.scale), round(self.source_px[1] * self.scale)

    @property
    def cropped_share(self) -> float:
        """Share of the picture that is cut away, 0 to 1."""
        return 1 - _kept(self.source_px, self.target_px)

    @property
    def is_upscaled(self) -> bool:
        """Whether the picture has fewer pixels than are asked of it."""
        return self.scale > 1


def plan_fit(size_px: Size, target: Size) -> FitPlan:
    """Cover the target with as much of the picture as possible, from its middle.

    Args:
        size_px: (width, height) of the picture.
        target: (width, height) to bring it to.
    """
    width, height = size_px
    box_width = min(float(width), height * target[0] / target[1])
    box_height = min(float(height), width * target[1] / target[0])
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return FitPlan(size_px, target, (left, top, left + box_width, top + box_height))


def is_upscaled(size_px: Size, target: Size) -> bool:
    """Whether a picture of this size must be enlarged to cover the target."""
    return plan_fit(size_px, target).is_upscaled


def fit_image(image: Image, target: Size) -> Image:
    """The picture at exactly the target size, as `plan_fit` says: Lanczos for smaller, bicubic for larger."""
    from PIL import Image as Pillow

    if image.size == target:
        return image
    plan = plan_fit(image.size, target)
    resample = Pillow.Resampling.BICUBIC if plan.is_upscaled else Pillow.Resampling.LANCZOS
    return image.resize(target, resample, box=plan.box)
