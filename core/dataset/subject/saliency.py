"""The built-in detector: the mass that differs most from the border of the picture, without any model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from core.dataset.geometry import Box
from core.dataset.subject.base import Subject
from core.dataset.subject.evidence import evidence_of, otsu, ring, small_picture, without_bars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_LEAST_PX = 8
"""What is smaller has no inside and no outside."""
_NUM_LEVELS = 6
"""Levels of evidence at which the subject is looked for."""
_MARGIN = 0.02
"""Share of the box's longer side that is added all around."""
_MARGIN_OF_PICTURE = 0.01
"""Share of the picture's width and height that is added as well, for a subject that was found too small."""
_TO_THE_BOTTOM = 0.12
"""What ends less than this share of its height above the lower edge is taken to go on to the edge."""


class Saliency:
    """Finds at most one subject, of unknown kind. Deterministic, a few milliseconds, safe in many threads."""

    name = "saliency"
    version = 1

    def find(self, image: Image) -> list[Subject]:
        """The one subject of an upright picture of any size, or nothing."""
        pixels, sharpness = small_picture(image)
        height, width = sharpness.shape
        left, top, right, bottom = without_bars(pixels)
        pixels, sharpness = pixels[top:bottom, left:right], sharpness[top:bottom, left:right]
        if min(sharpness.shape) < _LEAST_PX:
            return []
        evidence = evidence_of(pixels, sharpness)
        if evidence is None:
            return []
        core = _core(evidence.focused)
        if core is None:
            return []
        box = _tight(_grown(core, evidence.even), sharpness)
        score = _contrast(evidence.even, core) / max(float(evidence.even.max()), 1e-6)
        x, y = image.width / width, image.height / height
        near = _with_margin(box, (right - left, bottom - top))
        more_x, more_y = _MARGIN_OF_PICTURE * image.width, _MARGIN_OF_PICTURE * image.height
        whole = (
            max(0, math.floor((near[0] + left) * x - more_x)),
            max(0, math.floor((near[1] + top) * y - more_y)),
            min(image.width, math.ceil((near[2] + left) * x + more_x)),
            min(image.height, math.ceil((near[3] + top) * y + more_y)),
        )
        return [Subject(box=whole, score=round(min(1.0, max(0.0, score)), 4), kind="subject")]


# --- the box ------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    box: Box
    mass: float


