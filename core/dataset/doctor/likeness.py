"""Pictures that are in the set more than once: the same pixels, or almost the same look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.dataset.doctor.findings import DoctorOptions, Finding, finding, leave_out
from core.dataset.edits import UNTOUCHED
from core.dataset.facts import ImageFacts
from core.dataset.records import ImageRecord
from core.text import tr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Measured = tuple[ImageRecord, ImageFacts]

MAX_DISTANCE = 8
"""Of 64 bits of the perceptual hash; a crop of 2 % changes about 4, another picture of the same style 12 or more."""
MAX_THUMB_SHARE = 0.2
"""Mean difference of the small pictures, as a share of their mean contrast."""
MAX_SHIFT = 20
"""Levels of a channel by which one may be lighter than the other."""
MAX_SHAPE = 1.1
"""Ratio of the shapes of two pictures that may still be alike."""
_ROWS = 512


def likeness_findings(measured: Sequence[Measured], options: DoctorOptions) -> list[Finding]:
    """One finding for each group of pictures with the same pixels, and for each group of pictures that look the same.

    Regularization pictures are compared with each other only: they do another work than the pictures to learn. The
    first of a group, `path`, is worth keeping: of equal ones, one about which something was decided, then one with a
    caption; of alike ones the largest, then the sharpest.
    """
    found: list[Finding] = []
    for is_regularization in (False, True):
        found += _among([one for one in measured if one[0].is_regularization == is_regularization], options)
    return found


def _among(measured: Sequence[Measured], options: DoctorOptions) -> Iterator[Finding]:
    groups: dict[str, list[Measured]] = {}
    for one in measured:
        groups.setdefault(one[1].digest, []).append(one)
    kept: list[Measured] = []

    def worth(one: Measured) -> tuple[bool, bool]:
        return options.edits(one[0].path) == UNTOUCHED, not one[0].caption

    for group in groups.values():
        best, *others = sorted(group, key=worth)
        kept.append(best)
        if others:
            yield _duplicate(best, others, options)
    yield from (_near_duplicate(group) for group in _alike(kept))


def _duplicate(best: Measured, others: list[Measured], options: DoctorOptions) -> Finding:
    """Leaving out the others is safe when the same was decided about all: one may be there whole, one for a crop."""
    is_safe = all(options.edits(record.path) == options.edits(best[0].path) for record, _ in others)
    paths = tuple(record.path for record, _ in others)
    return finding(
        "duplicate",
        best[0].path,
        tr("{name} is in the set {number} times, with the same pixels.", name=best[0].path.name,
           number=len(others) + 1),
        tr("Keep one of them; give it more repeats if it is to count more."),
        others=paths,
        fix=leave_out(*paths, is_safe=is_safe),
    )  # fmt: skip


def _near_duplicate(group: list[Measured]) -> Finding:
    best, *others = group
    paths = tuple(record.path for record, _ in others)
    return finding(
        "near_duplicate",
        best[0].path,
        tr("{name} looks almost like {other}.", name=best[0].path.name, other=paths[0].name)
        if len(paths) == 1
        else tr("{name} looks almost like {number} other pictures.", name=best[0].path.name, number=len(paths)),
        tr("Keep the largest and sharpest one, unless the small differences are what you want to teach."),
        others=paths,
        fix=leave_out(*paths),
    )


def _alike(measured: Sequence[Measured]) -> Iterator[list[Measured]]:
    """Groups of two and more alike pictures. All of a group are like its first, the best one, so that none is a chain.

    All pairs are compared: as vectors of -1 and 1, hashes that differ in d bits have the product 64 - 2 d, and 10,000
    x 10,000 of these are a small matrix product.
    """
    import numpy as np

    sizes = {record.path: facts.inside_px for record, facts in measured}

    def worth(one: Measured) -> tuple[int, float, bool]:
        width, height = sizes[one[0].path]
        return -width * height, -one[1].sharpness, not one[0].caption

    best_first = sorted(measured, key=worth)
    if len(best_first) < 2:
        return
    hashes = np.array([facts.phash for _, facts in best_first], dtype=">u8")
    signs = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1
    thumbs = np.array([np.frombuffer(facts.thumb, np.uint8) for _, facts in best_first], dtype=np.float32)
    contrasts = np.abs(thumbs - thumbs.mean(axis=1, keepdims=True)).mean(axis=1)
    shapes = np.array(
        [width / height for width, height in (sizes[record.path] for record, _ in best_first)], dtype=np.float32
    )
    is_free = np.ones(len(best_first), dtype=bool)
    for start in range(0, len(best_first), _ROWS):
        close = signs[start : start + _ROWS] @ signs[start:].T >= 64 - 2 * MAX_DISTANCE
        for row in np.flatnonzero(close.sum(axis=1) > 1):
            one = start + int(row)
            if not is_free[one]:
                continue
            others = start + row + 1 + np.flatnonzero(close[row, row + 1 :] & is_free[one + 1 :])
            others = others[_look_alike(one, others, thumbs, contrasts, shapes)]
            if len(others):
                is_free[others] = False
                yield [best_first[one], *(best_first[other] for other in others)]


def _look_alike(
    one: int, others: NDArray[np.intp], thumbs: Floats, contrasts: Floats, shapes: Floats
) -> NDArray[np.bool_]:
    """Whether each of the others has the colours and the shape of the one, too."""
    import numpy as np

    lighter = (thumbs[others] - thumbs[one]).reshape(len(others), thumbs.shape[1] // 3, 3)  # [others, pixels, channels]
    shift = lighter.mean(axis=1, keepdims=True)
    away = np.abs(lighter - shift).mean(axis=(1, 2))
    ratios = shapes[others] / shapes[one]
    same_light = np.abs(shift).max(axis=(1, 2)) <= MAX_SHIFT
    same_shape = np.maximum(ratios, 1 / ratios) <= MAX_SHAPE
    return (away <= 1 + MAX_THUMB_SHARE * np.minimum(contrasts[others], contrasts[one])) & same_shape & same_light  # type: ignore[no-any-return]
