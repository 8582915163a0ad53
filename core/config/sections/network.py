"""The LoRA network."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from core.config.base import Section, form


class NetworkConfig(Section):
    """The LoRA network added to the base model."""

    rank: int = Field(
        16,
        ge=1,
        le=512,
        title="Rank",
        description="Inner width of each LoRA pair: how much it can learn. 8 to 32 for one character or object, 32 to "
        "64 for a style; a higher one makes a larger file and learns by heart sooner.",
        json_schema_extra=form(also=("network_dim", "dim")),
    )
    alpha: float = Field(
        16.0,
        gt=0,
        le=1024,
        title="Alpha",
        description="Updates are scaled by alpha / rank. The rank itself or half of it is usual; a smaller one learns "
        "more slowly.",
        json_schema_extra=form(also=("network_alpha",)),
    )
    train_text_encoder: bool = Field(
        True,
        title="Train the text encoder",
        description="Also teach the text encoder; helps a new trigger word, costs some memory.",
        json_schema_extra=form(also=("network_train_unet_only", "text_encoder_lr")),
    )
    dropout: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        title="Dropout",
        description="Chance that an input of a LoRA pair is left out in a step; 0.1 to 0.3 where a LoRA learns by "
        "heart.",
        json_schema_extra=form(advanced=True, also=("network_dropout",)),
    )
    train_denoiser: bool = Field(
        True,
        title="Train the denoiser",
        description="The part that draws. Off trains the text encoder alone, which is rarely wanted.",
        json_schema_extra=form(advanced=True, also=("network_train_text_encoder_only",)),
    )
    rank_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Rank dropout",
        description="Chance that one of the ranks of a LoRA pair is left out in a step; 0.1 to 0.3 where a LoRA learns "
        "by heart.",
        json_schema_extra=form(advanced=True, also=("rank_dropout",)),
    )
    module_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Module dropout",
        description="Chance that a whole LoRA pair is left out in a step; 0.1 to 0.3 where a LoRA learns by heart.",
        json_schema_extra=form(advanced=True, also=("module_dropout",)),
    )
    max_norm: float = Field(
        0.0,
        ge=0,
        le=100,
        title="Weight limit",
        description="Pairs whose weights grow beyond this norm are scaled back after each step, so that several LoRAs "
        "can be used together; 1 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("scale_weight_norms",)),
    )
    start_from: Path = Field(
        Path(),
        title="Continue from",
        description="A LoRA file to go on training from, of the same base model and rank. Empty: a new LoRA.",
        json_schema_extra=form(
            advanced=True,
            widget="file",
            also=(
                "network_weights",
                "lora_model_name",
            ),
        ),
    )