def _pieces(mask: Mask, weights: Floats) -> list[_Piece]:
    """The connected parts of a mask (also across corners) with the sum of their weights, the heaviest first."""
    import numpy as np

    sums = np.concatenate([np.zeros((len(mask), 1)), np.cumsum(weights, 1, dtype=np.float64)], 1)
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=1))
    runs = list(zip(rows[::2].tolist(), columns[::2].tolist(), columns[1::2].tolist(), strict=True))
    parents = list(range(len(runs)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    start = 0  # The first run that may touch the present one from the row above.
    for index, (row, left, right) in enumerate(runs):
        while runs[start][0] < row - 1 or (runs[start][0] == row - 1 and runs[start][2] < left):
            start += 1
        above = start
        while runs[above][0] < row and runs[above][1] <= right:
            parents[root(above)] = root(index)
            above += 1
    found: dict[int, _Piece] = {}
    for index, (row, left, right) in enumerate(runs):
        mass = float(sums[row, right] - sums[row, left])
        old = found.get(root(index), _Piece((left, row, right, row + 1), 0.0))
        found[root(index)] = _Piece(_union(old.box, (left, row, right, row + 1)), old.mass + mass)
    return sorted(found.values(), key=lambda piece: -piece.mass)


def _core(evidence: Floats) -> Box | None:
    """The box of the mass that stands out most, at the level where it parts from what it touches.

    Levels rise from one that takes all that is no noise. A higher one is chosen only where the box becomes about half
    as large and stands out clearly better: that is where furniture falls off, and not a foot.
    """
    import numpy as np

    lowest = _noise_level(evidence)
    highest = max(1.2 * otsu(evidence), 1.01 * lowest)
    best: Box | None = None
    best_contrast = 0.0
    for level in np.geomspace(max(lowest, 1e-6), max(highest, 2e-6), _NUM_LEVELS):
        box = _heaviest(_without_lines(evidence > level), evidence)
        if box is None:
            continue
        contrast = _separation(evidence, box)
        if best is None or (_area(box) < 0.55 * _area(best) and contrast > 1.2 * best_contrast):
            best, best_contrast = box, contrast
    return best


def _noise_level(evidence: Floats) -> float:
    """Above this, evidence is hardly the ripple of the background; never above Otsu's level."""
    import numpy as np

    middle = otsu(evidence)
    low = evidence[evidence <= middle]
    usual = float(np.median(low))
    ripple = float(np.median(np.abs(low - usual)))
    least = max(usual + 4 * ripple, 0.06 * float(evidence.max()), 1.3 * float(np.percentile(low, 80)))
    return min(least, 0.9 * middle)


def _without_lines(mask: Mask) -> Mask:
    """The mask without what is less than 5 pixels high: horizons and shelves, which would chain everything together."""
    import numpy as np

    height = len(mask)
    padded = np.pad(mask, ((4, 4), (0, 0)), constant_values=True)
    eroded = np.logical_and.reduce([padded[i : i + height + 4] for i in range(5)])
    opened: Mask = np.logical_or.reduce([eroded[i : i + height] for i in range(5)])
    return opened


def _heaviest(mask: Mask, evidence: Floats) -> Box | None:
    """The box of the heaviest piece and of those near it: ornaments, weapons, a head above a collar."""
    pieces = _pieces(mask, evidence)
    if not pieces:
        return None
    core = box = pieces[0].box
    gap = 0.06 * max(core[2] - core[0], core[3] - core[1])
    for piece in pieces[1:]:
        if piece.mass < 0.02 * pieces[0].mass:
            break
        across = max(0, piece.box[0] - core[2], core[0] - piece.box[2])
        down = max(0, piece.box[1] - core[3], core[1] - piece.box[3])
        if max(across, down) <= (2 * gap if piece.mass > 0.4 * pieces[0].mass else gap):
            box = _union(box, piece.box)
    return box


def _grown(core: Box, evidence: Floats) -> Box:
    """The core with all that hangs together with it, down to weak evidence: hands, feet, a plain coat.

    Where that is little more than the core, or fills its box well, it is the subject. Otherwise it is a whole scene,
    and only what is near counts: people are higher than wide, so further up than to the sides, most of all downwards.
    """
    left, top, right, bottom = core
    height, width = evidence.shape
    mask = evidence > 0.5 * _noise_level(evidence)
    all_of_it = _joined(core, mask, (0, 0, width, height))
    filled = mask[all_of_it[1] : all_of_it[3], all_of_it[0] : all_of_it[2]].mean()
    if _area(all_of_it) <= 3 * _area(core) or filled > 0.6:
        return all_of_it
    across = 0.2 * max(right - left, 0.5 * (bottom - top))
    down = 0.2 * max(bottom - top, 0.5 * (right - left))
    near = (
        max(0, int(left - across)),
        max(0, int(top - 2 * down)),
        min(width, round(right + across + 0.5)),
        min(height, round(bottom + 4 * down + 0.5)),
    )
    return _joined(core, mask, near)


def _joined(core: Box, mask: Mask, window: Box) -> Box:
    """The box of the core and of all pieces in the window that reach into it."""
    import numpy as np

    left, top, right, bottom = window
    part = mask[top:bottom, left:right]
    for piece in _pieces(part, part.astype(np.float32)):
        box = (piece.box[0] + left, piece.box[1] + top, piece.box[2] + left, piece.box[3] + top)
        if box[0] < core[2] and box[2] > core[0] and box[1] < core[3] and box[3] > core[1]:
            core = _union(core, box)
    return core


def _tight(box: Box, sharpness: Floats) -> Box:
    """The box without rims that have no sharp pixel; blurring the measures has widened it by a few pixels."""
    import numpy as np

    left, top, right, bottom = box
    least = max(float(np.percentile(ring(sharpness), 90)), 0.06 * float(np.percentile(sharpness, 99.5)))
    is_sharp = sharpness[top:bottom, left:right] > least
    columns, rows = np.flatnonzero(is_sharp.any(0)), np.flatnonzero(is_sharp.any(1))
    if not len(columns):
        return box
    most = round(0.04 * max(sharpness.shape))
    return (
        left + min(most, int(columns[0])),
        top + min(most, int(rows[0])),
        max(right - most, left + int(columns[-1]) + 1),
        # At the lower edge there is no outline to be seen.
        bottom if bottom >= len(sharpness) - 1 else max(bottom - most, top + int(rows[-1]) + 1),
    )


def _with_margin(box: Box, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box with a small margin, inside the picture; what ends shortly above the lower edge ends there."""
    left, top, right, bottom = box
    margin = _MARGIN * max(right - left, bottom - top) + 0.5
    low = bottom + margin
    if size_px[1] - low < _TO_THE_BOTTOM * (low - top + margin):
        low = size_px[1]
    return max(0, left - margin), max(0, top - margin), min(size_px[0], right + margin), min(size_px[1], low)


def _separation(evidence: Floats, box: Box) -> float:
    """Variance between inside and outside, as in Otsu's method: small and clear beats large and mixed."""
    share = _area(box) / evidence.size
    return share * (1 - share) * _contrast(evidence, box) ** 2 if share <= 0.98 else 0.0


def _contrast(evidence: Floats, box: Box) -> float:
    """Mean evidence inside a box less that outside."""
    inside = float(evidence[box[1] : box[3], box[0] : box[2]].sum())
    outside_px = evidence.size - _area(box)
    return inside / _area(box) - (float(evidence.sum()) - inside) / max(1, outside_px)


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
