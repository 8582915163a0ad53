"""Names of LoRA modules in kohya's file format, which ComfyUI, A1111, Forge and diffusers all read.

A module gives several tensors: `<name>.lora_down.weight`, `<name>.lora_up.weight`, `<name>.alpha` or those of another
kind of network, where `<name>` is a prefix and the module's path with `.` replaced by `_`. Paths of the denoiser are
those of diffusers; in files for SDXL those of the original model. This module is names and shapes alone, without torch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from core.lora.architecture import CONV_ENDS, DEFAULT_ENDS, text_encoder_shapes, unet_shapes
from core.models import FamilyName

DENOISER_PREFIX = "lora_unet"
Part = Literal["denoiser", "text_encoder", "text_encoder_2"]
Kind = Literal["default", "conv", "other"]
"""Which modules: those of kohya's plain LoRA; those that LoCon adds; the rest, which only some networks change."""

_WORD = re.compile(
    r"""(?:input_blocks|middle_block|output_blocks|in_layers|out_layers|emb_layers|skip_connection|time_embed|label_emb
    |down_blocks|mid_block|up_blocks|transformer_blocks|proj_in|proj_out|to_q|to_k|to_v|to_out|time_emb_proj
    |conv_shortcut|conv_in|conv_out|conv_norm_out|time_embedding|add_embedding|linear_1|linear_2|encoder_hid_proj
    |text_model|self_attn|q_proj|k_proj|v_proj|out_proj|layer_norm1|layer_norm2|final_layer_norm|text_projection
    |token_embedding|position_embedding|group_norm|[^_]+)(?=_|$)""",
    re.VERBOSE,
)
"""One step of a path in which dots became `_`: the words of such models that have a `_` of their own."""

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_RESNET_BACK = {original: ours for ours, original in _RESNET.items()}
_SINGLE = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_SINGLE_BACK = {original: ours for ours, original in _SINGLE.items()}
_PER_BLOCK = 3
"""Places that each resolution has in the original numbering: two layers and the change of resolution."""

_OURS = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_OURS_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_ORIGINAL = re.compile(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.+)")
_ORIGINAL_MIDDLE = re.compile(r"middle_block\.([012])\.(.+)")


@dataclass(frozen=True, slots=True)
class ModuleName:
    """A module of a base model that a LoRA can change.

    `name` is that in kohya's files, `path` the one in diffusers' model of this `part`, text encoders with their level
    `text_model`; `shape` is that of its weight, [out, in] or [out, in, k, k].
    """

    name: str
    part: Part
    path: str
    shape: tuple[int, ...]
    kind: Kind


def denoiser_name(module: str) -> str:
    """The file's name of a denoiser module, e.g. `mid_block.attentions.0.proj_in`: SD 1, SD 2 and Kolors."""
    return f"{DENOISER_PREFIX}_{flat(module)}"


def original_denoiser_name(module: str) -> str:
    """The same in files for SDXL, where it is e.g. `lora_unet_middle_block_1_proj_in`."""
    return denoiser_name(to_original(module))


def text_encoder_name(module: str, prefix: str) -> str:
    """The file's name of a text encoder module.

    Args:
        module: Path inside CLIPTextModel; transformers 5 dropped its `text_model` level, the file format keeps it.
        prefix: `lora_te` for one text encoder; `lora_te1`, `lora_te2` for two.
    """
    return f"{prefix}_{flat(with_text_model(module))}"


def with_text_model(module: str) -> str:
    """The path of a text encoder's module with its level `text_model`; the projection at its end is outside of it."""
    outside = module.startswith(("text_model.", "text_projection"))
    return module if outside else f"text_model.{module}"


def flat(path: str) -> str:
    """A path as it stands in a name."""
    return path.replace(".", "_")


def dotted(flat_path: str) -> str:
    """The path of a flat one, by the words that such models are made of; also of models that no table knows."""
    return ".".join(_WORD.findall(flat_path))


