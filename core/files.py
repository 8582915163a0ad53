"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_REPLACE_ATTEMPTS = 20
_REPLACE_PAUSE_S = 0.1


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    The data is on disk before the rename, so that a power cut leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path, mode = place_and_mode(path)
    # A short name of its own: the target's name may already be as long as the file system allows.
    temporary = path.with_name(f".kiln-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def place_and_mode(path: Path) -> tuple[Path, int | None]:
    """Where a file must be replaced so that a link to it stays one, and the rights to keep; None for the usual ones."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            path = Path(os.path.realpath(path))
            status = os.lstat(path)
    except OSError:  # Not there yet, or a link to nothing.
        return path, None
    return path, None if sys.platform == "win32" else stat.S_IMODE(status.st_mode)


def put_in_place(temporary: Path | str, path: Path | str) -> None:
    """Rename over the target. On Windows a virus scanner or a reader may hold it for a moment: it is tried again."""
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            os.replace(temporary, path)  # noqa: PTH105 - paths as text, too
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(_REPLACE_PAUSE_S)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with plain newlines, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write bytes, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def remove_left_overs(folder: Path) -> None:
    """Remove temporary files and folders of writers that died; those of living processes stay."""
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - there may be thousands of other files
    for name in names:
        if name.startswith(".kiln-") and name.endswith(".tmp"):
            import psutil  # Rarely needed, and it takes a while.

            pid = name.split("-")[1]
            if not (pid.isdigit() and psutil.pid_exists(int(pid))):
                if (place := folder / name).is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)
