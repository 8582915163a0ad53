"""What is wrong with a file or folder that no LoRA can be trained for, in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.checkpoints.recognition import Recognised, Variant
from core.errors import UserError
from core.text import tr


def damaged(path: Path) -> UserError:
    """A file of a model, or a folder of such, that is not as it was written."""
    return UserError("{path} is damaged.", remedy="Download the model again.", failure="model_damaged", path=path)


def missing(path: Path) -> UserError:
    """A file or folder of a model that is not there."""
    return UserError(
        "The base model is not complete: {path} is missing.",
        remedy="Download the model again.",
        failure="model_incomplete",
        path=path,
    )


def refuse_kind(path: Path, found: Recognised) -> UserError:
    """Why a file without a base model in it is of no use."""
    if found.kind == "lora":
        return UserError(
            "{path} is a LoRA, not a base model.",
            remedy="Choose the model that the LoRA was made for, or another base model.",
            failure="model_is_lora",
            path=path,
        )
    if found.kind == "vae":
        return UserError(
            "{path} is a VAE, not a base model.",
            remedy="Choose a base model; the VAE goes into the field for it.",
            failure="model_unsuited",
            path=path,
        )
    if found.kind == "other" and found.other != "DiT":
        return UserError(
            "{path} is a model of another kind ({name}), which Kiln cannot train.",
            remedy="Choose a model of Stable Diffusion 1 or 2, SDXL or Kolors.",
            failure="model_unsuited",
            path=path,
            name=found.other,
        )
    return UserError(
        "{path} is {what}, not a base model that Kiln can train for.",
        remedy="Choose a model of Stable Diffusion 1 or 2, SDXL or Kolors.",
        failure="model_unsuited",
        path=path,
        what={
            "other": tr("a diffusion transformer"),
            "text_encoder": tr("a text encoder"),
            "embedding": tr("an embedding (textual inversion)"),
            "controlnet": tr("a ControlNet or another adapter"),
            "upscaler": tr("an upscaler"),
        }.get(found.kind, tr("a file of an unknown kind")),
    )


def refuse_variant(path: Path, variant: Variant) -> UserError:
    """Why a model of one of the families, but of a special form, is of no use."""
    if variant == "distilled":
        return UserError(
            "{path} is a distilled model that lacks some blocks, which Kiln cannot read from a single file.",
            remedy="Choose it as a folder in diffusers form, or choose a whole model.",
            failure="model_unsuited",
            path=path,
        )
    return UserError(
        "{path} is {what}, which Kiln cannot train.",
        remedy="Choose the model for making pictures from text that it was made from.",
        failure="model_unsuited",
        path=path,
        what={
            "inpainting": tr("an inpainting model"),
            "edit": tr("a model that edits pictures by instructions"),
            "depth": tr("a model that takes a picture beside the prompt"),
            "unclip": tr("a model that takes a picture in place of the prompt"),
            "refiner": tr("the refiner of SDXL"),
            "edm": tr("an SDXL model with another kind of noise (EDM)"),
            "lcm": tr("a consistency model (LCM)"),
        }[variant],
    )


def refuse_formats(path: Path, formats: Iterable[str]) -> UserError:
    """Why weights in these number formats are of no use."""
    return UserError(
        "{path} keeps its weights quantised ({formats}), and a LoRA cannot be trained on these.",
        remedy="Choose a version of the model in fp16, bf16, fp32 or fp8.",
        failure="model_unsuited",
        path=path,
        formats=", ".join(sorted(formats)),
    )
