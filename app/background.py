"""Work beside the window: functions in threads, their results in the window's thread."""

from __future__ import annotations

import contextlib
import gc
import itertools
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

T = TypeVar("T")
M = TypeVar("M")
COLLECT_MS = 1000


class Background(QObject):
    """Starts functions in threads of their own and hands what they return to this object's thread.

    The threads keep no reference to this object or its owner, because Qt objects must not end in another thread. Nor do
    they hold up the end of the program, so work that must be finished does not belong here.
    """

    _told = Signal(int, object)
    _ended = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = itertools.count()
        self._waiting: dict[int, Callable[[Any], None]] = {}
        self._hearing: dict[int, Callable[[Any], None]] = {}
        self._told.connect(self._hear)
        self._ended.connect(self._deliver)

    def start(self, work: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Run `work` in a thread, then `then` here with its result or its error.

        Args:
            work: Must hold no reference to a Qt object.
            then: Called in the thread of this object.
        """
        number = next(self._numbers)
        self._waiting[number] = then
        _start(self, number, work)

    def start_telling(
        self,
        work: Callable[[Callable[[M], None]], T],
        hear: Callable[[M], None],
        then: Callable[[T | Exception], None],
    ) -> None:
        """As `start`, for work that tells something before its end.

        Args:
            work: Gets a function to tell with, and must hold no reference to a Qt object.
            hear: Called in the thread of this object with whatever is told, before `then`.
            then: Called in the thread of this object.
        """
        number = next(self._numbers)
        self._hearing[number], self._waiting[number] = hear, then
        tell = partial(_tell, weakref.ref(self), number)
        _start(self, number, lambda: work(tell))

    def _hear(self, number: int, told: object) -> None:
        self._hearing[number](told)

    def _deliver(self, number: int, result: object) -> None:
        self._hearing.pop(number, None)
        self._waiting.pop(number)(result)


def _start(owner: Background, number: int, work: Callable[[], object]) -> None:
    threading.Thread(target=_run, args=(weakref.ref(owner), number, work), name="background", daemon=True).start()


def _tell(owner: weakref.ref[Background], number: int, told: object) -> None:
    background = owner()
    if background is not None:
        with contextlib.suppress(RuntimeError):  # Qt's half may be gone already.
            background._told.emit(number, told)


def _run(owner: weakref.ref[Background], number: int, work: Callable[[], object]) -> None:
    result: object
    try:
        result = work()
    except Exception as error:  # Told by whoever asked for the work.
        result = error
    background = owner()
    if background is not None:
        with contextlib.suppress(RuntimeError):  # Qt's half may be gone already.
            background._ended.emit(number, result)


class Collector(QObject):
    """Collects garbage in the window's thread only.

    Python collects in whichever thread happens to allocate; a Qt object that ends in another thread than its own takes
    the process with it.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(collect_if_due)
        self._timer.start(COLLECT_MS)


def collect_if_due() -> None:
    """Collect the oldest generation whose count has passed its threshold, as Python itself would."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if 0 < thresholds[generation] < counts[generation]:
            gc.collect(generation)
            return
