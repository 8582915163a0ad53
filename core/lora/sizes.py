"""How many numbers a network of each kind trains in a layer; without torch."""

from __future__ import annotations

import math
from typing import Literal


def num_weights(
    kind: Literal["lora", "loha", "lokr"], shape: tuple[int, ...], rank: int, factor: int, *, dora: bool
) -> int:
    """Numbers of a new network in one layer.

    Args:
        kind: Which kind.
        shape: Of the layer's weight, [out, in] or [out, in, k, k].
        rank: Inner width.
        factor: Of LoKr alone: side of the smaller part.
        dora: Whether the lengths of the columns are learned as well, which only LoRA can.
    """
    out, inner, *kernel = shape
    area = math.prod(kernel)
    if kind == "loha":
        return 2 * rank * (out + inner * area)
    if kind == "lokr":
        (small_out, large_out), (small_in, large_in) = split(out, factor), split(inner, factor)
        is_narrow = is_of_rank(rank, large_out, large_in)
        large = rank * (large_out + large_in * area) if is_narrow else large_out * large_in * area
        return small_out * small_in + large
    return rank * (out + inner * area) + (inner if dora else 0)


def is_of_rank(rank: int, large_out: int, large_in: int) -> bool:
    """Whether the larger part of a LoKr is a product of that rank: where it is not, it is kept whole."""
    return 2 * rank < max(large_out, large_in)


def split(size: int, factor: int) -> tuple[int, int]:
    """Two numbers whose product is the size, the smaller one first.

    Args:
        size: At least 1.
        factor: What the smaller part is to be, or, where the size cannot be divided by it, the most that it may be;
            -1 for the most even split.
    """
    if factor > 0 and size % factor == 0:
        return min(factor, size // factor), max(factor, size // factor)
    most = min(factor if factor > 0 else size, math.isqrt(size))
    small = next(number for number in range(most, 0, -1) if size % number == 0)
    return small, size // small
