"""Progress of a tool, and its stopping when asked."""

from __future__ import annotations

import time
from collections.abc import Generator

from core.control import Control
from core.events import Event, Stage, StageProgress, StageStarted

ToolEvents = Generator[Event, None, None]
"""What a tool says. A tool that was asked to stop raises `StoppedError`, its files as they were before."""

_EVERY_S = 0.2


class StoppedError(Exception):
    """The user asked the tool to stop; nothing of its result is kept."""


class Steps:
    """Counts the units of a stage; tells of them a few times a second, and of the last one."""

    def __init__(self, control: Control, stage: Stage, total: int) -> None:
        self._control = control
        self._stage: Stage = stage
        self._total = total
        self._done = 0.0
        self._began = self._told = time.monotonic()

    def begin(self) -> StageStarted:
        """The event with which the stage begins."""
        return StageStarted(stage=self._stage, total=self._total)

    def done(self, number: float = 1) -> ToolEvents:
        """Count so many units as done.

        Raises:
            StoppedError: The user asked to stop.
        """
        if self._control.stop_requested:
            raise StoppedError
        self._done += number
        now = time.monotonic()
        done = min(int(self._done), self._total)
        if done >= self._total or now - self._told >= _EVERY_S:
            self._told = now
            yield StageProgress(stage=self._stage, done=done, total=self._total, elapsed_s=now - self._began)
