"""Modules of LoRA files as low-rank products, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from core.lora.delta import delta_weight, misfit, whole_down
from core.lora.keys import module_names
from core.lora.modules import scale_of
from core.models import FamilyName
from core.tools.low_rank import Pair

BIASES = ("diff_b", "w_norm", "b_norm")
"""Whole changes of vectors that a module of any kind may hold beside its product."""


def pair_of(module: Mapping[str, Tensor]) -> Pair:
    """A module of kind `lora` as a product, its scale shared evenly between both sides."""
    scale = scale_of(module)
    root = math.sqrt(abs(scale))
    up = module["lora_up.weight"].float().flatten(1) * math.copysign(root, scale)
    return Pair(up, whole_down(module).float().flatten(1) * root)


def column_shape(module: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Dimensions of a pair's weight after the first: (in,) of a linear layer, (in, height, width) of a convolution."""
    down = module["lora_down.weight"].shape[1:]
    middle = module.get("lora_mid.weight")
    return (down[0], *middle.shape[2:]) if middle is not None else tuple(down)


def is_wide(columns: tuple[int, ...]) -> bool:
    """Whether a weight is a convolution of more than one pixel, which has ranks of its own."""
    return len(columns) == 3 and columns[1:] != (1, 1)


def as_module(pair: Pair, columns: tuple[int, ...], scale: float = 1.0) -> dict[str, Tensor]:
    """A product as a file has it.

    Args:
        pair: The change of the weight, all scale taken in.
        columns: Dimensions of the weight after the first.
        scale: alpha / rank that the file is to have; the weights grow by as much as it takes away. 0, with which
            nothing could be kept, counts as 1.
    """
    scale = scale or 1.0
    root = math.sqrt(abs(scale))
    trailing = (1,) * (len(columns) - 1)
    up = pair.up * math.copysign(1 / root, scale)
    return {
        "lora_down.weight": (pair.down / root).reshape(pair.rank, *columns).contiguous(),
        "lora_up.weight": up.reshape(len(up), pair.rank, *trailing).contiguous(),
        "alpha": torch.tensor(scale * pair.rank),
    }


def whole_change(name: str, module: Mapping[str, Tensor], family: FamilyName | None) -> Tensor:
    """What a module of any kind but DoRA adds to its weight, [out, in] or [out, in, height, width].

    LoHa and LoKr files may have convolutions flat; the family's table tells how large their windows are.

    Raises:
        UserError: A flat one does not fit into these.
    """
    change = delta_weight(module)
    known = module_names(family).get(name) if family is not None else None
    if change.ndim == 2 and known is not None and len(known.shape) == 4:
        window = known.shape[2:]
        if change.shape[1] % math.prod(window):
            raise misfit()
        return change.reshape(len(change), -1, *window)
    return change
