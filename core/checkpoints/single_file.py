"""The parts of a single checkpoint file, told apart by the beginnings of their tensors' names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from core.checkpoints.configs import is_believable
from core.checkpoints.names import (
    Change,
    NameTable,
    clip_names,
    open_clip_names,
    unet_names,
    usual_name,
    vae_names,
)
from core.checkpoints.sources import Listed, PartName
from core.models import FamilyName
from core.paths import RESOURCES

CONFIG_KEY = "kiln.config"
"""In the metadata of a file: the configurations of parts where they are not those of the family, as JSON."""

_PREFIXES: dict[PartName, tuple[str, ...]] = {
    "denoiser": ("model.diffusion_model.", "diffusion_model."),
    "vae": ("first_stage_model.",),
}
_TEXT_PREFIXES: dict[FamilyName, dict[PartName, tuple[str, ...]]] = {
    "sd1": {"text_encoder": ("cond_stage_model.transformer.",)},
    "sd2": {"text_encoder": ("cond_stage_model.model.", "conditioner.embedders.0.model.")},
    "sdxl": {
        "text_encoder": ("conditioner.embedders.0.transformer.",),
        "text_encoder_2": ("conditioner.embedders.1.model.",),
    },
    "kolors": {},
}
_DIFFUSERS_PREFIXES: dict[PartName, str] = {
    "denoiser": "unet.",
    "vae": "vae.",
    "text_encoder": "text_encoder.",
    "text_encoder_2": "text_encoder_2.",
}
_UNET_ROOTS = ("input_blocks.", "middle_block.", "output_blocks.", "time_embed.", "label_emb.", "out.0.", "out.2.")
# What text encoders come with and nothing here uses: tables that are computed, and heads for other tasks.
_UNUSED = ("position_ids", "logit_scale", "attn_mask")
_NEEDED: dict[str, tuple[str, ...]] = {
    "denoiser": ("down_block_types", "up_block_types", "block_out_channels"),
    "vae": ("block_out_channels",),
    "text_encoder": ("num_hidden_layers", "hidden_size"),
    "text_encoder_2": ("num_hidden_layers", "hidden_size"),
}
"""What the names of a part are made of, without which a configuration makes no sense."""
_UNUSED_VAE = ("loss.", "model_ema.")


def prefix_of(family: FamilyName, part: PartName) -> str | None:
    """What the names of a part begin with in a single file of the family; None where the family has no such form."""
    prefixes = _prefixes(family, part)
    return prefixes[0] if prefixes else None


def _prefixes(family: FamilyName, part: PartName) -> tuple[str, ...]:
    return _PREFIXES.get(part) or _TEXT_PREFIXES[family].get(part, ())


def names_of(family: FamilyName, part: PartName, config: Mapping[str, Any]) -> NameTable:
    """The names of a part behind that prefix.

    Args:
        family: Of the file.
        part: Which one.
        config: Of the part, in diffusers form.
    """
    if part == "denoiser":
        return unet_names(config)
    if part == "vae":
        return vae_names(config)
    is_clip = family in ("sd1", "sdxl") and part == "text_encoder"
    return clip_names() if is_clip else open_clip_names(config)


def shipped_config(family: FamilyName, name: str) -> dict[str, Any]:
    """A configuration that the models of a family have: of a part's folder, `scheduler` or `model_index`."""
    config: dict[str, Any] = json.loads((RESOURCES / "models" / family / f"{name}.json").read_text(encoding="utf-8"))
    return config


def own_configs(file: Listed) -> dict[str, dict[str, Any]]:
    """The configurations in the metadata of a file that Kiln wrote; those that make no sense count as absent."""
    try:
        found = json.loads(file.metadata.get(CONFIG_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {part: config for part, config in found.items() if isinstance(config, dict) and _makes_sense(part, config)}


def _makes_sense(part: str, config: Mapping[str, Any]) -> bool:
    return is_believable(config) and all(config.get(name) is not None for name in _NEEDED.get(part, ()))


def tensors_in(
    file: Listed, family: FamilyName, part: PartName, config: Mapping[str, Any]
) -> Iterator[tuple[str, Change, str, Listed]]:
    """What a single file has of a part: name in diffusers, change, name in the file, file.

    A name within the part that the family does not have stays as it is: opening says that there is too much.
    """
    table = names_of(family, part, config)
    prefixes, own_prefix = _prefixes(family, part), _DIFFUSERS_PREFIXES[part]
    for key, shape in file.shapes.items():
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is None and part == "denoiser" and key.startswith(_UNET_ROOTS):
            prefix = ""
        if prefix is not None:
            yield from _known(part, table, key, key[len(prefix) :], shape, config, file)
        elif key.startswith(own_prefix):
            name = usual_name(part, key[len(own_prefix) :])
            if not name.endswith(_UNUSED):
                yield name, "", key, file


def _known(
    part: PartName,
    table: NameTable,
    key: str,
    rest: str,
    shape: tuple[int, ...],
    config: Mapping[str, Any],
    file: Listed,
) -> Iterator[tuple[str, Change, str, Listed]]:
    if part == "vae":
        if rest.startswith(_UNUSED_VAE):
            return
    elif part.startswith("text_encoder"):
        rest = usual_name(part, rest)
        if rest.endswith(_UNUSED) or _is_deeper(rest, config):
            return
        if rest.startswith("text_projection") and not has_projection(config):
            return
    for name, change in table.in_diffusers(rest, shape) or [(key, "")]:
        yield name, change, key, file


def has_projection(config: Mapping[str, Any]) -> bool:
    """Whether a text encoder ends in a projection."""
    return "CLIPTextModelWithProjection" in (config.get("architectures") or ())


def _is_deeper(name: str, config: Mapping[str, Any]) -> bool:
    """Whether it is of a layer behind the last that is read: Stable Diffusion 2 leaves out one of 24."""
    number = name.removeprefix("transformer.resblocks.").partition(".")[0]
    return number.isdecimal() and int(number) >= int(config["num_hidden_layers"])
