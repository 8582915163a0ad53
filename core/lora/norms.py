"""The size of what each module of a network adds to the model, and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from core.lora.adapted import EPSILON, Adapted, no_autocast
from core.lora.kinds_lora import LoraDelta, pair_products

if TYPE_CHECKING:
    from torch import Tensor

    from core.lora.network import NetworkModule

_MOST_VALUES = 2**25
"""Of so many weights at a time copies are made, 128 MB: those of one shape are computed together."""


def added_norms(modules: Sequence[NetworkModule]) -> Tensor:
    """[n] the Frobenius norm of all that each module adds to its layer's weight, on the device.

    Of a pair by way of two matrices of rank x rank: the square of the norm is the sum of their products. Pairs of one
    shape are computed together.
    """
    with torch.no_grad():
        whole = [index for index, module in enumerate(modules) if module.layer.lora_magnitude is not None]
        if not whole:
            return _norms_of(modules)
        norms = torch.empty(len(modules), device=_device(modules))
        norms[whole] = _norms_of_decomposed([modules[index].layer for index in whole])
        if plain := [index for index in range(len(modules)) if index not in set(whole)]:
            norms[plain] = _norms_of([modules[index] for index in plain])
        return norms


def limit_norms(modules: Sequence[NetworkModule], limit: float) -> None:
    """Scale back every module that adds more than the limit, all of its weights alike, so that it adds just that.

    Modules with a magnitude, whose weights are brought to its lengths anyway, are left as they are. Nothing is read
    back from the device.
    """
    limited = [module for module in modules if module.layer.lora_magnitude is None]
    if not limited:
        return
    ratios = (limit / added_norms(limited)).clamp(max=1)
    weights = [list(module.weights().values()) for module in limited]
    roots = {number: ratios.pow(1 / number).unbind() for number in {len(several) for several in weights}}
    with torch.no_grad():
        for index, several in enumerate(weights):
            for weight in several:
                weight.mul_(roots[len(several)][index])


def _norms_of(modules: Sequence[NetworkModule]) -> Tensor:
    """[n] those of modules without a magnitude: the norms of their terms, multiplied, times their scale."""
    # Keyed by the place of the term as well: a module has no two in one place, so each group has it once at most.
    pairs: dict[tuple[int, torch.Size, torch.Size], list[tuple[int, Tensor, Tensor]]] = {}
    matrices: dict[int, list[tuple[int, Tensor]]] = {}
    for index, module in enumerate(modules):
        for place, term in enumerate(module.delta.terms()):
            if isinstance(term, tuple):
                pairs.setdefault((place, term[0].shape, term[1].shape), []).append((index, *term))
            else:
                matrices.setdefault(place, []).append((index, term))
    norms = torch.ones(len(modules), device=_device(modules))
    for (_, down_shape, up_shape), found in pairs.items():
        length = max(1, _MOST_VALUES // (down_shape.numel() + up_shape.numel()))
        for first in range(0, len(found), length):
            indices, downs, ups = zip(*found[first : first + length], strict=True)
            down, up = torch.stack(downs), torch.stack(ups)
            squares = ((up.mT @ up) * (down @ down.mT)).sum(dim=(1, 2))
            norms[list(indices)] *= squares.clamp(min=0).sqrt()
    for terms in matrices.values():
        norms[[index for index, _ in terms]] *= torch.stack(torch._foreach_norm([matrix for _, matrix in terms]))
    scales = torch.tensor([module.delta.scale * module.layer.strength for module in modules])
    return norms * scales.to(norms.device)


def _norms_of_decomposed(layers: Sequence[Adapted]) -> Tensor:
    """[n] those of layers with a magnitude; of one shape they are computed together."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, layer in enumerate(layers):
        shapes = [weight.shape for weight in layer.lora_delta.weights().values()]
        groups.setdefault((layer.lora_delta.kind, layer.is_by_column, *shapes), []).append(index)
    norms = torch.empty(len(layers), device=layers[0].weight.device)
    for indices in groups.values():
        found = [layers[index] for index in indices]
        squares, with_base, own = _parts_of(found)
        magnitudes = torch.stack([_magnitude(layer) for layer in found])
        scales = torch.tensor([[layer.lora_delta.scale] for layer in found]).to(norms.device)
        with_base, own = with_base * scales, own * scales**2
        turned = magnitudes / ((squares + 2 * with_base + own).clamp(min=0).sqrt() + EPSILON)
        # Column by column (turned - 1) * base + turned * scale * delta is added.
        away = turned - 1
        added = away**2 * squares + 2 * away * turned * with_base + turned**2 * own
        strengths = torch.tensor([layer.strength for layer in found]).to(norms.device)
        norms[indices] = added.sum(1).clamp(min=0).sqrt() * strengths
    return norms


def _parts_of(layers: Sequence[Adapted]) -> tuple[Tensor, Tensor, Tensor]:
    """[n, m] each: the parts of layers of one kind and shape."""
    deltas = [delta for layer in layers if isinstance(delta := layer.lora_delta, LoraDelta)]
    if len(deltas) < len(layers):
        parts = [layer.parts() for layer in layers]
        base, mixed, added = ([part[place] for part in parts] for place in range(3))
        return torch.stack(base), torch.stack(mixed), torch.stack(added)
    with no_autocast(layers[0].weight.device):
        weights = [layer.weight.detach().flatten(1) for layer in layers]
        down = torch.stack([delta.down.flatten(1) for delta in deltas])
        up = torch.stack([delta.up.flatten(1) for delta in deltas])
        with_base, own = pair_products(down, up, weights, 0 if layers[0].is_by_column else 1)
        squares = torch.stack([layer.squares(weight) for layer, weight in zip(layers, weights, strict=True)])
        return squares, layers[0].by_side(with_base), layers[0].by_side(own)


def _magnitude(layer: Adapted) -> Tensor:
    assert layer.lora_magnitude is not None
    return layer.lora_magnitude.detach().flatten()


def _device(modules: Sequence[NetworkModule]) -> torch.device:
    return next(iter(modules[0].weights().values())).device
