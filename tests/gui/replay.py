"""A run that repeats what another run said, and does what it is asked like a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.control import Command
from core.events import (
    BestEpoch,
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    SampleReady,
    StateSaved,
    StepDone,
    from_line,
)

DATA = Path(__file__).resolve().parent.parent / "data"
RECORDED = DATA / "starter_60_steps.jsonl"
STORY = DATA / "starter_story.jsonl"
"""The same run in three epochs with held-out pictures, norms, a rescue from full memory and a proposed epoch."""


def recorded_events(recording: Path = RECORDED, run_folder: Path | None = None) -> list[Event]:
    """The events of a recording; pictures are found beside it, other paths lie in `run_folder`."""
    events = [from_line(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    return [_placed(event, recording, run_folder) for event in events]


def _placed(event: Event, recording: Path, run_folder: Path | None) -> Event:
    if isinstance(event, SampleReady):
        return replace(event, image=recording.parent / event.image)
    if run_folder is None:
        return event
    if isinstance(event, JobStarted):
        return replace(event, run_folder=run_folder)
    if isinstance(event, StateSaved):
        return replace(event, folder=run_folder / "state")
    if isinstance(event, LoraSaved):
        return replace(event, path=run_folder.parent.parent / event.path.name)
    if isinstance(event, BestEpoch) and event.path:
        return replace(event, path=run_folder.parent.parent / event.path.name)
    if isinstance(event, Finished) and event.output:
        return replace(event, output=run_folder.parent.parent / event.output.name)
    return event


class ReplayRun:
    """Repeats a recording at once, or up to a step, where it waits to be told what to do.

    `stop` and `pause` end it as a real run ends, `kill` as a killed one; `go_on` lets it run to its end. `sent` keeps
    all wishes.
    """

    def __init__(
        self, events: Path | list[Event] = RECORDED, *, hold_after: int | None = None, run_folder: Path | None = None
    ) -> None:
        self._events = recorded_events(events, run_folder) if isinstance(events, Path) else events
        self._hold_after = hold_after
        self._wake = threading.Event()
        self.sent: list[Command] = []
        self.killed = False

    def events(self) -> Iterator[Event]:
        for event in self._events:
            yield event
            if isinstance(event, StepDone) and event.step == self._hold_after:
                self._wake.wait()
                if self.killed:
                    yield Failed(message="The run was stopped at once, as asked.", remedy="Continue it.")
                    return
                if "pause" in self.sent:
                    yield Finished(stopped=True, paused=True, elapsed_s=event.elapsed_s)
                    return
                if "stop" in self.sent:
                    yield Finished(output=Path("replay.safetensors"), stopped=True, elapsed_s=event.elapsed_s)
                    return

    def send(self, command: Command) -> None:
        self.sent.append(command)
        if command in ("stop", "pause"):
            self._wake.set()

    def kill(self) -> None:
        self.killed = True
        self._wake.set()

    def go_on(self) -> None:
        self._wake.set()
