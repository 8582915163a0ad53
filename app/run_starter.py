"""The run that this window has started: its process, its record, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.job_worker import JobWorker
from app.past_runs import has_state
from app.project import Project
from app.run_reader import RunReader
from app.run_record import RunRecord
from app.settings import Settings
from app.speed import remember_speed
from core.config import TrainConfig
from core.control import Command
from core.events import Event, Failed, Finished, StateSaved
from core.jobs import Job, TrainJob
from core.run_folder import RunFolder
from core.runner import Run


class RunStarter(QObject):
    """One run at a time. The record grows whether or not anybody looks."""

    started = Signal()
    happened = Signal(object)  # every event, after the record has it
    ended = Signal()

    def __init__(
        self, project: Project, settings: Settings, make_run: Callable[[Job], Run], parent: QObject | None = None
    ) -> None:
        """Nothing runs yet.

        Args:
            project: What was decided about its pictures is saved before a run reads it.
            settings: Keeps the measured speed.
            make_run: Makes the run of a job.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._make_run = make_run
        self._reader = RunReader(self)
        self.worker: JobWorker | None = None
        self.config: TrainConfig | None = None
        self.folder: RunFolder | None = None
        self.record = RunRecord()

    @property
    def is_running(self) -> bool:
        """Whether a run is going on, or about to."""
        return self.worker is not None or self._reader.is_busy

    def launch(self, config: TrainConfig, *, resume: bool = False, from_step: int = -1) -> None:
        """Start a run.

        Args:
            config: Its settings.
            resume: Go on from its last state.
            from_step: Go back to the state of this step; -1 for the last one.
        """
        self.config = config
        self.folder = folder = RunFolder.of(config)
        self.record = RunRecord()
        self.record.folder = folder.path
        job = TrainJob(config=config, resume=resume, from_step=from_step)
        if resume and has_state(folder):
            self._reader.read(folder, lambda record, _read: self._begin(job, record))
        else:
            self._begin(job, self.record)

    def send(self, command: Command) -> None:
        """Ask the run for something."""
        if self.worker is not None:
            self.worker.send(command)
        elif command in ("stop", "pause"):
            self._call_off()

    def force_stop(self) -> None:
        """End the run at once."""
        if self.worker is not None:
            self.record.was_force_stopped = True
            self.worker.kill()
        else:
            self._call_off()

    def _call_off(self) -> None:
        """A run that is still being read does not begin."""
        if self._reader.is_busy:
            self._reader.drop()
            self.record.outcome = Finished(stopped=True)
            self.ended.emit()

    def _begin(self, job: TrainJob, record: RunRecord) -> None:
        assert self.folder is not None
        record.outcome = None
        record.folder = self.folder.path
        self.record = record
        self._project.save()  # The job reads what was decided about the pictures.
        self.worker = worker = JobWorker(self._make_run(job), self)
        worker.happened.connect(self._take)
        worker.finished.connect(self._on_finished)
        worker.start()
        self.started.emit()

    def _take(self, event: Event) -> None:
        self.record.add(event)
        seconds = self.record.seconds_per_step
        if isinstance(event, (StateSaved, Finished, Failed)) and self.config is not None and seconds is not None:
            remember_speed(self._settings, self.config, seconds)
        self.happened.emit(event)

    def _on_finished(self) -> None:
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.deleteLater()
        self.ended.emit()
