"""The child process: one job on standard input, its events on standard output, everything else in the log.

Run as `python -m core.worker`. After the job, each further line of standard input is a command (`stop`, `pause`,
`sample`, `save`). When standard input closes, the window is gone, and the job stops as if asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TextIO

from core.awake import keep_awake
from core.control import COMMANDS, Control
from core.errors import details
from core.events import Failed, to_line
from core.jobs import CheckJob, Job, TrainJob, failure, job_from_line, run_to_end


def main() -> int:
    """Do the job of the first line. Returns 0 when it finished, 1 when it failed."""
    events = take_stdout()
    control = Control()
    try:
        job = job_from_line(sys.stdin.readline())
    except ValueError as error:
        print(details(error), file=sys.stderr)
        events.write(to_line(failure(error)) + "\n")
        return 1
    threading.Thread(target=listen, args=(sys.stdin, control), name="commands", daemon=True).start()
    be_polite_for(job)
    failed = False
    # What nobody asked for does not keep the machine from sleeping.
    with contextlib.nullcontext() if isinstance(job, CheckJob) else keep_awake():
        for event in run_to_end(job, control):
            failed = isinstance(event, Failed)
            if isinstance(event, Failed):
                with contextlib.suppress(OSError):  # The log lies on a disk that may be full.
                    print(event.detail, file=sys.stderr, flush=True)
            try:
                events.write(to_line(event) + "\n")
            except OSError:  # A broken pipe; Windows has another name for it.
                # Nobody listens any more; the job still ends at its next safe place, with its work saved.
                control.ask("stop")
                events = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lives as long as the process
    return 1 if failed else 0


def take_stdout() -> TextIO:
    """A line-buffered stream on the real standard output; what libraries print from now on goes to the log."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1, newline="\n")
    os.dup2(2, 1)
    return stream


def listen(lines: TextIO, control: Control) -> None:
    """Turn lines into wishes until the stream ends; its end is the wish to stop."""
    for line in lines:
        command = line.strip()
        if command in COMMANDS:
            control.ask(command)
        else:
            print(f"unknown command: {command!r}", file=sys.stderr)
    control.ask("stop")


def be_polite_for(job: Job) -> None:
    """Lower this process's priority as far as its job should give way to other programs."""
    if not (isinstance(job, TrainJob) and not job.config.training.background):
        be_polite(unasked=isinstance(job, CheckJob))


def be_polite(*, unasked: bool) -> None:
    """Lower this process's priority, so that the desktop stays smooth while it computes.

    Args:
        unasked: The work was not asked for by the user, who is doing something else meanwhile: it waits for that.
    """
    import psutil

    if sys.platform == "win32":
        priority = psutil.IDLE_PRIORITY_CLASS if unasked else psutil.BELOW_NORMAL_PRIORITY_CLASS
    else:
        # Whoever started it may have asked for less already.
        priority = max(15 if unasked else 5, psutil.Process().nice())
    try:
        psutil.Process().nice(priority)
    except psutil.AccessDenied:
        print("priority stays as it is: not allowed to lower it", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
