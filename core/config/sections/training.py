"""Length, batch, precision and device."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Section, form


class TrainingConfig(Section):
    """Length, batch, precision and loss."""

    epochs: int = Field(
        10,
        ge=1,
        le=10000,
        title="Epochs",
        description="How often all pictures (times their repeats) are shown. 10 is a good start; more when the last "
        "previews still get better.",
        json_schema_extra=form(also=("max_train_epochs",)),
    )
    max_steps: int = Field(
        0,
        ge=0,
        title="Most steps",
        description="The run ends after so many steps even when epochs are left; 0 for no limit.",
        json_schema_extra=form(advanced=True, unit="steps", also=("max_train_steps",)),
    )
    batch_size: int = Field(
        1,
        ge=1,
        le=256,
        title="Batch size",
        description="Pictures per step and device. 1 to 4 is usual; more is steadier and needs more memory.",
        json_schema_extra=form(also=("train_batch_size",)),
    )
    gradient_accumulation: int = Field(
        1,
        ge=1,
        le=256,
        title="Gradient accumulation",
        description="Batches per step: acts like a larger batch without its memory, but each step takes so many times "
        "longer.",
        json_schema_extra=form(advanced=True, also=("gradient_accumulation_steps",)),
    )
    gradient_checkpointing: bool = Field(
        False,
        title="Gradient checkpointing",
        description="Needs much less memory and about a third more time.",
        json_schema_extra=form(advanced=True, also=("gradient_checkpointing",)),
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        title="Precision",
        description="Number format of the computation; auto takes the best of the device.",
        json_schema_extra=form(advanced=True, also=("mixed_precision",)),
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto",
        title="Device",
        description="Where to compute; auto takes the graphics card when there is one.",
        json_schema_extra=form(advanced=True, also=("gpu_ids",)),
    )
    seed: int = Field(
        42,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Same seed, same settings, same pictures: same losses.",
        json_schema_extra=form(also=("seed",)),
    )
    vae_precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        title="Precision of the VAE",
        description="Number format of the part that reads and writes pictures; auto tests it once and takes one that "
        "gives no black pictures.",
        json_schema_extra=form(advanced=True, also=("no_half_vae",)),
    )
    on_out_of_memory: Literal["adapt", "stop"] = Field(
        "adapt",
        title="When memory runs out",
        description="adapt goes back to the last step and on with less memory, at the same effective batch; stop ends "
        "the run.",
        json_schema_extra=form(advanced=True, also=("oom",)),
    )
    background: bool = Field(
        True,
        title="Leave the desktop its speed",
        description="Run at a lower priority, so that other programs stay quick.",
        json_schema_extra=form(advanced=True, also=("low priority",)),
    )
    base_weights: Literal["full", "int8"] = Field(
        "full",
        title="Base weights",
        description="How the frozen weights of the base model are kept: as they are computed with, or in 8 bit, which "
        "needs half of that memory and a little more time. What is learned hardly differs.",
        json_schema_extra=form(advanced=True, also=("fp8_base", "fp8_base_unet", "quantize")),
    )
    compile: bool = Field(
        False,
        title="Compile blocks",
        description="Let PyTorch compile the blocks of the denoiser: some minutes at the start, then up to a fifth "
        "faster on graphics cards. For runs of more than about half an hour.",
        json_schema_extra=form(advanced=True, also=("torch_compile", "dynamo_backend")),
    )
