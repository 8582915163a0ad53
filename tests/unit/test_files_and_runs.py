"""Atomic files, run folders, the disk cache and states."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch

from core.cache import DiskCache, content_hash, key_of
from core.config import TrainConfig, with_values
from core.errors import UserError
from core.events import Failed, Finished, JobStarted, Notice, StepDone
from core.files import remove_left_overs, replacing, write_text
from core.locks import is_running, only_run
from core.run_folder import RunFolder, lora_path, state_file
from core.training.state import State, changed_options, load_state, save_state


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
        data_fingerprint="d",
        elapsed_s=1.5,
        started_at=1000.0,
        network={"a": torch.arange(3.0)},
        optimizer={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        scaler={},
    )


def test_a_state_comes_back_as_it_was_and_a_broken_one_is_told(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, some_state(7))
    again = load_state(tmp_path)
    assert again is not None
    assert (again.step, again.elapsed_s) == (7, 1.5)
    torch.testing.assert_close(again.network["a"], torch.arange(3.0))
    state_file(tmp_path).write_bytes(state_file(tmp_path).read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        load_state(tmp_path)


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "code ran",)  # type: ignore[return-value]

    save_state(tmp_path, some_state(7))
    record = torch.load(state_file(tmp_path), weights_only=True)
    torch.save({**record, "elapsed_s": Evil()}, state_file(tmp_path))
    with pytest.raises(UserError, match="cannot be read"):
        load_state(tmp_path)
    assert not (tmp_path / "code ran").exists()


def test_a_state_with_weights_that_are_no_numbers_does_not_replace_a_good_one(tmp_path: Path) -> None:
    save_state(tmp_path, some_state(7))
    good = state_file(tmp_path).read_bytes()
    bad = dataclasses.replace(some_state(8), network={"a": torch.tensor([1.0, float("nan")])})
    with pytest.raises(UserError, match="no longer numbers in step 8"):
        save_state(tmp_path, bad)
    assert state_file(tmp_path).read_bytes() == good


def test_options_that_would_make_it_another_run_are_named_and_the_others_are_free(config: TrainConfig) -> None:
    settings = config.model_dump(mode="json")
    for key, value in (
        ("training.epochs", 99),
        ("output.save_every_n_epochs", 1),
        ("sampling.prompts", ("a",)),
        ("optimizer.learning_rate", 1e-5),
        ("training.precision", "fp32"),
        ("training.gradient_checkpointing", True),
        ("model.base", Path("/moved")),
    ):
        assert changed_options(settings, with_values(config, {key: value})) == []
    for key, value in (("network.rank", 4), ("training.seed", 1), ("dataset.resolution", 256)):
        assert changed_options(settings, with_values(config, {key: value})) == [key]


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
