"""What can be told about a picture from its pixels: sharpness, light, bars, traces of JPEG, likeness, background.

All functions are pure and take numpy arrays: `grey` is [H, W] uint8 luminance, `colours` is [H, W, 3] uint8 sRGB. numpy
and Pillow are imported inside the functions, so that the window starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Grey = NDArray[np.uint8]
    Colours = NDArray[np.uint8]
    Floats = NDArray[np.float32]

Borders = tuple[int, int, int, int]
"""Widths of (left, top, right, bottom) bars in pixels."""

_NO_BORDERS: Borders = (0, 0, 0, 0)

# --- sharpness ------------------------------------------------------------------------------------------------------

_TILE = 16
_LEAST_CONTRAST = 20  # Grey levels; tiles with less have no edge that could be judged.


def sharpness(grey: Grey) -> float:
    """How steep the steepest edges are: 1 for a jump from one pixel to the next, 0.1 for one over ten pixels.

    Only the tiles with the strongest contrast are asked, and of these the sharpest: a drawing with large plain areas
    and a portrait before a soft background are as sharp as their sharpest parts. A picture without edges counts as
    sharp, because nothing in it tells otherwise.
    """
    import numpy as np

    height, width = (side // _TILE * _TILE for side in grey.shape)
    if not height or not width:
        return 1.0
    signed = grey[:height, :width].astype(np.int16)
    # A step between two pixels counts as far as its neighbours along the edge share it: noise does not.
    across = np.abs(_smooth(np.diff(signed, axis=1, append=signed[:, -1:]), axis=0))
    along = np.abs(_smooth(np.diff(signed, axis=0, append=signed[-1:]), axis=1))
    steps = _tiles(np.maximum(across, along)).max(axis=(1, 3))
    tiles = _tiles(signed)
    contrast = tiles.max(axis=(1, 3)) - tiles.min(axis=(1, 3))
    strong = contrast >= max(_LEAST_CONTRAST, 0.6 * float(np.percentile(contrast, 99)))
    if not strong.any():
        return 1.0
    return min(1.0, float(np.percentile(steps[strong] / contrast[strong], 75)))


def _smooth(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """The mean of each value with its two neighbours along an axis."""
    import numpy as np

    total = values.astype(np.float32)
    inner = (slice(1, -1), slice(None)) if axis == 0 else (slice(None), slice(1, -1))
    before = (slice(None, -2), slice(None)) if axis == 0 else (slice(None), slice(None, -2))
    after = (slice(2, None), slice(None)) if axis == 0 else (slice(None), slice(2, None))
    total[inner] += values[before]
    total[inner] += values[after]
    total[inner] /= 3
    return total


def _tiles(values: NDArray[Any]) -> NDArray[Any]:
    """[rows, 16, columns, 16]: the array cut into square tiles."""
    height, width = values.shape
    return values.reshape(height // _TILE, _TILE, width // _TILE, _TILE)


# --- light ----------------------------------------------------------------------------------------------------------

LEVELS = (0.001, 0.01, 0.5, 0.99, 0.999)
"""The shares of the pixels that `brightness` tells the level for."""


def brightness(grey: Grey) -> tuple[int, ...]:
    """The grey levels, 0 to 255, below which the shares `LEVELS` of all pixels lie."""
    import numpy as np

    counts = np.bincount(grey.ravel(), minlength=256).cumsum()
    return tuple(int(np.searchsorted(counts, share * counts[-1])) for share in LEVELS)


def clipped(grey: Grey) -> tuple[float, float]:
    """Shares of the pixels that are black and white for the eye."""
    return float((grey <= 3).mean()), float((grey >= 252).mean())


# --- traces of JPEG -------------------------------------------------------------------------------------------------

# Luminance table of the JPEG standard (ITU-T T.81, table K.1) in natural order; its mean is what matters here.
_STANDARD_TABLE_MEAN = 57.625


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """The quality, 1 to 100, at which libjpeg would have written these quantization tables.

    Args:
        tables: Table number -> 64 divisors; number 0 is that of the luminance.
    """
    scale = 100 * sum(tables[0]) / len(tables[0]) / _STANDARD_TABLE_MEAN
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return max(1, min(100, round(quality)))


def blockiness(grey: Grey) -> float:
    """Mean height in grey levels of the steps along a grid of 8 x 8 blocks, beyond what is around them.

    Below 0.3 for pictures without JPEG traces, about 1 for JPEG quality 10. What has steps at every place, such as
    stripes, counts nothing, and neither does a strong edge. The grid may begin anywhere, because people crop and take
    screenshots.
    """
    return min(_grid_steps(grey), _grid_steps(grey.T))


def _grid_steps(grey: Grey) -> float:
    import numpy as np

    if grey.shape[1] < 32:
        return 0.0
    steps = np.abs(np.diff(grey.astype(np.int16), axis=1))
    middle = steps[:, 1:-1]
    beyond = np.clip(middle - 2 * np.maximum(steps[:, :-2], steps[:, 2:]) - 1, 0, 30) * (middle < 60)
    strong = _by_phase(middle > 80)
    if strong[-1] > _ENLARGED * sum(strong) > 0.0005:  # All edges on the grid: pixels that were made squares of eight.
        return 0.0
    by_phase = _by_phase(beyond)
    return by_phase[-1] - by_phase[-2]


def _by_phase(steps: NDArray[Any]) -> list[float]:
    """The means of the columns that are eight apart, smallest first."""
    columns = steps.mean(axis=0)
    return sorted(float(columns[phase::8].mean()) for phase in range(8))


_ENLARGED = 0.7  # Share of the strong edges on one grid.

# --- bars -----------------------------------------------------------------------------------------------------------

_SAME_COLOUR = 9  # Levels of a channel; the noise of JPEG in a plain area stays below.
_EQUAL_COLOUR = 4  # Levels of a channel between two stripes of a pattern.
_LEAST_SIDE = 96  # In smaller pictures, every shape is straight for some pixels.
_LEAST_BAR = 0.015  # Share of the side.
_MOST_BAR = 0.42
_SPOILT = 20  # JPEG spoils so many lines of a bar before its end: a block of 16 pixels, and a little.


def flat_borders(colours: Colours) -> Borders:
    """Widths of bars of one colour that were added around a picture, (left, top, right, bottom); 0 where there is none.

    A bar spans the whole side, is plain, and ends in a straight sharp edge along most of the picture. So the plain
    background of a drawing is none: what is drawn touches the edge of its own frame only here and there. Bars come in
    pairs of one colour; one alone counts only when it is black or white and the edge leaves no doubt.
    """
    if min(colours.shape[:2]) < _LEAST_SIDE:
        return _NO_BORDERS
    best, known = _NO_BORDERS, list[list[int]]()
    for corner in (colours[y, x].tolist() for y in (0, -1) for x in (0, -1)):
        if not any(max(abs(a - b) for a, b in zip(corner, other, strict=True)) <= 2 for other in known):
            known.append(corner)
            best = max(best, _borders_of(colours, corner), key=sum)
    return best


def _borders_of(colours: Colours, colour: list[int]) -> Borders:
    """As `flat_borders`, for bars of this colour."""
    height, width = colours.shape[:2]
    top, bottom = _plain_ends(colours[:, :: max(1, width // 128)], colour)
    left, right = _plain_ends(colours[:: max(1, height // 128)].swapaxes(0, 1), colour)
    if top + bottom >= height or left + right >= width:
        return _NO_BORDERS
    # Bars all around hide each other's inner edges: these are looked for between the other two.
    middle = colours[top : height - bottom, left : width - right]
    rows, columns = colours[:, left : width - right], colours[top : height - bottom].swapaxes(0, 1)
    starts, plain = (columns, rows, columns[::-1], rows[::-1]), (left, top, right, bottom)
    ends = [_inner_edge(lines, number, colour) for lines, number in zip(starts, plain, strict=True)]
    shares = [number / side for number, side in zip(plain, (width, height, width, height), strict=True)]
    is_bar = [number >= 4 and _LEAST_BAR <= share <= _MOST_BAR for number, share in zip(plain, shares, strict=True)]
    is_usual = max(colour) <= 24 or min(colour) >= 250
    # Stripes of a pattern come again further in; of black and white there is often more in the picture itself.
    if not is_usual and _comes_again(middle, colour):
        return _NO_BORDERS
    found = [False] * 4
    for side, opposite in ((0, 2), (1, 3)):
        if is_bar[side] and is_bar[opposite]:
            widths = sorted((ends[side][0], ends[opposite][0]))
            is_pair = widths[1] <= 3 * widths[0]
            found[side] = found[opposite] = is_pair and min(ends[side][1], ends[opposite][1]) >= 0.5
        else:
            for one in (side, opposite):
                found[one] = is_bar[one] and is_usual and ends[one][2] >= 0.9
    # Where one plain side is no bar, the others are the background of a drawing that happens to have a straight edge.
    if any(share >= _LEAST_BAR and not is_found for share, is_found in zip(shares, found, strict=True)):
        return _NO_BORDERS
    left, top, right, bottom = (bar if is_found else 0 for (bar, _, _), is_found in zip(ends, found, strict=True))
    return left, top, right, bottom


def _plain_ends(lines: Colours, colour: list[int]) -> tuple[int, int]:
    """How many lines at the start and at the end have nothing but one colour."""
    import numpy as np

    outermost = max(1, round(len(lines) * _LEAST_BAR))
    first, last = _is_plain(lines[:outermost], colour), _is_plain(lines[-outermost:], colour)
    if not first.all() and not last.all():
        return 0, 0
    other = np.flatnonzero(~_is_plain(lines, colour))
    if not len(other):
        return len(lines), 0
    return int(other[0]), len(lines) - 1 - int(other[-1])


def _is_plain(lines: Colours, colour: list[int]) -> NDArray[np.bool_]:
    """Whether a line has one colour, but for noise and a passing hair."""
    return _is_other(lines, colour).mean(axis=1) <= 0.02  # type: ignore[no-any-return]


def _is_other(pixels: Colours, colour: list[int], tolerance: int = _SAME_COLOUR) -> NDArray[np.bool_]:
    """[H, W]: whether a pixel has another colour."""
    import numpy as np

    other = np.zeros(pixels.shape[:2], dtype=bool)
    for channel, level in enumerate(colour):  # Several times faster than numpy's `any` over the last axis.
        values = pixels[:, :, channel]
        other |= (values < max(0, level - tolerance)) | (values > min(255, level + tolerance))
    return other


def _inner_edge(lines: Colours, plain: int, colour: list[int]) -> tuple[int, float, float]:
    """Where a bar ends that is plain for so many lines.

    Returns:
        The width of the bar, and the shares of its inner edge along which the bar's colour ends at once, and ends in a
        strong contrast.
    """
    start = max(0, plain - 2)
    near = lines[start : plain + min(_SPOILT, max(4, len(lines) // 24))]
    if not plain or len(near) < 3:
        return 0, 0.0, 0.0
    is_bar = ~_is_other(near[:-2], colour, 3 * _SAME_COLOUR)
    ends = (is_bar & _is_other(near[2:], colour)).mean(axis=1)
    best = int(ends.argmax())
    if ends[best : best + 2][-1] >= 0.8 * ends[best]:
        best = min(best + 1, len(ends) - 1)  # It shows in two lines: rather one of the picture goes than one stays.
    strong = (is_bar & _is_other(near[2:], colour, 3 * _SAME_COLOUR)).mean(axis=1)
    return start + best + 2, float(ends.max()), float(strong.max())


def _comes_again(picture: Colours, colour: list[int]) -> bool:
    """Whether half of some line inside, across or along, has the colour of the bars."""
    other = _is_other(picture[_SPOILT:-_SPOILT:2, _SPOILT:-_SPOILT:2], colour, _EQUAL_COLOUR)
    return bool(other.size) and bool(min(other.mean(axis=0).min(), other.mean(axis=1).min()) < 0.5)


# --- likeness -------------------------------------------------------------------------------------------------------

THUMB = 8
"""Side of the small picture that `thumb` makes."""


def perceptual_hash(image: Image) -> int:
    """64 bits that resizing, recompression and a slight crop hardly change.

    Each bit says whether one of the 64 lowest frequencies of the picture (DCT of 32 x 32 pixels, without the mean) is
    above their median.
    """
    import numpy as np
    from PIL import Image as Pillow

    small = np.asarray(image.convert("L").resize((32, 32), Pillow.Resampling.BOX), dtype=np.float32)
    basis = _dct_basis()
    low = (basis @ small @ basis.T).ravel()[1:]  # 8 x 8 without the mean: 63 of them, and one bit stays 0.
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@cache
def _dct_basis() -> Floats:
    """[8, 32]: the eight lowest cosines."""
    import numpy as np

    places = (np.arange(32) + 0.5) * np.pi / 32
    return np.cos(np.arange(8)[:, None] * places[None]).astype(np.float32)


def thumb(image: Image) -> bytes:
    """The picture as 8 x 8 RGB pixels, to tell pictures apart that differ in colours only."""
    from PIL import Image as Pillow

    return image.resize((THUMB, THUMB), Pillow.Resampling.BOX).tobytes()


# --- background -----------------------------------------------------------------------------------------------------


def background(colours: Colours) -> tuple[tuple[int, int, int], float]:
    """The most frequent colour along the border of a picture, and its share of the border, 0 to 1."""
    import numpy as np

    height, width = colours.shape[:2]
    depth = max(1, min(height, width) // 20)
    ring = np.concatenate(
        [
            colours[:depth].reshape(-1, 3),
            colours[-depth:].reshape(-1, 3),
            colours[:, :depth].reshape(-1, 3),
            colours[:, -depth:].reshape(-1, 3),
        ]
    ).astype(np.int16)
    coarse = (ring >> 5) @ np.array([64, 8, 1], dtype=np.int16)
    most = np.bincount(coarse, minlength=512).argmax()
    middle = np.median(ring[coarse == most], axis=0)
    share = float((np.abs(ring - middle).max(axis=1) <= 16).mean())
    return (int(middle[0]), int(middle[1]), int(middle[2])), share
