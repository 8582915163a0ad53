"""The size of what each LoRA pair adds to the model, and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from core.lora.network import Pair


def added_norms(pairs: Sequence[Pair]) -> Tensor:
    """[n] the Frobenius norm of `up @ down * alpha / rank`, all that each pair adds to its module, on the device.

    By way of two matrices of rank x rank: the square of the norm is the sum of their products. Pairs of one shape are
    computed together.
    """
    shapes: dict[tuple[torch.Size, torch.Size], list[int]] = {}
    weights = [(pair.down.detach().flatten(1), pair.up.detach().flatten(1)) for pair in pairs]
    for index, (down, up) in enumerate(weights):
        shapes.setdefault((down.shape, up.shape), []).append(index)
    norms = torch.empty(len(pairs), device=weights[0][0].device)
    for indices in shapes.values():
        down = torch.stack([weights[index][0] for index in indices])
        up = torch.stack([weights[index][1] for index in indices])
        squares = ((up.mT @ up) * (down @ down.mT)).sum(dim=(1, 2))
        norms[indices] = squares.clamp(min=0).sqrt()
    scales = [pair.alpha / len(down) for pair, (down, _) in zip(pairs, weights, strict=True)]
    return norms * torch.tensor(scales).to(norms.device)


def limit_norms(pairs: Sequence[Pair], limit: float) -> None:
    """Scale back every pair that adds more than the limit, both of its weights alike, so that it adds just that.

    Nothing is read back from the device.
    """
    factors = (limit / added_norms(pairs)).clamp(max=1).sqrt().unbind()
    with torch.no_grad():
        for pair, factor in zip(pairs, factors, strict=True):
            pair.down.mul_(factor)
            pair.up.mul_(factor)
