"""Reading one key of a LoRA file, however its program spells it: which module it means, and what of it. Without torch.

Spellings of the same weight, the first is Kiln's own:

| Spelling | Key |
|---|---|
| `kohya` | `lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight` |
| `diffusers` | `unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight` |
| `attn_procs` | `unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight` |
| `peft` | `unet.down_blocks.1….to_q.lora_A.weight`, `base_model.model.down_blocks.1….to_q.lora_A.default.weight` |
| `comfy` | `diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.lora_A.weight` |
| `onetrainer` | `unet.input_blocks.4.1.transformer_blocks.0.attn1.to_q.lora_down.weight`, `lora_unet.down_blocks.1….` |
| `diffsynth` | `blocks.7.transformer_blocks.0.attn1.to_q.lora_A.default.weight`, for Kolors alone |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from core.lora.keys import DENOISER_PREFIX, Part, split_name, to_diffusers, with_text_model
from core.lora.modules import split_key

Spelling = Literal["kohya", "diffusers", "attn_procs", "peft", "comfy", "onetrainer", "diffsynth"]
SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)

_PREFIXES: tuple[tuple[str, Part], ...] = (
    ("model.diffusion_model.", "denoiser"),
    ("diffusion_model.", "denoiser"),
    ("lora_unet.", "denoiser"),
    ("unet.", "denoiser"),
    ("text_encoders.clip_l.transformer.", "text_encoder"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("lora_te1.", "text_encoder"),
    ("lora_te2.", "text_encoder_2"),
    ("lora_te.", "text_encoder"),
    ("clip_l.", "text_encoder"),
    ("clip_g.", "text_encoder_2"),
)
_BARE: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r"(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)\."), "denoiser"),
    (re.compile(r"(?:conv_in|conv_out|time_embedding|add_embedding|encoder_hid_proj)\b"), "denoiser"),
    (re.compile(r"(?:text_model\.)?encoder\.layers\."), "text_encoder"),
)
"""Paths without a prefix: of files that hold one part of the model alone."""
_DIFFSYNTH: dict[int, str] = {
    7: "down_blocks.1.attentions.0",
    10: "down_blocks.1.attentions.1",
    15: "down_blocks.2.attentions.0",
    18: "down_blocks.2.attentions.1",
    21: "mid_block.attentions.0",
    25: "up_blocks.0.attentions.0",
    28: "up_blocks.0.attentions.1",
    31: "up_blocks.0.attentions.2",
    35: "up_blocks.1.attentions.0",
    38: "up_blocks.1.attentions.1",
    41: "up_blocks.1.attentions.2",
}
"""DiffSynth counts all blocks of the denoiser through; these are the ones with attention."""
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
"""What diffusers called the text encoder's layers at first."""

_ENDS: tuple[tuple[re.Pattern[str], str, Spelling], ...] = (
    (re.compile(r"(.+?)_lora\.(down|up)\.weight"), "lora_{}.weight", "attn_procs"),
    (re.compile(r"(.+?)\.(?:lora|lora_linear_layer)\.(down|up)\.weight"), "lora_{}.weight", "diffusers"),
    (re.compile(r"(.+?)\.lora_(A|B)(?:\.[^.]+)?\.weight"), "lora_{}.weight", "peft"),
    (re.compile(r"(.+?)\.lora_magnitude_vector(?:\.[^.]+)*?"), "magnitude", "peft"),
    (re.compile(r"(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.(alpha)"), "{}", "diffusers"),
    (re.compile(r"(.+?)\.((?:hada|lokr)_[wt][12](?:_[ab])?)\.(?!weight$)[^.]+"), "{}", "peft"),
    (re.compile(r"(.+?)\.((?:lora_(?:down|up|mid)|[ab][12]|bm)\.weight|[a-z_0-9]+)"), "{}", "onetrainer"),
)
_SIDES = {"A": "down", "B": "up"}
MAGNITUDE = "magnitude"
"""peft's DoRA lengths, [out] or [1, out, 1, 1]: `dora_scale` in another shape."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key of a file means.

    `path` is the module's in diffusers' model of this part; `leaf` is what of it, as in kohya's and LyCORIS' files, or
    `MAGNITUDE`. `is_original` says that the denoiser's path was the original one, `is_one_of_two` that the text
    encoder was named as one of two.
    """

    part: Part
    path: str
    leaf: str
    spelling: Spelling
    is_original: bool = False
    is_one_of_two: bool = False


def read_key(key: str) -> Key | None:
    """The meaning of a key; None of one that belongs to no module of a LoRA for these families."""
    if known := _of_kohya(key):
        return known
    bare = key.removeprefix("base_model.model.")
    for pattern, leaf, spelling in _ENDS:
        if match := pattern.fullmatch(bare):
            side = _SIDES.get(match[2], match[2]) if pattern.groups == 2 else ""
            what = leaf.format(side)
            if what != MAGNITUDE and not split_key(f"x.{what}"):
                return None
            return _in_part(match[1], what, spelling if bare == key else "peft")
    return None


def _of_kohya(key: str) -> Key | None:
    """Of a key with kohya's module; the weights behind it may be named as by peft."""
    module, _, end = key.partition(".")
    if module.startswith("lycoris_"):  # LyCORIS by itself; the denoiser alone.
        module = f"{DENOISER_PREFIX}_{module.removeprefix('lycoris_')}"
    known = split_name(module)
    if known is None:
        return None
    leaf = end if split_key(f"{module}.{end}") else ""
    for pattern, form, spelling in () if leaf else _ENDS:
        if spelling == "peft" and (match := pattern.fullmatch(f"x.{end}")):
            leaf = form.format(_SIDES.get(match[2], match[2]) if pattern.groups == 2 else "")
    rest = module.removeprefix("lora_unet_")
    is_original = rest.startswith(("input_blocks_", "middle_block_", "output_blocks_"))
    is_one_of_two = module.startswith(("lora_te1_", "lora_te2_"))
    return Key(*known, leaf, "kohya", is_original, is_one_of_two) if leaf else None


def _in_part(path: str, leaf: str, spelling: Spelling) -> Key | None:
    """The key of a dotted path, with or without a prefix."""
    if match := re.fullmatch(r"blocks\.(\d+)\.(.+)", path):
        block = _DIFFSYNTH.get(int(match[1]))
        inner = re.sub(r"\.to_out$", ".to_out.0", match[2])
        return Key("denoiser", f"{block}.{inner}", leaf, "diffsynth") if block else None
    for prefix, part in _PREFIXES:
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            if prefix.endswith("diffusion_model."):
                spelling = "comfy"
            return _module(part, rest, leaf, spelling, is_one_of_two=prefix in ("lora_te1.", "clip_g.", "lora_te2."))
    for start, part in _BARE:
        if start.match(path):
            return _module(part, path, leaf, spelling)
    return None


def _module(part: Part, path: str, leaf: str, spelling: Spelling, *, is_one_of_two: bool = False) -> Key:
    if part == "denoiser":
        path = path.replace(".processor.", ".")
        path = re.sub(r"\.to_out$", ".to_out.0", path)
        ours = to_diffusers(path)
        return Key(part, ours, leaf, spelling, is_original=ours != path)
    before, _, last = path.rpartition(".")
    return Key(
        part,
        with_text_model(f"{before}.{_OLD_TEXT.get(last, last)}" if before else last),
        leaf,
        spelling,
        is_one_of_two=is_one_of_two or part == "text_encoder_2",
    )
