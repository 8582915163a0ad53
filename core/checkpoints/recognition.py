"""What a file of weights is, told by the names and shapes of its tensors and by what it says of itself.

A base model is known by a few tensors that its family alone has. Where the sizes are those of no real model, as in
models shrunk for trying out, the way in which they are built decides. Names of two programs are known: those that
Stable Diffusion was first trained with (`model.diffusion_model.input_blocks…`) and those of diffusers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.models import FamilyName

Kind = Literal[
    "checkpoint", "unet", "vae", "text_encoder", "lora", "embedding", "controlnet", "upscaler", "other", "unknown"
]
Variant = Literal["", "inpainting", "edit", "depth", "unclip", "refiner", "distilled", "edm", "lcm"]
Part = Literal["denoiser", "text_encoder", "text_encoder_2", "vae"]
Prediction = Literal["epsilon", "v_prediction"]
PredictionFrom = Literal["", "file", "weights", "name", "conflict"]
"""What tells the prediction: nothing, what the file says, its numbers, its name alone, or two that contradict."""

Shapes = Mapping[str, tuple[int, ...]]

SD2_TELLING_TENSOR = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
"""Of Stable Diffusion 2: its numbers spread further in models that were trained for v-prediction."""

LDM_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
"""What the names of a denoiser begin with in single files."""

_DIFFUSERS_PREFIXES = ("unet.", "")
_SD_WIDTH, _REFINER_WIDTH = 320, 384
_TEXT_BEGINNINGS: tuple[tuple[str, Part], ...] = (
    ("cond_stage_model.", "text_encoder"),
    ("conditioner.embedders.0.", "text_encoder"),
    ("conditioner.embedders.1.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
)
VARIANTS: dict[int, Variant] = {9: "inpainting", 8: "edit", 5: "depth", 7: "depth"}
"""By what the denoiser is shown beside the latents: so many channels in all."""

_LORA = re.compile(
    r"\.(lora_(down|up|mid|A|B)|lora\.(down|up)|hada_[wt]|lokr_[wt]|oft_(blocks|diag)|dora_scale|lora_linear_layer)\b"
    r"|\.hada_w|\.lokr_w|_lora\.(down|up)\.|^lora_(unet|te\d?|transformer)_",
    re.MULTILINE,
)
_CONTROL = re.compile(
    r"^(control_model\.|controlnet_|input_hint_block\.|zero_convs\.|lora_controlnet|adapter\.body\.|ip_adapter\.)",
    re.MULTILINE,
)
_OTHERS = (
    ("Stable Video Diffusion", r"\.time_stack\.|\.time_mixer\.mix_factor"),
    ("AnimateDiff", r"\bmotion_modules\."),
    ("HunyuanVideo", r"\btxt_in\.individual_token_refiner\."),
    ("Chroma", r"\bdistilled_guidance_layer\."),
    ("Flux", r"\bdouble_blocks\.\d+\.img_attn\.|\bsingle_transformer_blocks\.\d+\."),
    ("Qwen-Image", r"\btransformer_blocks\.\d+\.img_mod\."),
    ("Stable Diffusion 3", r"\bjoint_blocks\.\d+\.|\btransformer_blocks\.0\.attn\.add_q_proj\."),
    ("AuraFlow", r"\bdouble_layers\.\d+\.attn\.w1q\.|\bjoint_transformer_blocks\."),
    ("Hunyuan-DiT", r"\bmlp_t5\.0\.|\btext_embedding_padding\b"),
    ("PixArt", r"\bt_block\.1\.|\badaln_single\."),
    ("Lumina", r"\bcap_embedder\.\d\.|\bnoise_refiner\.\d+\."),
    ("Stable Cascade", r"\bclip_txt_mapper\.|\bclip_txt_pooled_mapper\."),
    ("Wan", r"\bblocks\.\d+\.self_attn\.norm_q\.|\bblocks\.\d+\.cross_attn\.norm_q\."),
    ("DiT", r"\btransformer_blocks\.\d+\.|\bblocks\.\d+\.(attn|adaLN_modulation)"),
)
"""Models of other kinds, by names that they alone have."""

_UPSCALER = re.compile(
    r"^(model\.1\.sub\.|body\.\d+\.rdb1\.|RRDB_trunk\.|conv_first\.|layers\.0\.residual_group\.)", re.MULTILINE
)
_TEXT = re.compile(
    r"^(text_model\.|transformer\.resblocks\.|encoder\.block\.0\.layer\.|shared\.weight$|embeddings\.token_embedding\."
    r"|(transformer\.)?encoder\.layers\.\d+\.self_attention\.query_key_value\.)",
    re.MULTILINE,
)
_EMBEDDING = re.compile(r"^(emb_params|string_to_param(\..*)?|clip_[lg]|<[^>\n]+>)$", re.MULTILINE)

_SAYS_V = re.compile(r"vpred|(?<![a-z])v[ _.-]pred", re.IGNORECASE)
_SAYS_EPSILON = re.compile(r"(?<![a-z])eps(ilon)?([ _.-]?pred(iction)?)?(?![a-z])", re.IGNORECASE)
_LINEAGES = (
    ("NoobAI", r"noob ?(ai)?"),
    ("Illustrious", r"illustrious|(?<![a-z])(il|ilxl)(?![a-z])"),
    ("Pony", r"pony"),
    ("Animagine", r"animagine"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a file is.

    `family` is that of a base model or of a part of one, `variant` what sets it apart from the models that a LoRA is
    trained for, and `parts` what it holds. `prediction` is what the model answers, as far as anything says so, and
    `prediction_from` what does. `other` names a model of another kind. `lineage` is the well-known model that it was
    made from.
    """

    kind: Kind
    family: FamilyName | None = None
    variant: Variant = ""
    parts: frozenset[Part] = frozenset()
    prediction: Prediction | None = None
    prediction_from: PredictionFrom = ""
    zero_terminal_snr: bool = False
    other: str = ""
    lineage: str = ""


