"""What a job says while it runs: small frozen records, each one line of JSON.

The same lines go through the pipe of the child process, into `events.jsonl` of a run, and into recorded runs of tests.
Events carry paths, numbers and sentences; never tensors or Qt objects.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Stage = Literal[
    "scan",
    "check",
    "prepare",
    "connect",
    "download",
    "verify",
    "tag",
    "write",
    "load",
    "cache",
    "train",
    "sample",
    "inspect",
    "compute",
    "save",
]


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


Outcome = Literal["new", "changed", "unchanged", "kept"]
"""What a tagging run makes of a caption: there was none, it becomes another one, it is the same, it is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTagged:
    """A picture was looked at, and this is its caption; nothing is written before all of them are known.

    `tags` are (name, score, category) of what the tagger saw above the thresholds, spelled as in its list; none of a
    picture whose caption is kept unseen.
    """

    kind: Literal["picture_tagged"] = "picture_tagged"
    image: Path
    caption: str
    outcome: Outcome
    tags: tuple[tuple[str, float, str], ...] = ()
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionsPlanned:
    """All pictures were looked at: so many captions are new, changed, unchanged or kept; so many pictures failed."""

    kind: Literal["captions_planned"] = "captions_planned"
    new: int
    changed: int
    unchanged: int
    kept: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """So many bytes of a model are here. `bytes_per_s` is the speed of the last seconds, None while nothing comes."""

    kind: Literal["download_progress"] = "download_progress"
    file: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesMeasured:
    """Facts of some pictures: for each the values of `ImageFacts.to_json` and its `path` as text."""

    kind: Literal["pictures_measured"] = "pictures_measured"
    facts: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraReported:
    """What a tool found out about LoRA files: for each the values of its report, its `file` as text among them."""

    kind: Literal["lora_reported"] = "lora_reported"
    tool: str
    reports: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One optimizer step. `loss` is the mean over its micro-batches, `elapsed_s` the time spent training so far.

    `grad_norm` is the length of the gradient before clipping, `lora_norm` that of all that the LoRA adds to the
    model's weights, after the step; None where they were not measured.
    """

    kind: Literal["step_done"] = "step_done"
    step: int
    total_steps: int
    epoch: int
    total_epochs: int
    loss: float
    learning_rate: float
    elapsed_s: float
    peak_memory_bytes: int = 0
    grad_norm: float | None = None
    lora_norm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The held-out pictures were measured after this step: their mean loss at fixed noise and timesteps."""

    kind: Literal["validated"] = "validated"
    step: int
    epoch: int
    loss: float
    num_pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """The run went back to this step and goes on with other settings, because something did not work out.

    `changes` are (`section.name`, value as text) of what is different from now on; `message` says it to the user.
    """

    kind: Literal["adapted"] = "adapted"
    step: int
    cause: Literal["memory", "not_a_number", "exploding"]
    changes: tuple[tuple[str, str], ...] = ()
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BestEpoch:
    """The proposal which epoch's file to use, and why, in the user's language."""

    kind: Literal["best_epoch"] = "best_epoch"
    epoch: int
    step: int
    path: Path | None = None
    reason: str


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
    """A LoRA file is on disk, complete.

    `num_modules` is how many modules of the base model it changes, as it was read again, and `problems` sentences about
    what is wrong with it; 0 in files of earlier versions, which did not look.
    """

    kind: Literal["lora_saved"] = "lora_saved"
    path: Path
    step: int
    epoch: int
    size_bytes: int
    num_modules: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSaved:
    """The run can continue from this step after whatever happens."""

    kind: Literal["state_saved"] = "state_saved"
    step: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job did what it was asked, or stopped when asked. `output` is the file or folder it made.

    `paused` says that it only saved its state, to go on later; it is `stopped` then as well. `num_failed` counts what
    it could not do while the rest went well: pictures that could not be read, captions that could not be written.
    """

    kind: Literal["finished"] = "finished"
    output: Path | None = None
    stopped: bool = False
    paused: bool = False
    elapsed_s: float = 0.0
    num_failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job ended without its result: one sentence, a remedy, and the technical detail folded away.

    `known` says that the sentence names the cause; otherwise the detail is what a report needs. `failure` is the key of
    what happened in `core.failures`, by which the window finds the buttons that mend it; empty when it has none.
    """

    kind: Literal["failed"] = "failed"
    message: str
    remedy: str
    detail: str = ""
    known: bool = False
    failure: str = ""


Event = (
    JobStarted
    | StageStarted
    | StageProgress
    | Notice
    | PictureTagged
    | CaptionsPlanned
    | DownloadProgress
    | PicturesMeasured
    | LoraReported
    | StepDone
    | Validated
    | Adapted
    | BestEpoch
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
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError:  # Rare, and looking at every number of every event would take longer than writing it.
        return json.dumps(_finite(values), allow_nan=False)


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
    return str(value) if isinstance(value, Path) else value


def _finite(value: object) -> object:
    """The same with None for numbers that JSON has no word for, however deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
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
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_from_json(item, kinds[0]) for item in value)
        if None in value:
            return tuple(_from_json(item, kind) for item, kind in zip(value, kinds, strict=True))
        return tuple(value)
    return value
