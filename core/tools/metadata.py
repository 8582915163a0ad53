"""The metadata of LoRA files: read without weights, what usual keys mean, and what they tell of the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.checkpoints.recognition import Prediction, told_prediction
from core.errors import UserError
from core.models import is_lora
from core.safetensors_header import Header, read_header
from core.text import tr

USUAL_KEYS = (
    "modelspec.title",
    "modelspec.author",
    "modelspec.description",
    "modelspec.usage_hint",
    "modelspec.trigger_phrase",
    "modelspec.tags",
    "modelspec.license",
    "modelspec.date",
    "modelspec.prediction_type",
    "ss_output_name",
    "ss_training_comment",
    "ss_sd_model_name",
    "ss_base_model_version",
    "ss_tag_frequency",
)
"""What people add to a file by hand, the most wanted ones first."""


def lora_header(path: Path) -> Header:
    """The header of a LoRA in safetensors form.

    Raises:
        UserError: It is another kind of file or a folder, or damaged.
        OSError: It cannot be read.
    """
    header = None if path.is_dir() else read_header(path)
    if header is None or not is_lora(header):
        raise UserError("{path} is not a LoRA.", remedy="Choose a LoRA file.", path=path)
    return header


def is_lora_file(path: Path) -> bool | None:
    """Whether a file or folder is a LoRA, by its header alone; None where that does not tell, as of pickled files."""
    if path.is_dir():
        return False
    try:
        return is_lora(read_header(path))
    except (UserError, OSError):
        return None


def key_hint(key: str) -> str:
    """What a usual key is for, in one sentence; nothing of others."""
    hints = {
        "modelspec.title": lambda: tr("The name that programs show instead of that of the file."),
        "modelspec.author": lambda: tr("Who made it."),
        "modelspec.description": lambda: tr("What it does, in a few sentences."),
        "modelspec.usage_hint": lambda: tr("How to use it, such as a good strength."),
        "modelspec.trigger_phrase": lambda: tr("The words that a prompt needs."),
        "modelspec.tags": lambda: tr("Words to find it by, with commas between them."),
        "modelspec.license": lambda: tr("Under which terms others may use it."),
        "modelspec.date": lambda: tr("When it was made, such as 2024-05-01."),
        "modelspec.prediction_type": lambda: tr("What its base model predicts: epsilon or v."),
        "modelspec.architecture": lambda: tr("The kind of base model, such as stable-diffusion-xl-v1-base/lora."),
        "modelspec.resolution": lambda: tr("The size of the pictures in training, such as 1024x1024."),
        "modelspec.merged_from": lambda: tr("The files that it was merged from."),
        "ss_output_name": lambda: tr("The name that web UIs show and use in prompts."),
        "ss_training_comment": lambda: tr("A comment of whoever trained it."),
        "ss_sd_model_name": lambda: tr("The base model that it was trained on."),
        "ss_base_model_version": lambda: tr("The kind of base model: sd_v1, sd_v2 or sdxl_base_v1-0."),
        "ss_tag_frequency": lambda: tr("How often each tag was in the captions, as JSON; web UIs propose tags by it."),
        "ss_network_dim": lambda: tr("The rank in training; changing it changes no weights."),
        "ss_network_alpha": lambda: tr("The alpha in training; changing it changes no weights."),
        "sshs_model_hash": lambda: tr("A hash by which web UIs know the file; it is computed anew."),
        "sshs_legacy_hash": lambda: tr("A hash by which web UIs know the file; it is computed anew."),
    }
    return hints[key]() if key in hints else ""


def prediction_of(metadata: Mapping[str, str]) -> Prediction | None:
    """What the base model of a LoRA's training predicted, as far as the file says so.

    Trainers' own words go before the model spec, where some programs write epsilon without looking.
    """
    own = metadata.get("ss_v_parameterization", "").strip().casefold()
    if own in ("true", "1"):
        return "v_prediction"
    if own in ("false", "0"):
        return "epsilon"
    if metadata.get("ss_base_model_version", "").strip().casefold() in ("sd_v1_v", "sd_v2_v"):
        return "v_prediction"
    return told_prediction(metadata)
