"""What a part of a base model is made of: its configuration, and where its tensors are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from core.checkpoints.headers import read_weights_header
from core.checkpoints.names import Change, changed_shape
from core.errors import UserError
from core.models import FamilyName
from core.text import tr

PartName = Literal["denoiser", "text_encoder", "text_encoder_2", "vae"]
PART_NAMES: tuple[PartName, ...] = get_args(PartName)


@dataclass(frozen=True, slots=True)
class TensorAt:
    """A tensor of a part: in which file, its name there, and what makes it one of diffusers.

    `shape` is that which it has then, `dtype` the number format in the file as safetensors say it (F16, BF16 ...).
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    change: Change = ""


@dataclass(frozen=True, slots=True)
class PartSource:
    """A part of a base model: its configuration in diffusers form, and where its tensors are, by diffusers name.

    `config_file` is where the configuration was read, None when it is that of the family.
    """

    config: dict[str, Any]
    tensors: dict[str, TensorAt]
    config_file: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that hold its tensors."""
        return sorted({tensor.file for tensor in self.tensors.values()})


@dataclass(frozen=True, slots=True)
class Listed:
    """What is in a file of weights, by its own names."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]


def listed(path: Path) -> Listed:
    """The tensors of a file, of its header alone; read again only when it changed.

    Raises:
        UserError: It is missing, damaged, or holds more than weights.
        OSError: It cannot be read.
    """
    if not path.exists():
        return _listed(path, 0, 0)
    status = path.stat()
    return _listed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _listed(path: Path, _size: int, _changed: int) -> Listed:
    header = read_weights_header(path)
    return Listed(path, header.shapes, header.dtypes, header.metadata)


def collected(part: PartName, named: Iterable[tuple[str, Change, str, Listed]]) -> dict[str, TensorAt]:
    """The tensors of a part by name.

    Args:
        part: Which one, for the sentence.
        named: Name in diffusers, change, name in the file, file.

    Raises:
        UserError: Two tensors have one name.
    """
    found: dict[str, TensorAt] = {}
    for name, change, key, file in named:
        if (other := found.get(name)) is not None:
            raise UserError(
                "{path} holds the {part} twice: {first} and {second} are the same weight.",
                remedy="Choose another copy of the model.",
                failure="model_damaged",
                path=file.path,
                part=part_title(part),
                first=other.key,
                second=key,
            )
        found[name] = TensorAt(file.path, key, changed_shape(file.shapes[key], change), file.dtypes[key], change)
    return found


def part_names(family: FamilyName) -> tuple[PartName, ...]:
    """The parts that a family has."""
    return tuple(part for part in PART_NAMES if family == "sdxl" or part != "text_encoder_2")


def family_title(family: FamilyName) -> str:
    """What people call a family."""
    return {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "SDXL", "kolors": "Kolors"}[family]


def part_title(part: PartName) -> str:
    """What people call a part, within a sentence."""
    return {
        "denoiser": "UNet",
        "text_encoder": tr("text encoder"),
        "text_encoder_2": tr("second text encoder"),
        "vae": "VAE",
    }[part]
