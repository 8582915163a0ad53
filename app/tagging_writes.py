"""Captions that the tagger writes: as one step of the project, which knows how to take it back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.project import Project
from app.tagging_plan import Planned, Shares
from core.dataset.caption_edits import Written
from core.events import StageProgress
from core.tagging.plan import texts_of
from core.text import tr


class TaggerWrites(QObject):
    """Writes one plan at a time."""

    progressed = Signal()
    ended = Signal(object)  # the plan as it was carried out

    def __init__(self, project: Project, parent: QObject) -> None:
        super().__init__(parent)
        self._project = project
        self.progress: StageProgress | None = None
        self._written: dict[Path, tuple[str | None, str]] = {}
        self._own_steps: set[str] = set()
        self._planned: Planned | None = None
        self._name = ""
        project.writing_changed.connect(self._on_writing_changed)

    @property
    def written(self) -> Shares:
        """What captions were before the tagger wrote them first, and after, by picture."""
        return self._written

    @property
    def can_undo(self) -> bool:
        """Whether the last step of the project is one of the tagger's, or captions written before a restart."""
        return self._project.undo_is_earlier or self._project.undo_name in self._own_steps

    def open_folder(self) -> None:
        """Begin anew with another folder."""
        self._planned = None
        self._written = {}
        self._own_steps = set()

    def start(self, planned: Planned) -> None:
        """Write what is new or changed; `ended` follows, at once when there is little or nothing to write."""
        self.progress = None
        self._planned = planned
        texts = texts_of(planned.plans.values())
        if not texts:
            self._end(planned, texts, Written(changes=()))
            return
        number = len(texts)
        self._name = tr("Tag {n} pictures", n=number) if number != 1 else tr("Tag a picture")
        self._own_steps.add(self._name)
        self._note_shares(texts)
        self._project.edit_captions(self._name, texts, then=lambda written: self._end(planned, texts, written))

    def _note_shares(self, texts: Mapping[Path, str]) -> None:
        for image, text in texts.items():
            record = self._project.record(image)
            if record is not None:
                share = self._written.get(image)
                is_own = share is not None and share[1] == record.caption
                self._written[image] = (share[0] if share is not None and is_own else record.caption, text)

    def _on_writing_changed(self, name: str, done: int, total: int) -> None:
        if self._planned is not None and name == self._name:  # Another batch may be written before.
            self.progress = StageProgress(stage="write", done=done, total=total)
            self.progressed.emit()

    def _end(self, planned: Planned, texts: Mapping[Path, str], written: Written | None) -> None:
        """Tell which captions are what they should be; the project has told why others are not."""
        if self._planned is not planned:
            return  # Another folder is open by now.
        self._planned = None
        plans, num_lost = dict(planned.plans), {"new": 0, "changed": 0}
        left = {*written.foreign, *written.failed} if written is not None else set()
        for image in texts:
            record = self._project.record(image)
            if written is None or record is None or record.caption_path in left:
                self._written.pop(image, None)
                num_lost[plans[image].outcome] += 1
                plans[image] = dataclasses.replace(plans[image], outcome="failed", problem=tr("It was not written."))
        if lost := sum(num_lost.values()):
            counts = dataclasses.replace(
                planned.counts,
                new=planned.counts.new - num_lost["new"],
                changed=planned.counts.changed - num_lost["changed"],
                failed=planned.counts.failed + lost,
            )
            planned = dataclasses.replace(planned, plans=plans, counts=counts)
        self.ended.emit(planned)
