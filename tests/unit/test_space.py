"""Room on the disk: what a run needs, the refusal to start without it, and the warning on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import space
from core.config import TrainConfig, with_values
from core.errors import UserError
from core.space import SpaceWatch, check_space, free_bytes, needed_bytes

LORA = 9_000_000


def config_of(folder: Path = Path("/out"), **values: object) -> TrainConfig:
    changes: dict[str, object] = {"output.folder": folder, "sampling.prompts": (), "training.epochs": 10}
    changes |= {key.replace("__", "."): value for key, value in values.items()}
    return with_values(TrainConfig(), changes)


def test_free_space_is_told_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert abs(free_bytes(tmp_path / "a" / "b") - free_bytes(tmp_path)) < 100_000_000


def test_lora_files_of_epochs_and_steps_and_the_last_one_are_counted() -> None:
    base = {"output__keep_states": 1, "output__epoch_states": 0}
    none = needed_bytes(config_of(output__save_every_n_epochs=0, **base), 100, LORA)
    every_second = needed_bytes(config_of(output__save_every_n_epochs=2, **base), 100, LORA)
    assert every_second - none == 5 * LORA
    every_50 = needed_bytes(config_of(output__save_every_n_epochs=0, output__save_every_n_steps=50, **base), 100, LORA)
    assert every_50 - none == 20 * LORA
    kept = needed_bytes(config_of(output__save_every_n_epochs=1, output__keep_last=3, **base), 100, LORA)
    assert kept - none == 3 * LORA


def test_states_are_counted_in_32_bits_with_the_optimizer_and_the_average() -> None:
    few = config_of(output__save_every_n_epochs=0, output__keep_states=1, output__epoch_states=0)
    more = config_of(output__save_every_n_epochs=0, output__keep_states=3, output__epoch_states=0)
    assert needed_bytes(more, 100, LORA) - needed_bytes(few, 100, LORA) == 2 * 3 * 2 * LORA
    averaged = with_values(few, {"optimizer.ema_decay": 0.99})
    assert needed_bytes(averaged, 100, LORA) - needed_bytes(few, 100, LORA) == 2 * 2 * LORA


def test_fewer_steps_and_a_later_start_need_less() -> None:
    config = config_of(output__save_every_n_epochs=1, output__epoch_states=0, sampling__prompts=("a", "b"))
    whole = needed_bytes(config, 100, LORA)
    assert needed_bytes(config, 100, LORA, from_step=500) < whole
    assert needed_bytes(with_values(config, {"training.max_steps": 200}), 100, LORA) < whole


def test_previews_are_counted() -> None:
    without = needed_bytes(config_of(), 100, LORA)
    prompts = ("one", "two", "three")
    with_previews = needed_bytes(config_of(sampling__prompts=prompts, sampling__every_n_epochs=1), 100, LORA)
    assert with_previews - without == 3 * 12 * 512 * 512 * 2  # Before the first epoch, after each, and at the end.


def test_a_run_is_refused_with_figures_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path / "输出")
    needed = needed_bytes(config, 100, LORA) + space.RESERVE_BYTES
    monkeypatch.setattr(space, "free_bytes", lambda _folder: needed - 1)
    with pytest.raises(UserError) as caught:
        check_space(config, 100, LORA)
    assert caught.value.failure == "disk_full"
    assert f"{needed / 1e6:,.0f} MB" in caught.value.message
    assert str(tmp_path / "输出") in caught.value.message
    monkeypatch.setattr(space, "free_bytes", lambda _folder: needed)
    check_space(config, 100, LORA)


def test_a_disk_that_fills_up_during_the_run_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10**9
    monkeypatch.setattr(space, "free_bytes", lambda _folder: free)
    monkeypatch.setattr(space, "LOOK_EVERY_S", 0.0)
    watch = SpaceWatch([tmp_path])
    assert watch.look() is None
    free = 150_000_000
    notice = watch.look()
    assert notice is not None
    assert notice.level == "warning"
    assert "150 MB" in notice.message
    assert watch.look() is None


def test_the_disk_is_not_asked_after_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_looks = 0

    def look(_folder: Path) -> int:
        nonlocal num_looks
        num_looks += 1
        return 10**12

    monkeypatch.setattr(space, "free_bytes", look)
    watch = SpaceWatch([tmp_path])
    for _ in range(1000):
        watch.look()
    assert num_looks == 1
