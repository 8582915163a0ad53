"""Which family a LoRA was made for, as far as its names and shapes tell. Without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from core.lora.formats.spelling import Key
from core.models import FamilyName

_BY_CONTEXT: dict[int, FamilyName] = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
"""Width of what the text encoder says, which cross-attention reads."""
_TEXT_WIDTH: dict[int, FamilyName] = {768: "sd1", 1024: "sd2"}


def guess_family(keys: Iterable[tuple[Key, tuple[int, ...]]], metadata: Mapping[str, str]) -> FamilyName | None:
    """A guess, sure for almost every file; None where nothing tells.

    SDXL and Kolors have the same layers. They are told apart by the metadata, by a text encoder, which only a LoRA of
    SDXL has, and by names: kohya's of SDXL are the original ones. A LoRA of the denoiser alone in diffusers' names and
    without metadata is taken for SDXL, see `may_be_kolors`.

    Args:
        keys: What each key of the file means, and the shape of its tensor.
        metadata: Of the file.
    """
    told = _told(metadata)
    inputs: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    is_original, is_one_of_two = False, False
    for key, shape in keys:
        if key.spelling == "diffsynth" or key.path == "encoder_hid_proj":
            return "kolors"
        is_original |= key.is_original
        is_one_of_two |= key.is_one_of_two
        inputs.setdefault((key.part, key.path), {})[key.leaf] = shape
    for (part, path), leaves in inputs.items():
        if part == "denoiser" and path.endswith(("attn2.to_k", "attn2.to_v")):
            found = _BY_CONTEXT.get(_width(leaves))
            if found == "sdxl" and told == "kolors" and not is_one_of_two:
                return "kolors"
            if found:
                return found
    if told:
        return told
    if is_one_of_two or is_original:
        return "sdxl"
    for (part, path), leaves in inputs.items():
        if part == "text_encoder" and path.endswith("q_proj") and (found := _TEXT_WIDTH.get(_width(leaves))):
            return found
    return None


def may_be_kolors(keys: Iterable[Key], metadata: Mapping[str, str]) -> bool:
    """Whether a file that is taken for one of SDXL may as well be one of Kolors: nothing in it tells them apart."""
    return _told(metadata) is None and all(key.part == "denoiser" and not key.is_original for key in keys)


def _told(metadata: Mapping[str, str]) -> FamilyName | None:
    """What the file says of itself."""
    architecture, version = metadata.get("modelspec.architecture", ""), metadata.get("ss_base_model_version", "")
    starts: tuple[tuple[str, FamilyName], ...] = (
        ("kolors", "kolors"),
        ("stable-diffusion-xl", "sdxl"),
        ("sdxl", "sdxl"),
        ("stable-diffusion-v2", "sd2"),
        ("sd_v2", "sd2"),
        ("stable-diffusion-v1", "sd1"),
        ("sd_v1", "sd1"),
    )
    for text in (architecture, version):
        for start, family in starts:
            if text.startswith(start):
                return family
    return None


def _width(leaves: Mapping[str, tuple[int, ...]]) -> int:
    """Inputs of a module; 0 where its tensors do not tell."""
    for leaf in ("lora_down.weight", "hada_w1_b", "diff"):
        if leaf in leaves and len(leaves[leaf]) > 1:
            return leaves[leaf][1]
    parts = [leaves.get(f"lokr_w{number}") or leaves.get(f"lokr_w{number}_b") for number in (1, 2)]
    return math.prod(shape[1] for shape in parts if shape and len(shape) > 1) if all(parts) else 0
