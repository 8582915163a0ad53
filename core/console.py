"""Events for people at a terminal, and for programs in a pipe."""

from __future__ import annotations

import shutil
import sys
import time

from core.events import (
    Adapted,
    BestEpoch,
    CaptionsPlanned,
    DownloadProgress,
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    PictureTagged,
    SampleReady,
    Stage,
    StageProgress,
    StageStarted,
    StepDone,
    Validated,
    to_line,
)
from core.text import sentences, tr

_STEPS_IN_MEAN = 20


def stage_title(stage: Stage) -> str:
    """What a stage does, in words."""
    return {
        "scan": tr("Looking at the pictures"),
        "check": tr("Checking the pictures"),
        "prepare": tr("Fitting the pictures"),
        "connect": tr("Asking the source"),
        "download": tr("Downloading"),
        "verify": tr("Checking what came"),
        "tag": tr("Looking at the pictures"),
        "write": tr("Writing captions"),
        "load": tr("Loading the model"),
        "cache": tr("Encoding the pictures"),
        "train": tr("Training"),
        "sample": tr("Drawing previews"),
        "inspect": tr("Looking at the weights"),
        "compute": tr("Computing weights"),
        "save": tr("Saving"),
    }[stage]


def duration(seconds: float) -> str:
    """A time as people say it: 42 s, 3:07, 1:02:33."""
    whole = round(seconds)
    if whole < 60:
        return tr("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Reporter:
    """Shows events: a line that moves on a terminal, one JSON line each in a pipe."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._is_open = False
        self._began = time.monotonic()
        self._stage: Stage | None = None
        self._last_step: StepDone | None = None
        self._num_timed = 0
        self._step_s = 0.0

    def say(self, text: str) -> None:
        """A sentence of the program itself."""
        self._close()
        print(text, file=sys.stdout if self._live else sys.stderr, flush=True)

    def complain(self, text: str) -> None:
        """A sentence that is no result, for people and logs alone."""
        self._close()
        print(text, file=sys.stderr, flush=True)

    def show(self, event: Event) -> None:
        """Show one event."""
        if not self._live:
            print(to_line(event), flush=True)
            if isinstance(event, Failed):
                print(sentences(event.message, event.remedy), file=sys.stderr, flush=True)
            return
        if isinstance(event, StageStarted):
            if event.stage != self._stage:
                self._close()
                self._update(f"{stage_title(event.stage)} …")
            self._stage, self._began = event.stage, time.monotonic()
        elif isinstance(event, StageProgress):
            left = ""
            if event.total and 0 < event.done < event.total:
                spent = time.monotonic() - self._began
                left = tr("{time} left", time=duration(spent / event.done * (event.total - event.done)))
            self._update(f"{stage_title(event.stage)}  {_bar(event.done, event.total)}  {left}")
        elif isinstance(event, DownloadProgress):
            self._update(f"{event.file}  {_megabytes(event)}")
        elif isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, Failed):
            self.say(f"✗ {event.message}\n  {event.remedy}")
            if event.detail and not event.known:
                print(event.detail, file=sys.stderr)
        elif text := _sentence(event):
            if isinstance(event, PictureTagged):
                self._erase()
            self.say(text)

    def _step(self, event: StepDone) -> None:
        self._time(event)
        left = ""
        if self._num_timed:
            left = tr("{time} left", time=duration(self._step_s * (event.total_steps - event.step)))
        self._update(
            f"{tr('Training')}  {_bar(event.step, event.total_steps)}  "
            + tr("epoch {epoch}/{epochs}", epoch=event.epoch, epochs=event.total_epochs)
            + f"  loss {event.loss:.4f}  {left}"
        )

    def _time(self, event: StepDone) -> None:
        """Take up the time of a step: the plain mean at first, later the newest steps count most.

        The first step seen is no measure: after `resume`, its time holds all that was spent before.
        """
        last, self._last_step = self._last_step, event
        if last is None or event.elapsed_s < last.elapsed_s:
            self._num_timed, self._step_s = 0, 0.0
            return
        self._num_timed += 1
        seconds = event.elapsed_s - last.elapsed_s
        self._step_s += (seconds - self._step_s) / min(self._num_timed, _STEPS_IN_MEAN)

    def _update(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print("\r\033[K" + text[:width], end="", flush=True)
        self._is_open = True

    def _erase(self) -> None:
        """Take the bar away: it comes again below, and there would be one above each of many lines."""
        if self._is_open:
            print("\r\033[K", end="")
            self._is_open = False

    def _close(self) -> None:
        if self._is_open:
            print()
            self._is_open = False


def _sentence(event: Event) -> str:
    if isinstance(event, JobStarted) and event.device:
        return tr(
            "{number} pictures, {steps} steps on {device} in {precision}",
            number=event.num_images,
            steps=event.total_steps,
            device=event.device,
            precision=event.precision,
        )
    if isinstance(event, Notice):
        mark = "!" if event.level == "warning" else "·"
        return f"{mark} {event.image.name}: {event.message}" if event.image else f"{mark} {event.message}"
    if isinstance(event, PictureTagged) and event.outcome in ("new", "changed"):
        return f"  {event.image.name}: {event.caption}"
    if isinstance(event, CaptionsPlanned):
        return "· " + tr(
            "Captions: {new} new, {changed} changed, {unchanged} the same, {kept} kept; failed: {failed}.",
            new=event.new,
            changed=event.changed,
            unchanged=event.unchanged,
            kept=event.kept,
            failed=event.failed,
        )
    if isinstance(event, SampleReady):
        return f"  {event.image}"
    if isinstance(event, LoraSaved):
        return _saved(event)
    if isinstance(event, Validated):
        return "  " + tr("held-out loss {loss} after epoch {epoch}", loss=f"{event.loss:.4f}", epoch=event.epoch)
    if isinstance(event, Adapted):
        return f"! {event.message}"
    if isinstance(event, BestEpoch):
        name = event.path.name if event.path else tr("no file")
        return "★ " + tr("Best epoch: {epoch} ({file}). {reason}", epoch=event.epoch, file=name, reason=event.reason)
    if isinstance(event, Finished):
        how = tr("Paused") if event.paused else tr("Stopped, work saved") if event.stopped else tr("Done")
        if event.num_failed:
            how += ", " + tr("but {number} failed", number=event.num_failed)
        return f"{'!' if event.num_failed else '✓'} {how} ({duration(event.elapsed_s)}) {event.output or ''}".rstrip()
    return ""


def _saved(event: LoraSaved) -> str:
    """The file, and whether it was found to fit when it was read again."""
    lines = [f"{'!' if event.problems else '✓'} {event.path} ({event.size_bytes / 1e6:.1f} MB)"]
    if event.num_modules and not event.problems:
        lines[0] += ", " + tr("{number} modules checked", number=event.num_modules)
    return "\n".join([*lines, *(f"  ! {problem}" for problem in event.problems)])


def _bar(done: int, total: int | None, width: int = 24) -> str:
    if not total:
        return str(done)
    filled = width * done // total
    return f"{'█' * filled}{'░' * (width - filled)} {done}/{total}"


def _megabytes(event: DownloadProgress) -> str:
    """A bar, how much of how much, how fast, and how long it will take."""
    done, total = event.done_bytes, event.total_bytes
    bar = _bar(done, total).partition(" ")[0] + " " if total else ""
    text = f"{bar}{done / 1e6:,.1f}/{total / 1e6:,.1f} MB" if total else f"{done / 1e6:,.1f} MB"
    if event.bytes_per_s:
        text += f"  {event.bytes_per_s / 1e6:,.1f} MB/s"
        if total:
            text += "  " + tr("{time} left", time=duration((total - done) / event.bytes_per_s))
    return text