def recognise(shapes: Shapes, metadata: Mapping[str, str], file_name: str = "") -> Recognised:
    """What a file is.

    Args:
        shapes: Its tensors: name -> shape.
        metadata: What it says of itself.
        file_name: Its name without the ending; hints are taken from it where nothing else says.
    """
    names = "\n".join(shapes)
    if _CONTROL.search(names):
        return Recognised(kind="controlnet")
    if found := _with_denoiser(shapes, metadata, file_name):
        return found
    if _LORA.search(names):
        return Recognised(kind="lora")
    if _UPSCALER.search(names):
        return Recognised(kind="upscaler")
    for title, pattern in _OTHERS:
        if re.search(pattern, names):
            return Recognised(kind="other", other=title)
    if _has_vae(shapes):
        return Recognised(kind="vae", parts=frozenset({"vae"}))
    if parts := _text_parts(shapes):
        return Recognised(kind="text_encoder", parts=parts)
    if _TEXT.search(names):
        return Recognised(kind="text_encoder", parts=frozenset({"text_encoder"}))
    # A learned word may also lie there alone, under the word itself.
    if _EMBEDDING.search(names) or (
        len(shapes) == 1 and all(max(shape, default=0) in _WIDTHS for shape in shapes.values())
    ):
        return Recognised(kind="embedding")
    return Recognised(kind="unknown")


_WIDTHS = (768, 1024, 1280)
"""Of the words of the text encoders of Stable Diffusion."""


def _with_denoiser(shapes: Shapes, metadata: Mapping[str, str], file_name: str) -> Recognised | None:
    """A file with a denoiser of one of the families; None where there is none."""
    described = _ldm(shapes) or _of_diffusers(shapes)
    if described is None:
        return None
    family, variant = described
    parts: set[Part] = {"denoiser", *_text_parts(shapes)}
    if _has_vae(shapes):
        parts.add("vae")
    if "edm_mean" in shapes or "edm_vpred.sigma_max" in shapes:
        variant = "edm"
    prediction, prediction_from = _prediction(shapes, metadata, file_name)
    return Recognised(
        kind="unet" if parts == {"denoiser"} else "checkpoint",
        family=family,
        variant=variant,
        parts=frozenset(parts),
        prediction=prediction,
        prediction_from=prediction_from,
        zero_terminal_snr="ztsnr" in shapes,
        lineage=lineage_of(file_name, metadata) if family == "sdxl" else "",
    )


