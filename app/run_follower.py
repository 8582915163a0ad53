"""A run that this window did not start, watched through its event file."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.past_runs import runs_now
from core.events import Event, from_line
from core.run_folder import RunFolder

LOOK_MS = 500
ALIVE_MS = 3000
_MOST_BYTES = 256 * 1024
"""So much is read at one look, some 20 ms: a window that slept must not read a night's events in one go."""


class RunFollower(QObject):
    """Reads what is added to `events.jsonl`.

    `restarted` says that the file is another one now, as after a run went back: what was told before does not count.
    `ended` follows once no process is at work on the run any more.
    """

    told = Signal(object)  # list of events
    restarted = Signal()
    ended = Signal()

    def __init__(self, folder: RunFolder, read_bytes: int = 0, parent: QObject | None = None) -> None:
        """Begin to watch.

        Args:
            folder: The run.
            read_bytes: So much of its event file is known already.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._folder = folder
        self._read_bytes = read_bytes
        self._file_number = _number_of(folder.events)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self._alive = QTimer(self)
        self._alive.setInterval(ALIVE_MS)
        self._alive.timeout.connect(self.check_alive)
        self._alive.start()

    def look(self) -> bool:
        """Read what is new. Returns whether there may be more."""
        try:
            with self._folder.events.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < self._read_bytes or status.st_ino != self._file_number:
                    self._read_bytes, self._file_number = 0, status.st_ino
                    self.restarted.emit()
                file.seek(self._read_bytes)
                data = file.read(_MOST_BYTES)
        except OSError:
            return False  # Not there yet, or just being replaced.
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        if events := events_of(whole):
            self.told.emit(events)
        return bool(whole) and len(data) == _MOST_BYTES

    def check_alive(self) -> None:
        """Tell when nobody is at work on the run any more."""
        if not runs_now(self._folder) and not self.look():
            self.stop()
            self.ended.emit()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.stop()
        self._alive.stop()


def read_events(path: Path) -> tuple[list[Event], int]:
    """All whole lines of an event file, and how many bytes they are. Nothing when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return events_of(whole), len(whole)


def events_of(data: bytes) -> list[Event]:
    """The events of some lines; those that are none, or of another version, are left out."""
    events: list[Event] = []
    for line in data.split(b"\n"):
        try:
            events.append(from_line(line.decode("utf-8", "replace")))
        except ValueError:
            continue
    return events


def _number_of(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
