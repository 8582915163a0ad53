"""Letting models look at pictures in a child process, and what that says meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.job_worker import JobWorker
from app.latest import Latest
from app.project import Project
from app.tagging_seen import SeenPictures
from core.events import Failed, Finished, Notice, PictureTagged, StageProgress, StageStarted
from core.jobs import Job, TagJob
from core.runner import Run
from core.tagging.options import TagOptions
from core.tagging.plan import CaptionPlan

READ_AHEAD_MS = 1500


class PictureLook(QObject):
    """One look at a time, at the open folder or at one picture of it. Nothing is written."""

    noted = Signal()
    progressed = Signal()
    picture_tagged = Signal(object)  # the path
    ended = Signal(object, bool)  # Finished or Failed, and whether it was stopped

    def __init__(self, project: Project, make_run: Callable[[Job], Run], parent: QObject) -> None:
        super().__init__(parent)
        self._project = project
        self._make_run = make_run
        self.worker: JobWorker | None = None
        self.image: Path | None = None
        """The picture that is looked at alone."""
        self.stage = ""
        self.progress: StageProgress | None = None
        self.note: Notice | None = None
        self.is_stopping = False
        self.problems: dict[Path, str] = {}
        """Why pictures could not be looked at."""
        self.said: dict[Path, PictureTagged] = {}
        self._fresh: list[Path] = []
        self._options = TagOptions()
        self._seen = SeenPictures()
        self._reader = Latest(self)
        self._reading = QTimer(self, interval=READ_AHEAD_MS)
        self._reading.timeout.connect(self._read_ahead)

    def start(self, options: TagOptions, seen: SeenPictures, image: Path | None = None) -> None:
        """Look at all pictures of the open folder, or at one.

        Args:
            options: Name the models.
            seen: Filled while the look goes on.
            image: The only picture to look at.
        """
        folder = self._project.folder
        assert folder is not None and self.worker is None
        self._options, self._seen, self.image = options, seen, image
        if image is None:
            self.clear()
        else:
            self.problems.pop(image, None)
        self.stage, self.progress, self.is_stopping = "", None, False
        self._project.save()  # The job reads what was decided about the pictures.
        job = TagJob(
            folder=folder,
            edits=self._project.edits_file,
            images=() if image is None else (image,),
            caption_extension=self._project.config.dataset.caption_extension,
            options=options,
            write=False,
        )
        worker = JobWorker(self._make_run(job), self)
        worker.stage_started.connect(self._on_stage_started)
        worker.stage_progress.connect(self._on_stage_progress)
        worker.picture_tagged.connect(self._on_picture_tagged)
        worker.notice.connect(self._on_notice)
        worker.job_finished.connect(self._on_end)
        worker.job_failed.connect(self._on_end)
        worker.finished.connect(worker.deleteLater)
        self.worker = worker
        self._reading.start()
        worker.start()

    def stop(self) -> None:
        """Ask it to end; what was seen is kept by the job."""
        if self.worker is not None:
            self.is_stopping = True
            self.worker.stop()

    def kill(self) -> None:
        """End it at once."""
        if self.worker is not None:
            self.is_stopping = True
            self.worker.kill()

    def abandon(self) -> None:
        """End it and hear no more of it: it was about another folder."""
        if self.worker is not None:
            self.worker.disconnect(self)
            self.worker.kill()
            self.worker = None
        self._reading.stop()
        self.image, self.is_stopping = None, False
        self.clear()

    def clear(self) -> None:
        """Forget what was said."""
        self.problems, self.said, self._fresh, self.note = {}, {}, [], None

    def shut_down(self) -> None:
        """End what runs and wait for its thread."""
        for worker in self.findChildren(JobWorker):
            worker.kill()
            worker.wait()

    def plan_of(self, image: Path) -> CaptionPlan | None:
        """What the look has said of a picture so far."""
        record, event, problem = self._project.record(image), self.said.get(image), self.problems.get(image)
        if record is not None and problem is not None:
            return CaptionPlan(record, "failed", record.caption or "", problem)
        return CaptionPlan(record, event.outcome, event.caption) if record is not None and event is not None else None

    # What the job says

    def _on_stage_started(self, event: StageStarted) -> None:
        self.stage, self.progress = event.stage, None
        self.progressed.emit()

    def _on_stage_progress(self, event: StageProgress) -> None:
        self.stage, self.progress = event.stage, event
        self.progressed.emit()

    def _on_picture_tagged(self, event: PictureTagged) -> None:
        """Only noted here: a run that goes on where it was tells of thousands of pictures at once."""
        self.said[event.image] = event
        self._fresh.append(event.image)
        self.picture_tagged.emit(event.image)

    def _on_notice(self, event: Notice) -> None:
        if event.image is None:
            if self.note is None or event.level == "warning" or self.note.level == "info":
                self.note = event
                self.noted.emit()
        elif event.level == "warning":
            self.problems[event.image] = event.message
            self.picture_tagged.emit(event.image)

    def _read_ahead(self) -> None:
        """Take over what was seen so far while the look goes on, so that nobody waits for it in the end."""
        if self._reader.is_busy or not self._fresh:
            return
        fresh = [record for image in self._fresh if (record := self._project.record(image)) is not None]
        self._fresh.clear()
        seen, options = self._seen, self._options
        self._reader.start(lambda: seen.read(options, fresh), lambda _result: None)

    def _on_end(self, event: Finished | Failed) -> None:
        if self.worker is None:
            return  # It was about another folder.
        self.worker = None
        self._reading.stop()
        self._seen.expire()
        stopped = self.is_stopping or (isinstance(event, Finished) and event.stopped)
        self.is_stopping = False
        self.ended.emit(event, stopped)