def _ldm(shapes: Shapes) -> tuple[FamilyName, Variant] | None:
    """Family and variant of a denoiser by the names that Stable Diffusion was first trained with."""
    prefix = next((prefix for prefix in LDM_PREFIXES if f"{prefix}input_blocks.0.0.weight" in shapes), None)
    if prefix is None:
        return None
    first = shapes[f"{prefix}input_blocks.0.0.weight"]
    if len(first) != 4:
        return None
    width, channels = first[:2]
    blocks = [f"{prefix}input_blocks.{number}." for number in range(1, 12)]
    attention = next((f"{block}1." for block in blocks if f"{block}1.proj_in.weight" in shapes), None)
    if attention is None or any(f"{block}0.time_stack.in_layers.0.weight" in shapes for block in blocks):
        return None
    context = _last(shapes, f"{attention}transformer_blocks.0.attn2.to_k.weight")
    extra = _last(shapes, f"{prefix}label_emb.0.0.weight")
    family = _family(
        context, extra, len(shapes[f"{attention}proj_in.weight"]), f"{prefix}encoder_hid_proj.weight" in shapes
    )
    variant = VARIANTS.get(channels, "")
    if extra and (width == _REFINER_WIDTH or (context == 1280 and extra == 2560)):
        variant = "refiner"
    elif extra and family == "sd2":
        variant = "unclip"
    elif f"{prefix}time_embed.cond_proj.weight" in shapes:
        variant = "lcm"
    elif not variant and width == _SD_WIDTH and _is_short(shapes, family, prefix, _LDM_DEEP):
        variant = "distilled"
    return family, variant


def _of_diffusers(shapes: Shapes) -> tuple[FamilyName, Variant] | None:
    """The same by the names of diffusers."""
    prefix = next(
        (
            prefix
            for prefix in _DIFFUSERS_PREFIXES
            if f"{prefix}conv_in.weight" in shapes and f"{prefix}time_embedding.linear_1.weight" in shapes
        ),
        None,
    )
    if prefix is None:
        return None
    first = shapes[f"{prefix}conv_in.weight"]
    if len(first) != 4:
        return None
    width, channels = first[:2]
    blocks = [f"{prefix}down_blocks.{number}.attentions.0." for number in range(4)]
    attention = next((block for block in blocks if f"{block}proj_in.weight" in shapes), None)
    if attention is None:
        return None
    context = _last(shapes, f"{attention}transformer_blocks.0.attn2.to_k.weight")
    extra = _last(shapes, f"{prefix}add_embedding.linear_1.weight")
    family = _family(
        context, extra, len(shapes[f"{attention}proj_in.weight"]), f"{prefix}encoder_hid_proj.weight" in shapes
    )
    variant = VARIANTS.get(channels, "")
    if extra and (width == _REFINER_WIDTH or (context == 1280 and extra == 2560)):
        variant = "refiner"
    elif f"{prefix}time_embedding.cond_proj.weight" in shapes:
        variant = "lcm"
    elif not variant and width == _SD_WIDTH and _is_short(shapes, family, prefix, _DIFFUSERS_DEEP):
        variant = "distilled"
    return family, variant


def _family(context: int, extra: int, proj_in_sides: int, has_projection: bool) -> FamilyName:
    """The family of a denoiser.

    Args:
        context: Width of what it is told about the prompt.
        extra: Width of what else it is told, 0 for nothing.
        proj_in_sides: Sides of the matrix before its attention, 4 where that is a convolution over one pixel.
        has_projection: Whether it narrows down what the text encoder says.
    """
    if has_projection or extra == 5632:
        return "kolors"
    if extra and context != 1024:
        return "sdxl"
    if context in (768, 1024):
        return "sd1" if context == 768 else "sd2"
    return "sd1" if proj_in_sides == 4 else "sd2"


