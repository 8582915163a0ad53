"""Runs that are killed, frozen or robbed of their disk at random moments, and what is left of them afterwards.

Children are forked from a server that has everything imported, so that each begins at once. POSIX only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from core.config import TrainConfig, with_values
from core.events import Event, Failed, Finished, StepDone, from_line, to_line
from core.jobs import TrainJob, job_from_line, job_to_line
from core.run_folder import RunFolder, lora_files, state_files
from core.runner import LocalRun

Kind = Literal["kill", "freeze", "freeze and kill", "limit", "full disk"]
END_S = 300.0
_BALLAST = "ballast"
_DISK_BYTES = 80 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is done to a run: after so many events and a delay; or a disk that takes only so much."""

    kind: Kind
    after: int = 0
    delay_s: float = 0.0
    room_bytes: int = 0


@dataclass(slots=True)
class Outcome:
    """What became of a run that something was done to. `problems` is empty when it ended as if nothing had been."""

    moment: Moment
    sittings: int = 0
    ends: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def context() -> Any:
    """A way to start children that have everything imported."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["core.training.session", "diffusers.pipelines.stable_diffusion"])
    return server


def child(job: str, limit_bytes: int, home: str, events: Connection) -> None:
    """The work of a child: a job, each of its events sent as a line."""
    os.environ["KILN_HOME"] = home
    with open(os.devnull, "w", encoding="utf-8") as nobody:  # noqa: PTH123
        os.dup2(nobody.fileno(), 1)
        os.dup2(nobody.fileno(), 2)
    if limit_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    for event in LocalRun(job_from_line(job)).events():
        events.send(to_line(event))


def sitting(server: Any, job: TrainJob, moment: Moment | None = None) -> list[Event]:
    """The events of one child, to which something may be done on the way."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    limit = moment.room_bytes if moment and moment.kind == "limit" else 0
    home = os.environ["KILN_HOME"]
    process = server.Process(target=child, args=(job_to_line(job), limit, home, theirs))
    process.start()
    theirs.close()
    seen: list[Event] = []
    timers: list[threading.Timer] = []
    with contextlib.suppress(EOFError, ConnectionResetError):
        while True:
            if not ours.poll(END_S):
                process.kill()
                raise AssertionError(f"no sign of life after {seen[-1:]}")
            seen.append(from_line(ours.recv()))
            if moment and moment.kind != "limit" and len(seen) == moment.after:
                timers.append(
                    threading.Timer(moment.delay_s, _disturb, (process.pid, moment, job.config.output.folder))
                )
                timers[0].start()
    for timer in timers:
        timer.cancel()
        timer.join()
    process.join()
    return seen


def _disturb(pid: int, moment: Moment, folder: Path) -> None:
    kind = moment.kind
    if kind == "full disk":
        _fill(folder, moment.room_bytes)
        return
    with contextlib.suppress(ProcessLookupError):
        if kind != "kill":
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.2)
        os.kill(pid, signal.SIGCONT if kind == "freeze" else signal.SIGKILL)


def moments(number: int, seed: int, num_events: int, kinds: tuple[Kind, ...]) -> Iterator[Moment]:
    """Random moments of a run that says so many events, the kinds in turn."""
    chance = random.Random(seed)
    for index in range(number):
        yield Moment(
            kind=kinds[index % len(kinds)],
            after=chance.randint(1, num_events - 1),
            delay_s=chance.random() * 0.2,
            room_bytes=chance.randint(2_000, 150_000),
        )


def endure(server: Any, config: TrainConfig, moment: Moment, whole: TrainConfig) -> Outcome:
    """Do something to a run, go on with it until it ends, and compare it with one that nothing was done to.

    Args:
        server: From `context`.
        config: The settings of the run, the same as those of `whole` but for the output folder.
        moment: What is done to it.
        whole: The settings of the run that went through.
    """
    outcome = Outcome(moment)
    room = _small_disk(config.output.folder) if moment.kind == "full disk" else contextlib.nullcontext()
    with room:
        resume = False
        disturbance: Moment | None = moment
        while outcome.sittings < 4:
            seen = sitting(server, TrainJob(config=config, resume=resume), disturbance)
            outcome.sittings += 1
            last = seen[-1] if seen else None
            if isinstance(last, Finished):
                outcome.ends.append("finished")
                break
            outcome.ends.append(last.message if isinstance(last, Failed) else "killed")
            if isinstance(last, Failed) and last.failure != "disk_full":
                outcome.problems.append(f"{last.message}\n{last.detail}")
                break
            if moment.kind == "full disk":
                (config.output.folder / _BALLAST).unlink(missing_ok=True)
            resume, disturbance = RunFolder.of(config).config.exists(), None
        else:
            outcome.problems.append("it never ended")
        if not outcome.problems:
            outcome.problems += differences(config, whole)
    return outcome


def differences(config: TrainConfig, whole: TrainConfig) -> list[str]:
    """How a run differs from another one in its weights, its record and what it leaves."""
    import torch
    from safetensors.torch import load_file

    from core.training.state import load_state

    found = []
    names = [{path.name for path in lora_files(each)} for each in (config, whole)]
    if names[0] != names[1]:
        found.append(f"files: {sorted(names[0] ^ names[1])}")
    for name in names[0] & names[1]:
        mine, theirs = load_file(config.output.folder / name), load_file(whole.output.folder / name)
        if mine.keys() != theirs.keys() or not all(torch.equal(mine[key], theirs[key]) for key in mine):
            found.append(f"weights of {name}")
    told = [
        [(event.step, event.loss) for event in RunFolder.of(each).recorded() if isinstance(event, StepDone)]
        for each in (config, whole)
    ]
    if told[0] != told[1]:
        found.append(f"steps in the record: {[step for step, _ in told[0]]}")
    states = [[(file.step, file.epoch) for file in state_files(RunFolder.of(each).state)] for each in (config, whole)]
    if states[0] != states[1]:
        found.append(f"states: {states[0]} instead of {states[1]}")
    mine_last, their_last = (load_state(state_files(RunFolder.of(each).state)[0].path) for each in (config, whole))
    if not all(torch.equal(mine_last.network[name], their_last.network[name]) for name in their_last.network):
        found.append("weights of the last state")
    found += [f"left over: {path}" for path in config.output.folder.rglob("*.tmp")]
    return found


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own for a folder. Needs the right to mount."""
    folder.mkdir(parents=True)
    size = f"size={_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "kiln-stress", str(folder)], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


def _fill(folder: Path, room_bytes: int) -> None:
    """Another program takes nearly all that is left of the disk."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with contextlib.suppress(OSError), (folder / _BALLAST).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room_bytes))


def stress_config(config: TrainConfig) -> TrainConfig:
    """The settings of a run with everything that a state has to hold."""
    return with_values(
        config,
        {
            "dataset.fit": "buckets",
            "dataset.bucket_step": 16,
            "dataset.flip": True,
            "dataset.tag_dropout": 0.2,
            "network.train_text_encoder": True,
            "network.dropout": 0.1,
            "optimizer.ema_decay": 0.9,
            "training.epochs": 3,
            "validation.pictures": 1,
            "sampling.prompts": ("miru",),
            "output.save_every_n_epochs": 1,
            "output.state_every_n_steps": 2,
        },
    )
