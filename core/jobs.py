"""What the user can start, from tagging to training. Each job is a frozen description and a generator of events."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, field_validator

from core.config.base import Section
from core.config.model import ModelConfig, SamplingConfig, TrainConfig
from core.control import Control
from core.dataset.caption_ending import no_picture_ending
from core.dataset.edits import Fit
from core.dataset.fitting import Edge
from core.errors import details, explain
from core.events import Event, Failed, Finished
from core.tagging.options import TagOptions
from core.text import tr
from core.tools.tasks import ToolTask


class TagJob(Section):
    """Look at every picture of a folder and write its caption beside it; without `write` only look.

    What the models saw is kept (`core.tagging.scores`), so that a second look costs nothing. `recursive` takes in all
    sub-folders where `edits` names no dataset file that says otherwise. With `images` only these are looked at,
    whatever their captions are.
    """

    kind: Literal["tag"] = "tag"
    folder: Path
    edits: Path = Path()
    images: tuple[Path, ...] = ()
    caption_extension: str = Field(".txt", pattern=r"^\.[A-Za-z0-9_]+$")
    options: TagOptions = TagOptions()
    write: bool = True
    recursive: bool = False

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)


class PrepareJob(Section):
    """Write copies of the pictures of a dataset, fitted to training size, and of their captions to another folder.

    The options are those of the run's settings; `edits` is the dataset file, `Path()` for none.
    """

    kind: Literal["prepare"] = "prepare"
    folder: Path
    edits: Path = Path()
    target: Path
    resolution: int = Field(512, ge=64, le=4096)
    fit: Fit = "buckets"
    bucket_step: int = Field(64, ge=8, le=256, multiple_of=8)
    max_aspect: float = Field(2.0, ge=1.0, le=4.0)
    crop_shape: str = Field("1:1", pattern=r"^[1-9]\d?:[1-9]\d?$")
    edge: Edge = "blur"
    caption_extension: str = Field(".txt", pattern=r"^\.[A-Za-z0-9_]+$")
    captions: bool = True
    format: Literal["png", "jpg", "webp"] = "png"
    quality: int = Field(95, ge=1, le=100)

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)


class CheckJob(Section):
    """Measure the pictures of a dataset for the doctor: all of a folder and its dataset file, or only those named."""

    kind: Literal["check"] = "check"
    folder: Path
    edits: Path = Path()
    images: tuple[Path, ...] = ()
    caption_extension: str = Field(".txt", pattern=r"^\.[A-Za-z0-9_]+$")

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)


class DownloadJob(Section):
    """Get a model of the catalogue (`core.hub.catalog`) into the folder of models, or go on where it was cut off."""

    kind: Literal["download"] = "download"
    model: str
    source: Literal["auto", "huggingface", "mirror", "modelscope"] = "auto"
    folder: Path = Path()


class TrainJob(Section):
    """Train a LoRA; with `resume`, continue the run of the same name from its last state.

    `from_step` goes back to the state of an earlier step; what came after it is forgotten. -1 takes the last state.
    """

    kind: Literal["train"] = "train"
    config: TrainConfig
    resume: bool = False
    from_step: int = Field(-1, ge=-1)


class SampleJob(Section):
    """Draw pictures with a base model, used as its settings say, and, when given, with a LoRA file."""

    kind: Literal["sample"] = "sample"
    model: ModelConfig
    lora: Path | None = None
    strength: float = Field(1.0, ge=-4, le=4)
    sampling: SamplingConfig
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    target: Path


class ToolJob(Section):
    """Look into, convert, shrink, merge, extract or check LoRA files."""

    kind: Literal["tool"] = "tool"
    task: ToolTask


class ConvertJob(Section):
    """Write a base model in another form: `file` or `folder`, `auto` by the name of the target."""

    kind: Literal["convert"] = "convert"
    source: Path
    target: Path
    to: Literal["auto", "file", "folder"] = "auto"
    precision: Literal["same", "fp16", "bf16", "fp32"] = "same"


Job = Annotated[
    TagJob | PrepareJob | CheckJob | DownloadJob | TrainJob | SampleJob | ToolJob | ConvertJob,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Job] = TypeAdapter(Job)


def job_to_line(job: Job) -> str:
    """One line of ASCII JSON, without the newline; paths may hold any bytes that the system allows."""
    return json.dumps(job.model_dump(), default=str)


def job_from_line(line: str) -> Job:
    """The job of one line.

    Raises:
        ValueError: The line describes no job.
    """
    return _ADAPTER.validate_python(json.loads(line))


def run_job(job: Job, control: Control) -> Iterator[Event]:
    """The events of a job, heavy libraries imported on the way. Ends with `Finished`, or raises."""
    if isinstance(job, TagJob):
        from core.tagging.job import tag_folder

        yield from tag_folder(job, control)
    elif isinstance(job, PrepareJob):
        from core.dataset.prepare import prepare_folder

        yield from prepare_folder(job, control)
    elif isinstance(job, CheckJob):
        from core.dataset.checking import check_folder

        yield from check_folder(job, control)
    elif isinstance(job, DownloadJob):
        from core.hub.job import download_model

        yield from download_model(job, control)
    elif isinstance(job, TrainJob):
        from core.training.job import train

        yield from train(job, control)
    elif isinstance(job, ConvertJob):
        from core.checkpoints.convert import convert

        yield from convert(job, control)
    elif isinstance(job, ToolJob):
        from core.tools.run import run_tool

        yield from run_tool(job.task, control)
    else:
        from core.sampling import sample

        yield from sample(job, control)


def run_to_end(job: Job, control: Control) -> Iterator[Event]:
    """The events of a job, always ending with `Finished` or `Failed`; no error escapes."""
    started = time.monotonic()
    try:
        for event in run_job(job, control):
            if isinstance(event, Finished):
                event = dataclasses.replace(event, elapsed_s=event.elapsed_s or time.monotonic() - started)
            yield event
    except Exception as error:  # The border of a job: whatever happens is told, in words or with its traceback.
        yield failure(error, in_training=isinstance(job, TrainJob))


def stopped_at_once(job: Job | None) -> Failed:
    """The event for a job that was ended by force."""
    again = tr("Start it again whenever you like.")
    return Failed(
        message=tr("The run was stopped at once, as asked."),
        remedy=tr("Continue it from its last state whenever you like.") if isinstance(job, TrainJob) else again,
        known=True,
    )


def failure(error: BaseException, *, in_training: bool = False) -> Failed:
    """The event for an error: the user's words when it is known, else a plain admission with the traceback.

    Args:
        error: What happened.
        in_training: It ended a training, which can be continued and has settings of its own.
    """
    known = explain(error, in_training=in_training)
    if known is not None:
        return Failed(
            message=known.message, remedy=known.remedy, detail=details(error), known=True, failure=known.failure
        )
    return Failed(
        message=tr("Kiln met an error it does not know: {error}.", error=f"{type(error).__name__}: {error}"[:300]),
        remedy=tr("The details below say where; please report them."),
        detail=details(error),
    )
