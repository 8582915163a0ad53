"""The sizes that pictures are trained at: the buckets, the one size of crops, and which bucket suits a picture."""

from __future__ import annotations

from collections.abc import Sequence

from core.dataset.geometry import Size

# A bucket at the longest allowed shape may waste a quarter of the pixels; without it such pictures would lose more.
_LEAST_AREA = 0.75


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


def shaped_size(resolution: int, shape: str, step: int = 64) -> Size:
    """The size of a shape such as `2:3` that has about as many pixels as a square of `resolution`, never more.

    Both sides are multiples of `step`, except those of a square, which is as large as was asked for.

    Args:
        resolution: Side of the square, in pixels.
        shape: Width and height with a colon between them.
        step: What the sides are multiples of.
    """
    across, along = (int(number) for number in shape.split(":"))
    if across == along:
        return resolution, resolution
    # The nearest shape among the sizes on the grid that have at least three quarters of the pixels.
    area, wanted = resolution * resolution, across / along
    limit = round(resolution * max(wanted, 1 / wanted) ** 0.5) + step
    sides = range(step, limit + 1, step)
    sizes = [(width, height) for width in sides for height in sides if _LEAST_AREA * area <= width * height <= area]
    if not sizes:
        return resolution, resolution
    return max(sizes, key=lambda size: (_kept((across, along), size) + size[0] * size[1] / area * 0.2, size))


def assign(size_px: Size, buckets: Sequence[Size]) -> Size:
    """The bucket in which most of a picture remains; of equals the one with more pixels."""
    return max(buckets, key=lambda bucket: (_kept(size_px, bucket), bucket[0] * bucket[1]))


def _kept(size_px: Size, target: Size) -> float:
    """Share of a picture that remains when it is cropped to the shape of the target, 0 to 1."""
    across, along = size_px[0] * target[1], size_px[1] * target[0]
    return min(across, along) / max(across, along)
