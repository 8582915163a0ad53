"""Preview pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Section, form


class SamplingConfig(Section):
    """Preview pictures during the run."""

    prompts: tuple[str, ...] = Field(
        (),
        title="Preview prompts",
        description="One prompt per line; each gives one preview picture. Empty: no previews.",
        json_schema_extra=form(
            widget="text",
            also=(
                "positive_prompts",
                "sample_prompts",
            ),
        ),
    )
    negative_prompt: str = Field(
        "",
        title="Negative prompt",
        description="What the previews should not show.",
        json_schema_extra=form(advanced=True, also=("negative_prompts",)),
    )
    at_start: bool = Field(
        True,
        title="Preview before training",
        description="Draw the previews once before the first step, to compare with.",
        json_schema_extra=form(advanced=True, also=("sample_at_first",)),
    )
    every_n_steps: int = Field(
        0,
        ge=0,
        title="Also preview every",
        description="Draw the previews also every so many steps; 0 turns it off.",
        json_schema_extra=form(advanced=True, unit="steps", also=("sample_every_n_steps",)),
    )
    width: int = Field(
        512,
        ge=64,
        le=2048,
        multiple_of=8,
        title="Preview width",
        description="Width of the previews. The training resolution, or what you draw with.",
        json_schema_extra=form(advanced=True, unit="px", also=("sample_width",)),
    )
    height: int = Field(
        512,
        ge=64,
        le=2048,
        multiple_of=8,
        title="Preview height",
        description="Height of the previews. The training resolution, or what you draw with.",
        json_schema_extra=form(advanced=True, unit="px", also=("sample_height",)),
    )
    denoising_steps: int = Field(
        20,
        ge=1,
        le=200,
        title="Denoising steps",
        description="Steps of the sampler for one preview; 20 to 30 is usual.",
        json_schema_extra=form(advanced=True, also=("sample_steps",)),
    )
    guidance: float = Field(
        7.0,
        ge=1,
        le=30,
        title="Guidance",
        description="How closely previews follow their prompt; 5 to 9 is usual.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "sample_cfg",
                "cfg",
            ),
        ),
    )
    seed: int = Field(
        1234,
        ge=0,
        le=2**31 - 1,
        title="Preview seed",
        description="The same seed at every preview shows the training and nothing else change.",
        json_schema_extra=form(advanced=True, also=("sample_seed",)),
    )
    every_n_epochs: int = Field(
        1,
        ge=0,
        le=10000,
        title="Preview every",
        description="Draw the previews after every so many epochs; 0 draws none but the last ones.",
        json_schema_extra=form(unit="epochs", also=("sample_every_n_epochs",)),
    )
    sampler: Literal["dpmpp_2m", "euler_a", "euler", "ddim"] = Field(
        "dpmpp_2m",
        title="Sampler",
        description="How previews are drawn: dpmpp_2m needs the fewest steps, euler_a is what many anime models are "
        "shown with.",
        json_schema_extra=form(advanced=True, also=("sample_sampler",)),
    )
