"""The runs found in an output folder: how each ended, whether it can go on, and which names are still free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.run_record import RunRecord, RunStatus
from core.events import Event, from_line
from core.locks import is_running
from core.run_folder import RunFolder, state_file

_TAIL_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run found on disk, as one line of a list. `changed_at` is in seconds since 1970."""

    folder: RunFolder
    status: RunStatus
    step: int
    total_steps: int
    changed_at: float

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.path.name

    @property
    def can_continue(self) -> bool:
        """Whether it ended early, has a state to go on from, and no other process is at work on it."""
        return self.status != "finished" and has_state(self.folder) and not is_running(self.folder.path)


def past_runs(output: Path) -> list[PastRun]:
    """All runs of an output folder, newest first. Only the ends of their event files are read."""
    try:
        folders = [RunFolder(file.parent) for file in (output / "runs").glob("*/config.toml")]
    except OSError:
        return []
    return sorted((past_run(folder) for folder in folders), key=lambda run: run.changed_at, reverse=True)


def past_run(folder: RunFolder) -> PastRun:
    """One run of the list."""
    record = RunRecord.of(_last_events(folder.events))
    place = folder.events if folder.events.is_file() else folder.config
    try:
        changed_at = place.stat().st_mtime
    except OSError:  # Removed while we looked.
        changed_at = 0.0
    return PastRun(folder, record.status, record.step, record.total_steps, changed_at)


def has_state(folder: RunFolder) -> bool:
    """Whether the run can continue."""
    return state_file(folder.state).is_file()


def _last_events(path: Path) -> list[Event]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    events: list[Event] = []
    for line in lines:
        try:
            events.append(from_line(line))
        except ValueError:
            continue  # The cut first line, or the last one of a crash.
    return events
