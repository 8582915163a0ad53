"""What speaks for each pixel of a picture to belong to the subject, at about 96 pixels.

Three measures, each blind where another one sees:

- the barrier: how much the colour must change on the best way from a pixel to the border (the minimum barrier distance
  of Zhang et al. 2015, "Minimum Barrier Salient Object Detection at 80 FPS"). Plain, shaded and cloudy grounds cost
  nothing; patterns do.
- the strangeness: how far a colour is from the colours along the border. The fields of a pattern are no strangers.
- the detail: sharp edges. What is out of focus has none, a furnished room has few for its size, a figure has many.

The lower edge is not trusted to be background: bodies leave there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from core.dataset.geometry import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]

_LONG_PX, _SHORT_PX = 96, 16
"""The long side that is worked at; long strips are worked at a larger one, so that their short side has some pixels."""
_LEAST_BARRIER = 8.0
"""Sum over L, a and b. What differs less from the ground is not seen by a person at first sight either."""


# --- pixels -------------------------------------------------------------------------------------------------------


def small_picture(image: Image) -> tuple[NDArray[np.uint8], Floats]:
    """The picture at working size, [h, w, 3], and how sharp it is there, [h, w]: measured at twice that size."""
    import numpy as np
    from PIL import Image as Pillow

    long, short = max(image.size), min(image.size)
    scale = min(1.0, max(_LONG_PX / long, min(_SHORT_PX / short, 4 * _LONG_PX / long)))
    width, height = (max(1, round(side * scale)) for side in image.size)
    twice = image.convert("RGB").resize((2 * width, 2 * height), Pillow.Resampling.BOX, reducing_gap=2.0)
    values = np.asarray(twice, np.float32)
    across = np.abs(np.diff(values, axis=1, append=values[:, -1:])).max(-1)
    down = np.abs(np.diff(values, axis=0, append=values[-1:])).max(-1)
    # The square tells one sharp step from the many small ones of something out of focus.
    energy = np.minimum(across**2 + down**2, 100.0**2).reshape(height, 2, width, 2).mean((1, 3)) ** 0.75
    pixels = values.reshape(height, 2, width, 2, 3).mean((1, 3)).round().astype(np.uint8)
    return pixels, energy.astype(np.float32)


def without_bars(pixels: NDArray[np.uint8]) -> Box:
    """The box inside the letterbox bars: pairs of flat strips, black or white, of one width, that end abruptly."""
    import numpy as np

    cut = []
    for lines in (pixels.astype(np.int16), pixels.astype(np.int16).swapaxes(0, 1)):
        first, last = np.median(lines[0], 0), np.median(lines[-1], 0)
        depth = []
        for side, colour in ((lines, first), (lines[::-1], last)):
            is_flat = (np.abs(side - colour).max(-1) <= 14).mean(1) >= 0.985
            depth.append(len(lines) if is_flat.all() else int(is_flat.argmin()))
        one, other = depth
        is_bar = (
            min(depth) >= 2
            and one + other < 0.8 * len(lines)
            and abs(one - other) <= max(2, 0.3 * max(depth))
            and float(np.abs(first - last).max()) <= 10
            and (float(first.max()) <= 20 or float(first.min()) >= 235)
            and float((np.abs(lines[one] - first).max(-1) > 24).mean()) > 0.6
            and float((np.abs(lines[-1 - other] - last).max(-1) > 24).mean()) > 0.6
        )
        # One more, where the bar and the picture are mixed.
        cut.append((one + 1, len(lines) - other - 1) if is_bar else (0, len(lines)))
    (top, bottom), (left, right) = cut
    return left, top, right, bottom


@cache
def _lab_tables() -> tuple[Floats, Floats]:
    """Linear light of each of the 256 levels, and the matrix from linear RGB to XYZ relative to the white of D65."""
    import numpy as np

    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    white = np.array([0.9505, 1.0, 1.0888])
    return linear.astype(np.float32), (matrix / white[:, None]).astype(np.float32)


def _lab(pixels: NDArray[np.uint8]) -> Floats:
    """[h, w, 3] L, a and b, where distances are about as large as they look."""
    import numpy as np

    linear, matrix = _lab_tables()
    x, y, z = np.moveaxis(np.cbrt(linear[pixels] @ matrix.T + np.float32(1e-4)), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _blurred(values: Floats, radius: int, passes: int = 1) -> Floats:
    """The mean over squares of 2 * radius + 1 pixels; edges are repeated outwards."""
    import numpy as np

    for _ in range(passes):
        for axis in (0, 1):
            size = values.shape[axis]
            pad = [(radius + 1, radius) if this == axis else (0, 0) for this in range(values.ndim)]
            total = np.cumsum(np.pad(values, pad, mode="edge"), axis, dtype=np.float32)
            upper = np.take(total, range(2 * radius + 1, 2 * radius + 1 + size), axis)
            values = (upper - np.take(total, range(size), axis)) / np.float32(2 * radius + 1)
    return values


# --- evidence -----------------------------------------------------------------------------------------------------


class Evidence(NamedTuple):
    """[h, w] how much speaks for each pixel: everywhere alike, and with weight on what is rich in detail."""

    even: Floats
    focused: Floats


def evidence_of(pixels: NDArray[np.uint8], sharpness: Floats) -> Evidence | None:
    """All measures together; None when nothing stands out."""
    import numpy as np

    height, width = sharpness.shape
    colours = _blurred(_lab(pixels), 1)
    barrier = _barrier(colours, _path_starts(colours))
    if float(np.percentile(barrier, 99.5)) < _LEAST_BARRIER:
        return None
    detail = _blurred(sharpness, max(2, round(0.02 * max(height, width))), 2)
    y, x = np.mgrid[0:height, 0:width]
    # People stand low in a picture, and what is high up is rather a house, a lamp or a cloud.
    from_middle = (2 * x / width - 1) ** 2 + (2 * y / height - 1.3) ** 2
    even = (
        _scaled(barrier, 75)
        * (0.3 + _scaled(np.minimum(_strangeness(colours), 8), 85))
        * (0.1 + _scaled(detail, 75))
        * np.exp(-0.5 * from_middle)
    ).astype(np.float32)
    richness = _blurred(detail, max(3, round(0.05 * max(height, width))), 2)
    return Evidence(even, even * (np.float32(0.3) + richness / max(float(richness.max()), 1e-6)))


def _path_starts(colours: Floats) -> Floats:
    """The colours with those of the border changed: where a path to the border is taken to end.

    A part of one side that no other side resembles is probably the subject, which goes on outside. A path that ends
    there has to change into the nearest colour of the other sides first. The lower side vouches for none of the others.
    """
    import numpy as np

    starts = colours.copy()
    top, left, right, bottom = colours[0], colours[:, 0], colours[:, -1], colours[-1]
    for side, others, place in (
        (left, (top, right), np.s_[:, 0]),
        (right, (top, left), np.s_[:, -1]),
        (top, (left, right), np.s_[0]),
        (bottom, (top, left, right), np.s_[-1]),
    ):
        known = np.concatenate(others)[::2]
        distance = np.abs(side[:, None] - known[None]).sum(-1)
        nearest = distance.argmin(1)
        doubt = np.clip((distance[np.arange(len(side)), nearest] - 12) / 12, 0, 1)
        starts[place] = side + (known[nearest] - side) * doubt[:, None]
    return starts


def _barrier(colours: Floats, starts: Floats) -> Floats:
    """[h, w] minimum barrier distance to the border: the range of L, a and b along the best path, summed.

    One sweep in each of the four directions, as in the paper; two directions are swept at once.
    """
    import numpy as np

    highest, lowest = np.maximum(colours, starts), np.minimum(colours, starts)
    barrier = np.full(colours.shape[:2], np.inf, np.float32)
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        barrier[border] = (highest[border] - lowest[border]).sum(-1)
    for _ in range(2):
        there = [np.stack([each, each[::-1]], 1) for each in (barrier, highest, lowest, colours)]
        so_far, high, low, colour = there
        for row in range(1, len(so_far)):
            up, down = np.maximum(high[row - 1], colour[row]), np.minimum(low[row - 1], colour[row])
            width = (up - down).sum(-1)
            is_better = width < so_far[row]
            np.copyto(so_far[row], width, where=is_better)
            np.copyto(high[row], up, where=is_better[..., None])
            np.copyto(low[row], down, where=is_better[..., None])
        is_better = so_far[::-1, 1] < so_far[:, 0]
        barrier, highest, lowest = (
            np.where(is_better if each.ndim == 3 else is_better[..., None], each[::-1, 1], each[:, 0]).swapaxes(0, 1)
            for each in (so_far, high, low)
        )
        colours = colours.swapaxes(0, 1)
    return barrier


def _strangeness(colours: Floats) -> Floats:
    """[h, w] Mahalanobis distance to the nearest of up to six groups of colours along three sides of the border."""
    import numpy as np

    border = np.concatenate([colours[:2].reshape(-1, 3), colours[:, :2].reshape(-1, 3), colours[:, -2:].reshape(-1, 3)])
    centres = [np.median(border, 0)]
    distance = np.linalg.norm(border - centres[0], axis=1)
    for _ in range(5):
        # Not the farthest of all: that one may be a single odd pixel.
        far = np.argsort(distance, kind="stable")[int(len(border) * 0.97)]
        if distance[far] < 8:
            break
        centres.append(border[far])
        distance = np.minimum(distance, np.linalg.norm(border - border[far], axis=1))
    groups = np.stack(centres)
    for _ in range(5):
        member = ((border[:, None] - groups) ** 2).sum(-1).argmin(1)
        groups = np.stack(
            [border[member == i].mean(0) if (member == i).any() else groups[i] for i in range(len(groups))]
        )
    nearest: Floats = np.full(colours.shape[:2], np.inf, np.float32)
    for i, centre in enumerate(groups):
        share = float((member == i).mean())
        if share < 0.03:  # Too few to be the background.
            continue
        spread = np.cov(border[member == i].T) + np.diag([16.0, 9.0, 9.0])
        offset = colours - centre
        squares = ((offset @ np.linalg.inv(spread).astype(np.float32)) * offset).sum(-1)
        nearest = np.minimum(nearest, np.sqrt(squares) + (1.0 if share < 0.08 else 0.0))
    return nearest


def _scaled(values: Floats, percentile: float) -> Floats:
    """0 for what is usual along the border (up to that percentile there), 1 for what clearly stands out."""
    import numpy as np

    above = np.maximum(values - np.percentile(ring(values), percentile), 0)
    top = float(np.percentile(above, 99.5))
    if top <= 1e-6:
        return np.zeros_like(values)
    scaled: Floats = np.clip(above / (0.6 * otsu(np.minimum(above, top)) + 0.15 * top), 0, 1).astype(np.float32)
    return scaled


def ring(values: Floats) -> Floats:
    """What lies along the upper, left and right border."""
    import numpy as np

    high, wide = (max(2, round(side * 0.06)) for side in values.shape)
    return np.concatenate([values[:high].ravel(), values[high:, :wide].ravel(), values[high:, -wide:].ravel()])


def otsu(values: Floats) -> float:
    """The level that parts the values best into low and high ones (Otsu 1979)."""
    import numpy as np

    counts, edges = np.histogram(values, 64)
    share, middle = counts / counts.sum(), (edges[:-1] + edges[1:]) / 2
    below, moment = np.cumsum(share), np.cumsum(share * middle)
    between = (moment[-1] * below - moment) ** 2 / (below * (1 - below) + 1e-9)
    return float(middle[between[:-1].argmax()])
