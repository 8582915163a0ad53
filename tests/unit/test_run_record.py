from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from app.past_runs import past_run, past_runs
from app.run_record import RunRecord
from core.config import TrainConfig, with_values
from core.events import (
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    StageProgress,
    StageStarted,
    StateSaved,
    StepDone,
    to_line,
)
from core.run_folder import RunFolder


def step(number: int, *, total: int = 60, loss: float = 0.1, elapsed_s: float | None = None) -> StepDone:
    return StepDone(
        step=number,
        total_steps=total,
        epoch=1,
        total_epochs=3,
        loss=loss,
        learning_rate=1e-4,
        elapsed_s=float(number) if elapsed_s is None else elapsed_s,
        peak_memory_bytes=1000 * number,
    )


def sample(number: int, index: int = 0) -> SampleReady:
    return SampleReady(step=number, index=index, prompt=f"prompt {index}", seed=1, image=Path(f"{number}_{index}.png"))


def test_a_record_holds_what_was_said() -> None:
    record = RunRecord.of(
        [
            StageStarted(stage="cache", total=30),
            StageProgress(stage="cache", done=10, total=30),
            JobStarted(job="train", run_folder=Path("/run"), device="CPU", total_steps=60, num_images=30),
            Notice(message="something"),
            *(step(number) for number in range(1, 21)),
            sample(20),
            sample(20, 1),
            StateSaved(step=20, folder=Path("/run/state")),
            LoraSaved(path=Path("/a.safetensors"), step=20, epoch=1, size_bytes=5),
        ]
    )
    assert (record.step, record.total_steps, record.epoch, record.num_images) == (20, 60, 1, 30)
    assert record.steps == list(range(1, 21))
    assert record.seconds_per_step == pytest.approx(1.0)
    assert record.remaining_s == pytest.approx(40.0)
    assert record.peak_memory_bytes == 20_000
    assert record.sample_steps == [20]
    assert record.prompts == {0: "prompt 0", 1: "prompt 1"}
    assert record.state_step == 20
    assert record.status == "unfinished"


def test_the_step_time_follows_slowly_and_ignores_the_start() -> None:
    record = RunRecord()
    record.add(step(1, elapsed_s=30.0))  # the first step compiles and loads
    assert record.seconds_per_step is None
    for number in range(2, 40):
        record.add(step(number, elapsed_s=30.0 + number))
    assert record.seconds_per_step == pytest.approx(1.0, rel=0.05)
    record.add(step(40, elapsed_s=100.0))  # something else took the machine for a moment
    assert record.seconds_per_step is not None
    assert 1.0 < record.seconds_per_step < 3.0


def test_smoothing_starts_at_the_data_and_passes_over_nan() -> None:
    record = RunRecord()
    record.add(step(1, loss=0.5))
    assert record.loss == pytest.approx(0.5)
    record.add(step(2, loss=math.nan))
    assert record.loss == pytest.approx(0.5)
    for number in range(3, 400):
        record.add(step(number, total=400, loss=0.1))
    assert record.loss == pytest.approx(0.1, abs=1e-3)


def test_a_continued_run_replaces_what_it_says_again() -> None:
    once = [step(number, loss=0.3) for number in range(1, 31)]
    again = [step(number, loss=0.2) for number in range(21, 31)]
    record = RunRecord.of([*once, sample(20), sample(30), Failed(message="m", remedy="r")])
    assert record.status == "failed"
    record.add(JobStarted(job="train", first_step=20, total_steps=60))
    assert record.status == "unfinished"
    assert record.steps == list(range(1, 21))
    assert record.sample_steps == [20]
    assert record.remaining_s is None
    for event in again:
        record.add(event)
    assert record.steps == list(range(1, 31))
    assert record.losses == [0.3] * 20 + [0.2] * 10
    assert len(record.smoothed) == len(record.rates) == 30
    assert record.smoothed == RunRecord.of([*once[:20], *again]).smoothed
    assert record.remaining_s == pytest.approx(30.0)


def test_a_recording_without_its_beginning_is_cut_all_the_same() -> None:
    record = RunRecord.of([*(step(number) for number in range(1, 31)), *(step(number) for number in range(11, 16))])
    assert record.steps == list(range(1, 16))


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (Finished(), "finished"),
        (Finished(stopped=True), "stopped"),
        (Failed(message="m", remedy="r"), "failed"),
        (step(5), "unfinished"),
    ],
)
def test_how_a_run_ended(last: Event, status: str) -> None:
    assert RunRecord.of([step(4), last]).status == status


def make_run(output: Path, name: str, events: list[Event], *, state: bool = False, age_s: int = 0) -> RunFolder:
    config = with_values(TrainConfig(), {"output.folder": output, "output.name": name})
    folder = RunFolder.of(config)
    folder.create(config)
    folder.events.write_text("".join(to_line(event) + "\n" for event in events), encoding="utf-8")
    changed = folder.config.stat().st_mtime - age_s
    os.utime(folder.events, (changed, changed))
    if state:
        folder.state.mkdir()
        (folder.state / "state.pt").write_bytes(b"x")
    return folder


def test_runs_of_an_output_folder(tmp_path: Path) -> None:
    make_run(tmp_path, "old", [step(60), Finished()], state=True, age_s=300)
    make_run(tmp_path, "killed 模型", [step(30)], state=True, age_s=200)
    make_run(tmp_path, "early", [StageStarted(stage="load")], age_s=100)
    runs = past_runs(tmp_path)
    assert [(run.name, run.status, run.step, run.can_continue) for run in runs] == [
        ("early", "unfinished", 0, False),
        ("killed 模型", "unfinished", 30, True),
        ("old", "finished", 60, False),
    ]
    assert past_runs(tmp_path / "nothing here") == []


def test_only_the_end_of_a_long_run_is_read(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "long", [step(number, total=10_000) for number in range(1, 10_001)])
    run = past_run(folder)
    assert (run.step, run.total_steps, run.status) == (10_000, 10_000, "unfinished")


def test_a_moved_run_continues_where_it_lies_now(tmp_path: Path) -> None:
    make_run(tmp_path / "first", "mika", [step(30)], state=True)
    (tmp_path / "first").rename(tmp_path / "second")
    config = RunFolder(tmp_path / "second" / "runs" / "mika").continued_config()
    assert config.output.folder == tmp_path / "second"
    assert config.output.name == "mika"
