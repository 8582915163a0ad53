"""Writing a LoRA in the names of other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from core.errors import UserError
from core.lora.formats.reading import named_for
from core.lora.keys import split_name
from core.lora.modules import OTHER_LEAVES, by_module, kind_name, kind_of, scale_of
from core.models import FamilyName

if TYPE_CHECKING:
    from torch import Tensor

Written = Literal["kohya", "diffusers", "peft"]
"""The spellings that Kiln writes: kohya's, which every program reads; that of `save_lora_weights` in diffusers; and
the same with peft's `lora_A` and `lora_B`."""

_PARTS = {"denoiser": "unet", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}


def respelled(tensors: Mapping[str, Tensor], spelling: Written, family: FamilyName) -> dict[str, Tensor]:
    """The tensors of a LoRA in other names, with the same effect on every layer.

    Files of diffusers and peft have no alpha, so the scale is in the weights there, half of it in each of the two, and
    what LoCon puts between them is in the first.

    Args:
        tensors: In kohya's and LyCORIS' names.
        spelling: To write.
        family: What it is for.

    Raises:
        UserError: The LoRA holds what this spelling has no words for.
    """
    if spelling == "kohya":
        return named_for(tensors, family)
    found: dict[str, Tensor] = {}
    for module, leaves in by_module(tensors).items():
        known = split_name(module)
        kind = kind_of(leaves) if known and OTHER_LEAVES.isdisjoint(leaves) else "norm"
        if known is None or kind != "lora":
            raise UserError(
                "{name} is a part of the kind {kind}, which files of {program} cannot hold.",
                remedy="Keep it in kohya's form, or give a rank, to which such parts are turned into LoRA pairs.",
                name=module,
                kind=kind_name(kind),
                program=spelling,
            )
        part, path = known
        down, up = _scaled(leaves)
        first, second = ("lora_A", "lora_B") if spelling == "peft" else ("lora.down", "lora.up")
        if spelling == "diffusers" and part != "denoiser":
            first, second = "lora_linear_layer.down", "lora_linear_layer.up"
        where = f"{_PARTS[part]}.{path}"
        found[f"{where}.{first}.weight"], found[f"{where}.{second}.weight"] = down, up
        if (lengths := leaves.get("dora_scale")) is not None:
            # diffusers and transformers put the adapter's name in at different ends.
            end = "lora_magnitude_vector" if part == "denoiser" else "lora_magnitude_vector.weight"
            found[f"{where}.{end}"] = _magnitude(module, lengths, up, spelling)
    return found


def _scaled(leaves: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The two weights in float32 with the scale in them: a power of two, which costs no digit, in the first."""
    from core.lora.delta import whole_down

    scale = scale_of(leaves)
    share = 2.0 ** round(math.log2(abs(scale)) / 2) if scale else 1.0
    return whole_down(leaves).float() * share, leaves["lora_up.weight"].float() * (scale / share)


def _magnitude(module: str, lengths: Tensor, up: Tensor, spelling: Written) -> Tensor:
    """DoRA's lengths as peft has them: [out], or [1, out, 1, 1] of a convolution."""
    if len(lengths) != len(up):
        raise UserError(
            "{name} is a DoRA with lengths of columns, as A1111 reads it, which files of {program} cannot hold.",
            remedy="Keep it in kohya's form, which ComfyUI and A1111 / Forge read.",
            name=module,
            program=spelling,
        )
    return lengths.reshape(1, -1, 1, 1) if up.ndim == 4 else lengths.reshape(-1)
