"""LoHa: the product, element by element, of two low-rank matrices (Hyeon-Woo et al. 2021, arXiv:2108.06098)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from core.lora.kinds import Delta, given, new_weight

if TYPE_CHECKING:
    from torch import Tensor

_NAMES = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


class LohaDelta(Delta):
    """`(w1_a @ w1_b) * (w2_a @ w2_b)`: those with `a` are [out, rank], those with `b` [rank, in * k * k].

    It is itself a matrix of rank * rank: its columns and rows are the products of all pairs of columns and of rows.
    Where that is smaller than the matrix, it is computed so, without the matrix; else the matrix is built in the pass
    and once more on the way back, and never kept.
    """

    kind = "loha"

    def __init__(self, layer: nn.Module, rank: int, scale: float, tensors: Mapping[str, Tensor] | None = None) -> None:
        """New weights, or those of a file.

        Args:
            layer: What it is added to.
            rank: Of new weights.
            scale: Factor on what is added.
            tensors: Those of a file, by the ends of their names.

        Raises:
            KeyError: The file lacks one of the four.
            ValueError: They do not fit the layer.
        """
        super().__init__(layer)
        out, inner = self.geometry.num_out, self.geometry.num_in
        self.rank, self.scale = rank, scale
        if tensors is not None:
            self.w1_a, self.w1_b, self.w2_a, self.w2_b = (given(tensors, name) for name in _NAMES)
            self.rank = len(self.w1_b)
            wanted = [(out, self.rank), (self.rank, inner)] * 2
            for weight, shape in zip((self.w1_a, self.w1_b, self.w2_a, self.w2_b), wanted, strict=True):
                weight.data = weight.data.flatten(1)
                if weight.shape != shape:
                    raise ValueError(f"{tuple(weight.shape)} is not {shape}")
        else:
            self.w1_a, self.w1_b = new_weight(out, rank), new_weight(rank, inner)
            self.w2_a, self.w2_b = new_weight(out, rank), new_weight(rank, inner)
            for weight, width in ((self.w1_b, 1.0), (self.w1_a, 0.1), (self.w2_b, 1.0)):
                nn.init.normal_(weight, std=width)
            nn.init.zeros_(self.w2_a)
        self._is_narrow = self.rank**2 * (out + inner) < out * inner

    def weights(self) -> dict[str, nn.Parameter]:
        """In the order of the formula."""
        return dict(zip(_NAMES, (self.w1_a, self.w1_b, self.w2_a, self.w2_b), strict=True))

    def forward(self, inputs: Tensor) -> Tensor:
        """Narrow or whole, whichever is less work."""
        inputs, first = self._thinned(inputs), self._first()
        if self._is_narrow:
            down, up = self._pair(first)
            return self.geometry.mix(self.geometry.apply(inputs, down), up)
        if not torch.is_grad_enabled():
            return self._whole(inputs, first)
        added: Tensor = checkpoint(self._whole, inputs, first, use_reentrant=False, preserve_rng_state=False)
        return added

    def dense(self) -> Tensor:
        """The product."""
        return (self.w1_a @ self.w1_b) * (self.w2_a @ self.w2_b)

    def terms(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """The pair of rank * rank, or its norm where that is less work."""
        return [self._pair(self.w1_b) if self._is_narrow else self.dense().norm()]

    def rescale(self, factor: float) -> None:
        """On the one that is zero at the start."""
        self.w2_a.mul_(factor)

    def _first(self) -> Tensor:
        """The first narrowing weight, without the ranks that are left out in this step."""
        if not (self.rank_dropout and self.training):
            return self.w1_b
        kept = torch.rand((self.rank, 1), device=self.w1_b.device) >= self.rank_dropout
        return self.w1_b * kept / (1 - self.rank_dropout)

    def _pair(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """[rank * rank, in * k * k] and [out, rank * rank]."""
        down = (first[:, None] * self.w2_b[None]).flatten(0, 1)
        up = (self.w1_a[:, :, None] * self.w2_a[:, None, :]).flatten(1)
        return down, up

    def _whole(self, inputs: Tensor, first: Tensor) -> Tensor:
        return self.geometry.apply(inputs, (self.w1_a @ first) * (self.w2_a @ self.w2_b))


def fold_middle(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A LoHa in Tucker form as one without: `t` is [rank, rank, k, k], `a` [rank, out] and `b` [rank, in] there."""
    folded = dict(tensors)
    for half in ("1", "2"):
        if (middle := folded.pop(f"hada_t{half}", None)) is not None:
            narrow = torch.einsum("ijkl,jr->irkl", middle, folded[f"hada_w{half}_b"])
            folded[f"hada_w{half}_b"] = narrow.flatten(1)
            folded[f"hada_w{half}_a"] = folded[f"hada_w{half}_a"].mT.contiguous()
    return folded
