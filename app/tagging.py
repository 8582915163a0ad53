"""Tagging the open folder: look at the pictures, plan the captions, write them, and take them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from app.latest import Latest
from app.project import Project
from app.tagging_look import PictureLook
from app.tagging_plan import PicturesToTag, Planned, make_plan
from app.tagging_seen import SeenPictures
from app.tagging_writes import TaggerWrites
from core.dataset.records import ImageRecord
from core.events import Failed, Finished, PictureTagged
from core.jobs import Job, failure
from core.runner import Run
from core.tagging.options import TagOptions
from core.tagging.plan import CaptionPlan
from core.text import tr

PLAN_DELAY_MS = 80
MANY = 1000
"""With more pictures than these nothing is worked out for a page that nobody sees."""
Phase = Literal["idle", "looking", "planning", "summary", "writing", "done", "failed"]
"""`summary`: all is known and nothing written; `done`: written."""
_RUNNING = ("looking", "planning", "writing")


class Tagging(QObject):
    """One run at a time. Nothing is written before every picture was looked at; what was seen is kept by the job.

    After that, other options make another plan without another look, as `planned` tells.
    """

    changed = Signal()
    progressed = Signal()
    picture_tagged = Signal(object)  # the path, while pictures are looked at
    running_changed = Signal(bool)

    def __init__(self, project: Project, make_run: Callable[[Job], Run], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self.options = TagOptions()
        self.phase: Phase = "idle"
        self.look = PictureLook(project, make_run, self)
        self.look.noted.connect(self.changed)
        self.look.progressed.connect(self.progressed)
        self.look.picture_tagged.connect(self.picture_tagged)
        self.look.ended.connect(self._on_look_ended)
        self.writes = TaggerWrites(project, self)
        self.writes.progressed.connect(self.progressed)
        self.writes.ended.connect(self._on_written)
        self.told = ""
        self.failure: Failed | None = None
        self.planned: Planned | None = None
        self.done: Planned | None = None
        self._options_of_done: TagOptions | None = None
        self._at_once = True
        self._pictures: PicturesToTag | None = None
        self.seen = SeenPictures()
        """What the chosen models saw."""
        self._is_active = False
        self._is_hindered = False
        self._latest = Latest(self)
        self._planning = QTimer(self, singleShot=True, interval=PLAN_DELAY_MS)
        self._planning.timeout.connect(self._plan)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._on_records_changed)
        project.edits_changed.connect(self._on_records_changed)
        project.captions_changed.connect(self._on_captions_changed)
        project.writing_changed.connect(self._on_writing_changed)
        project.history_changed.connect(self.changed)

    # What there is

    @property
    def is_running(self) -> bool:
        """Whether the folder is being tagged, up to the last caption."""
        return self.phase in _RUNNING

    @property
    def is_asleep(self) -> bool:
        """Whether nobody needs to know what changes now."""
        scan = self._project.scan
        return not self._is_active and not self.is_running and scan is not None and len(scan.records) > MANY

    def set_active(self, *, is_active: bool) -> None:
        """Somebody looks at the page, or nobody does."""
        self._is_active = is_active
        if is_active:
            self._schedule()
            self.changed.emit()

    @property
    def pictures(self) -> PicturesToTag:
        """What there is to tag."""
        if self._pictures is None:
            scan = self._project.scan
            self._pictures = PicturesToTag.of(scan) if scan is not None else PicturesToTag()
        return self._pictures

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The pictures to be tagged, with their captions of now."""
        return self.pictures.records

    @property
    def num_captioned(self) -> int:
        """How many of them have a caption."""
        return self.pictures.num_captioned

    @property
    def num_to_look_at(self) -> int:
        """How many pictures a run would tag."""
        return len(self.records) - (self.num_captioned if self.options.on_existing == "keep" else 0)

    @property
    def shown(self) -> Planned | None:
        """What the summary is about: what was written, until there is another choice; else what would be."""
        return self.done if self.done is not None and not self.has_new_choice else self.planned

    @property
    def has_new_choice(self) -> bool:
        """Whether the options were changed after captions were written, and would write others."""
        is_other = self.options != self._options_of_done
        return self.phase == "done" and is_other and self.planned is not None and self.planned.num_changes > 0

    def plan_of(self, image: Path) -> CaptionPlan | None:
        """What became of a picture, or would."""
        if (unusable := self.pictures.unusable.get(image)) is not None:
            return unusable
        if self.phase == "looking":
            return self.look.plan_of(image)
        return self.shown.plans.get(image) if self.shown is not None else None

    def problem_of(self, image: Path) -> str:
        """Why a picture could not be looked at, or ""."""
        unusable = self.pictures.unusable.get(image)
        return unusable.problem if unusable is not None else self.look.problems.get(image, "")

    @property
    def can_undo(self) -> bool:
        """Whether the last step of the project is one of the tagger's, of now or of before a restart."""
        return self.writes.can_undo and not self.is_running

    # What the user does

    def set_options(self, options: TagOptions) -> None:
        """Choose otherwise; the plan follows a moment later."""
        models = self._models(self.options) != self._models(options)
        if options == self.options:
            return
        self.options = options
        if models:
            self._forget_seen()
        self._schedule()
        self.changed.emit()

    def start(self, *, at_once: bool) -> None:
        """Look at all pictures, then write the captions, or only say what would be written."""
        if self._project.folder is None or self.is_running or self.look.image is not None:
            return
        if self._project.refuses_while_opening():
            return
        self._at_once = at_once
        self.planned = self.done = self.failure = None
        self.told = ""
        self._planning.stop()
        self._latest.drop()
        self.look.start(self.options, self.seen)
        self._set_phase("looking")

    def look_at(self, image: Path) -> None:
        """Look at one picture, to try the options on it."""
        if self._project.record(image) is None or self.is_running or self.look.image is not None:
            return
        self.failure = None
        self.look.start(self.options, self.seen, image)
        self.changed.emit()

    def stop(self) -> None:
        """End the run; nothing is written unless writing has begun, which goes on to its end."""
        if self.look.worker is not None:
            self.look.stop()
            self.changed.emit()
        elif self.phase == "planning":
            self._latest.drop()
            self._end_stopped()

    def force_stop(self) -> None:
        """End the run at once."""
        if self.look.worker is not None:
            self.look.kill()
        else:
            self.stop()

    def apply(self) -> None:
        """Write what is planned."""
        if self.is_running or self._project.is_writing:
            return
        if self.planned is not None and not self._planning.isActive() and not self._latest.is_busy:
            self._write(self.planned)
        else:  # The options were changed just now: what is written is what they say.
            self._at_once = True
            self._set_phase("planning")
            self._plan()

    def discard(self) -> None:
        """Write nothing."""
        if self.phase == "summary":
            self.told = tr("Nothing was written.")
            self._set_phase("idle")

    def undo(self) -> None:
        """Take back what was written last."""
        if not self.can_undo or self._project.is_writing:
            return
        self.told = tr("Taken back: {name}", name=self._project.undo_name)
        self.done = None
        self._set_phase("idle")
        self._project.undo()

    def shut_down(self) -> None:
        """End what runs and wait for its thread."""
        self.look.shut_down()

    # Looking

    def _on_look_ended(self, event: Finished | Failed, stopped: bool) -> None:
        if self.look.image is not None:
            self.look.image = None
            self.failure = event if isinstance(event, Failed) and not stopped else None
            self._schedule()
            self.changed.emit()
        elif stopped:
            self._end_stopped()
        elif isinstance(event, Failed):
            self.failure = event
            self._set_phase("failed")
            self._schedule()
        else:
            self._set_phase("planning")
            self._plan()

    def _end_stopped(self) -> None:
        self.told = tr("Cancelled. Nothing was written; the next run goes on from here.")
        self._set_phase("idle")
        self._schedule()

    # Planning

    def _schedule(self) -> None:
        """Plan in a moment, when somebody looks."""
        if self._is_active:
            self._planning.start()

    @staticmethod
    def _models(options: TagOptions) -> tuple[Path | None, Path | None]:
        """The models that the options ask for."""
        return options.tagger if options.wants_tags else None, options.captioner if options.wants_sentence else None

    def _plan(self) -> None:
        """Plan again; only the newest plan counts."""
        self._planning.stop()
        if self._project.scan is None or self.phase in ("looking", "writing"):
            return
        if self.phase == "planning" and self._project.waits_for_captions(self._plan):
            return  # What is written is planned for the captions that are there then.
        seen, options, records = self.seen, self.options, self.records
        problems, said = dict(self.look.problems), dict(self.look.said)
        written, num_unusable = dict(self.writes.written), len(self.pictures.unusable)

        def work() -> Planned:
            seen.read(options, records)
            seen.fill(records, said)
            return make_plan(records, seen, options, problems, written, num_unusable)

        self._latest.start(work, lambda result: self._take_plan(result, said))

    def _take_plan(self, result: Planned | Exception, said: Mapping[Path, PictureTagged]) -> None:
        if isinstance(result, Exception):
            self.planned = None
            if self.phase == "planning":
                self.failure = failure(result)
                self._set_phase("failed")
            else:
                self._project.tell(result)
            return
        if self.phase == "planning" and self._project.waits_for_captions(self._plan):
            return
        self.planned = result
        for image, event in said.items():  # These are known by now; others may have come meanwhile.
            if self.look.said.get(image) is event:
                del self.look.said[image]
        if self.phase != "planning":
            if self.phase == "summary" and not result.is_complete:
                self._set_phase("idle")
            self.changed.emit()
        elif self._at_once:
            self._write(result)
        else:
            self._set_phase("summary")

    # Writing

    def _write(self, planned: Planned) -> None:
        self.told = ""
        self._set_phase("writing")
        self.writes.start(planned)

    def _on_written(self, done: Planned) -> None:
        self.done, self.planned, self._options_of_done = done, None, self.options
        self._set_phase("done")
        self._schedule()

    def _on_writing_changed(self, name: str, _done: int, _total: int) -> None:
        if bool(name) != self._is_hindered:  # Nothing can be started while captions are being written.
            self._is_hindered = bool(name)
            if self.phase != "writing":
                self.changed.emit()

    # What else happens

    def _on_folder_changed(self) -> None:
        """The run was about another folder."""
        self.look.abandon()
        self._latest.drop()
        self.writes.open_folder()
        self.planned = self.done = self.failure = None
        self.told = ""
        self._pictures = None
        self._forget_seen()
        self._set_phase("idle")

    def _forget_seen(self) -> None:
        self.seen = SeenPictures()
        self.planned = None

    def _on_records_changed(self) -> None:
        self._pictures = None
        self._schedule()
        self.changed.emit()

    def _on_captions_changed(self) -> None:
        self._pictures = None
        if not self.is_running:
            self._schedule()
            self.changed.emit()

    def _set_phase(self, phase: Phase) -> None:
        was_running = self.is_running
        self.phase = phase
        self.changed.emit()
        if was_running != self.is_running:
            self.running_changed.emit(self.is_running)
