"""What each tool is asked to do, as plain descriptions that the window, the command line and the worker share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from core.config.base import Section

Spelling = Literal["kohya", "diffusers", "peft"]
Precision = Literal["keep", "fp16", "bf16", "fp32"]

_MOST_RANK = 4096


class Weighted(Section):
    """A LoRA file and how strongly it counts; 1 is as it was trained."""

    file: Path
    strength: float = Field(1.0, ge=-16, le=16)


class InspectTask(Section):
    """Tell what a LoRA file holds. `norms` also measures how much it changes each block, which reads all weights."""

    tool: Literal["inspect"] = "inspect"
    file: Path
    norms: bool = True


class VerifyTask(Section):
    """Tell whether a LoRA file fits a base model, and whether its weights are sound."""

    tool: Literal["verify"] = "verify"
    file: Path
    base: Path


class ConvertTask(Section):
    """Write a LoRA in another spelling or number format; with a rank, LoHa, LoKr and full changes become LoRA pairs.

    `alpha` is that of a file which lacks it, `conv_rank` that of convolutions, 0 for the same as `rank`.
    """

    tool: Literal["convert"] = "convert"
    file: Path
    output: Path
    spelling: Spelling = "kohya"
    precision: Precision = "keep"
    rank: int = Field(0, ge=0, le=_MOST_RANK)
    conv_rank: int = Field(0, ge=0, le=_MOST_RANK)
    alpha: float | None = Field(None, gt=0)


class ResizeTask(Section):
    """Write a LoRA with smaller ranks, chosen for each module by itself and `rank` at the most.

    `share` of the Frobenius norm is kept, 1 for all that the rank allows; `ratio` leaves out what is more than that
    many times smaller than a module's largest singular value, 0 leaves out nothing. `conv_rank` limits convolutions, 0
    for the same as `rank`.
    """

    tool: Literal["resize"] = "resize"
    file: Path
    output: Path
    rank: int = Field(_MOST_RANK, ge=1, le=_MOST_RANK)
    conv_rank: int = Field(0, ge=0, le=_MOST_RANK)
    share: float = Field(1.0, gt=0, le=1)
    ratio: float = Field(0.0, ge=0)
    precision: Precision = "keep"


class MergeTask(Section):
    """Write one LoRA that does what several do together: exactly, or cut to a rank when one is given."""

    tool: Literal["merge"] = "merge"
    loras: tuple[Weighted, ...] = Field(min_length=1)
    output: Path
    rank: int = Field(0, ge=0, le=_MOST_RANK)
    conv_rank: int = Field(0, ge=0, le=_MOST_RANK)
    precision: Precision = "keep"


class BakeTask(Section):
    """Write a base model with LoRAs taken into its weights; a file becomes a file, a folder a folder."""

    tool: Literal["bake"] = "bake"
    base: Path
    loras: tuple[Weighted, ...] = Field(min_length=1)
    output: Path


class ExtractTask(Section):
    """Write what a tuned base model has learned since the original one as a LoRA.

    `conv_rank` is that of 3x3 convolutions, 0 leaves them out. Modules whose weights differ nowhere by more than
    `least_difference` are left out.
    """

    tool: Literal["extract"] = "extract"
    original: Path
    tuned: Path
    output: Path
    rank: int = Field(32, ge=1, le=_MOST_RANK)
    conv_rank: int = Field(0, ge=0, le=_MOST_RANK)
    share: float = Field(1.0, gt=0, le=1)
    least_difference: float = Field(0.0, ge=0)
    text_encoder: bool = True
    precision: Literal["fp16", "bf16", "fp32"] = "fp16"


class EditTask(Section):
    """Write a copy of a LoRA file with other metadata; its weights stay as they are, byte for byte.

    `put` sets keys to values, `remove` takes keys away.
    """

    tool: Literal["edit"] = "edit"
    file: Path
    output: Path
    put: dict[str, str] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()


ToolTask = Annotated[
    InspectTask | VerifyTask | ConvertTask | ResizeTask | MergeTask | BakeTask | ExtractTask | EditTask,
    Field(discriminator="tool"),
]
