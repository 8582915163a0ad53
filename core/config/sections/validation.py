"""Pictures that are held out and measured."""

from __future__ import annotations

from pydantic import Field

from core.config.base import Section, form


class ValidationConfig(Section):
    """Pictures that are held out and measured, and what follows from it."""

    pictures: int = Field(
        -1,
        ge=-1,
        le=1000,
        title="Held-out pictures",
        description="So many pictures are not trained but only measured, with the same noise each time, to see when "
        "the LoRA begins to learn by heart. -1 takes 1 in 12 from 24 pictures on; 0 turns it off.",
        json_schema_extra=form(
            also=(
                "validation_split",
                "validation",
            )
        ),
    )
    every_n_epochs: int = Field(
        1,
        ge=1,
        le=1000,
        title="Measure every",
        description="Measure the held-out pictures after every so many epochs.",
        json_schema_extra=form(advanced=True, unit="epochs", also=("validate_every_n_epochs",)),
    )
    seed: int = Field(
        7,
        ge=0,
        le=2**31 - 1,
        title="Validation seed",
        description="Chooses the held-out pictures and their noise.",
        json_schema_extra=form(advanced=True, also=("validation_seed",)),
    )
    timesteps: int = Field(
        4,
        ge=1,
        le=50,
        title="Timesteps measured",
        description="Each held-out picture is measured at so many fixed timesteps; more is smoother and takes longer.",
        json_schema_extra=form(advanced=True, also=("max_validation_steps",)),
    )
    patience: int = Field(
        0,
        ge=0,
        le=1000,
        title="Early stop",
        description="End the run when the measure has not become better for so many measurements; 5 to 10 is usual, 0 "
        "never ends it.",
        json_schema_extra=form(advanced=True, unit="times", also=("early stopping",)),
    )
