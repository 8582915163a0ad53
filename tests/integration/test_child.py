"""The child process: its events, its death, and what is left to continue from."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.config import TrainConfig, with_values
from core.events import Event, Failed, Finished, StageStarted, StepDone, from_line
from core.jobs import TagJob, TrainJob, job_from_line, job_to_line
from core.run_folder import lora_path
from core.runner import ChildRun, LocalRun, worker_command, worker_environment

MakeConfig = Callable[..., TrainConfig]


def test_a_job_survives_its_line(make_config: MakeConfig, tmp_path: Path) -> None:
    not_unicode = tmp_path / os.fsdecode("图片".encode("gbk"))
    for job in (
        TrainJob(config=make_config(), resume=True),
        TagJob(folder=tmp_path / "图 片"),
        TagJob(folder=not_unicode),
    ):
        assert job_from_line(job_to_line(job)) == job


def test_a_child_says_what_a_run_in_this_process_says(make_config: MakeConfig) -> None:
    config = make_config()
    local = [event for event in LocalRun(TrainJob(config=config)).events() if isinstance(event, StepDone)]
    elsewhere = with_values(config, {"output.folder": config.output.folder.parent / "child"})
    child = ChildRun(TrainJob(config=elsewhere))
    events = list(child.events())
    assert isinstance(events[-1], Finished), events[-1]
    assert [event.loss for event in events if isinstance(event, StepDone)] == [event.loss for event in local]
    assert events[-1].output == lora_path(elsewhere)


def test_a_stop_reaches_the_child_and_its_work_is_saved(make_config: MakeConfig) -> None:
    config = make_config(training__epochs=500)
    child = ChildRun(TrainJob(config=config))
    events: list[Event] = []
    for event in child.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            child.send("stop")
    ended = events[-1]
    assert isinstance(ended, Finished), ended
    assert ended.stopped
    assert lora_path(config).is_file()


def test_a_pause_reaches_the_child_and_frees_what_it_holds(make_config: MakeConfig) -> None:
    config = make_config(training__epochs=500)
    child = ChildRun(TrainJob(config=config))
    events: list[Event] = []
    for event in child.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            child.send("pause")
    ended = events[-1]
    assert isinstance(ended, Finished), ended
    assert ended.paused
    assert child.pid is not None
    assert not psutil.pid_exists(child.pid)
    assert not lora_path(config).exists()


def test_a_killed_child_is_one_sentence_and_the_caller_lives_on(make_config: MakeConfig) -> None:
    child = ChildRun(TrainJob(config=make_config(training__epochs=500)))
    events: list[Event] = []
    for event in child.events():
        events.append(event)
        if isinstance(event, StepDone):
            assert child.pid is not None
            os.kill(child.pid, 9)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert "lack of memory" in failed.message
    assert "continue" in failed.remedy


def test_force_stop_ends_the_child_and_says_so(make_config: MakeConfig) -> None:
    child = ChildRun(TrainJob(config=make_config(training__epochs=500)))
    events: list[Event] = []
    for event in child.events():
        events.append(event)
        if isinstance(event, StepDone):
            child.kill()
    assert isinstance(events[-1], Failed)
    assert "as asked" in events[-1].message


def test_a_wish_cannot_overtake_the_job(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop asked for while the child is being started reaches it after the job, however slow the start."""
    child = ChildRun(TrainJob(config=make_config(training__epochs=500)))
    real = subprocess.Popen

    def slow_start(*arguments: object, **options: object) -> object:
        asking = threading.Thread(target=child.send, args=("stop",))
        asking.start()
        started = real(*arguments, **options)  # type: ignore[call-overload]
        asking.join(timeout=0.3)  # Without a lock around the start, the wish is written by now.
        return started

    monkeypatch.setattr(subprocess, "Popen", slow_start)
    ended = list(child.events())[-1]
    assert isinstance(ended, Finished), ended
    assert ended.stopped


def test_a_kill_before_the_start_starts_nothing(make_config: MakeConfig) -> None:
    child = ChildRun(TrainJob(config=make_config()))
    child.kill()
    assert [type(event) for event in child.events()] == [Failed]
    assert child.pid is None


def test_a_child_that_cannot_start_the_job_says_why(make_config: MakeConfig) -> None:
    events = list(ChildRun(TrainJob(config=make_config(model__base=Path("/nowhere/模型")))).events())
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert "/nowhere/模型" in failed.message
    assert "Traceback" in failed.detail


def test_the_child_stops_and_saves_when_the_window_is_gone(make_config: MakeConfig) -> None:
    config = make_config(training__epochs=500)
    with subprocess.Popen(
        worker_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=worker_environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(job_to_line(TrainJob(config=config)) + "\n")
        child.stdin.flush()
        last: Event | None = None
        for line in child.stdout:
            last = from_line(line)
            if isinstance(last, StepDone) and not child.stdin.closed:
                child.stdin.close()
        assert isinstance(last, Finished), last
        assert last.stopped
        assert child.wait() == 0
    assert lora_path(config).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX's")
@pytest.mark.parametrize(("limit_bytes", "what"), [(20_000, "state"), (150_000, "lora")])
def test_a_disk_that_is_full_is_one_sentence_and_the_run_can_go_on(
    make_config: MakeConfig, limit_bytes: int, what: str
) -> None:
    """The system refuses to let any file of the child grow beyond the limit, as a full disk does."""
    config = make_config(
        output__state_every_n_steps=2 if what == "state" else 1000, output__save_every_n_epochs=0, network__rank=8
    )
    code = (
        "import resource, signal, sys\n"
        "from core import worker\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, resource.RLIM_INFINITY))\n"
        "sys.exit(worker.main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=worker_environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(job_to_line(TrainJob(config=config)) + "\n")
        child.stdin.flush()
        failed = [from_line(line) for line in child.stdout][-1]
    assert isinstance(failed, Failed)
    assert "disk is full" in failed.message, failed
    assert not list(config.output.folder.rglob("*.tmp"))
    resumed = list(LocalRun(TrainJob(config=config, resume=True)).events())
    assert isinstance(resumed[-1], Finished), resumed[-1]


@pytest.mark.parametrize("stage", ["scan", "load", "cache", "sample", "train", "save"])
def test_a_kill_in_any_stage_is_told_and_the_run_can_go_on(make_config: MakeConfig, stage: str) -> None:
    config = make_config(training__epochs=1, sampling__prompts=("miru",), output__state_every_n_steps=1)
    child = ChildRun(TrainJob(config=config))
    events: list[Event] = []
    for event in child.events():
        events.append(event)
        if isinstance(event, StageStarted) and event.stage == stage and child.pid is not None:
            os.kill(child.pid, 9)
    assert isinstance(events[-1], Failed)
    assert events[-1].remedy
    resumed = list(LocalRun(TrainJob(config=config, resume=True)).events())
    assert isinstance(resumed[-1], Finished), resumed[-1]
    assert lora_path(config).is_file()


def test_what_libraries_print_goes_to_the_log_and_never_into_the_events() -> None:
    code = (
        "import os, sys\n"
        "from core.worker import take_stdout\n"
        "events = take_stdout()\n"
        "print('a library speaks'); os.system('echo a program speaks'); sys.stdout.flush()\n"
        "events.write('event\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=worker_environment(), check=True
    )
    assert done.stdout == "event\n"
    assert "a library speaks" in done.stderr
    assert "a program speaks" in done.stderr
