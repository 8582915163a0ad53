"""How commands are run: their environment, their output in the log, and what of it the user sees."""

from __future__ import annotations

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

from launcher.messages import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.console import Progress

TICK_S = 0.4
GRACE_S = 8.0
TAIL_LINES = 400


def child_environment() -> dict[str, str]:
    """For everything that runs in the environment: UTF-8 throughout, no other Python mixed in, no telemetry."""
    variables = dict(os.environ)
    variables["PYTHONUTF8"] = "1"
    variables["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reports to its makers from its import on.
    for name in ("PYTHONHOME", "__PYVENV_LAUNCHER__"):
        variables.pop(name, None)
    return variables


def pip_environment() -> dict[str, str]:
    """For pip: as `child_environment`, without settings that would make it install elsewhere."""
    variables = child_environment()
    for name in ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        variables.pop(name, None)
    variables.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PYTHONUNBUFFERED="1")
    return variables


def as_typed(command: Sequence[str]) -> str:
    """The command as one would type it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def launcher_command(*arguments: str) -> str:
    """How the user starts this launcher, for hints."""
    python = "python" if sys.platform == "win32" else "python3"
    return " ".join((python, os.path.join("packaging", "launch.py"), *arguments))  # noqa: PTH118


class Activity:
    """Follows pip's output and says in few words what it does."""

    def __init__(self) -> None:
        self.now = text("doing_start")
        self._download = ""

    def see(self, line: str) -> bool:
        """Take in one line; False for lines that are progress only and not worth a place in the log."""
        amount = re.match(r"Progress (\d+) of (\d+)$", line)
        if amount is not None:
            done, total = (int(number) / 1e6 for number in amount.groups())
            if total >= 1:
                self.now = text("doing_amount", name=self._download, done=f"{done:.0f}", all=f"{total:.0f}")
            return False
        stripped = line.strip()
        download = re.match(r"(?:Downloading|Using cached|Processing) (\S*?)([^/\s]+)(?: \((.+)\))?$", stripped)
        if download is not None:
            self._download = re.split(r"-\d", download[2])[0]
            if stripped.startswith("Downloading"):
                self.now = text("doing_download", name=self._download, size=f"({download[3]})" if download[3] else "")
            else:
                self.now = text("doing_look", name=self._download)
        elif stripped.startswith("Collecting "):
            self.now = text("doing_look", name=re.split(r"[<>=!~;\[ (]", stripped[11:])[0])
        elif stripped.startswith("Installing collected packages: "):
            self.now = text("doing_unpack", count=stripped.count(",") + 1)
        elif stripped.startswith(("Building ", "Preparing editable", "Checking if build backend")):
            self.now = text("doing_build")
        elif re.match(r"(Get|Hit|Unpacking|Setting up)\b", stripped):
            self.now = text("doing_apt", line=stripped)
        return True


def run_logged(
    command: Sequence[str],
    log: IO[str],
    progress: Progress,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    keep_open: int | None = None,
) -> tuple[int, str]:
    """Run a command, its output into the log, its doings onto the progress line.

    Args:
        command: What to run.
        log: Gets the command and its output.
        progress: Shows what happens, at least every half second.
        cwd: Folder to run it in.
        environment: Its variables.
        keep_open: A descriptor that the child inherits (the lock), where the system allows it.

    Returns:
        Exit status and the end of the output.
    """
    log.write(f"\n$ {as_typed(command)}\n")
    log.flush()
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            pass_fds=() if keep_open is None or sys.platform == "win32" else (keep_open,),
        )
    except OSError as error:
        log.write(f"{error}\n")
        return 1, str(error)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(child, lines), daemon=True)
    reader.start()
    activity = Activity()
    tail: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=TICK_S)
            except queue.Empty:
                progress.update(activity.now)
                continue
            if line is None:
                break
            if activity.see(line):
                log.write(line + "\n")
                log.flush()
                tail = [*tail[-TAIL_LINES:], line]
            progress.update(activity.now)
        return child.wait(), "\n".join(tail)
    except BaseException:
        end(child)
        raise
    finally:
        progress.clear()


def _read(child: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    if child.stdout is not None:
        for line in child.stdout:
            lines.put(line.rstrip("\r\n"))
    lines.put(None)


def end(child: subprocess.Popen[str]) -> None:
    """Let the child end by itself, as Ctrl-C reached it too; after a while end it."""
    if child.poll() is None and sys.platform != "win32":
        child.send_signal(signal.SIGINT)
    try:
        child.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        child.kill()
        child.wait()
