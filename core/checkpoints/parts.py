"""Where the tensors of a base model are: of each part its configuration, and file, name and shape of every tensor.

Only headers are read, without torch, so this takes milliseconds; `core.checkpoints.opening` makes modules of it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from core.checkpoints.folders import FOLDERS, folder_part, read_config
from core.checkpoints.single_file import own_configs, shipped_config, tensors_in
from core.checkpoints.sources import (
    PART_NAMES,
    Listed,
    PartName,
    PartSource,
    TensorAt,
    collected,
    family_title,
    listed,
    part_names,
    part_title,
)
from core.checkpoints.vaes import vae_source
from core.errors import UserError
from core.models import BaseModel

__all__ = [
    "PART_NAMES",
    "PartName",
    "PartSource",
    "TensorAt",
    "family_title",
    "part_of",
    "part_title",
    "parts_of",
    "scheduler_config",
    "tokenizer_folder",
]

_MOST_KNOWN = 16
_ENDINGS = (".json", ".safetensors", ".bin")
_known: dict[object, PartSource] = {}
_knowing = threading.Lock()


def parts_of(base: BaseModel, vae: Path = Path()) -> dict[PartName, PartSource]:
    """Where all parts of a base model are.

    Args:
        base: As `describe_base` says: a single file, or a folder.
        vae: Another VAE than its own: a file or a folder; `Path()` for its own.

    Raises:
        UserError: A part is missing, a file is damaged, or the VAE is one of another family.
        OSError: A file cannot be read.
    """
    return {part: part_of(base, part, vae) for part in part_names(base.family)}


def part_of(base: BaseModel, part: PartName, vae: Path = Path()) -> PartSource:
    """Where one part of a base model is; see `parts_of`."""
    other_vae = vae if part == "vae" else Path()
    key = (part, base.path, base.family, base.native_size_px, other_vae, _stamps(base.path), _stamps(other_vae))
    if (found := _known.get(key)) is None:
        if other_vae != Path():
            found = vae_source(vae, _own_vae_config(base), base)
        elif base.path.is_dir():
            found = folder_part(base.path / FOLDERS[part], part)
        else:
            found = _of_single_file(base, part)
        with _knowing:  # The window asks from several threads.
            while len(_known) >= _MOST_KNOWN:
                _known.pop(next(iter(_known)))
            _known[key] = found
    return found


def _stamps(path: Path) -> tuple[object, ...]:
    """What changes when files of a model do: the size and time of each."""
    if path == Path() or not path.exists():
        return ()
    if path.is_dir():
        files = sorted(file for place in ("*", "*/*") for file in path.glob(place) if file.suffix in _ENDINGS)
    else:
        files = [path]
    return tuple((str(file), status.st_size, status.st_mtime_ns) for file in files for status in [file.stat()])


def _of_single_file(base: BaseModel, part: PartName) -> PartSource:
    file = listed(base.path)
    config = _config_in(file, base, part)
    tensors = collected(part, tensors_in(file, base.family, part, config))
    if not tensors:
        raise UserError(
            "{path} has no {part} of {family} in it.",
            remedy="Choose a VAE for {family} in the settings, or a whole checkpoint."
            if part == "vae"
            else "Choose a whole checkpoint, or the folder of the model.",
            failure="model_incomplete",
            path=base.path,
            part=part_title(part),
            family=family_title(base.family),
        )
    return PartSource(config, tensors)


def _config_in(file: Listed, base: BaseModel, part: PartName) -> dict[str, Any]:
    """The configuration of a part of a single file: that of the family, unless the file itself has another."""
    if own := own_configs(file).get(part):
        return own
    config = shipped_config(base.family, FOLDERS[part])
    if part == "denoiser":
        config["sample_size"] = base.native_size_px // 8
    return config


def _own_vae_config(base: BaseModel) -> dict[str, Any]:
    """The configuration that the base model's own VAE has or would have."""
    if base.path.is_file():
        return _config_in(listed(base.path), base, "vae")
    config = base.path / FOLDERS["vae"] / "config.json"
    return read_config(config) if config.is_file() else shipped_config(base.family, "vae")


def scheduler_config(base: BaseModel) -> dict[str, Any]:
    """The noise schedule of a base model, in the form of diffusers.

    It is that of the folder, or that of the family; what the model answers and whether its noise ends in noise alone
    are put in as `base` says.

    Raises:
        UserError: The folder has none, or a damaged one.
    """
    if base.path.is_dir():
        config = read_config(base.path / "scheduler" / "scheduler_config.json")
    else:
        config = shipped_config(base.family, "scheduler")
    if base.prediction is not None:
        config["prediction_type"] = base.prediction
    if base.zero_terminal_snr:
        # A picture begins at pure noise there, which only the last timestep has.
        config.update(rescale_betas_zero_snr=True, timestep_spacing="trailing")
    return config


def tokenizer_folder(base: BaseModel, which: int = 1) -> Path:
    """The folder of a tokenizer of a base model: its own, or for a single file CLIP's.

    Args:
        base: The model.
        which: 2 for the one of the second text encoder.

    Raises:
        OSError: CLIP's cannot be written to the user's folder.
    """
    if base.path.is_dir():
        return base.path / ("tokenizer" if which == 1 else "tokenizer_2")
    from core.checkpoints.clip_tokenizer import clip_tokenizer

    pads_with_end = base.family == "sd1" or (base.family == "sdxl" and which == 1)
    return clip_tokenizer("<|endoftext|>" if pads_with_end else "!")
