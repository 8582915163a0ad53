"""One writer at a time: a lock that the system drops when its process dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from core.errors import UserError

_ATTEMPTS = 100
_PAUSE_S = 0.02


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder.

    Raises:
        UserError: Another process holds it: the run is still going on.
        OSError: The folder cannot be written, or its disk cannot lock files.
    """
    with (folder / ".lock").open("ab") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            if error.errno not in _HELD:
                raise OSError(error.errno, error.strerror, str(folder)) from error  # With the name that it lacks.
            raise UserError(
                "The training in {folder} is still going on.",
                remedy="Wait for its end, or stop it where it was started.",
                failure="run_locked",
                folder=folder,
            ) from error
        yield


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a file that several processes change, for a moment; the others wait for that moment.

    Args:
        path: The lock itself, a file of its own: what is replaced by a rename cannot be locked.

    Raises:
        UserError: Another process holds it for longer than a moment.
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for attempt in range(_ATTEMPTS):
            if try_lock(file):
                break
            if attempt == _ATTEMPTS - 1:
                raise UserError(
                    "Another window of Kiln keeps {path} locked.",
                    remedy="Close the other windows of Kiln, then try again.",
                    path=path,
                )
            time.sleep(_PAUSE_S)
        yield


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed. Returns whether no other process, and no other handle, has it locked.

    On a disk that knows no locks, as some in a network, nobody has.
    """
    try:
        _lock(file.fileno())
    except OSError as error:
        return error.errno not in _HELD
    return True


def is_running(folder: Path) -> bool:
    """Whether a process is at work on the run in this folder."""
    if not (folder / ".lock").is_file():
        return False
    with (folder / ".lock").open("ab") as file:
        return not try_lock(file)


_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
"""What the system says of a lock that somebody holds; everything else is trouble with locks as such."""

if sys.platform == "win32":
    import msvcrt

    _BYTE = 0x7FFF_FFFF  # Behind the content: what is locked cannot be read through another handle.

    def _lock(descriptor: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
