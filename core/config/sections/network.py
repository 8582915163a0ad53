"""The LoRA network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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
    kind: Literal["lora", "loha", "lokr"] = Field(
        "lora",
        title="Kind of network",
        description="LoRA suits almost everything and is read by every program. LoHa and LoKr hold more in a smaller "
        "file and are read by ComfyUI and A1111 / Forge.",
        json_schema_extra=form(advanced=True, also=("network_module", "algo", "lycoris_algo")),
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
    conv_rank: int = Field(
        0,
        ge=0,
        le=512,
        title="Rank of convolutions",
        description="Also train the 3x3 convolutions, with this rank (LoCon): helps with styles, at a larger file. "
        "4 to 16 is usual, 0 leaves them as they are.",
        json_schema_extra=form(advanced=True, also=("conv_dim", "locon")),
    )
    conv_alpha: float = Field(
        1.0,
        gt=0,
        le=1024,
        title="Alpha of convolutions",
        description="As Alpha, for the convolutions.",
        json_schema_extra=form(advanced=True, also=("conv_alpha",)),
    )
    dora: bool = Field(
        False,
        title="Weight decomposition (DoRA)",
        description="Learn the length of each weight apart from its direction: a little nearer to full training, about "
        "a third slower.",
        json_schema_extra=form(advanced=True, also=("dora_wd", "use_dora")),
    )
    rank_stabilized: bool = Field(
        False,
        title="Rank-stabilized scale",
        description="Updates are scaled by alpha / root of the rank, so that high ranks learn as fast as low ones "
        "(rsLoRA). Other programs see the same strength: it is written into the alpha of the file.",
        json_schema_extra=form(advanced=True, also=("rs_lora", "rslora")),
    )
    factor: int = Field(
        -1,
        ge=-1,
        le=64,
        title="LoKr factor",
        description="How LoKr splits each weight into two: the smaller part has about this side. -1 takes the most "
        "even split, small numbers make larger files that hold more.",
        json_schema_extra=form(advanced=True, also=("factor", "lokr_factor")),
    )
    layers: Literal["all", "attention", "cross_attention"] = Field(
        "all",
        title="Layers",
        description="Which layers of the denoiser take part: all that the usual programs train, those of attention "
        "alone, or only those where the caption comes in.",
        json_schema_extra=form(advanced=True, also=("layer_filter", "attn-mlp", "unet_target_replace_module")),
    )
    only: tuple[str, ...] = Field(
        (),
        title="Only these layers",
        description="Names of modules, one per line, with * for anything: of all layers of the denoiser only those "
        "that one of the lines fits, for example up_blocks.* or *.attn2.*.",
        json_schema_extra=form(advanced=True, also=("layer_filter", "include_patterns")),
    )
    leave_out: tuple[str, ...] = Field(
        (),
        title="Layers left out",
        description="Names of modules, one per line, with * for anything, that take no part, for example "
        "down_blocks.0.* or *.ff.*.",
        json_schema_extra=form(advanced=True, also=("exclude_patterns",)),
    )
    block_ranks: tuple[str, ...] = Field(
        (),
        title="Ranks of blocks",
        description="Other ranks for parts of the denoiser, one per line: down_blocks.1=8, mid_block=4, "
        "up_blocks.2.attentions.1=32. The longest name that fits counts, 0 leaves a part out; the alpha goes along.",
        json_schema_extra=form(advanced=True, also=("block_dims", "network_reg_dims")),
    )
