"""What the machine does when the last run is done: sleep or shut down, by the system's own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from core.errors import UserError

PowerAction = Literal["sleep", "shutdown"]
Runner = Callable[[Sequence[str]], int]
"""Runs a command and returns its exit code; OSError when there is no such program."""

_WINDOWS_SLEEP = (
    "Add-Type -AssemblyName System.Windows.Forms; "
    "[void][System.Windows.Forms.Application]::SetSuspendState('Suspend', $false, $false)"
)
"""Not `rundll32 powrprof.dll,SetSuspendState`: that one hibernates where hibernation is on, and loses its arguments."""


def command(action: PowerAction, platform: str = sys.platform) -> list[str]:
    """The command of a system. None of them takes other programs' unsaved work by force.

    Args:
        action: What the machine should do.
        platform: As in `sys.platform`.
    """
    if platform == "win32":
        if action == "sleep":
            return ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", _WINDOWS_SLEEP]
        return ["shutdown.exe", "/s", "/t", "0"]
    if platform == "darwin":
        if action == "sleep":
            return ["pmset", "sleepnow"]
        return ["osascript", "-e", 'tell application "System Events" to shut down']
    return ["systemctl", "suspend" if action == "sleep" else "poweroff"]


def is_available(action: PowerAction, platform: str = sys.platform) -> bool:
    """Whether the system has the program for it."""
    return shutil.which(command(action, platform)[0]) is not None


def perform(action: PowerAction, runner: Runner | None = None) -> None:
    """Let the machine sleep, or shut it down.

    Raises:
        UserError: The system refused.
    """
    words = command(action)
    try:
        code = (runner or _run)(words)
    except OSError as error:
        raise _refused(action, str(error)) from error
    if code != 0:
        raise _refused(action, f"{words[0]}: {code}")


def _run(words: Sequence[str]) -> int:
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    return subprocess.run(words, check=False, stdin=subprocess.DEVNULL, creationflags=flags).returncode


def _refused(action: PowerAction, reason: str) -> UserError:
    if action == "sleep":
        return UserError(
            "The system did not go to sleep ({reason}).",
            remedy="Your runs are done and saved; use the menu of the system.",
            reason=reason,
        )
    return UserError(
        "The system did not shut down ({reason}).",
        remedy="Your runs are done and saved; use the menu of the system.",
        reason=reason,
    )
