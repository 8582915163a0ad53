"""Pictures that are held out of training and only measured."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.training.identity import picture_key

if TYPE_CHECKING:
    from core.config.model import ValidationConfig
    from core.lora.network import Network
    from core.training.data import Example

ONE_IN = 12
FROM_PICTURES = 24


def num_held_out(config: ValidationConfig, num_pictures: int) -> int:
    """How many of so many pictures are held out. At least half of them are always trained."""
    if config.pictures < 0:
        return num_pictures // ONE_IN if num_pictures >= FROM_PICTURES else 0
    return min(config.pictures, num_pictures // 2)


def choose_held_out(
    examples: Sequence[Example], config: ValidationConfig, folder: Path, *, before: Collection[str] | None = None
) -> tuple[str, ...]:
    """The keys of the pictures that are held out; all crops of a picture go together.

    The choice follows from the seed and the pictures' names, not from their order. Regularization pictures are never
    among them.

    Args:
        examples: All of the data set.
        config: How many, and the seed of the choice.
        folder: The picture folder, to which keys are relative.
        before: What an earlier sitting of the run held out; then these, as far as they are still there.
    """
    keys = {picture_key(example.record.path, folder) for example in examples if not example.record.is_regularization}
    if before is not None:
        return tuple(sorted(keys & set(before)))
    order = sorted(
        keys, key=lambda key: hashlib.blake2b(f"{config.seed}/{key}".encode(errors="surrogateescape")).digest()
    )
    return tuple(sorted(order[: num_held_out(config, len(keys))]))


def split(examples: Sequence[Example], held_out: Collection[str], folder: Path) -> tuple[list[Example], list[Example]]:
    """The examples to train, and those that are only measured."""
    keys = set(held_out)
    trained: list[Example] = []
    measured: list[Example] = []
    for example in examples:
        is_held_out = picture_key(example.record.path, folder) in keys and not example.record.is_regularization
        (measured if is_held_out else trained).append(example)
    return trained, measured


def drift(network: Network) -> float:
    """How far a LoRA moves the base model: the length of all that it adds to the weights; 0 before the first step."""
    from core.lora.norms import added_norms  # Needs torch; the window counts with what is above, without it.

    return float(added_norms(network.modules).norm())
