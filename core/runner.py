"""Runs of jobs, with the same events in a child process (the window) and in this one (command line, tests)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from core.control import Command, Control
from core.errors import crash_failure
from core.events import Event, Failed, Finished, from_line
from core.jobs import Job, TrainJob, job_to_line, run_to_end, stopped_at_once
from core.paths import user_data_folder
from core.text import language

LOG_TAIL_LINES = 60


class Run(Protocol):
    """One run of a job, whatever it runs in."""

    def events(self) -> Iterator[Event]:
        """Start the job and follow it to `Finished` or `Failed`, its last event. Blocks between events."""

    def send(self, command: Command) -> None:
        """Ask for something; callable from any thread."""

    def kill(self) -> None:
        """End the job at once, without saving; `events` then ends with `Failed`. Callable from any thread."""


class LocalRun:
    """A run in this process. `kill` can only stop it at its next safe place."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.control = Control()

    def events(self) -> Iterator[Event]:
        """Run the job in the calling thread."""
        yield from run_to_end(self._job, self.control)

    def send(self, command: Command) -> None:
        """Ask for something; seen between two steps."""
        self.control.ask(command)

    def kill(self) -> None:
        """Stop as soon as possible: a thread cannot be ended from outside."""
        self.control.ask("stop")


class ChildRun:
    """A run in a child process: a crash, a lost GPU or a full memory ends the child and not the caller."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._wishes: list[Command] = []
        self._killed = False
        self._log_start = 0
        self.log_file = log_file(job)

    def events(self) -> Iterator[Event]:
        """Start the child and repeat its events; lines that are no events went to the log."""
        with _open_log(self.log_file) as log:
            self.log_file = Path(log.name)
            self._log_start = log.seek(0, os.SEEK_END)
            with self._lock:
                if self._killed:
                    yield stopped_at_once(self._job)
                    return
                self._child = subprocess.Popen(
                    worker_command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    env=worker_environment(),
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
                child = self._child
                # Under the lock, so that no wish can overtake the job.
                for line in (job_to_line(self._job), *self._wishes):
                    self._write(line)
            ended: Event | None = None
            assert child.stdout is not None
            for line in child.stdout:
                try:
                    event = from_line(line)
                except ValueError:
                    with contextlib.suppress(OSError):  # The log lies on a disk that may be full.
                        log.write(line.encode("utf-8", "replace"))
                        log.flush()
                    continue
                if isinstance(event, (Finished, Failed)):
                    ended = event
                else:
                    yield event
            code = child.wait()
            assert child.stdin is not None
            with contextlib.suppress(OSError):  # A dead child leaves unread wishes in a broken pipe.
                child.stdin.close()
        yield ended or (stopped_at_once(self._job) if self._killed else self._crashed(code))

    def send(self, command: Command) -> None:
        """Ask the child for something; before it has started, the wish waits."""
        with self._lock:
            if self._child is None:
                self._wishes.append(command)
            else:
                self._write(command)

    def kill(self) -> None:
        """End the child and everything it started, at once."""
        import psutil

        with self._lock:
            self._killed = True
            child = self._child
        if child is None or child.poll() is not None:
            return
        try:
            parent = psutil.Process(child.pid)
            family = [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            return
        for process in family:
            # It may have ended by itself in the meantime; on Windows, one that is just ending denies access.
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()

    @property
    def pid(self) -> int | None:
        """Process number of the child once it runs."""
        return self._child.pid if self._child else None

    def _write(self, line: str) -> None:
        child = self._child
        if child is None or child.stdin is None:
            return
        with contextlib.suppress(OSError, ValueError):  # The child is gone; `events` tells how it ended.
            child.stdin.write(line + "\n")
            child.stdin.flush()

    def _crashed(self, code: int) -> Failed:
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            tail = "\n".join(log.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:])
        crash = crash_failure(code, tail, in_training=isinstance(self._job, TrainJob))
        return Failed(
            message=crash.message, remedy=crash.remedy, detail=tail, known=bool(crash.failure), failure=crash.failure
        )


def worker_command() -> list[str]:
    """How the child is started; a frozen app starts itself."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--worker"]
    return [sys.executable, "-m", "core.worker"]


def worker_environment() -> dict[str, str]:
    """The child's environment: UTF-8 everywhere, this language, and this code wherever the current folder is."""
    code = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONPATH": code + (os.pathsep + inherited if inherited else ""),
        "KILN_LANGUAGE": language(),
    }


def log_file(job: Job) -> Path:
    """Where the child's output goes: `log.txt` of a training run, else a log in the user's data folder."""
    if isinstance(job, TrainJob) and job.config.output.folder != Path():
        from core.run_folder import RunFolder

        return RunFolder.of(job.config).log
    return user_data_folder() / "logs" / f"{job.kind}.log"


def _open_log(path: Path) -> IO[bytes]:
    """The log opened for appending; where that is not allowed, a temporary file, so that a run can say so itself."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return tempfile.NamedTemporaryFile(prefix="kiln-", suffix=".log", delete=False)
