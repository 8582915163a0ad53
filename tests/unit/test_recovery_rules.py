"""What a run decides when memory, numbers or time go wrong, what it holds out, and which epoch it proposes."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch

from core.config import TrainConfig, with_values
from core.config.model import ValidationConfig
from core.dataset.fitting import FitOptions, plans_of
from core.dataset.records import ImageRecord
from core.errors import UserError
from core.machine import Card
from core.training.best_epoch import Saved, best_index, has_stopped_improving, propose
from core.training.data import Example
from core.training.recovery import (
    LossWatch,
    SlownessWatch,
    UpdateWatch,
    in_parts,
    is_memory_error,
    next_saving,
    no_memory_left,
    saving_told,
    scale_rates,
)
from core.training.restoring import forget_unscaled
from core.training.state import Learned, Measure
from core.training.validation import choose_held_out, num_held_out, split


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    ],
)
def test_all_words_for_missing_memory_are_known(error: Exception) -> None:
    assert is_memory_error(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(12, "Cannot allocate memory"),
        UserError("out of memory", remedy="."),
    ],
)
def test_other_errors_are_not_taken_for_missing_memory(error: Exception) -> None:
    assert not is_memory_error(error)


def test_memory_is_saved_in_ever_dearer_ways_up_to_single_pictures() -> None:
    learned: Learned | None = Learned()
    ways = []
    while learned := next_saving(learned, 6, frozen_text_encoder_on_card=True):
        ways.append((learned.text_on_cpu, learned.checkpointing, learned.chunks))
    assert ways == [(True, False, 1), (True, True, 1), (True, True, 2), (True, True, 4), (True, True, 6)]


def test_a_saving_is_told_as_the_settings_it_amounts_to() -> None:
    config = with_values(TrainConfig(), {"training.batch_size": 4, "training.gradient_accumulation": 3})
    before = Learned(checkpointing=True, chunks=2)
    changes, message = saving_told(before, dataclasses.replace(before, chunks=4), config, 7)
    assert dict(changes) == {"training.batch_size": "1", "training.gradient_accumulation": "12"}
    assert "step 7" in message


def test_a_wish_for_smaller_batches_of_the_same_step_computes_the_same_ones_in_parts() -> None:
    before = with_values(TrainConfig(), {"training.batch_size": 4, "training.gradient_accumulation": 2})
    settings = before.model_dump(mode="json")
    wish = with_values(before, {"training.batch_size": 1, "training.gradient_accumulation": 8})
    assert in_parts(wish, settings) == (before, 4)
    assert in_parts(before, settings) == (before, 1)
    for other in ({"training.batch_size": 1}, {"training.batch_size": 8, "training.gradient_accumulation": 1}):
        assert in_parts(with_values(before, other), settings) == (with_values(before, other), 1)


def test_a_lower_resolution_is_only_proposed_where_there_is_one() -> None:
    assert "768 px" in no_memory_left(with_values(TrainConfig(), {"dataset.resolution": 1024})).remedy
    assert "px" not in no_memory_left(with_values(TrainConfig(), {"dataset.resolution": 256})).remedy


def test_who_wanted_no_savings_is_not_told_that_all_were_tried() -> None:
    config = with_values(TrainConfig(), {"training.on_out_of_memory": "stop"})
    told = no_memory_left(config, adapted=False)
    assert "every way" not in told.message
    assert "save memory by itself" in told.remedy
    assert told.failure == no_memory_left(config).failure


def test_an_update_that_was_begun_and_not_finished_is_known() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    watch = UpdateWatch(optimizer)
    assert not watch.is_torn
    optimizer.step()
    assert watch.is_torn
    watch.finished()
    assert not watch.is_torn


def test_rates_are_scaled_from_their_full_value_each_time() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "base_rate": 0.5}], lr=0.5)
    for scale, rate in ((0.5, 0.25), (0.5, 0.25), (1.0, 0.5)):
        scale_rates(optimizer, scale)
        assert optimizer.param_groups[0]["base_rate"] == rate


def test_a_loss_far_above_the_usual_one_counts_only_when_it_stays_there() -> None:
    usual = [0.05, 0.3, 0.08, 0.01, 0.15] * 6
    bounces = LossWatch(usual)
    assert not any(bounces.is_exploding(loss) for loss in (9.0, 9.0, 9.0, 9.0, 0.1))
    explodes = LossWatch(usual)
    assert [explodes.is_exploding(9.0) for _ in range(5)] == [False] * 4 + [True]


def test_batches_of_little_weight_do_not_make_the_others_look_large() -> None:
    chance = random.Random(1)
    watch = LossWatch()
    assert not any(watch.is_exploding(chance.choice((0.0, 0.001, 0.001, 0.1))) for _ in range(3000))


def test_the_first_steps_are_too_few_to_know_what_is_usual() -> None:
    watch = LossWatch([0.001] * 10)
    assert not any(watch.is_exploding(5.0) for _ in range(5))


def test_fp16_goes_on_after_a_step_that_was_begun_and_not_done() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    forget_unscaled(None)
    forget_unscaled(scaler)
    for _ in range(2):
        scaler.scale(weight.sum()).backward()
        scaler.unscale_(optimizer)
        optimizer.zero_grad()
        forget_unscaled(scaler)
    assert scaler.get_scale() == 8.0


class Cards:
    def __init__(self, used: int) -> None:
        self.asked = 0
        self.card = Card(index=0, name="RTX 4060", total_bytes=100, used_bytes=used)

    def __call__(self) -> tuple[Card, ...]:
        self.asked += 1
        return (self.card,)


def test_steps_that_crawl_on_a_full_card_are_named_once() -> None:
    cards = Cards(used=98)
    watch = SlownessWatch(cards)
    assert not any(watch.step(0.5) for _ in range(30))
    assert cards.asked == 0
    told = [watch.step(6.0) for _ in range(20)]
    (notice,) = [each for each in told if each]
    assert told.index(notice) == 4
    assert "12 times as long" in notice.message
    assert "RTX 4060" in notice.message


def test_steps_that_crawl_on_a_card_with_room_are_other_programs_doing() -> None:
    cards = Cards(used=60)
    watch = SlownessWatch(cards)
    assert not any(watch.step(seconds) for seconds in [0.5] * 20 + [6.0] * 10)
    assert cards.asked == 2


def test_a_single_slow_step_as_after_a_sleep_is_nothing() -> None:
    watch = SlownessWatch(Cards(used=98))
    assert not any(watch.step(seconds) for seconds in ([0.5] * 20 + [3600.0]) * 5)


FOLDER = Path("/pictures")


def example(name: str, *, regularization: bool = False, size: tuple[int, int] = (512, 512)) -> Example:
    record = ImageRecord(
        path=FOLDER / name, caption_path=FOLDER / "a.txt", size_px=size, caption="a", is_regularization=regularization
    )
    plan = plans_of(size, FitOptions.of(TrainConfig().dataset))[0]
    return Example(record=record, plan=plan, repeats=1, caption="a")


def examples(number: int) -> list[Example]:
    return [example(f"{index:03d}.png") for index in range(number)]


@pytest.mark.parametrize(
    ("wish", "pictures", "number"),
    [(-1, 23, 0), (-1, 24, 2), (-1, 35, 2), (-1, 36, 3), (0, 100, 0), (5, 100, 5), (5, 6, 3), (5, 1, 0), (1, 2, 1)],
)
def test_how_many_pictures_are_held_out(wish: int, pictures: int, number: int) -> None:
    config = ValidationConfig(pictures=wish)
    assert num_held_out(config, pictures) == number
    assert len(choose_held_out(examples(pictures), config, FOLDER)) == number


def test_the_choice_follows_from_seed_and_names_and_not_from_their_order() -> None:
    config = ValidationConfig(pictures=3)
    chosen = choose_held_out(examples(30), config, FOLDER)
    assert choose_held_out(examples(30)[::-1], config, FOLDER) == chosen
    assert choose_held_out(examples(30), ValidationConfig(pictures=3, seed=8), FOLDER) != chosen


def test_what_was_held_out_before_stays_so_whatever_came_or_went() -> None:
    config = ValidationConfig(pictures=3)
    before = choose_held_out(examples(30), config, FOLDER)
    assert choose_held_out(examples(60), config, FOLDER, before=before) == before
    gone = [each for each in examples(30) if each.record.path.name != before[0]]
    assert choose_held_out(gone, config, FOLDER, before=before) == before[1:]
    assert choose_held_out(examples(60), config, FOLDER, before=()) == ()


def test_all_crops_of_a_picture_go_together_and_regularization_is_always_trained() -> None:
    crops = [example("a.png"), example("a.png"), example("b.png")]
    kept = [example(f"reg{index}.png", regularization=True) for index in range(20)]
    held_out = choose_held_out([*crops, *kept], ValidationConfig(pictures=1), FOLDER)
    trained, measured = split([*crops, *kept], held_out, FOLDER)
    assert len(held_out) == 1
    assert len(measured) == (2 if held_out == ("a.png",) else 1)
    assert {each.record.path.name for each in trained}.isdisjoint(held_out)
    assert sum(each.record.is_regularization for each in trained) == 20


def curve(*losses: float) -> list[Measure]:
    return [Measure(10 * epoch, epoch, loss, float(epoch), 3) for epoch, loss in enumerate(losses)]


def saved(*epochs: int) -> dict[int, Saved]:
    return {epoch: Saved(Path(f"/out/a-{epoch}.safetensors"), 10 * epoch) for epoch in epochs}


def test_the_low_point_is_proposed_and_why() -> None:
    best = propose(curve(1.0, 0.7, 0.5, 0.4, 0.45, 0.6, 0.8), saved(1, 2, 3, 4, 5, 6))
    assert best is not None
    assert (best.epoch, best.step, best.path) == (3, 30, Path("/out/a-3.safetensors"))
    assert "from 1.0000 to 0.4000 by epoch 3" in best.reason
    assert "100 % further" in best.reason


def test_later_epochs_that_are_hardly_better_do_not_win() -> None:
    assert best_index(curve(1.0, 0.6, 0.5, 0.5, 0.5, 0.499, 0.498, 0.497)) == 3


def test_a_single_lucky_measurement_does_not_win() -> None:
    index = best_index(curve(1.0, 0.9, 0.55, 0.85, 0.7, 0.5, 0.4, 0.35, 0.35, 0.4))
    assert index is not None
    assert index >= 6


def test_a_loss_that_still_falls_asks_for_more_epochs() -> None:
    best = propose(curve(1.0, 0.8, 0.6, 0.4), saved(1, 2, 3))
    assert best is not None
    assert best.epoch == 3
    assert "still falling" in best.reason


def test_a_loss_that_only_rises_is_said_to_do_so() -> None:
    best = propose(curve(1.0, 1.1, 1.2, 1.4), saved(1, 2, 3))
    assert best is not None
    assert best.epoch == 1
    assert "never understood better" in best.reason


def test_an_epoch_without_a_file_is_never_named_as_one_to_use() -> None:
    best = propose(curve(1.0, 0.7, 0.5, 0.4, 0.45, 0.6, 0.8), saved(2, 4, 6))
    assert best is not None
    assert best.epoch == 4
    assert best.path == Path("/out/a-4.safetensors")
    assert "by epoch 3" in best.reason
    assert "Epoch 3 measured best but has no file; of those that were saved, epoch 4 did." in best.reason
    nothing = propose(curve(1.0, 0.7, 0.5, 0.4, 0.45, 0.6, 0.8), {})
    assert nothing is not None
    assert nothing.path is None
    assert "No file" in nothing.reason


STILL_LEARNING = (0.151, 0.076, 0.064, 0.055, 0.0512, 0.0486, 0.0463, 0.0444, 0.0440, 0.0440, 0.0440)


def test_an_epoch_that_later_ones_still_beat_by_a_tenth_is_too_early() -> None:
    best = propose(curve(*STILL_LEARNING), saved(*range(1, 11)))
    assert best is not None
    assert best.epoch == 7


def test_of_the_saved_epochs_that_are_as_good_the_first_is_proposed_without_a_word_about_the_others() -> None:
    every_second = propose(curve(*STILL_LEARNING), saved(2, 4, 6, 8, 10))
    assert every_second is not None
    assert every_second.epoch == 8
    assert "by epoch 8" in every_second.reason
    assert "no file" not in every_second.reason
    last_only = propose(curve(*STILL_LEARNING), saved(10))
    assert last_only is not None
    assert last_only.epoch == 10
    assert "hardly any more after epoch 7" in last_only.reason


def test_where_no_saved_epoch_was_measured_the_nearest_is_named_as_that() -> None:
    best = propose(curve(1.0, 0.7, 0.5, 0.4, 0.45, 0.6, 0.8), saved(9, 20))
    assert best is not None
    assert best.epoch == 9
    assert "epoch 9 is the nearest" in best.reason


def test_too_few_measurements_say_nothing() -> None:
    assert propose(curve(1.0, 0.5), saved(1)) is None
    assert propose([], {}) is None


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ((1.0, 0.5, 0.6, 0.55), 2, True),
        ((1.0, 0.5, 0.6, 0.49), 2, False),
        ((1.0, 0.5, 0.6), 2, False),
        ((1.0, 1.1, 1.2), 2, True),
        ((1.0, 0.5, 0.6, 0.7, 0.8), 0, False),
        ((), 1, False),
    ],
)
def test_when_a_run_has_stopped_getting_better(losses: tuple[float, ...], patience: int, stops: bool) -> None:
    assert has_stopped_improving(curve(*losses), patience) is stops
