"""The weights of base models that LoRAs change, by the names that LoRA files have for them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from core.checkpoints.parts import TensorAt, parts_of
from core.lora.keys import Part, name_of
from core.models import BaseModel


@dataclass(frozen=True, slots=True)
class Target:
    """A module of a base model: its part and path in diffusers' names, and where its weight and bias are."""

    part: Part
    path: str
    weight: TensorAt
    bias: TensorAt | None


def targets_of(base: BaseModel) -> dict[str, Target]:
    """All modules of a base model that hold a weight, by their names in kohya's files.

    Raises:
        UserError: A part of the model is missing or damaged.
    """
    found: dict[str, Target] = {}
    parts = parts_of(base)
    names: tuple[Part, ...] = ("denoiser", "text_encoder", "text_encoder_2")
    for part in names:
        # Kolors' text encoder is none that LoRA files have names for.
        is_there = part in parts and (part == "denoiser" or base.family != "kolors")
        tensors = parts[part].tensors if is_there else {}
        for name, tensor in tensors.items():
            path, _, last = name.rpartition(".")
            if last == "weight":
                found[name_of(part, path, base.family)] = Target(part, path, tensor, tensors.get(f"{path}.bias"))
    return found


def region_of(tensor: Tensor, place: TensorAt) -> Tensor:
    """What of a file's whole tensor is the one of diffusers: a view, which may have more dimensions of size 1."""
    if place.change.startswith("rows_"):
        third = len(tensor) // 3
        return tensor.narrow(0, third * int(place.change[-1]), third)
    return tensor.T if place.change == "transpose" else tensor