_SD_LDM = (
    "middle_block.0.in_layers.0.weight",
    "input_blocks.11.0.in_layers.0.weight",
    "output_blocks.11.0.in_layers.0.weight",
)
_SD_DIFFUSERS = (
    "mid_block.resnets.0.norm1.weight",
    "down_blocks.3.resnets.1.norm1.weight",
    "up_blocks.3.resnets.2.norm1.weight",
)
_LDM_DEEP: dict[str, tuple[str, ...]] = {
    "sd1": _SD_LDM,
    "sd2": _SD_LDM,
    "sdxl": (
        "middle_block.1.transformer_blocks.9.norm1.weight",
        "input_blocks.4.1.transformer_blocks.1.norm1.weight",
        "input_blocks.8.1.transformer_blocks.9.norm1.weight",
        "output_blocks.0.1.transformer_blocks.9.norm1.weight",
    ),
}
_DIFFUSERS_DEEP: dict[str, tuple[str, ...]] = {
    "sd1": _SD_DIFFUSERS,
    "sd2": _SD_DIFFUSERS,
    "sdxl": (
        "mid_block.attentions.0.transformer_blocks.9.norm1.weight",
        "down_blocks.1.attentions.0.transformer_blocks.1.norm1.weight",
        "down_blocks.2.attentions.1.transformer_blocks.9.norm1.weight",
        "up_blocks.0.attentions.0.transformer_blocks.9.norm1.weight",
    ),
}
"""The last of the blocks that distilled models leave out."""


def _is_short(shapes: Shapes, family: FamilyName, prefix: str, deep: Mapping[str, Iterable[str]]) -> bool:
    return any(f"{prefix}{name}" not in shapes for name in deep.get(family, ()))


def _last(shapes: Shapes, name: str) -> int:
    """The last side of a tensor, 0 where it is not there."""
    shape = shapes.get(name, ())
    return shape[-1] if shape else 0


def _text_parts(shapes: Shapes) -> frozenset[Part]:
    """The text encoders that come with a denoiser."""
    return frozenset(part for start, part in _TEXT_BEGINNINGS if any(name.startswith(start) for name in shapes))


def _has_vae(shapes: Shapes) -> bool:
    return any(f"{prefix}decoder.conv_in.weight" in shapes for prefix in ("first_stage_model.", "vae.", ""))


def _prediction(
    shapes: Shapes, metadata: Mapping[str, str], file_name: str
) -> tuple[Prediction | None, PredictionFrom]:
    """What the model answers, and what tells it."""
    if "v_pred" in shapes:
        return "v_prediction", "file"
    said, named = told_prediction(metadata), named_prediction(file_name)
    if said is not None:
        return said, "file" if named in (None, said) else "conflict"
    return named, "name" if named else ""


def told_prediction(metadata: Mapping[str, str]) -> Prediction | None:
    """What a file's model spec says that its model answers."""
    said = metadata.get("modelspec.prediction_type", "").strip().casefold()
    if said in ("v", "v_prediction", "v-prediction", "vpred"):
        return "v_prediction"
    return "epsilon" if said in ("epsilon", "eps") else None


def named_prediction(file_name: str) -> Prediction | None:
    """What a model answers by the name of its file."""
    if _SAYS_V.search(file_name):
        return "v_prediction"
    return "epsilon" if _SAYS_EPSILON.search(file_name) else None


def lineage_of(file_name: str, metadata: Mapping[str, str]) -> str:
    """The well-known model that an SDXL model was made from, by its name and title; "" where they do not say.

    No tensor tells: all of them are built alike. They differ in how tags are written and in the clip skip to use.
    """
    text = f"{file_name} {metadata.get('modelspec.title', '')} {metadata.get('ss_sd_model_name', '')}"
    return next((name for name, pattern in _LINEAGES if re.search(pattern, text, re.IGNORECASE)), "")
