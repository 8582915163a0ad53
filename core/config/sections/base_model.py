"""The base model that the LoRA is trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from core.config.base import Section, form


class ModelConfig(Section):
    """The base model that the LoRA is trained for."""

    base: Path = Field(
        Path(),
        title="Base model",
        description="The model that the LoRA is made for: the one you draw with, or the one it was made from.",
        json_schema_extra=form(widget="model", also=("pretrained_model_name_or_path", "checkpoint")),
    )
    family: Literal["auto", "sd1", "sd2", "sdxl", "kolors"] = Field(
        "auto",
        title="Family",
        description="The kind of base model; auto reads it from the files.",
        json_schema_extra=form(advanced=True, also=("model_train_type",)),
    )
    vae: Path = Field(
        Path(),
        title="VAE",
        description="Another VAE than that of the base model: a file, or a folder in diffusers form. Empty takes the "
        "model's own.",
        json_schema_extra=form(advanced=True, widget="file", also=("vae", "vae_name")),
    )
    clip_skip: int = Field(
        1,
        ge=1,
        le=4,
        title="Clip skip",
        description="Which layer of the text encoder feeds the denoiser, counted from the end: 1 is the last one. "
        "Anime models are often used with 2; train with what you draw with. SDXL models were all made with 2: there 1 "
        "is the same.",
        json_schema_extra=form(advanced=True, also=("clip_skip",)),
    )
    prediction: Literal["auto", "epsilon", "v_prediction"] = Field(
        "auto",
        title="Prediction",
        description="What the base model answers: the noise (epsilon) or the velocity (v_prediction). auto reads it "
        "from the files; change it only for a model whose page says otherwise.",
        json_schema_extra=form(advanced=True, also=("v_parameterization",)),
    )
    zero_terminal_snr: bool = Field(
        False,
        title="Zero-terminal SNR",
        description="Rescale the noise so that the last timestep is noise alone. Only for base models that were made "
        "so, which are v_prediction models.",
        json_schema_extra=form(advanced=True, also=("zero_terminal_snr",)),
    )
    max_tokens: int = Field(
        75,
        ge=75,
        le=225,
        multiple_of=75,
        title="Caption length",
        description="Tokens of a caption that are read, in pieces of 75. 75 is enough for tags; 150 or 225 for long "
        "descriptions, at a little more time.",
        json_schema_extra=form(advanced=True, unit="tokens", also=("max_token_length",)),
    )
    large_text_encoder: Literal["auto", "whole", "layers", "int8"] = Field(
        "auto",
        title="Large text encoder",
        description="How the text encoder of Kolors (6 billion weights) reads the captions, once before the first "
        "step: whole in memory, layer by layer from the disk, or whole in 8 bit. auto takes the fastest that fits.",
        json_schema_extra=form(advanced=True),
    )
