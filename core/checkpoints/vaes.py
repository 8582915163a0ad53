"""A VAE by itself: a file in either form, its folder, or a whole model that has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.checkpoints.folders import folder_part, read_config
from core.checkpoints.names import usual_name, vae_names
from core.checkpoints.recognition import recognise
from core.checkpoints.single_file import own_configs, shipped_config, tensors_in
from core.checkpoints.sources import Listed, PartSource, collected, family_title, listed
from core.errors import UserError
from core.models import BaseModel

_USUAL_SCALE = 0.18215
"""The scaling factor of a VAE whose configuration names none."""
_NEAR = 0.05


def vae_source(path: Path, own: dict[str, Any], base: BaseModel) -> PartSource:
    """Where a VAE of its own is.

    Args:
        path: A file, a folder, or the folder of a model.
        own: The configuration of the base model's VAE; a file of tensors alone is taken to be like it.
        base: The model that it is to be used with.

    Raises:
        UserError: It is no VAE, or one of another kind of model.
        OSError: It cannot be read.
    """
    if not path.exists():
        raise UserError(
            "{path} is missing.",
            remedy="Check that the file was not moved or renamed.",
            failure="file_missing",
            path=path,
        )
    source = _in_folder(path) if path.is_dir() else _in_file(path, own)
    latents = source.tensors.get("decoder.conv_in.weight")
    if latents is None:
        raise UserError(
            "{path} is no VAE that Kiln knows.",
            remedy="Choose a VAE for {family}, or leave the field empty.",
            failure="model_unsuited",
            path=path,
            family=family_title(base.family),
        )
    channels = latents.shape[1] if len(latents.shape) == 4 else 0
    scale, own_scale = (float(config.get("scaling_factor") or _USUAL_SCALE) for config in (source.config, own))
    if channels != own.get("latent_channels", 4) or abs(scale / own_scale - 1) > _NEAR:
        raise UserError(
            "{path} is the VAE of another kind of model: its latents do not fit {family}.",
            remedy="Choose a VAE for {family}, or leave the field empty.",
            failure="model_unsuited",
            path=path,
            family=family_title(base.family),
        )
    return source


def _in_folder(path: Path) -> PartSource:
    return folder_part(path / "vae" if (path / "vae" / "config.json").is_file() else path, "vae")


def _in_file(path: Path, own: dict[str, Any]) -> PartSource:
    file = listed(path)
    # Of a whole model it is known what its latents are like, though all VAEs are built alike.
    whole = recognise(file.shapes, file.metadata).family
    config = own if whole is None else own_configs(file).get("vae") or shipped_config(whole, "vae")
    if tensors := collected("vae", tensors_in(file, "sd1", "vae", config)):
        return PartSource(config, tensors)
    if any(name.startswith("encoder.down_blocks.") for name in file.shapes):
        return _as_diffusers(file, own)
    table = vae_names(own)
    known = (
        (name, change, key, file)
        for key, shape in file.shapes.items()
        for name, change in table.in_diffusers(key, shape)
    )
    return PartSource(own, collected("vae", known))


def _as_diffusers(file: Listed, own: dict[str, Any]) -> PartSource:
    """A file out of a folder; where its configuration is beside it, that counts."""
    config_file = file.path.with_name("config.json")
    config = read_config(config_file) if config_file.is_file() else {}
    tensors = collected("vae", ((usual_name("vae", key), "", key, file) for key in file.shapes))
    if config.get("_class_name") == "AutoencoderKL":
        return PartSource(config, tensors, config_file)
    return PartSource(own, tensors)
