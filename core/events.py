"""What a job says while it runs: small frozen records, each one line of JSON.

The same lines go through the pipe of the child process, into `events.jsonl` of a run, and into recorded runs of tests.
Events carry paths, numbers and sentences; never tensors or Qt objects.
"""

from __future__ import annotations

import dataclasses
import json
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Stage = Literal["scan", "check", "prepare", "tag", "load", "cache", "train", "sample", "save"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """A job began. For a training run: where it is kept and how long it will be."""

    kind: Literal["job_started"] = "job_started"
    job: str
    run_folder: Path | None = None
    device: str = ""
    precision: str = ""
    first_step: int = 0
    total_steps: int = 0
    num_images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """A part of the job began; `total` counts its units (pictures, steps), or is None when unknown."""

    kind: Literal["stage_started"] = "stage_started"
    stage: Stage
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """So many units of the stage are done."""

    kind: Literal["stage_progress"] = "stage_progress"
    stage: Stage
    done: int
    total: int | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One sentence the user should read, in their language; the job goes on."""

    kind: Literal["notice"] = "notice"
    level: Literal["info", "warning"] = "info"
    message: str
    image: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTagged:
    """A picture has its caption; `written` is False when an existing caption was kept."""

    kind: Literal["picture_tagged"] = "picture_tagged"
    image: Path
    caption: str
    written: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesMeasured:
    """Facts of some pictures: for each the values of `ImageFacts.to_json` and its `path` as text."""

    kind: Literal["pictures_measured"] = "pictures_measured"
    facts: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One optimizer step. `loss` is the mean over its micro-batches, `elapsed_s` the time spent training so far."""

    kind: Literal["step_done"] = "step_done"
    step: int
    total_steps: int
    epoch: int
    total_epochs: int
    loss: float
    learning_rate: float
    elapsed_s: float
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReady:
    """A preview is on disk."""

    kind: Literal["sample_ready"] = "sample_ready"
    step: int
    index: int
    prompt: str
    seed: int
    image: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSaved:
    """A LoRA file is on disk, complete."""

    kind: Literal["lora_saved"] = "lora_saved"
    path: Path
    step: int
    epoch: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSaved:
    """The run can continue from this step after whatever happens."""

    kind: Literal["state_saved"] = "state_saved"
    step: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job did what it was asked, or stopped when asked. `output` is the file or folder it made."""

    kind: Literal["finished"] = "finished"
    output: Path | None = None
    stopped: bool = False
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job ended without its result: one sentence, a remedy, and the technical detail folded away.

    `known` says that the sentence names the cause; otherwise the detail is what a report needs.
    """

    kind: Literal["failed"] = "failed"
    message: str
    remedy: str
    detail: str = ""
    known: bool = False


Event = (
    JobStarted
    | StageStarted
    | StageProgress
    | Notice
    | PictureTagged
    | PicturesMeasured
    | StepDone
    | SampleReady
    | LoraSaved
    | StateSaved
    | Finished
    | Failed
)
EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
_BY_KIND: dict[str, type[Event]] = {get_args(get_type_hints(cls)["kind"])[0]: cls for cls in EVENT_TYPES}
_HINTS = {kind: get_type_hints(cls) for kind, cls in _BY_KIND.items()}


def to_line(event: Event) -> str:
    """One line of ASCII JSON, without the newline; non-finite numbers become null, which `from_line` reads as NaN.

    ASCII, so that file names in any encoding survive every pipe, and no text holds what some reader takes for the
    end of a line.
    """
    values = {field.name: _to_json(getattr(event, field.name)) for field in dataclasses.fields(event)}
    return json.dumps(values, allow_nan=False)


def from_line(line: str) -> Event:
    """The event of one line.

    Raises:
        ValueError: The line is no event of this version.
    """
    values = json.loads(line)
    if not isinstance(values, dict) or values.get("kind") not in _BY_KIND:
        raise ValueError(f"not an event: {line[:200]!r}")
    cls = _BY_KIND[values["kind"]]
    hints = _HINTS[values["kind"]]
    known = {name: _from_json(value, hints[name]) for name, value in values.items() if name in hints}
    try:
        return cls(**known)
    except TypeError as error:
        raise ValueError(f"not an event: {line[:200]!r}") from error


def _to_json(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def _from_json(value: Any, hint: Any) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None:
        return None if type(None) in options else float("nan") if float in options else value
    if Path in options:
        return Path(value)
    if float in options:
        return float(value)
    if get_origin(hint) is tuple:
        return tuple(value)
    return value
