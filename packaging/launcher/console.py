"""Talking to the terminal: messages, and one live line while a step runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import unicodedata
from typing import TextIO

from launcher.messages import text

HEARTBEAT_S = 20.0
"""How often a step that is not on a terminal says that it still runs."""


def prepare_streams() -> None:
    """Let no message fail on a console that cannot show it (GBK, cp1252), or where there is no console at all."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def say(message: str) -> None:
    """One line for the user. Standard output belongs to the verbs, some of which print JSON."""
    print(message, file=sys.stderr, flush=True)


def notify(message: str) -> None:
    """Show the message on the desktop when Kiln was started by a click and there is no terminal to read."""
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    program = shutil.which("notify-send")
    if sys.platform != "linux" or sys.stderr.isatty() or not has_screen or program is None:
        return
    try:
        subprocess.run([program, "Kiln", message], timeout=5, check=False, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return


def clock(seconds: float) -> str:
    """75.3 -> '1:15'."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def cells(message: str) -> int:
    """Columns the text takes on a terminal, where Chinese signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in message)


def fit(message: str, columns: int) -> str:
    """The text cut to at most so many terminal columns."""
    if cells(message) <= columns:
        return message
    kept = ""
    for sign in message:
        if cells(kept + sign) > columns - 1:
            break
        kept += sign
    return kept + "…"


class Progress:
    """Numbered steps with the time they take; on a terminal also what happens right now."""

    def __init__(self, total: int, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        self.total = total
        self.number = 0
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty() if live is None else live
        self._started = self._spoken = time.monotonic()
        self._shown_cells = 0

    def start(self, title: str) -> None:
        """Begin the next step."""
        self.number += 1
        self._started = self._spoken = time.monotonic()
        self.note(text("step", number=self.number, total=self.total, title=title))

    def update(self, activity: str) -> None:
        """Show what happens now; call it often, at least every half second."""
        now = time.monotonic()
        elapsed = clock(now - self._started)
        if self._live:
            self._show(f"  {elapsed}  {activity}")
        elif now - self._spoken >= HEARTBEAT_S:
            self._spoken = now
            self.note(f"  {elapsed}  {activity}")

    def done(self) -> None:
        """End the step."""
        self.note("  " + text("step_done", elapsed=clock(time.monotonic() - self._started)))

    def note(self, message: str) -> None:
        """A line that stays."""
        self.clear()
        print(message, file=self._stream, flush=True)

    def clear(self) -> None:
        """Wipe the live line."""
        if self._shown_cells:
            self._show("")

    def _show(self, line: str) -> None:
        columns = shutil.get_terminal_size().columns - 1
        line = fit(line, columns)
        width = cells(line)
        padding = " " * max(0, min(self._shown_cells, columns) - width)
        self._stream.write("\r" + line + padding + ("\r" if not line else ""))
        self._stream.flush()
        self._shown_cells = width
