"""One set-up at a time: a lock that the system itself releases when its owner dies."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _FAR_BEHIND_THE_TEXT = 1 << 30

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _FAR_BEHIND_THE_TEXT, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _is_busy(error: OSError) -> bool:
        return isinstance(error, PermissionError)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_busy(error: OSError) -> bool:
        return isinstance(error, BlockingIOError)


class SetupLock:
    """`with SetupLock(path, on_wait):` waits until no other process holds the same file.

    Children that inherit `descriptor` keep the lock on POSIX, so that an installation whose launcher was killed is
    waited for as well. Where the file system knows no locks, the set-up goes on without.
    """

    def __init__(self, path: Path, on_wait: Callable[[str], None], poll_s: float = 0.3) -> None:
        """`on_wait` is called once with the process id of the owner ('?' if unknown) before the waiting begins."""
        self._path = path
        self._on_wait = on_wait
        self._poll_s = poll_s
        self.descriptor: int | None = None

    def __enter__(self) -> SetupLock:
        has_spoken = False
        while True:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _take(self.descriptor)
            except OSError as error:
                owner = self._owner()
                self._close()
                if not _is_busy(error):
                    return self
                if not has_spoken:
                    has_spoken = True
                    self._on_wait(owner)
                time.sleep(self._poll_s)
                continue
            if self._is_current():
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                os.truncate(self.descriptor, 0)
                os.write(self.descriptor, str(os.getpid()).encode())
                return self
            self._close()  # The folder was deleted and made anew while we waited.

    def __exit__(self, *_: object) -> None:
        self._close()

    def _is_current(self) -> bool:
        try:
            mine, there = os.fstat(self.descriptor or 0), self._path.stat()
        except OSError:
            return False
        return os.path.samestat(mine, there)

    def _owner(self) -> str:
        try:
            os.lseek(self.descriptor or 0, 0, os.SEEK_SET)
            return os.read(self.descriptor or 0, 20).decode() or "?"
        except OSError:
            return "?"

    def _close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)  # Closing releases the lock.
            self.descriptor = None
