"""How weights are updated, and the course of the rate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Section, form

OptimizerName = Literal[
    "adamw",
    "adamw8bit",
    "lion",
    "adafactor",
    "prodigy",
    "dadaptation",
    "adamw_schedulefree",
    "came",
    "sgd",
]


class OptimizerConfig(Section):
    """How weights are updated."""

    name: OptimizerName = Field(
        "adamw",
        title="Optimizer",
        description="The update rule. adamw suits nearly all; adamw8bit needs less memory on NVIDIA cards; prodigy and "
        "dadaptation find the rate themselves, at learning rate 1.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "use_8bit_adam",
                "optimizer_type",
            ),
        ),
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        le=1,
        title="Learning rate",
        description="Size of each update of the denoiser's LoRA. 1e-4 is usual with adamw, 3e-5 with lion, 1 with "
        "prodigy and dadaptation. Lower it when previews fall apart, raise it when nothing is learned.",
        json_schema_extra=form(also=("unet_lr", "lr")),
    )
    text_encoder_learning_rate: float = Field(
        5e-5,
        ge=0,
        le=1,
        title="Learning rate of the text encoder",
        description="Size of each update of the text encoder's LoRA. Half or less of the other is usual.",
        json_schema_extra=form(also=("text_encoder_lr",)),
    )
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pulls the LoRA weights towards zero a little in every step. 0.01 is usual; up to 0.1 where a LoRA "
        "learns by heart.",
        json_schema_extra=form(advanced=True, also=("optimizer_args",)),
    )
    beta1: float = Field(
        0.9,
        ge=0,
        lt=1,
        title="Beta 1",
        description="Memory of the gradient. 0.9 is usual; leave it.",
        json_schema_extra=form(advanced=True, also=("betas",)),
    )
    beta2: float = Field(
        0.999,
        ge=0,
        lt=1,
        title="Beta 2",
        description="Memory of the squared gradient. 0.999 is usual, 0.99 with prodigy and lion.",
        json_schema_extra=form(advanced=True, also=("betas",)),
    )
    max_grad_norm: float = Field(
        1.0,
        ge=0,
        title="Gradient clipping",
        description="Longest gradient that is used as it is; longer ones are shortened. 1 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("max_grad_norm",)),
    )
    epsilon: float = Field(
        1e-8,
        gt=0,
        le=1,
        title="Epsilon",
        description="Keeps the update from dividing by zero. Leave it.",
        json_schema_extra=form(advanced=True, also=("eps",)),
    )
    momentum: float = Field(
        0.9,
        ge=0,
        lt=1,
        title="Momentum",
        description="Share of the last update that goes on; for sgd. 0.9 is usual.",
        json_schema_extra=form(advanced=True, also=("momentum",)),
    )
    growth: float = Field(
        1.0,
        gt=0,
        le=100,
        title="Estimate factor",
        description="For prodigy and dadaptation, which find the rate themselves: their estimate times this. 0.5 to 2 "
        "is usual.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "d_coef",
                "prodigy_d_coef",
            ),
        ),
    )
    arguments: tuple[str, ...] = Field(
        (),
        title="Further arguments",
        description="Other options of the optimizer, one name=value per line. For experts; an unknown name is refused.",
        json_schema_extra=form(advanced=True, widget="text", also=("optimizer_args",)),
    )
    block_rates: tuple[str, ...] = Field(
        (),
        title="Rates of blocks",
        description="Factors on the rate of parts of the denoiser, one per line: down_blocks.1=0.5, mid_block=0, "
        "up_blocks.2.attentions.1=1.5. The longest name that fits counts; 0 leaves a part as it is.",
        json_schema_extra=form(
            advanced=True,
            widget="text",
            also=(
                "down_lr_weight",
                "mid_lr_weight",
                "up_lr_weight",
                "block_lr",
                "enable_block_weights",
            ),
        ),
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Averaging (EMA)",
        description="Previews and saved files use an average of the weights over the last steps: 0.99 averages about "
        "100, 0.999 about 1000. 0 turns it off.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "ema_decay",
                "ema",
            ),
        ),
    )


class ScheduleConfig(Section):
    """How the learning rate moves over the run."""

    name: Literal[
        "constant",
        "constant_with_warmup",
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "inverse_sqrt",
        "rex",
        "warmup_stable_decay",
    ] = Field(
        "cosine",
        title="Schedule",
        description="The course of the learning rate over the run. cosine suits nearly always; constant goes with "
        "adamw_schedulefree.",
        json_schema_extra=form(also=("lr_scheduler",)),
    )
    warmup_steps: int = Field(
        0,
        ge=0,
        title="Warm-up",
        description="The rate rises from zero over so many steps. 0 to a tenth of the run is usual.",
        json_schema_extra=form(advanced=True, unit="steps", also=("lr_warmup_steps",)),
    )
    cycles: int = Field(
        1,
        ge=1,
        le=100,
        title="Restarts",
        description="Number of cosine waves; for cosine_with_restarts. 1 to 4 is usual.",
        json_schema_extra=form(advanced=True, also=("lr_scheduler_num_cycles",)),
    )
    power: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Power",
        description="Exponent of the polynomial schedule. 1 is a straight line; higher falls sooner.",
        json_schema_extra=form(advanced=True, also=("lr_scheduler_power",)),
    )
    decay_steps: int = Field(
        0,
        ge=0,
        title="Decay",
        description="Over so many steps at the end the rate falls to its least; for warmup_stable_decay. 0 takes a "
        "fifth of the run.",
        json_schema_extra=form(advanced=True, unit="steps", also=("lr_decay_steps",)),
    )
    min_factor: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Least rate",
        description="The rate never falls below this share of the full one; 0 to 0.1 is usual.",
        json_schema_extra=form(advanced=True, also=("lr_scheduler_min_lr_ratio",)),
    )
