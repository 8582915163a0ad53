"""What the user did to the dataset, so that it can be taken back and done again, by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.dataset.captions import CaptionChange
from core.dataset.edits import Concept, PictureEdits

MOST_STEPS = 500
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the user did, under the name that the window shows: all of it is taken back together.

    `captions` are files that were written; `pictures` maps pictures to what was decided about them (before, after);
    `concepts` are the folders (before, after), or None when they stayed. With a `journal` the captions are read from it
    when they are needed, and `captions` is empty but for their number. `is_earlier` says that it was done before the
    dataset was opened. `num_bytes` is about the memory it holds.
    """

    name: str
    captions: tuple[CaptionChange, ...] = ()
    pictures: Mapping[Path, tuple[PictureEdits, PictureEdits]] = field(default_factory=dict)
    concepts: tuple[tuple[Concept, ...], tuple[Concept, ...]] | None = None
    journal: Path | None = None
    num_in_journal: int = 0
    is_earlier: bool = False
    num_bytes: int = 0

    @property
    def num_captions(self) -> int:
        """How many captions it is about."""
        return self.num_in_journal or len(self.captions)


def bytes_of_changes(captions: Sequence[CaptionChange]) -> int:
    """About how much memory the captions of a step hold."""
    return sum(200 + len(change.before or b"") + len(change.after or b"") for change in captions)


class History:
    """Steps that can be taken back, and those taken back that can be done again. The oldest leave when it is full.

    A step that is being taken back or done again is in neither list until that has ended: meanwhile others may come.
    """

    def __init__(self) -> None:
        self._done: deque[Step] = deque()
        self._undone: list[Step] = []
        self._num_bytes = 0

    @property
    def last(self) -> Step | None:
        """What would be taken back next."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Step | None:
        """What would be done again next."""
        return self._undone[-1] if self._undone else None

    def add(self, step: Step) -> None:
        """Something new was done: what was taken back before cannot be done again any more."""
        self._undone.clear()
        self.put_done(step)

    def take_last(self) -> Step | None:
        """Take the last step out, to take it back; `put_undone` or `put_done` follows."""
        if not self._done:
            return None
        step = self._done.pop()
        self._num_bytes -= step.num_bytes
        return step

    def take_next(self) -> Step | None:
        """Take the next step out, to do it again; `put_done` or `put_undone` follows."""
        return self._undone.pop() if self._undone else None

    def put_done(self, step: Step) -> None:
        """The step holds: it can be taken back."""
        self._done.append(step)
        self._num_bytes += step.num_bytes
        while len(self._done) > MOST_STEPS or (self._num_bytes > MOST_BYTES and len(self._done) > 1):
            self._num_bytes -= self._done.popleft().num_bytes

    def put_undone(self, step: Step) -> None:
        """The step was taken back: it can be done again."""
        self._undone.append(step)

    def clear(self) -> None:
        """Make everything final."""
        self._done.clear()
        self._undone.clear()
        self._num_bytes = 0
