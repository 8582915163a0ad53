"""The tags of the open dataset with their counts, for everything that completes, explains or lists tags."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from app.latest import Latest
from app.project import Project
from core.dataset.statistics import TagCount, tag_counts
from core.dataset.tag_cache import key_of
from core.dataset.tag_names import Suggestion, suggestions
from core.errors import details

DELAY_MS = 150
SHARE = 8  # Counting may take one part in so many of the time while captions keep changing.


class TagIndex(QObject):
    """Counts in the background, a moment after captions changed, and only while somebody who is served can be seen."""

    changed = Signal()

    def __init__(self, project: Project) -> None:
        """One for each project; ask `TagIndex.of` for it."""
        super().__init__(project)
        self._project = project
        self._counts: list[TagCount] = []
        self._by_key: dict[str, TagCount] = {}
        self._has_underscores = False
        self._tagger_tags: tuple[str, ...] = ()
        self._users: weakref.WeakSet[QWidget] = weakref.WeakSet()
        self._is_stale = True
        self._latest = Latest(self)
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._count)
        project.records_changed.connect(self._on_changed)
        project.captions_changed.connect(self._on_changed)

    @classmethod
    def of(cls, project: Project) -> TagIndex:
        """The index of a project, made when it is asked for first."""
        return project.findChild(cls) or cls(project)

    @property
    def counts(self) -> list[TagCount]:
        """All tags, the most frequent first."""
        return self._counts

    @property
    def is_ready(self) -> bool:
        """Whether the counts are those of the captions of now."""
        return not self._is_stale and not self._latest.is_busy

    def count_of(self, tag: str) -> int:
        """In how many captions a tag is, in whatever spelling."""
        found = self._by_key.get(key_of(tag))
        return found.count if found else 0

    def suggestions(self, prefix: str, limit: int = 12) -> list[Suggestion]:
        """What the beginning of a tag may become; new tags are spelled with underscores where the set does so."""
        return suggestions(
            prefix, self._counts, self._tagger_tags, limit=limit, replace_underscores=not self._has_underscores
        )

    def set_tagger_tags(self, tags: tuple[str, ...]) -> None:
        """Suggest what the tagger knows, too, behind the tags of the set."""
        self._tagger_tags = tags

    def serve(self, widget: QWidget) -> None:
        """Keep the counts right while a widget can be seen."""
        self._users.add(widget)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Somebody who is served comes into view."""
        if event.type() == QEvent.Type.Show and self._is_stale and not self._timer.isActive():
            self._timer.start(0)
        return False

    def _on_changed(self, _images: tuple[Path, ...] = ()) -> None:
        self._is_stale = True
        if not self._timer.isActive():
            self._timer.start()

    def _count(self) -> None:
        scan = self._project.scan
        if scan is None or not self._is_seen():
            return
        self._is_stale = False
        records = scan.records
        self._latest.start(lambda: _counted([record.caption or "" for record in records]), self._take)

    def _is_seen(self) -> bool:
        return any(isValid(widget) and widget.isVisible() for widget in self._users)

    def _take(self, result: tuple[list[TagCount], float] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.crashed.emit(details(result))
            return
        self._counts, seconds = result
        self._timer.setInterval(max(DELAY_MS, round(seconds * 1000 * SHARE)))
        self._by_key = {key_of(count.tag): count for count in self._counts}
        first = self._counts[:200]
        self._has_underscores = sum("_" in count.tag for count in first) > sum(" " in count.tag for count in first)
        self.changed.emit()


def _counted(captions: list[str]) -> tuple[list[TagCount], float]:
    """The counts, and how many seconds they took."""
    start = time.perf_counter()
    return tag_counts(captions), time.perf_counter() - start
