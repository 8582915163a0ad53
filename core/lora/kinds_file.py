"""Deltas of the three kinds: new ones, and those of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.lora import kinds_loha, kinds_lokr, kinds_lora
from core.lora.kinds import Delta, Kind
from core.lora.modules import kind_of, scale_of

if TYPE_CHECKING:
    from torch import Tensor, nn

MAGNITUDE = "dora_scale"
"""The end of the name of the lengths that weight decomposition learns."""


def new_delta(kind: Kind, layer: nn.Module, rank: int, scale: float, factor: int) -> Delta:
    """A delta that adds nothing yet.

    Args:
        kind: Which kind.
        layer: What it is added to.
        rank: Inner width.
        scale: Factor on what is added.
        factor: Of LoKr alone: side of the smaller part.
    """
    if kind == "lokr":
        return kinds_lokr.LokrDelta(layer, rank, scale, factor=factor)
    if kind == "loha":
        return kinds_loha.LohaDelta(layer, rank, scale)
    return kinds_lora.LoraDelta(layer, rank, scale)


def delta_of(layer: nn.Module, tensors: Mapping[str, Tensor]) -> Delta:
    """The delta of one module of a file, as strong as there.

    Args:
        layer: What it is added to.
        tensors: The module's, by the ends of their names; without an alpha the scale is 1.

    Raises:
        KeyError: A weight is missing.
        ValueError: The sizes do not fit the layer, or the kind is another.
        RuntimeError: The sizes do not fit each other.
    """
    scale, kind = scale_of(tensors), kind_of(tensors)
    if kind == "lora":
        return kinds_lora.LoraDelta(layer, 0, scale, kinds_lora.fold_middle(tensors))
    if kind == "loha":
        return kinds_loha.LohaDelta(layer, 0, scale, kinds_loha.fold_middle(tensors))
    if kind == "lokr":
        return kinds_lokr.LokrDelta(layer, 0, scale, kinds_lokr.fold_middle(tensors))
    raise ValueError(f"a module of the kind {kind} is nothing that is added")
