from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from app.past_runs import past_run, past_runs
from app.run_places import find_run, lora_file, sample_file
from app.run_record import RunRecord
from core.config import TrainConfig, with_values
from core.errors import UserError
from core.events import (
    Adapted,
    BestEpoch,
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
    Validated,
    to_line,
)
from core.run_folder import RunFolder, state_path


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
    assert list(record.steps) == list(range(1, 21))
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
    assert list(record.steps) == list(range(1, 21))
    assert record.sample_steps == [20]
    assert record.remaining_s is None
    for event in again:
        record.add(event)
    assert list(record.steps) == list(range(1, 31))
    assert list(record.losses) == [0.3] * 20 + [0.2] * 10
    assert len(record.smoothed) == len(record.rates) == 30
    assert record.smoothed == RunRecord.of([*once[:20], *again]).smoothed
    assert record.remaining_s == pytest.approx(30.0)


def test_a_recording_without_its_beginning_is_cut_all_the_same() -> None:
    record = RunRecord.of([*(step(number) for number in range(1, 31)), *(step(number) for number in range(11, 16))])
    assert list(record.steps) == list(range(1, 16))


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (Finished(), "finished"),
        (Finished(stopped=True), "stopped"),
        (Finished(stopped=True, paused=True), "paused"),
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
        state_path(folder.state, 30).write_bytes(b"x")
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


def in_epochs(number: int, *, epoch: int, total: int = 60, **values: float) -> StepDone:
    return StepDone(
        step=number,
        total_steps=total,
        epoch=epoch,
        total_epochs=3,
        loss=0.1,
        learning_rate=1e-4,
        elapsed_s=float(number),
        **values,
    )


def validated(number: int, loss: float, epoch: int = 1) -> Validated:
    return Validated(step=number, epoch=epoch, loss=loss, num_pictures=3)


def three_epochs() -> list[Event]:
    return [in_epochs(number, epoch=(number - 1) // 20 + 1) for number in range(1, 61)]


def test_a_record_knows_where_epochs_end() -> None:
    record = RunRecord.of(three_epochs())
    assert record.epoch_starts == {1: 1, 2: 21, 3: 41}
    assert [record.epoch_ended_at(step) for step in (0, 1, 19, 20, 21, 40, 60)] == [None, None, None, 1, None, 2, 3]


def test_an_epoch_that_goes_on_has_not_ended() -> None:
    record = RunRecord.of(three_epochs()[:30])
    assert record.epoch_ended_at(30) is None
    assert record.epoch_ended_at(20) == 1


def test_norms_and_the_best_validation_are_kept() -> None:
    record = RunRecord.of(
        [
            in_epochs(1, epoch=1, grad_norm=0.5, lora_norm=0.1),
            in_epochs(2, epoch=1),
            validated(2, 0.3),
            validated(4, math.nan),
            validated(6, 0.2),
            validated(8, 0.25),
        ]
    )
    assert record.grad_norms[0] == 0.5
    assert math.isnan(record.grad_norms[1])
    assert record.lora_norms[0] == 0.1
    assert record.best_validation == validated(6, 0.2)


def test_a_run_that_helped_itself_goes_back_and_is_told() -> None:
    adapted = Adapted(step=23, cause="memory", message="Less memory from here on.")
    record = RunRecord.of([*three_epochs()[:25], validated(25, 0.3), sample(24), adapted])
    assert list(record.steps) == list(range(1, 24))
    assert record.step == 23
    assert record.validations == []
    assert record.samples == {}
    assert record.adaptions == [adapted]
    record.add(in_epochs(24, epoch=2))
    assert list(record.steps) == list(range(1, 25))
    assert record.adaptions == [adapted]


def test_a_run_that_went_back_to_an_epoch_forgets_what_came_later() -> None:
    files = [
        LoraSaved(path=Path(f"/out/{step}.safetensors"), step=step, epoch=step // 20, size_bytes=1) for step in (20, 40)
    ]
    best = BestEpoch(epoch=2, step=40, reason="r")
    record = RunRecord.of([*three_epochs(), *files, validated(20, 0.3), validated(40, 0.2), best, Finished()])
    record.add(JobStarted(job="train", first_step=20, total_steps=80))
    assert (record.step, record.total_steps, list(record.steps)[-1]) == (20, 80, 20)
    assert [saved.step for saved in record.loras] == [20]
    assert [known.step for known in record.validations] == [20]
    assert record.best is None
    assert record.epoch_starts == {1: 1}


def test_the_list_knows_losses_files_and_the_last_preview(tmp_path: Path) -> None:
    saved = LoraSaved(path=Path("C:\\out\\mika-000001.safetensors"), step=20, epoch=1, size_bytes=3)
    folder = make_run(tmp_path, "mika", [*three_epochs()[:20], validated(20, 0.25), saved, *three_epochs()[20:]])
    (tmp_path / "mika-000001.safetensors").write_bytes(b"abc")
    for name in ("step_000000_00.png", "step_000020_01.png", "step_000020_00.png", "notes.txt"):
        (folder.samples / name).write_bytes(b"x")
    run = past_run(folder)
    assert run.validation == 0.25
    assert run.loss == pytest.approx(0.1)
    assert run.preview == folder.samples / "step_000020_00.png"
    assert run.files == (tmp_path / "mika-000001.safetensors",)


def test_a_validation_before_the_read_end_of_a_long_run_is_found(tmp_path: Path) -> None:
    steps = [step(number, total=3000) for number in range(1, 3001)]
    run = past_run(make_run(tmp_path, "long", [steps[0], validated(1, 0.5), *steps[1:]]))
    assert run.validation == 0.5


def test_files_of_a_copied_run_are_found_where_it_lies_now(tmp_path: Path) -> None:
    run = tmp_path / "copied" / "mika"
    (run / "samples").mkdir(parents=True)
    (run / "samples" / "step_000020_00.png").write_bytes(b"x")
    (tmp_path / "copied" / "mika.safetensors").write_bytes(b"x")
    assert sample_file(Path("C:\\runs\\mika\\samples\\step_000020_00.png"), run).parent == run / "samples"
    assert sample_file(Path("/gone/step_000099_00.png"), run) == Path("/gone/step_000099_00.png")
    assert lora_file(Path("/home/other/out/mika.safetensors"), run) == tmp_path / "copied" / "mika.safetensors"


def test_a_run_folder_is_known_wherever_it_lies(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "out", "mika", [step(5), Finished()])
    assert find_run(tmp_path / "out") == folder
    copied = tmp_path / "desktop" / "mika (copy)"
    copied.parent.mkdir()
    folder.path.rename(copied)
    assert find_run(copied) == RunFolder(copied)
    assert not past_run(RunFolder(copied)).can_continue  # a run goes on inside a folder named runs only
    with pytest.raises(UserError, match="no run"):
        find_run(tmp_path / "desktop")
