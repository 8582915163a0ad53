"""The parts of a model folder in diffusers form: one file of weights or several each, with a configuration beside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.checkpoints.configs import is_believable
from core.checkpoints.names import Change, usual_name
from core.checkpoints.refusals import damaged, missing
from core.checkpoints.sources import Listed, PartName, PartSource, collected, listed
from core.errors import UserError

FOLDERS: dict[PartName, str] = {
    "denoiser": "unet",
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "vae": "vae",
}
"""Where each part lies in a folder."""

# Half the size first: what is computed with is no wider.
_WHOLE = ("{}.fp16.safetensors", "{}.safetensors")
_INDEXES = ("{}.safetensors.index.fp16.json", "{}.fp16.safetensors.index.json", "{}.safetensors.index.json")
_OLD_WHOLE = ("{}.fp16.bin", "{}.bin")
_OLD_INDEXES = ("{}.bin.index.fp16.json", "{}.bin.index.json")
# What files hold beside weights: tables that are computed.
_TABLES = ("position_ids", "rotary_pos_emb.inv_freq")


def weights_name(part: PartName) -> str:
    """What diffusers calls the weights of a part, without ending."""
    return "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"


def folder_part(folder: Path, part: PartName) -> PartSource:
    """One part of a model, in the folder of its own.

    Raises:
        UserError: Its weights or its configuration are missing or damaged.
        OSError: They cannot be read.
    """
    files = [listed(file) for file in weight_files(folder, part)]
    config_file = folder / "config.json"
    config = read_config(config_file)
    if not is_believable(config):
        raise damaged(config_file)
    named = _glm(files) if config.get("model_type") == "chatglm" else _named(part, files)
    return PartSource(config, collected(part, named), config_file)


def _named(part: PartName, files: list[Listed]) -> Iterator[tuple[str, Change, str, Listed]]:
    for file in files:
        for key in file.shapes:
            if not key.endswith(_TABLES):
                yield usual_name(part, key), "", key, file


def _glm(files: list[Listed]) -> Iterator[tuple[str, Change, str, Listed]]:
    """The tensors of a ChatGLM, which its first files put one level deeper."""
    for file in files:
        for key in file.shapes:
            if not key.endswith(_TABLES):
                yield key.removeprefix("transformer."), "", key, file


def weight_files(folder: Path, part: PartName) -> list[Path]:
    """The files that hold the weights of a part: one, or those of which an index tells.

    Raises:
        UserError: There are none, or not all.
    """
    usual = weights_name(part)
    old = "pytorch_model" if usual == "model" else usual
    for name, whole, indexes in ((usual, _WHOLE, _INDEXES), (old, _OLD_WHOLE, _OLD_INDEXES)):
        for pattern in whole:
            if (file := folder / pattern.format(name)).is_file():
                return [file]
        for pattern in indexes:
            if (file := folder / pattern.format(name)).is_file():
                return _indexed(file)
    raise UserError(
        "The base model has no weights in {path}.",
        remedy="Download the model again; it needs {name} there.",
        failure="model_incomplete",
        path=folder,
        name=f"{usual}.safetensors",
    )


def _indexed(index: Path) -> list[Path]:
    places = read_config(index).get("weight_map")
    names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    # A name with folders in it would lead out of the model.
    if not names or any(Path(name).name != name for name in names):
        raise damaged(index)
    for name in names:
        if not (index.parent / name).is_file():
            raise missing(index.parent / name)
    return [index.parent / name for name in names]


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder.

    Raises:
        UserError: It is missing or damaged.
        OSError: It cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise missing(path) from error
    except (ValueError, RecursionError) as error:
        raise damaged(path) from error
    if not isinstance(value, dict):
        raise damaged(path)
    return value
