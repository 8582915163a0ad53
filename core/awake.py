"""Keeping the machine awake while something long goes on. A run never fails for it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from core.text import tr

_ES_CONTINUOUS = 0x8000_0000
_ES_SYSTEM_REQUIRED = 0x0000_0001
_END_S = 5.0
_SYSTEMD = Path("/run/systemd/system")
"""There where systemd looks after the machine; in a container its programs may lie about without it."""


@contextlib.contextmanager
def keep_awake() -> Iterator[None]:
    """Keep the system from going to sleep by itself; the screen may go dark. Enter and leave it in the same thread.

    When this process dies, the system may sleep again: Windows forgets what its threads asked for, and elsewhere the
    wish belongs to a child that ends when its standard input does.
    """
    with _windows() if sys.platform == "win32" else _elsewhere(_command()):
        yield


def _command() -> list[str] | None:
    """What keeps this system awake for as long as a program runs, and that program; None where nothing does."""
    if sys.platform == "darwin":
        return ["caffeinate", "-i", "cat"]
    program = shutil.which("systemd-inhibit")
    if program is None or not _SYSTEMD.is_dir():
        return None
    why = tr("A training is running.")
    return [program, "--what=sleep:idle", "--who=Kiln", f"--why={why}", "--mode=block", "cat"]


@contextlib.contextmanager
def _windows() -> Iterator[None]:
    import ctypes

    def ask(wish: int) -> bool:
        return bool(ctypes.windll.kernel32.SetThreadExecutionState(ctypes.c_uint(wish)))  # type: ignore[attr-defined,unused-ignore]

    if not ask(_ES_CONTINUOUS | _ES_SYSTEM_REQUIRED):
        _log("Windows did not take the wish")
    try:
        yield
    finally:
        ask(_ES_CONTINUOUS)


@contextlib.contextmanager
def _elsewhere(command: list[str] | None) -> Iterator[None]:
    child = None
    if command is not None:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl+C is for the run, which may still need minutes to save.
            )
        except OSError as error:
            _log(str(error))
    try:
        yield
    finally:
        if child is not None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the child's input, on which it ends, and log what it complained about."""
    try:
        _, complaint = child.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        _, complaint = child.communicate()
    if child.returncode:
        _log(complaint.decode("utf-8", "replace").strip() or f"exit code {child.returncode}")


def _log(reason: str) -> None:
    """Standard error is the log of a run."""
    print(f"the system may go to sleep during the run: {reason}", file=sys.stderr, flush=True)
