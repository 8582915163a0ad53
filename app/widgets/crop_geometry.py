"""How crop frames move, grow and keep their shape. Boxes are in pixels of the picture and stay inside of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.dataset.buckets import assign
from core.dataset.geometry import Box, Size

Ratio = Callable[[float, float], float | None]
"""The width to height that a frame about so wide and so high is to have; None for any."""

MIN_SIDE = 8
_SUBJECT_MARGIN = 0.06  # of the subject's sides, left free around it


def free(_width: float, _height: float) -> float | None:
    """Any shape."""
    return None


def fixed(ratio: float) -> Ratio:
    """One shape."""
    return lambda _width, _height: ratio


def nearest_of(sizes: Sequence[Size]) -> Ratio:
    """The most similar one of some shapes."""

    def ratio(width: float, height: float) -> float:
        size = assign((max(1, round(width)), max(1, round(height))), sizes)
        return size[0] / size[1]

    return ratio


def inside(box: Box, bounds: Size) -> Box:
    """The part of a box that lies in the picture, which may have become smaller; all of the picture when none does."""
    left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(box[2], bounds[0]), min(box[3], bounds[1])
    return (left, top, right, bottom) if left < right and top < bottom else (0, 0, *bounds)


def moved(box: Box, by: tuple[float, float], bounds: Size) -> Box:
    """The box so many pixels to the right and down, as far as the picture reaches."""
    width, height = box[2] - box[0], box[3] - box[1]
    left = round(min(max(box[0] + by[0], 0), bounds[0] - width))
    top = round(min(max(box[1] + by[1], 0), bounds[1] - height))
    return left, top, left + width, top + height


def resized(box: Box, sides: tuple[int, int], to: tuple[float, float], bounds: Size, ratio: Ratio = free) -> Box:
    """The box with some of its sides pulled to a place; the opposite ones stay.

    Args:
        box: The frame.
        sides: Which sides are pulled, across and along: -1 for left or top, 1 for right or bottom, 0 for none. With
            a fixed shape, a side that is not pulled grows from the middle.
        to: Where to.
        bounds: Size of the picture.
        ratio: The shape to keep.
    """
    horizontal = _Stretch.of(box[0], box[2], sides[0], to[0], bounds[0])
    vertical = _Stretch.of(box[1], box[3], sides[1], to[1], bounds[1])
    width, height = horizontal.length, vertical.length
    shape = ratio(width, height)
    if shape is not None:
        if sides[1] == 0:
            height = width / shape
        elif sides[0] == 0:
            width = height * shape
        else:
            width, height = max(width, height * shape), max(height, width / shape)
        shrink = min(1.0, horizontal.most / width, vertical.most / height)
        width, height = width * shrink, height * shrink
        grow = max(1.0, min(MIN_SIDE, horizontal.most) / width, min(MIN_SIDE, vertical.most) / height)
        width, height = width * grow, height * grow
    left, right = horizontal.placed(width)
    top, bottom = vertical.placed(height)
    return left, top, right, bottom


def shaped(box: Box, bounds: Size, ratio: Ratio) -> Box:
    """The box brought to a shape around its middle, with about as many pixels as before where there is place."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    shape = ratio(width, height)
    if shape is None:
        return box
    area = width * height
    return _centred(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), (area * shape) ** 0.5, shape, bounds)


def around(part: Box, bounds: Size, ratio: Ratio) -> Box:
    """The smallest box of a shape that holds a part of the picture and a little around it, as far as it has place."""
    width, height = (part[2] - part[0]) * (1 + 2 * _SUBJECT_MARGIN), (part[3] - part[1]) * (1 + 2 * _SUBJECT_MARGIN)
    shape = ratio(width, height) or width / height
    middle = ((part[0] + part[2]) / 2, (part[1] + part[3]) / 2)
    return _centred(middle, max(width, height * shape), shape, bounds)


def fresh(bounds: Size, ratio: Ratio, number: int) -> Box:
    """Where a new frame begins: in the middle, a little aside of the ones that are there."""
    width, height = bounds
    shape = ratio(*bounds) or width / height
    step = min(bounds) * 0.04 * (number % 6)
    return _centred((width / 2 + step, height / 2 + step), min(width, height * shape) * 0.7, shape, bounds)


def _centred(middle: tuple[float, float], width: float, shape: float, bounds: Size) -> Box:
    """A box of a width and a shape, moved and shrunk into the picture."""
    width = min(width, bounds[0], bounds[1] * shape)
    across = min(max(MIN_SIDE, round(width)), bounds[0])
    along = min(max(MIN_SIDE, round(width / shape)), bounds[1])
    return moved((0, 0, across, along), (middle[0] - across / 2, middle[1] - along / 2), bounds)


class _Stretch:
    """One direction of a box that is being resized: where it is held, and how long it may become."""

    def __init__(self, start: int, end: int, side: int, length: float, bound: int) -> None:
        self._start, self._end, self._side, self._bound = start, end, side, bound
        self.length = length
        middle = (start + end) / 2
        self.most = float({-1: end, 0: 2 * min(middle, bound - middle), 1: bound - start}[side])

    @classmethod
    def of(cls, start: int, end: int, side: int, to: float, bound: int) -> _Stretch:
        """The stretch with its side pulled to a place."""
        wanted = {-1: end - to, 0: float(end - start), 1: to - start}[side]
        made = cls(start, end, side, wanted, bound)
        made.length = min(max(wanted, float(min(MIN_SIDE, bound))), made.most if side else float(bound))
        return made

    def placed(self, length: float) -> tuple[int, int]:
        """The two ends for a length, in whole pixels within the picture."""
        pixels = max(1, round(length))
        if self._side == -1:
            return max(0, self._end - pixels), self._end
        if self._side == 1:
            return self._start, min(self._bound, self._start + pixels)
        start = max(0, min(round((self._start + self._end - pixels) / 2), self._bound - pixels))
        return start, start + min(pixels, self._bound)
