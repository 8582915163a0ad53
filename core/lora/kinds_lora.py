"""LoRA and LoCon: a pair of matrices, one narrowing to the rank and one widening again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from core.lora.kinds import Delta, given, kept_ranks, new_weight, spread

if TYPE_CHECKING:
    from torch import Tensor


class LoraDelta(Delta):
    """`up @ down`: down is [rank, in] or [rank, in, k, k], up [out, rank] or [out, rank, 1, 1]."""

    kind = "lora"

    def __init__(self, layer: nn.Module, rank: int, scale: float, tensors: Mapping[str, Tensor] | None = None) -> None:
        """A new pair, or that of a file.

        Args:
            layer: What it is added to.
            rank: Of a new pair.
            scale: Factor on what is added.
            tensors: Those of a file, by the ends of their names.

        Raises:
            KeyError: The file lacks one of the two.
            ValueError: They do not fit the layer.
        """
        super().__init__(layer)
        out, inner, *kernel = self.geometry.shape
        self.rank, self.scale = rank, scale
        if tensors is not None:
            self.down, self.up = given(tensors, "lora_down.weight"), given(tensors, "lora_up.weight")
            self.rank = len(self.down)
            ends = [1] * len(kernel)
            if self.down.numel() != self.rank * self.geometry.num_in or self.up.numel() != out * self.rank:
                raise ValueError(f"{tuple(self.down.shape)} and {tuple(self.up.shape)} are no pair for {out, inner}")
            self.down.data = self.down.data.view(self.rank, inner, *kernel)
            self.up.data = self.up.data.view(out, self.rank, *ends)
            return
        self.down, self.up = new_weight(rank, inner, *kernel), new_weight(out, rank, *[1] * len(kernel))
        # Three draws for one: a run of the same seed begins as it did in earlier versions.
        for weight in (self.down, self.up, self.down):
            spread(weight)
        nn.init.zeros_(self.up)

    def weights(self) -> dict[str, nn.Parameter]:
        """Down before up."""
        return {"lora_down.weight": self.down, "lora_up.weight": self.up}

    def forward(self, inputs: Tensor) -> Tensor:
        """One matrix after the other."""
        narrow = self.geometry.apply(self._thinned(inputs), self.down)
        if self.rank_dropout and self.training:
            narrow = kept_ranks(narrow, self.rank_dropout, 1 if self.geometry.is_conv else narrow.ndim - 1)
        return self.geometry.mix(narrow, self.up)

    def dense(self) -> Tensor:
        """The product."""
        return self.up.flatten(1) @ self.down.flatten(1)

    def terms(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """The pair."""
        return [(self.down.flatten(1), self.up.flatten(1))]

    def rescale(self, factor: float) -> None:
        """On the one that is zero at the start."""
        self.up.mul_(factor)

    def products(self, weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """By way of the rank; the whole product is never there."""
        with_weight, own = pair_products(self.down.flatten(1)[None], self.up.flatten(1)[None], [weight], dim)
        return with_weight[0], own[0]


def pair_products(down: Tensor, up: Tensor, weights: Sequence[Tensor], dim: int) -> tuple[Tensor, Tensor]:
    """What `Delta.products` tells, of many pairs of one shape.

    Args:
        down: [n, rank, in * k * k].
        up: [n, out, rank].
        weights: The n weights [out, in * k * k] of the layers, of one number format.
        dim: 0 for sums over the outputs, 1 for sums over the inputs.

    Returns:
        [n, in * k * k] or [n, out] of each.
    """
    if dim == 0:
        lowered = up.to(weights[0].dtype).mT
        with_weight = torch.stack([one @ weight for one, weight in zip(lowered, weights, strict=True)]).to(down.dtype)
        return (with_weight * down).sum(1), ((up.mT @ up) @ down * down).sum(1)
    lowered = down.to(weights[0].dtype).mT
    with_weight = torch.stack([weight @ one for one, weight in zip(lowered, weights, strict=True)]).to(up.dtype)
    return (with_weight * up).sum(2), (up @ (down @ down.mT) * up).sum(2)


def fold_middle(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A LoCon in Tucker form as one without: its middle is [rank, rank, k, k], and goes into the narrowing weight."""
    folded = dict(tensors)
    if (middle := folded.pop("lora_mid.weight", None)) is not None:
        down = folded["lora_down.weight"].flatten(1)
        folded["lora_down.weight"] = torch.einsum("mnkl,ni->mikl", middle, down)
    return folded
