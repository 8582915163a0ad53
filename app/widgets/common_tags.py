"""What several selected captions have in common, and changes to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.caption_changes import CaptionChanges, captions_of
from app.latest import Latest
from app.project import Project
from app.widgets.tag_chips import TagChips
from core.dataset.bulk import AddTags, RemoveTags, ReplaceTag, common_tags
from core.dataset.records import ImageRecord
from core.dataset.statistics import TagCount
from core.errors import details

FEW = 200  # So many captions are counted at once, more in the background.


class CommonTags(QObject):
    """Fills the chips with the tags of several pictures, and carries out what the user wants of them."""

    counted = Signal()

    def __init__(self, project: Project, chips: TagChips) -> None:
        super().__init__(chips)
        self._project = project
        self._chips = chips
        self._images: tuple[Path, ...] = ()
        self._known: frozenset[Path] | None = None
        self._latest = Latest(self)
        self._changes = CaptionChanges(project, self)
        self._changes.failed.connect(project.problem)
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._count)
        chips.added.connect(lambda tags: self._changes.apply([AddTags(tuple(tags))], self._images))
        chips.removed.connect(lambda tags: self._changes.apply([RemoveTags(tuple(tags))], self._images))
        chips.renamed.connect(lambda old, new: self._changes.apply([ReplaceTag(old, new)], self._images))
        project.captions_changed.connect(self._on_captions_changed)
        project.records_changed.connect(self._on_records_changed)

    @property
    def images(self) -> tuple[Path, ...]:
        """The pictures; empty while the chips belong to one picture."""
        return self._images

    def set_records(self, records: Sequence[ImageRecord]) -> None:
        """Show what other pictures have in common; none gives the chips free."""
        self._images = tuple(record.path for record in records)
        self._known = None
        self._latest.drop()
        self._timer.stop()
        if records:
            self._start([record.caption or "" for record in records])

    def _on_captions_changed(self, images: tuple[Path, ...]) -> None:
        if not self._images:
            return
        if self._known is None:
            self._known = frozenset(self._images)
        if not self._known.isdisjoint(images):
            self._timer.start()

    def _on_records_changed(self) -> None:
        if self._images:
            self._timer.start()

    def _count(self) -> None:
        self._start(list(captions_of(self._project, self._images).values()))

    def _start(self, captions: Sequence[str]) -> None:
        if len(captions) <= FEW:
            self._take(common_tags(captions))
        else:
            self._latest.start(lambda: common_tags(captions), self._take)

    def _take(self, result: list[TagCount] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.crashed.emit(details(result))
            return
        self._chips.set_common(result)
        self.counted.emit()
