"""The runs found in output folders: how each ended, what it came to, and whether it can go on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.run_places import is_at_home, lora_file
from app.run_record import RunRecord, RunStatus
from core.events import Event, LoraSaved, Validated, from_line
from core.locks import is_running
from core.run_folder import RunFolder, state_files

_TAIL_BYTES = 128 * 1024
_SEARCHED_BYTES = 4 * 1024 * 1024
_Kind = TypeVar("_Kind", LoraSaved, Validated)
_SAMPLE = re.compile(r"step_(\d+)_(\d+)\.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run found on disk, as one line of a list. `changed_at` is in seconds since 1970.

    `loss` is the smoothed training loss at the end, `validation` the last one measured; None when there was none.
    `preview` is the first picture of the last previews, `files` are the LoRA files that are there, the newest first.
    """

    folder: RunFolder
    status: RunStatus
    step: int
    total_steps: int
    changed_at: float
    is_running: bool = False
    loss: float | None = None
    validation: float | None = None
    preview: Path | None = None
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.path.name

    @property
    def can_continue(self) -> bool:
        """Whether it ended early, has a state to go on from, and no process is at work on it."""
        return self.status != "finished" and not self.is_running and can_resume(self.folder)


def past_runs(outputs: Path | Iterable[Path]) -> list[PastRun]:
    """All runs of some output folders, newest first. Only the ends of their event files are read."""
    folders: dict[Path, RunFolder] = {}
    for output in [outputs] if isinstance(outputs, Path) else outputs:
        try:
            folders |= {file.parent: RunFolder(file.parent) for file in (output / "runs").glob("*/config.toml")}
        except OSError:
            continue  # A drive that is not there just now.
    return sorted((past_run(folder) for folder in folders.values()), key=lambda run: run.changed_at, reverse=True)


def past_run(folder: RunFolder) -> PastRun:
    """One run of the list."""
    record = RunRecord.of(_last_events(folder.events))
    place = folder.events if folder.events.is_file() else folder.config
    try:
        changed_at = place.stat().st_mtime
    except OSError:  # Removed while we looked.
        changed_at = 0.0
    validated = record.validations[-1] if record.validations else _last_of(folder.events, Validated)
    saved = [event.path for event in reversed(record.loras)]
    if not saved and (last := _last_of(folder.events, LoraSaved)) is not None:
        saved = [last.path]
    files = dict.fromkeys(lora_file(path, folder.path) for path in saved)
    return PastRun(
        folder=folder,
        status=record.status,
        step=record.step,
        total_steps=record.total_steps,
        changed_at=changed_at,
        is_running=runs_now(folder),
        loss=record.loss if record.loss is not None and math.isfinite(record.loss) else None,
        validation=validated.loss if validated is not None and math.isfinite(validated.loss) else None,
        preview=_last_preview(folder.samples),
        files=tuple(path for path in files if path.is_file()),
    )


def has_state(folder: RunFolder) -> bool:
    """Whether there is a state that the run could go on from."""
    return bool(state_files(folder.state))


def can_resume(folder: RunFolder) -> bool:
    """Whether the run can go on where it lies."""
    return is_at_home(folder) and has_state(folder)


def runs_now(folder: RunFolder) -> bool:
    """Whether a process is at work on the run; on a disk that may not be written, none is."""
    try:
        return is_running(folder.path)
    except OSError:
        return False


def _last_preview(samples: Path) -> Path | None:
    """The first picture of the newest step that has any."""
    try:
        names = [path.name for path in samples.iterdir()]
    except OSError:
        return None
    found = [(int(match[1]), -int(match[2]), match[0]) for name in names if (match := _SAMPLE.fullmatch(name))]
    return samples / max(found)[2] if found else None


def _last_events(path: Path) -> list[Event]:
    events: list[Event] = []
    for line in _tail(path, _TAIL_BYTES).split(b"\n"):
        try:
            events.append(from_line(line.decode("utf-8", "replace")))
        except ValueError:
            continue  # The cut first line, or the last one of a crash.
    return events


def _last_of(path: Path, kind: type[_Kind]) -> _Kind | None:
    """The last event of a kind in the last part of the file."""
    name = "validated" if kind is Validated else "lora_saved"
    data = _tail(path, _SEARCHED_BYTES)
    at = data.rfind(f'"kind": "{name}"'.encode())
    if at < 0:
        return None
    line = data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at)]
    try:
        event = from_line(line.decode("utf-8", "replace"))
    except ValueError:
        return None
    return event if isinstance(event, kind) else None


def _tail(path: Path, num_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - num_bytes))
            return file.read()
    except OSError:
        return b""
