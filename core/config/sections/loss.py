"""What is learned in a step: errors, their weights, noise and timesteps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Section, form


class LossConfig(Section):
    """What is learned in a step: errors, their weights, noise and timesteps."""

    kind: Literal["l2", "l1", "huber", "smooth_l1"] = Field(
        "l2",
        title="Loss",
        description="How errors are counted: l2 is usual; huber and smooth_l1 give bad pictures less weight.",
        json_schema_extra=form(advanced=True, also=("loss_type",)),
    )
    huber_limit: float = Field(
        0.1,
        gt=0,
        le=10,
        title="Huber limit",
        description="From this error on, huber and smooth_l1 count it linearly. 0.1 is usual.",
        json_schema_extra=form(advanced=True, also=("huber_c",)),
    )
    huber_schedule: Literal["constant", "exponential", "snr"] = Field(
        "snr",
        title="Huber schedule",
        description="How the limit moves with the timestep: constant; exponential falls with the noise; snr follows "
        "the signal-to-noise ratio.",
        json_schema_extra=form(advanced=True, also=("huber_schedule",)),
    )
    min_snr_gamma: float = Field(
        5.0,
        ge=0,
        le=100,
        title="Min-SNR",
        description="Keeps low-noise steps from dominating the loss; 5 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("min_snr_gamma",)),
    )
    debiased: bool = Field(
        False,
        title="Debiased estimation",
        description="Weight each timestep by one over the root of its signal-to-noise ratio, instead of Min-SNR.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "debiased_estimation_loss",
                "debiased_estimation",
            ),
        ),
    )
    scale_v_prediction: bool = Field(
        False,
        title="Scale v-prediction loss",
        description="Weight the loss of v_prediction models as if they answered the noise; helps fine details.",
        json_schema_extra=form(advanced=True, also=("scale_v_pred_loss_like_noise_pred",)),
    )
    prior_weight: float = Field(
        1.0,
        ge=0,
        le=10,
        title="Weight of regularization",
        description="How much pictures of regularization folders count; 1 is usual.",
        json_schema_extra=form(advanced=True, also=("prior_loss_weight",)),
    )
    noise_offset: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Noise offset",
        description="Helps very dark and very bright pictures; 0.05 to 0.1 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("noise_offset",)),
    )
    random_noise_offset: bool = Field(
        False,
        title="Random noise offset",
        description="Draw the strength of the noise offset anew each time, from 0 to its value.",
        json_schema_extra=form(advanced=True, also=("noise_offset_random_strength",)),
    )
    adaptive_noise_scale: float = Field(
        0.0,
        ge=-1,
        le=1,
        title="Adaptive noise scale",
        description="Add this times the mean of the latents to the noise offset. Rarely used, with small values such "
        "as 0.005; 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("adaptive_noise_scale",)),
    )
    multires_noise_levels: int = Field(
        0,
        ge=0,
        le=64,
        title="Multires noise",
        description="Add noise at so many coarser sizes, instead of the noise offset; helps dark and bright pictures. "
        "6 to 10 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("multires_noise_iterations",)),
    )
    multires_noise_discount: float = Field(
        0.3,
        gt=0,
        le=1,
        title="Multires discount",
        description="Each coarser size counts so much of the one before; 0.1 to 0.4 is usual for a LoRA.",
        json_schema_extra=form(advanced=True, also=("multires_noise_discount",)),
    )
    input_perturbation: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Input perturbation",
        description="Extra noise in what the denoiser sees, not in what it should answer, against learning by heart. "
        "0.1 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("ip_noise_gamma",)),
    )
    random_input_perturbation: bool = Field(
        False,
        title="Random input perturbation",
        description="Draw the strength of the input perturbation anew each time, from 0 to its value.",
        json_schema_extra=form(advanced=True, also=("ip_noise_gamma_random_strength",)),
    )
    min_timestep: int = Field(
        0,
        ge=0,
        le=9999,
        title="First timestep",
        description="Timesteps from here on are learned; 0 is a clean picture. Raise it to leave fine details alone.",
        json_schema_extra=form(advanced=True, also=("min_timestep",)),
    )
    max_timestep: int = Field(
        1000,
        ge=1,
        le=10000,
        title="Last timestep",
        description="Timesteps before this are learned; 1000 is noise alone. Lower it to leave the composition alone.",
        json_schema_extra=form(advanced=True, also=("max_timestep",)),
    )
    timestep_sampling: Literal["uniform", "logit_normal", "early", "late"] = Field(
        "uniform",
        title="Choice of timesteps",
        description="Which timesteps come more often: uniform all alike, logit_normal the middle ones, early the noisy "
        "ones that decide the composition, late the fine details.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "timestep_sampling",
                "timestep_distribution",
            ),
        ),
    )
