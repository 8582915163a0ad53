"""Atomic files, run folders, the disk cache and states."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.cache import DiskCache, content_hash, key_of
from core.config import TrainConfig, with_values
from core.errors import UserError
from core.events import Failed, Finished, JobStarted, LoraSaved, Notice, SampleReady, StepDone
from core.files import remove_left_overs, replacing, write_text
from core.locks import is_running, only_run
from core.run_folder import RunFolder, lora_files, lora_path, state_files, state_path
from core.runner import worker_environment
from core.training.state import (
    Learned,
    Measure,
    State,
    changed_options,
    forget_after,
    keep_newest,
    last_state,
    load_state,
    save_state,
    told_options,
)


def step_done(step: int) -> StepDone:
    return StepDone(step=step, total_steps=9, epoch=1, total_epochs=1, loss=0.5, learning_rate=1.0, elapsed_s=1.0)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "名 字 😀.txt"
    write_text(target, "old")

    def half_a_write() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        half_a_write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("长" * 83 + ".txt")
    write_text(target, "text")
    assert target.read_text() == "text"


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return with_values(TrainConfig(), {"output.folder": tmp_path / "输出 dir", "output.name": "miru"})


def test_a_run_lives_inside_the_output_folder(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    assert run.path == config.output.folder / "runs" / "miru"
    assert run.load_config() == config
    assert lora_path(config).name == "miru.safetensors"
    assert lora_path(config, 2).name == "miru-000002.safetensors"


def test_a_run_is_found_from_either_folder_and_the_newest_wins(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    assert RunFolder.find(run.path) == run
    assert RunFolder.find(config.output.folder) == run
    newer = RunFolder(config.output.folder / "runs" / "later")
    newer.create(config)
    newer.record(step_done(1))
    assert RunFolder.find(config.output.folder) == newer
    with pytest.raises(UserError, match="no run"):
        RunFolder.find(config.output.folder / "elsewhere")


def test_events_are_kept_and_a_line_cut_off_by_a_crash_is_left_out(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    said = [JobStarted(job="train"), step_done(1), step_done(2)]
    assert list(run.recording(iter(said))) == said
    with run.events.open("a") as file:
        file.write('{"kind": "step_done", "st')
    assert run.recorded() == said


def test_rewinding_forgets_later_steps_and_how_it_ended(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    for event in (step_done(1), step_done(2), step_done(3), Finished(stopped=True), Failed(message="m", remedy="r")):
        run.record(event)
    run.rewind(2)
    assert run.recorded() == [step_done(1), step_done(2)]


def test_a_line_that_a_crash_cut_off_does_not_swallow_the_next(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    run.mend()
    run.record(step_done(1))
    with run.events.open("a") as file:
        file.write('{"kind": "step_done", "st')
    run.mend()
    run.record(step_done(2))
    assert run.recorded() == [step_done(1), step_done(2)]


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX's")
def test_an_event_that_a_full_disk_takes_half_of_is_taken_away_again(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    run.record(step_done(1))
    size = run.events.stat().st_size
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from core.events import Notice\n"
        "from core.run_folder import RunFolder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 20}, resource.RLIM_INFINITY))\n"
        "RunFolder(Path(sys.argv[1])).record(Notice(message='a'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], env=worker_environment(), capture_output=True, check=False
    )
    assert b"File too large" in done.stderr
    assert run.events.stat().st_size == size
    assert run.recorded() == [step_done(1)]


def test_what_was_made_after_a_step_is_put_aside_and_nothing_is_deleted(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    files = [lora_path(config, 1), lora_path(config, 2), lora_path(config, step=9)]
    for file in (*files, run.sample_path(9, 0)):
        file.write_text(file.name)
    for step, file in zip((4, 8, 9), files, strict=True):
        run.record(step_done(step))
        run.record(LoraSaved(path=Path("/elsewhere") / file.name, step=step, epoch=1, size_bytes=1))
    run.record(SampleReady(step=9, index=0, prompt="p", seed=1, image=run.sample_path(9, 0)))
    folder = run.put_aside(run.said_after(4))
    assert folder == run.set_aside / "001"
    assert run.rewind(4) == RunFolder(folder).recorded()
    assert lora_files(config) == [files[0]]
    aside = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".jsonl"}
    assert aside == {name: name for name in (files[1].name, files[2].name, run.sample_path(9, 0).name)}
    assert RunFolder(folder).recorded()[0] == step_done(8)
    assert run.put_aside(run.rewind(0)) == run.set_aside / "002"


def test_the_cache_gives_back_what_was_put_and_survives_broken_entries(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "缓存")
    key = key_of("latents", 1)
    assert cache.get(key) is None
    cache.put(key, {"latents": torch.arange(4.0)})
    entry = cache.get(key)
    assert entry is not None
    torch.testing.assert_close(entry["latents"], torch.arange(4.0))
    (file,) = cache.folder.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    assert cache.get(key) is None


def test_keys_and_hashes_change_with_every_part(tmp_path: Path) -> None:
    assert len({key_of("a", "b"), key_of("ab"), key_of("b", "a"), key_of("a", "b", 1)}) == 4
    file = tmp_path / "weights"
    data = bytearray(range(256)) * 20000
    hashes = set()
    for position in (0, len(data) // 2, len(data) - 1):
        data[position] ^= 1
        file.write_bytes(data)
        hashes.add(content_hash(file))
    assert len(hashes) == 3


def some_state(step: int) -> State:
    return State(
        step=step,
        settings=TrainConfig().model_dump(mode="json"),
        base={"unet": "hash"},
        pictures={"a.png": ["content", "caption", "plan"]},
        elapsed_s=1.5,
        started_at=1000.0,
        network={"a": torch.arange(3.0)},
        optimizer={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        scaler={},
        averaging={"updates": 3, "averages": [torch.ones(2)]},
        learned=Learned(chunks=2, checkpointing=True, rate_scale=0.5),
        recent_losses=(0.25, 0.5),
        curve=(Measure(0, 0, 0.5, 0.0, 2),),
        held_out=("b.png",),
    )


def steps_and_epochs(folder: Path) -> list[tuple[int, int | None]]:
    return [(file.step, file.epoch) for file in state_files(folder)]


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    assert last_state(tmp_path / "not there") == (None, [])
    path = save_state(tmp_path, some_state(7))
    again, expected = load_state(path), some_state(7)
    for name in ("network", "optimizer", "averaging"):
        torch.testing.assert_close(getattr(again, name), getattr(expected, name))
    plain = {"network": {}, "optimizer": {}, "averaging": {}}
    assert dataclasses.replace(again, **plain) == dataclasses.replace(expected, **plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [3, 20, 60, -40, -1])
def test_a_state_with_one_wrong_bit_anywhere_is_damaged(tmp_path: Path, place: int) -> None:
    path = save_state(tmp_path, some_state(7))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="cannot be read"):
        load_state(path)


def test_of_damaged_states_the_one_before_is_used_and_the_damage_told(tmp_path: Path) -> None:
    for step in (100, 200, 300):
        save_state(tmp_path, some_state(step))
    state_path(tmp_path, 300).write_bytes(b"")
    state_path(tmp_path, 200).write_bytes(state_path(tmp_path, 200).read_bytes()[:-1])
    state, damaged = last_state(tmp_path)
    assert state is not None
    assert state.step == 100
    assert [file.step for file in damaged] == [300, 200]
    state_path(tmp_path, 100).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        last_state(tmp_path)


def test_a_state_of_a_newer_version_is_no_damaged_one_and_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, some_state(100))
    with monkeypatch.context() as newer:
        newer.setattr("core.training.state.FORMAT", 99)
        save_state(tmp_path, some_state(200))
    with pytest.raises(UserError, match="newer version"):
        last_state(tmp_path)
    assert steps_and_epochs(tmp_path) == [(200, None), (100, None)]


def test_a_whole_state_is_not_called_damaged_where_memory_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (100, 200):
        save_state(tmp_path, some_state(step))

    def load(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(RuntimeError, match="allocate memory"):
        last_state(tmp_path)


def test_a_state_of_one_step_is_found_and_a_step_without_one_is_told_what_there_is(tmp_path: Path) -> None:
    for step in (100, 200, 300):
        save_state(tmp_path, some_state(step))
    state, _ = last_state(tmp_path, from_step=200)
    assert state is not None
    assert state.step == 200
    with pytest.raises(UserError, match="no state of step 150") as caught:
        last_state(tmp_path, from_step=150)
    assert "100, 200, 300" in caught.value.remedy
    before, _ = last_state(tmp_path, before=300)
    assert before is not None
    assert before.step == 200


def test_the_newest_states_stay_and_those_of_the_newest_epochs(tmp_path: Path) -> None:
    for step, epoch in ((0, None), (10, None), (20, 1), (30, None), (40, 2), (60, 3), (70, None), (75, None)):
        save_state(tmp_path, some_state(step), epoch=epoch)
    keep_newest(tmp_path, states=2, epoch_states=2)
    assert steps_and_epochs(tmp_path) == [(75, None), (70, None), (60, 3), (40, 2)]
    forget_after(tmp_path, 60)
    assert steps_and_epochs(tmp_path) == [(60, 3), (40, 2)]


def test_a_state_of_an_epoch_written_again_stays_that_of_the_epoch(tmp_path: Path) -> None:
    save_state(tmp_path, some_state(20))
    save_state(tmp_path, some_state(20), epoch=1)
    save_state(tmp_path, dataclasses.replace(some_state(20), elapsed_s=9.0))
    assert steps_and_epochs(tmp_path) == [(20, 1)]
    assert load_state(state_path(tmp_path, 20, 1)).elapsed_s == 9.0


def test_other_files_among_the_states_are_no_states(tmp_path: Path) -> None:
    for name in ("step_1.state", "step_00000001.state.tmp", ".kiln-1-a.tmp", "step_00000001_epoch_1.state"):
        (tmp_path / name).touch()
    assert state_files(tmp_path) == []


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "code ran",)  # type: ignore[return-value]

    evil = dataclasses.replace(some_state(7), settings={"a": {"b": Evil()}})
    path = save_state(tmp_path, evil)
    with pytest.raises(UserError, match="cannot be read"):
        load_state(path)
    assert not (tmp_path / "code ran").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"network": {"a": torch.tensor([1.0, float("nan")])}},
        {"averaging": {"updates": 1, "averages": [torch.tensor([float("inf")])]}},
    ],
)
def test_a_state_with_weights_that_are_no_numbers_is_not_written(tmp_path: Path, bad: dict[str, Any]) -> None:
    save_state(tmp_path, some_state(7))
    with pytest.raises(UserError, match="no longer numbers in step 8"):
        save_state(tmp_path, dataclasses.replace(some_state(8), **bad))
    assert steps_and_epochs(tmp_path) == [(7, None)]


def test_options_that_would_make_it_another_run_are_named_and_the_others_are_free(config: TrainConfig) -> None:
    settings = config.model_dump(mode="json")
    for key, value in (
        ("training.epochs", 99),
        ("output.save_every_n_epochs", 1),
        ("sampling.prompts", ("a",)),
        ("optimizer.learning_rate", 1e-5),
        ("validation.patience", 3),
        ("dataset.resolution", 256),
        ("training.precision", "fp32"),
        ("training.gradient_checkpointing", True),
        ("model.base", Path("/moved")),
    ):
        assert changed_options(settings, with_values(config, {key: value})) == []
    for key, value in (
        ("network.rank", 4),
        ("training.seed", 1),
        ("training.batch_size", 2),
        ("optimizer.name", "lion"),
        ("optimizer.block_rates", ("mid_block=0",)),
        ("validation.seed", 8),
        ("loss.kind", "l1"),
    ):
        assert changed_options(settings, with_values(config, {key: value})) == [key]


def test_of_the_free_options_those_that_change_what_is_learned_are_told(config: TrainConfig) -> None:
    settings = config.model_dump(mode="json")
    silent = {"output.comment": "a", "sampling.prompts": ("a",), "model.base": Path("/b"), "training.background": False}
    assert told_options(settings, with_values(config, silent)) == []
    told = {"training.epochs": 99, "optimizer.learning_rate": 1e-5, "schedule.name": "linear", "dataset.resolution": 64}
    assert set(told_options(settings, with_values(config, told))) == set(told)


def test_an_option_that_came_later_counts_as_its_default(config: TrainConfig) -> None:
    settings = config.model_dump(mode="json")
    del settings["loss"]["noise_offset"]
    assert changed_options(settings, config) == []
    assert changed_options(settings, with_values(config, {"loss.noise_offset": 0.1})) == ["loss.noise_offset"]


def test_a_run_has_one_writer_at_a_time(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with only_run(tmp_path):
        assert is_running(tmp_path)
        with pytest.raises(UserError, match="still going on"), only_run(tmp_path):
            pass
    assert not is_running(tmp_path)


def test_a_moved_and_renamed_run_continues_where_it_lies(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    moved = config.output.folder.parent / "elsewhere" / "runs" / "new name"
    moved.parent.mkdir(parents=True)
    run.path.rename(moved)
    continued = RunFolder.find(moved).continued_config()
    assert (continued.output.folder, continued.output.name) == (moved.parent.parent, "new name")
    assert RunFolder.of(continued).path == moved


def test_decisions_of_a_run_that_came_to_nothing_are_not_those_of_the_next(config: TrainConfig, tmp_path: Path) -> None:
    run = RunFolder.of(config)
    own = with_values(config, {"dataset.edits": run.edits})
    run.create(config)
    run.edits.write_text("{}", encoding="utf-8")
    run.edits.with_name("dataset.json.backup").write_text("{}", encoding="utf-8")
    assert run.continued_config().dataset.edits == Path()  # They are not this run's.
    run.create(own)
    assert run.edits.exists() and run.continued_config() == own
    run.create(config)
    assert {path.name for path in run.path.iterdir()} == {"config.toml", "samples"}


def test_an_output_folder_with_a_settings_file_of_its_own_is_no_run(config: TrainConfig) -> None:
    RunFolder.of(config).create(config)
    (config.output.folder / "config.toml").write_text("", encoding="utf-8")
    assert RunFolder.find(config.output.folder) == RunFolder.of(config)


def test_events_with_odd_texts_survive_the_file(config: TrainConfig) -> None:
    run = RunFolder.of(config)
    run.create(config)
    odd = Notice(message="a\u2028b\x85c", image=Path(os.fsdecode("图".encode("gbk") + b".png")))
    run.record(odd)
    assert run.recorded() == [odd]


def test_left_overs_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    mine, dead = tmp_path / f".kiln-{os.getpid()}-abcd.tmp", tmp_path / ".kiln-999999999-abcd.tmp"
    for path in (mine, dead):
        path.touch()
    remove_left_overs(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


def test_a_folder_that_is_not_there_has_no_left_overs(tmp_path: Path) -> None:
    remove_left_overs(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