def to_original(path: str) -> str:
    """The path in the original SDXL of a denoiser module's path in diffusers; unknown ones come back as they are."""
    if path in _SINGLE:
        return _SINGLE[path]
    if match := _OURS_MIDDLE.fullmatch(path):
        kind, index, rest = match[1], int(match[2]), match[3]
        return (
            f"middle_block.1.{rest}" if kind == "attentions" else f"middle_block.{2 * index}.{_RESNET.get(rest, rest)}"
        )
    if not (match := _OURS.fullmatch(path)):
        return path
    side, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    first = _PER_BLOCK * block + (1 if side == "down" else 0)
    name = "input_blocks" if side == "down" else "output_blocks"
    if kind == "downsamplers":
        return f"{name}.{first + 2}.0.op"
    if kind == "upsamplers":
        return f"{name}.{first + 2}.2.{rest}"
    inner = _RESNET.get(rest, rest) if kind == "resnets" else rest
    return f"{name}.{first + layer}.{int(kind == 'attentions')}.{inner}"


def to_diffusers(path: str) -> str:
    """The path in diffusers of a denoiser module's path in the original SD or SDXL; others come back as they are."""
    if path in _SINGLE_BACK:
        return _SINGLE_BACK[path]
    if match := _ORIGINAL_MIDDLE.fullmatch(path):
        place, rest = int(match[1]), match[2]
        if place == 1:
            return f"mid_block.attentions.0.{rest}"
        return f"mid_block.resnets.{place // 2}.{_RESNET_BACK.get(rest, rest)}"
    if not (match := _ORIGINAL.fullmatch(path)):
        return path
    is_down, place, inner, rest = match[1] == "input", int(match[2]), int(match[3]), match[4]
    block, layer = divmod(place - 1 if is_down else place, _PER_BLOCK)
    name = f"{'down' if is_down else 'up'}_blocks.{block}"
    if is_down and rest == "op":
        return f"{name}.downsamplers.0.conv"
    if not is_down and rest == "conv":  # Behind the attention, or in its place where there is none.
        return f"{name}.upsamplers.0.conv"
    if inner == 1:
        return f"{name}.attentions.{layer}.{rest}"
    return f"{name}.resnets.{layer}.{_RESNET_BACK.get(rest, rest)}"


def split_name(name: str) -> tuple[Part, str] | None:
    """The part of the model and the path in diffusers that a kohya name means; None for a name of another kind."""
    prefix, _, path = name.partition("_te") if name.startswith("lora_te") else name.partition("_unet_")
    if prefix != "lora" or not path:
        return None
    if name.startswith(DENOISER_PREFIX):
        return "denoiser", to_diffusers(dotted(path))
    number, _, path = path.partition("_")
    parts: dict[str, Part] = {"": "text_encoder", "1": "text_encoder", "2": "text_encoder_2"}
    return (parts[number], dotted(path)) if number in parts else None


def name_of(part: Part, path: str, family: FamilyName | None) -> str:
    """The name in kohya's files of a module of a family; of an unknown one as for SD 1, with `lora_te2` where needed.

    Args:
        part: Of the model.
        path: Dotted, in diffusers' names or the original ones.
        family: Whose files.
    """
    if part == "denoiser":
        ours = to_diffusers(path)
        return original_denoiser_name(ours) if family == "sdxl" else denoiser_name(ours)
    if part == "text_encoder_2":
        return text_encoder_name(path, "lora_te2")
    return text_encoder_name(path, "lora_te1" if family == "sdxl" else "lora_te")


@functools.cache
def module_names(family: FamilyName) -> Mapping[str, ModuleName]:
    """All modules of a family that a LoRA can change, by their names in kohya's files."""
    found: dict[str, ModuleName] = {}
    parts: tuple[Part, ...] = ("denoiser", "text_encoder", "text_encoder_2")
    for part in parts:
        shapes = unet_shapes(family) if part == "denoiser" else text_encoder_shapes(family, part == "text_encoder_2")
        for path, shape in shapes.items():
            name = name_of(part, path, family)
            found[name] = ModuleName(name, part, path, shape, kind_of(part, path))
    return MappingProxyType(found)


def kind_of(part: Part, path: str) -> Kind:
    """Which networks change a module."""
    if part != "denoiser":
        return "other" if path == "text_projection" else "default"
    if path.endswith(tuple(f".{end}" for end in CONV_ENDS)):
        return "conv"
    return "default" if path.endswith(tuple(f".{end}" for end in DEFAULT_ENDS)) else "other"
