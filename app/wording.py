"""Numbers as people say them: sizes, durations, speeds, dates."""

from __future__ import annotations

import time

from core.events import StageProgress
from core.text import tr


def size_text(num_bytes: int) -> str:
    """A file size such as 1.9 GB."""
    value = float(num_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """A duration, as exact as it is useful: 45 s, 12 min, 1 h 05 min."""
    if seconds < 90:
        return tr("{seconds} s", seconds=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 60:
        return tr("{minutes} min", minutes=minutes)
    return tr("{hours} h {minutes} min", hours=minutes // 60, minutes=f"{minutes % 60:02d}")


def time_left_text(event: StageProgress) -> str:
    """How long a stage takes from here on, once there is something to go by; else nothing."""
    if not event.done or not event.total or event.elapsed_s < 1:
        return ""
    left = event.elapsed_s / event.done * (event.total - event.done)
    return tr("About {time} left", time=duration_text(left)) if left >= 1 else ""


def step_time_text(seconds: float) -> str:
    """The time of one step, with the digits that matter."""
    return tr("{seconds} s", seconds=f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}")


def date_text(timestamp: float) -> str:
    """A moment, as a date and a time of this place."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(timestamp))
