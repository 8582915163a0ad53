"""Runs read from their event files without holding up the window: a long one takes seconds."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from app.latest import Latest
from app.run_follower import read_events
from app.run_record import RunRecord
from core.run_folder import RunFolder

AT_ONCE_BYTES = 128 * 1024
"""A file up to this size is read while the window waits: some 10 ms."""

Taker = Callable[[RunRecord, int], None]


class RunReader(QObject):
    """Reads one run at a time; a new wish replaces the one before."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._latest = Latest(self)

    @property
    def is_busy(self) -> bool:
        """Whether a run is being read."""
        return self._latest.is_busy

    def read(self, folder: RunFolder, then: Taker) -> None:
        """Read a run.

        Args:
            folder: Where it lies.
            then: Called with its record and the bytes of its event file that are in it; at once for a short one.
        """
        try:
            size = folder.events.stat().st_size
        except OSError:
            size = 0
        if size <= AT_ONCE_BYTES:
            self._latest.drop()
            then(*_read(folder))
            return

        def take(result: tuple[RunRecord, int] | Exception) -> None:
            if isinstance(result, Exception):
                raise result
            then(*result)

        self._latest.start(lambda: _read(folder), take)

    def drop(self) -> None:
        """Nobody waits any more."""
        self._latest.drop()


def _read(folder: RunFolder) -> tuple[RunRecord, int]:
    events, num_bytes = read_events(folder.events)
    record = RunRecord()
    record.folder = folder.path
    for event in events:
        record.add(event)
    return record, num_bytes
