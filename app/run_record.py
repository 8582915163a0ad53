"""What a run has said so far, ready to be shown. No Qt here: live and recorded runs are read the same way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from core.events import (
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    Stage,
    StageProgress,
    StageStarted,
    StateSaved,
    StepDone,
)

RunStatus = Literal["finished", "stopped", "failed", "unfinished"]

_SLOWEST_CHANGE = 0.05
"""Weight of the newest step time once enough steps were seen: about the last 20 steps count."""


class RunRecord:
    """The events of one run, folded into what the window shows.

    A run that was continued says some steps twice; the later word counts. `epoch`, `rate` and memory are those of the
    last step.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.device = ""
        self.precision = ""
        self.num_images = 0
        self.stage: Stage | None = None
        self.stage_done = 0
        self.stage_total: int | None = None
        self.step = 0
        self.total_steps = 0
        self.epoch = 0
        self.total_epochs = 0
        self.peak_memory_bytes = 0
        self.seconds_per_step: float | None = None
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.rates: list[float] = []
        self.samples: dict[tuple[int, int], SampleReady] = {}
        self.notices: list[Notice] = []
        self.loras: list[LoraSaved] = []
        self.state_step: int | None = None
        self.outcome: Finished | Failed | None = None
        self.was_force_stopped = False  # set by whoever asked for it
        self._last: StepDone | None = None
        self._num_timed = 0
        self._average = 0.0
        self._weight = 0.0

    @classmethod
    def of(cls, events: Iterable[Event]) -> RunRecord:
        """The record of events already told."""
        record = cls()
        for event in events:
            record.add(event)
        return record

    def add(self, event: Event) -> None:
        """Take in the next event."""
        self.outcome = event if isinstance(event, (Finished, Failed)) else None
        if isinstance(event, StepDone):
            self._add_step(event)
        elif isinstance(event, StageProgress):
            self.stage, self.stage_done = event.stage, event.done
            self.stage_total = event.total if event.total is not None else self.stage_total
        elif isinstance(event, StageStarted):
            self.stage, self.stage_done, self.stage_total = event.stage, 0, event.total
        elif isinstance(event, SampleReady):
            self.samples[event.step, event.index] = event
        elif isinstance(event, Notice):
            if event not in self.notices:  # A continued run says them again.
                self.notices.append(event)
        elif isinstance(event, LoraSaved):
            self.loras.append(event)
        elif isinstance(event, StateSaved):
            self.state_step = event.step
        elif isinstance(event, JobStarted):
            self._begin(event)

    @property
    def loss(self) -> float | None:
        """The smoothed loss now."""
        return self.smoothed[-1] if self.smoothed else None

    @property
    def remaining_s(self) -> float | None:
        """Seconds of training left at the present speed, or None while the speed is unknown."""
        if self.seconds_per_step is None or not self.total_steps:
            return None
        return max(0, self.total_steps - self.step) * self.seconds_per_step

    @property
    def prompts(self) -> dict[int, str]:
        """Prompt of each preview row, the newest word on it."""
        return {index: sample.prompt for (_, index), sample in sorted(self.samples.items())}

    @property
    def sample_steps(self) -> list[int]:
        """Steps that have previews, oldest first."""
        return sorted({step for step, _ in self.samples})

    @property
    def ended_by_force(self) -> bool:
        """Whether it was ended at once because the user asked for it; a run that saved before is not."""
        return self.was_force_stopped and isinstance(self.outcome, Failed)

    @property
    def status(self) -> RunStatus:
        """How it ended; `unfinished` when nobody said."""
        if isinstance(self.outcome, Failed):
            return "stopped" if self.ended_by_force else "failed"
        if isinstance(self.outcome, Finished):
            return "stopped" if self.outcome.stopped else "finished"
        return "unfinished"

    def _begin(self, event: JobStarted) -> None:
        self.folder = event.run_folder or self.folder
        self.device, self.precision = event.device, event.precision
        self.num_images = event.num_images or self.num_images
        self.total_steps = event.total_steps or self.total_steps
        self._last = None
        self._num_timed = 0
        self.seconds_per_step = None
        self._forget_after(event.first_step)
        self.step = event.first_step

    def _add_step(self, event: StepDone) -> None:
        if self.steps and event.step <= self.steps[-1]:
            self._forget_after(event.step - 1)  # A continued run whose beginning was not told.
        self._time(event)
        self.step, self.total_steps = event.step, event.total_steps
        self.epoch, self.total_epochs = event.epoch, event.total_epochs
        self.peak_memory_bytes = max(self.peak_memory_bytes, event.peak_memory_bytes)
        self.stage = "train"
        self.steps.append(event.step)
        self.losses.append(event.loss)
        self.rates.append(event.learning_rate)
        self._smooth(event.loss)

    def _time(self, event: StepDone) -> None:
        before, self._last = self._last, event
        if before is None or event.step <= before.step or event.elapsed_s < before.elapsed_s:
            return
        seconds = (event.elapsed_s - before.elapsed_s) / (event.step - before.step)
        self._num_timed += 1
        weight = max(_SLOWEST_CHANGE, 1 / self._num_timed)
        known = self.seconds_per_step or 0.0
        self.seconds_per_step = known + weight * (seconds - known)

    def _smooth(self, loss: float) -> None:
        """Exponential average without the pull of its start; its window grows with the length of the run."""
        if math.isfinite(loss):
            keep = 1 - 1 / min(max(self.total_steps / 30, 10), 100)
            self._average = keep * self._average + (1 - keep) * loss
            self._weight = keep * self._weight + (1 - keep)
        self.smoothed.append(self._average / self._weight if self._weight else math.nan)

    def _forget_after(self, step: int) -> None:
        """Drop the points and previews that a continued run is going to say again."""
        self.samples = {key: sample for key, sample in self.samples.items() if key[0] <= step}
        if not self.steps or self.steps[-1] <= step:
            return
        keep = next(position for position, known in enumerate(self.steps) if known > step)
        losses = self.losses[:keep]
        for values in (self.steps, self.losses, self.smoothed, self.rates):
            del values[keep:]
        self.smoothed, self._average, self._weight = [], 0.0, 0.0
        for loss in losses:
            self._smooth(loss)
