"""Operations on many captions: worked out in the background, then written as one step that can be taken back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.latest import Latest
from app.project import Project
from core.dataset import bulk
from core.errors import details, explain


def captions_of(project: Project, images: Sequence[Path]) -> dict[Path, str]:
    """The captions of some pictures, "" for one without."""
    known = ((image, project.record(image)) for image in images)
    return {image: record.caption or "" for image, record in known if record is not None}


def changed_captions(
    operations: Sequence[bulk.Operation], captions: Mapping[Path, str], all_captions: Sequence[str] | None = None
) -> dict[Path, str]:
    """The captions that operations change, done one after the other.

    Args:
        operations: What to do.
        captions: The pictures to do it to.
        all_captions: Those of the whole set, where its counts decide; the given ones when None.

    Raises:
        UserError: A pattern is wrong or takes too long.
    """
    now = dict(captions)
    for operation in operations:
        now.update(bulk.apply(operation, now, all_captions))
    return {image: caption for image, caption in now.items() if caption != captions[image]}


@dataclass(frozen=True, slots=True)
class _Wish:
    operations: tuple[bulk.Operation, ...]
    images: tuple[Path, ...]
    name: Callable[[int], str]


class CaptionChanges(QObject):
    """Changes captions one wish after the other. A wish waits while other captions are being written."""

    done = Signal(int)
    """A wish was handed to the project, with so many captions; 0 when there was nothing to change."""
    failed = Signal(str, str)
    """A wish could not be worked out: message and remedy."""

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._latest = Latest(self)
        self._wishes: deque[_Wish] = deque()
        self._is_working = False
        project.writing_changed.connect(self._on_writing_changed)

    def apply(
        self,
        operations: Sequence[bulk.Operation],
        images: Sequence[Path],
        name: Callable[[int], str] | None = None,
    ) -> None:
        """Change the captions of some pictures.

        Args:
            operations: At least one.
            images: The pictures.
            name: What it is called for undo, by the number of changed captions; by default after the first operation.
        """
        first = operations[0]
        wish = _Wish(tuple(operations), tuple(images), name or (lambda number: bulk.describe(first, number)))
        self._wishes.append(wish)
        self._next()

    def _on_writing_changed(self, name: str, _done: int, _total: int) -> None:
        if not name:
            self._wait_a_moment()

    def _wait_a_moment(self) -> None:
        QTimer.singleShot(0, self, self._next)

    def _next(self) -> None:
        if self._is_working or not self._wishes or self._project.is_writing:
            return
        self._is_working = True
        wish, scan = self._wishes[0], self._project.scan
        captions = captions_of(self._project, wish.images)
        records = scan.records if scan is not None else ()
        self._latest.start(
            lambda: changed_captions(wish.operations, captions, [record.caption or "" for record in records]),
            lambda result: self._take(captions, result),
        )

    def _take(self, captions: Mapping[Path, str], result: dict[Path, str] | Exception) -> None:
        self._is_working = False
        if self._project.is_writing:
            return  # Worked out anew when that has ended, as it may write the same captions.
        if not isinstance(result, Exception) and captions_of(self._project, list(result)) != {
            image: captions[image] for image in result
        }:
            self._next()  # They changed in the meantime.
            return
        wish = self._wishes.popleft()
        if isinstance(result, Exception):
            self._tell(result)
        else:
            if result:
                self._project.edit_captions(wish.name(len(result)), result)
            self.done.emit(len(result))
        self._wait_a_moment()

    def _tell(self, error: Exception) -> None:
        known = explain(error)
        if known is None:
            self._project.crashed.emit(details(error))
        else:
            self.failed.emit(known.message, known.remedy)
