"""What a run has said so far, ready to be shown. No Qt here: live and recorded runs are read the same way."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from core.events import (
    Adapted,
    BestEpoch,
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
    Validated,
)

RunStatus = Literal["finished", "stopped", "paused", "failed", "unfinished"]

_SLOWEST_CHANGE = 0.05
"""Weight of the newest step time once enough steps were seen: about the last 20 steps count."""


class RunRecord:
    """The events of one run, folded into what the window shows.

    A run that was continued says some steps twice; the later word counts. `epoch`, `rate` and memory are those of the
    last step. The series by step are arrays of numbers: a run may have 100,000 steps.
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
        self.steps = array("q")
        self.losses = array("d")
        self.smoothed = array("d")
        self.rates = array("d")
        self.grad_norms = array("d")  # NaN where none was measured
        self.lora_norms = array("d")
        self.epoch_starts: dict[int, int] = {}  # epoch -> its first step
        self.validations: list[Validated] = []
        self.adaptions: list[Adapted] = []
        self.best: BestEpoch | None = None
        self.samples: dict[tuple[int, int], SampleReady] = {}
        self.notices: list[Notice] = []
        self.loras: list[LoraSaved] = []
        self.state_step: int | None = None
        self.outcome: Finished | Failed | None = None
        self.was_force_stopped = False  # set by whoever asked for it
        self._last: StepDone | None = None
        self._num_timed = 0
        self._averages = array("d")
        self._weights = array("d")

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
            self.loras = [known for known in self.loras if known.path != event.path] + [event]
        elif isinstance(event, StateSaved):
            self.state_step = event.step
        elif isinstance(event, Validated):
            self.validations = [known for known in self.validations if known.step < event.step] + [event]
        elif isinstance(event, Adapted):
            self.forget_after(event.step)
            self.step = event.step
            self.adaptions.append(event)
        elif isinstance(event, BestEpoch):
            self.best = event
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
    def best_validation(self) -> Validated | None:
        """The lowest validation loss so far."""
        finite = [known for known in self.validations if math.isfinite(known.loss)]
        return min(finite, key=lambda known: known.loss, default=None)

    @property
    def prompts(self) -> dict[int, str]:
        """Prompt of each preview row, the newest word on it."""
        return {index: sample.prompt for (_, index), sample in sorted(self.samples.items())}

    @property
    def sample_steps(self) -> list[int]:
        """Steps that have previews, oldest first."""
        return sorted({step for step, _ in self.samples})

    def epoch_ended_at(self, step: int) -> int | None:
        """The epoch that ended with this step, or None when it was in the middle of one."""
        begun = [epoch for epoch, first in self.epoch_starts.items() if first <= step]
        if not begun:
            return None
        epoch = max(begun)
        following = self.epoch_starts.get(epoch + 1)
        ended = following == step + 1 or (following is None and step == self.total_steps)
        return epoch if ended else None

    def position_of(self, step: int) -> int | None:
        """Where the series hold a step; the step before it when it is not known, None before the first."""
        position = bisect_right(self.steps, step) - 1
        return position if position >= 0 else None

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
            if self.outcome.paused:
                return "paused"
            return "stopped" if self.outcome.stopped else "finished"
        return "unfinished"

    def _begin(self, event: JobStarted) -> None:
        self.folder = self.folder or event.run_folder
        self.device, self.precision = event.device, event.precision
        self.num_images = event.num_images or self.num_images
        self.total_steps = event.total_steps or self.total_steps
        self._last = None
        self._num_timed = 0
        self.seconds_per_step = None
        self.best = None
        self.forget_after(event.first_step)
        self.step = event.first_step

    def _add_step(self, event: StepDone) -> None:
        if self.steps and event.step <= self.steps[-1]:
            self.forget_after(event.step - 1)  # A continued run whose beginning was not told.
        self._time(event)
        if event.epoch != self.epoch or event.epoch not in self.epoch_starts:
            self.epoch_starts.setdefault(event.epoch, event.step)
        self.step, self.total_steps = event.step, event.total_steps
        self.epoch, self.total_epochs = event.epoch, event.total_epochs
        self.peak_memory_bytes = max(self.peak_memory_bytes, event.peak_memory_bytes)
        self.stage = "train"
        self.steps.append(event.step)
        self.losses.append(event.loss)
        self.rates.append(event.learning_rate)
        self.grad_norms.append(math.nan if event.grad_norm is None else event.grad_norm)
        self.lora_norms.append(math.nan if event.lora_norm is None else event.lora_norm)
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
        average, weight = (self._averages[-1], self._weights[-1]) if self._averages else (0.0, 0.0)
        if math.isfinite(loss):
            keep = 1 - 1 / min(max(self.total_steps / 30, 10), 100)
            average = keep * average + (1 - keep) * loss
            weight = keep * weight + (1 - keep)
        self._averages.append(average)
        self._weights.append(weight)
        self.smoothed.append(average / weight if weight else math.nan)

    def forget_after(self, step: int) -> None:
        """Drop what was said of later steps: a run that went back is going to say it again."""
        self.samples = {key: sample for key, sample in self.samples.items() if key[0] <= step}
        self.validations = [known for known in self.validations if known.step <= step]
        self.adaptions = [known for known in self.adaptions if known.step <= step]
        self.loras = [known for known in self.loras if known.step <= step]
        self.epoch_starts = {epoch: first for epoch, first in self.epoch_starts.items() if first <= step}
        if self.state_step is not None and self.state_step > step:
            self.state_step = step
        keep = bisect_left(self.steps, step + 1)
        for values in (
            self.steps,
            self.losses,
            self.smoothed,
            self.rates,
            self.grad_norms,
            self.lora_norms,
            self._averages,
            self._weights,
        ):
            del values[keep:]
