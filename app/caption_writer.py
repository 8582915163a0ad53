"""Writes captions for the project, one batch after the other; many of them beside the window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.background import Background
from app.dataset_reading import Done
from app.history import Step
from core.dataset.caption_edits import (
    Intended,
    Progress,
    Written,
    carry_out,
    intend_turn,
    turn_journal,
    write_captions,
)
from core.dataset.captions import tidy
from core.dataset.records import ImageRecord

MOST_AT_ONCE = 20
"""So many captions are written while the window waits; more of them beside it."""

Ready = Callable[[Intended], object]
Work = Callable[[Ready, Progress], Written]
"""Writes captions; tells once what is about to be written, when a journal of it is on the disk, and then counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Captions to be written together. `number` is how many there are at most."""

    name: str
    number: int
    records: Sequence[ImageRecord]
    work: Work

    @property
    def is_large(self) -> bool:
        """Whether it takes so long that the window must not wait."""
        return self.number > MOST_AT_ONCE


def writing(name: str, records: Sequence[ImageRecord], texts: Mapping[Path, str], folder: Path) -> Work:
    """Write new captions, with a journal when there is more than one."""

    def work(ready: Ready, progress: Progress) -> Written:
        tidied = {image: tidy(text) for image, text in texts.items()}
        return write_captions(records, tidied, progress, name=name, folder=folder, ready=ready)

    return work


def turning(step: Step, *, back: bool) -> Work:
    """Take a step's captions back, or write them again."""

    def work(ready: Ready, progress: Progress) -> Written:
        if step.journal is not None:
            return turn_journal(step.journal, progress, back=back, ready=ready)
        return carry_out(intend_turn(step.captions, back=back))

    return work


class CaptionWriter(QObject):
    """Does one batch at a time; the others wait. Nobody waits for the disk to see what a large one does."""

    changed = Signal(str, int, int)  # what is being written, captions done, of how many; "" when it has ended
    shown = Signal(object)  # `Done` of what is about to be on the disk, and is safe in a journal

    _progressed = Signal(int)

    def __init__(self, background: Background) -> None:
        super().__init__(background)
        self._background = background
        self._current: Batch | None = None
        self._is_writing = False
        self._waiting: deque[tuple[Callable[[], Batch], Callable[[Done | Exception], object]]] = deque()
        self._progressed.connect(self._on_progress)

    @property
    def is_busy(self) -> bool:
        """Whether captions are being written beside the window."""
        return self._current is not None

    def write(self, batch: Callable[[], Batch], then: Callable[[Done | Exception], object]) -> None:
        """Write a batch now when it is small, else beside the window; behind those that came before.

        Args:
            batch: Called when its turn has come, because earlier ones change what is known of the pictures.
            then: Called with what was written, or with the reason why nothing was.
        """
        self._waiting.append((batch, then))
        self._next()

    def _next(self) -> None:
        while self._waiting and not self.is_busy and not self._is_writing:
            self._is_writing = True
            try:
                self._begin(*self._waiting.popleft())
            finally:
                self._is_writing = False

    def _begin(self, batch: Callable[[], Batch], then: Callable[[Done | Exception], object]) -> None:
        made = batch()
        if not made.is_large:
            result: Done | Exception
            try:
                result = Done.of(made.records, made.work(lambda _intended: None, lambda _done: None))
            except Exception as error:  # Told by whoever asked for it.
                result = error
            then(result)
            return
        self._current = made
        self.changed.emit(made.name, 0, made.number)
        show, progress = self.shown.emit, self._progressed.emit

        def work() -> Done:
            records = made.records

            def ready(intended: Intended) -> None:
                nonlocal records
                soon = Written(changes=intended.changes, foreign=intended.foreign)
                early = Done.of(records, soon, is_on_disk=False)
                records = [now for _, now in early.records]
                show(early)

            written = made.work(ready, progress)
            return Done.of(records, written)

        self._background.start(work, lambda result: self._end(result, then))

    def _on_progress(self, done: int) -> None:
        if self._current is not None:
            self.changed.emit(self._current.name, done, self._current.number)

    def _end(self, result: Done | Exception, then: Callable[[Done | Exception], object]) -> None:
        self._current = None
        try:
            then(result)
        finally:
            self.changed.emit("", 0, 0)
            self._next()
