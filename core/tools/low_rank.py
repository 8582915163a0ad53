"""Low rank: a weight's change as a product of two narrow matrices, and the best one of a smaller rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

EXACT_SIDE = 640
"""Matrices whose shorter side is at most this are decomposed exactly: 0.1 s each on one core."""
_OVERSAMPLING = 16
_POWER_ITERATIONS = 4
_LEAST = 1e-30
"""Singular values below this are taken for zero."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A change of a weight as a product: `up` [out, rank] @ `down` [rank, columns], in float32, its scale taken in.

    Columns are all of the weight's dimensions after the first, flattened.
    """

    up: Tensor
    down: Tensor

    @property
    def rank(self) -> int:
        """Width of the product."""
        return self.up.shape[1]


@dataclass(frozen=True, slots=True)
class Decomposed:
    """The largest singular values [k], falling, with their vectors: `left` [out, k], `right` [k, columns].

    `norm` is the Frobenius norm of the whole matrix, so that what the k values leave out is known exactly.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankChoice:
    """How a new rank is chosen, for each module by itself: the smallest that does what is asked, `rank` at the most.

    `share` is the part of the Frobenius norm that must be kept, 1 for all of it; `ratio` leaves out singular values
    more than that many times smaller than the largest, 0 leaves out none.
    """

    rank: int
    share: float = 1.0
    ratio: float = 0.0

    def of(self, decomposed: Decomposed) -> int:
        """The new rank of a matrix, at least 1."""
        values = decomposed.values.double()
        wanted = min(self.rank, len(values))
        if not len(values) or float(values[0]) <= _LEAST:
            return 1
        if self.share < 1:
            kept = values.square().cumsum(0).sqrt()
            wanted = min(wanted, int((kept < self.share * decomposed.norm).sum()) + 1)
        if self.ratio > 0:
            wanted = min(wanted, int((values >= values[0] / self.ratio).sum()))
        return max(wanted, 1)


def decompose_pair(pair: Pair) -> Decomposed:
    """The singular values of a product, exactly and without making it: QR of both sides leaves a rank x rank core."""
    left_basis, left_core = torch.linalg.qr(pair.up)
    right_basis, right_core = torch.linalg.qr(pair.down.T)
    left, values, right = torch.linalg.svd(left_core @ right_core.T, full_matrices=False)
    return Decomposed(left_basis @ left, values, right @ right_basis.T, _norm(values))


def decompose(matrix: Tensor, rank: int) -> Decomposed:
    """The largest singular values of a matrix [out, columns] in float32, at least `rank` of them.

    Matrices up to `EXACT_SIDE` are decomposed exactly. Of larger ones the range is found by subspace iteration with
    random starting vectors of a fixed seed (Halko, Martinsson & Tropp 2011, algorithm 4.4); four iterations come within
    a thousandth of the best product even where singular values fall slowly.
    """
    norm = _norm(matrix)
    wanted = rank + _OVERSAMPLING
    if min(matrix.shape) <= max(EXACT_SIDE, wanted):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        return Decomposed(left, values, right, norm)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(matrix.shape[1], wanted, generator=generator)
    basis = torch.linalg.qr(matrix @ start)[0]
    for _ in range(_POWER_ITERATIONS):
        basis = torch.linalg.qr(matrix.T @ basis)[0]
        basis = torch.linalg.qr(matrix @ basis)[0]
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return Decomposed(basis @ left, values, right, norm)


def cut(decomposed: Decomposed, rank: int) -> Pair:
    """The best product of this rank, each singular value shared evenly between the two sides."""
    roots = decomposed.values[:rank].sqrt()
    return Pair(decomposed.left[:, :rank] * roots, roots[:, None] * decomposed.right[:rank])


def kept_share(decomposed: Decomposed, rank: int) -> float:
    """Share of the Frobenius norm that a product of this rank keeps; 1 of a matrix of zeros."""
    if decomposed.norm <= _LEAST:
        return 1.0
    return min(_norm(decomposed.values[:rank]) / decomposed.norm, 1.0)


def summed(pairs: list[Pair]) -> Pair:
    """The sum of products, exactly: their ranks side by side."""
    return Pair(torch.cat([pair.up for pair in pairs], 1), torch.cat([pair.down for pair in pairs], 0))


def pair_norm(pair: Pair) -> float:
    """Frobenius norm of a product without making it."""
    up, down = pair.up.double(), pair.down.double()
    return math.sqrt(max(float(((up.T @ up) * (down @ down.T)).sum()), 0.0))


def _norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=torch.float64))
