"""One run of a job, heard as Qt signals."""

from __future__ import annotations

from PySide6.QtCore import QObject, QThread, Signal

from core.control import Command
from core.events import (
    Adapted,
    BestEpoch,
    CaptionsPlanned,
    DownloadProgress,
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraReported,
    LoraSaved,
    Notice,
    PicturesMeasured,
    PictureTagged,
    SampleReady,
    StageProgress,
    StageStarted,
    StateSaved,
    StepDone,
    Validated,
)
from core.jobs import failure
from core.runner import Run

_SIGNALS: dict[type[Event], str] = {
    JobStarted: "job_started",
    StageStarted: "stage_started",
    StageProgress: "stage_progress",
    Notice: "notice",
    PictureTagged: "picture_tagged",
    CaptionsPlanned: "captions_planned",
    DownloadProgress: "download_progress",
    PicturesMeasured: "pictures_measured",
    LoraReported: "lora_reported",
    StepDone: "step_done",
    Validated: "validated",
    Adapted: "adapted",
    BestEpoch: "best_epoch",
    SampleReady: "sample_ready",
    LoraSaved: "lora_saved",
    StateSaved: "state_saved",
    Finished: "job_finished",
    Failed: "job_failed",
}


class JobWorker(QThread):
    """Drives one run. Slots live in the GUI thread, so Qt queues every signal across.

    Exactly one of `job_finished` and `job_failed` is emitted, as the last event; `finished` of QThread follows.
    """

    # Every event, before the signal of its type.
    happened = Signal(object)
    job_started = Signal(object)
    stage_started = Signal(object)
    stage_progress = Signal(object)
    notice = Signal(object)
    picture_tagged = Signal(object)
    captions_planned = Signal(object)
    download_progress = Signal(object)
    pictures_measured = Signal(object)
    lora_reported = Signal(object)
    step_done = Signal(object)
    validated = Signal(object)
    adapted = Signal(object)
    best_epoch = Signal(object)
    sample_ready = Signal(object)
    lora_saved = Signal(object)
    state_saved = Signal(object)
    job_finished = Signal(object)
    job_failed = Signal(object)

    def __init__(self, run: Run, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run = run

    def run(self) -> None:
        """Follow the run to its end, in this thread."""
        try:
            for event in self._run.events():
                self._repeat(event)
        except Exception as error:  # A run that breaks its promise still ends with an event.
            self._repeat(failure(error))

    def _repeat(self, event: Event) -> None:
        self.happened.emit(event)
        getattr(self, _SIGNALS[type(event)]).emit(event)

    def send(self, command: Command) -> None:
        """Ask the job for something; it answers at its next safe place."""
        self._run.send(command)

    def stop(self) -> None:
        """Ask the job to finish its step, save and end."""
        self.send("stop")

    def kill(self) -> None:
        """End the job at once, without saving."""
        self._run.kill()
