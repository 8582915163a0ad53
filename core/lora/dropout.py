"""Chances that leave out a part of a LoRA pair in a step; off when the model is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.lora.network import Network

Hook = Callable[["nn.Module", "tuple[Tensor, ...]", "Tensor"], "Tensor"]


def add_dropouts(network: Network, *, rank: float, module: float) -> None:
    """Leave out ranks, or whole pairs, by chance from now on.

    Args:
        network: Whose pairs.
        rank: Chance of each rank to be left out for a sample; the others count as much more.
        module: Chance of each pair to be left out for all samples that are computed together.
    """
    for pair in network.pairs:
        if rank:
            pair.down_layer.register_forward_hook(_rank_hook(rank))
        if module:
            pair.up_layer.register_forward_hook(_module_hook(module))


def _rank_hook(chance: float) -> Hook:
    def leave_out(layer: nn.Module, _: tuple[Tensor, ...], narrow: Tensor) -> Tensor:
        """Of [B, ..., rank], or [B, rank, h, w] of a convolution."""
        if not layer.training:
            return narrow
        shape = [len(narrow)] + [1] * (narrow.ndim - 1)
        shape[1 if narrow.ndim == 4 else -1] = narrow.shape[1 if narrow.ndim == 4 else -1]
        kept = torch.rand(shape, device=narrow.device) >= chance
        return narrow * kept / (1 - chance)

    return leave_out


def _module_hook(chance: float) -> Hook:
    def leave_out(layer: nn.Module, _: tuple[Tensor, ...], added: Tensor) -> Tensor:
        # Drawn on the CPU, where no device is waited for. Times zero, so that every weight has a gradient on every
        # process, and they can be averaged.
        return added * 0 if layer.training and float(torch.rand(())) < chance else added

    return leave_out
