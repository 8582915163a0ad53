"""LoKr: the Kronecker product of a small matrix and a larger one, which is of low rank where that is smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from core.lora.kinds import Delta, given, kept_ranks, new_weight, spread
from core.lora.sizes import is_of_rank, split

if TYPE_CHECKING:
    from torch import Tensor


class LokrDelta(Delta):
    """`w1 (x) w2`: w1 is [a, c], w2 [b, d] or [b, d, k, k], with a * b outputs and c * d inputs.

    Both may be `w_a @ w_b` of a rank. Where both are whole there is no rank, and the scale is 1: nothing in a file of
    this kind tells another.
    """

    kind = "lokr"

    def __init__(
        self,
        layer: nn.Module,
        rank: int,
        scale: float,
        tensors: Mapping[str, Tensor] | None = None,
        *,
        factor: int = -1,
    ) -> None:
        """New weights, or those of a file.

        Args:
            layer: What it is added to.
            rank: Of the larger part of new weights, unless it is whole.
            scale: Factor on what is added, where a part has a rank.
            tensors: Those of a file, by the ends of their names.
            factor: Side of the smaller part of new weights; -1 for the most even split.

        Raises:
            KeyError: The file lacks a part.
            ValueError: They do not fit the layer.
        """
        super().__init__(layer)
        self.rank, self.scale = rank, scale
        self.w1: nn.Parameter | None = None
        self.w1_a: nn.Parameter | None = None
        self.w1_b: nn.Parameter | None = None
        self.w2: nn.Parameter | None = None
        self.w2_a: nn.Parameter | None = None
        self.w2_b: nn.Parameter | None = None
        if tensors is not None:
            self._take(tensors)
        else:
            self._begin(factor)
        if self.w1_b is None and self.w2_b is None:
            self.scale, self.rank = 1.0, max(1, self.rank)

    def _begin(self, factor: int) -> None:
        out, inner, *kernel = self.geometry.shape
        (small_out, large_out), (small_in, large_in) = split(out, factor), split(inner, factor)
        self.w1 = new_weight(small_out, small_in)
        if is_of_rank(self.rank, large_out, large_in):
            self.w2_a = new_weight(large_out, self.rank)
            self.w2_b = new_weight(self.rank, large_in * math.prod(kernel))
            spread(self.w2_a)
            nn.init.zeros_(self.w2_b)
        else:
            self.w2 = new_weight(large_out, large_in, *kernel)
            nn.init.zeros_(self.w2)
        spread(self.w1)

    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        for part in ("w1", "w2"):
            if f"lokr_{part}" in tensors:
                setattr(self, part, given(tensors, f"lokr_{part}"))
            else:
                narrow = given(tensors, f"lokr_{part}_b")
                narrow.data = narrow.data.flatten(1)
                setattr(self, f"{part}_a", given(tensors, f"lokr_{part}_a"))
                setattr(self, f"{part}_b", narrow)
                self.rank = len(narrow)  # Where both have one, that of the larger part tells the scale.
        (out, inner), (large_out, large_in) = self._small().shape, self._large().shape
        if out * large_out != self.geometry.num_out or inner * large_in != self.geometry.num_in:
            raise ValueError(f"{out, inner} and {large_out, large_in} make no {self.geometry.shape}")

    def weights(self) -> dict[str, nn.Parameter]:
        """Those that are there."""
        names = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")
        return {f"lokr_{name}": weight for name in names if (weight := getattr(self, name)) is not None}

    def forward(self, inputs: Tensor) -> Tensor:
        """The larger part over each group of inputs, then the smaller one over the groups."""
        inputs, small = self._thinned(inputs), self._small()
        if self.geometry.is_conv:
            return self._convolved(inputs, small)
        *lead, _ = inputs.shape
        groups = inputs.reshape(*lead, small.shape[1], -1)
        if self.w2_a is None or self.w2_b is None:
            wide = functional.linear(groups, self._large())
        else:
            wide = functional.linear(self._kept(functional.linear(groups, self.w2_b), groups.ndim - 1), self.w2_a)
        mixed = functional.linear(wide.transpose(-1, -2), small)
        return mixed.transpose(-1, -2).reshape(*lead, self.geometry.num_out)

    def _convolved(self, inputs: Tensor, small: Tensor) -> Tensor:
        batch, _, height, width = inputs.shape
        groups = inputs.reshape(batch * small.shape[1], -1, height, width)
        if self.w2_a is None or self.w2_b is None:
            wide = self.geometry.apply(groups, self._large())
        else:
            wide = self.geometry.mix(self._kept(self.geometry.apply(groups, self.w2_b), 1), self.w2_a)
        _, _, height, width = wide.shape
        mixed = torch.matmul(small, wide.reshape(batch, small.shape[1], -1))
        return mixed.reshape(batch, self.geometry.num_out, height, width)

    def dense(self) -> Tensor:
        """The Kronecker product."""
        return torch.kron(self._small(), self._large())

    def terms(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """The norm of a Kronecker product is that of its parts, multiplied."""
        found: list[Tensor | tuple[Tensor, Tensor]] = []
        for whole, up, down in ((self.w1, self.w1_a, self.w1_b), (self.w2, self.w2_a, self.w2_b)):
            if whole is not None:
                found.append(whole.flatten(1))
            elif up is not None and down is not None:
                found.append((down, up))
        return found

    def rescale(self, factor: float) -> None:
        """On the one that is zero at the start; whole parts have no scale."""
        weight = self.w2 if self.w2_b is None else self.w2_b
        assert weight is not None
        weight.mul_(factor)

    def _kept(self, narrow: Tensor, axis: int) -> Tensor:
        return kept_ranks(narrow, self.rank_dropout, axis) if self.rank_dropout and self.training else narrow

    def _small(self) -> Tensor:
        """[a, c]."""
        if self.w1 is not None:
            return self.w1
        assert self.w1_a is not None and self.w1_b is not None
        return self.w1_a @ self.w1_b

    def _large(self) -> Tensor:
        """[b, d * k * k]."""
        if self.w2 is not None:
            return self.w2.flatten(1)
        assert self.w2_a is not None and self.w2_b is not None
        return self.w2_a @ self.w2_b


def fold_middle(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A LoKr in Tucker form as one without: `t2` is [rank, rank, k, k], `w2_a` [rank, b] and `w2_b` [rank, d] there."""
    folded = dict(tensors)
    if (middle := folded.pop("lokr_t2", None)) is not None:
        folded["lokr_w2_b"] = torch.einsum("ijkl,jr->irkl", middle, folded["lokr_w2_b"]).flatten(1)
        folded["lokr_w2_a"] = folded["lokr_w2_a"].mT.contiguous()
    return folded
