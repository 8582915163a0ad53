"""Runs in which something goes wrong, or the user changes their mind: they end well, and their events say what was."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig, with_values
from core.control import Command
from core.events import (
    Adapted,
    BestEpoch,
    Event,
    Failed,
    Finished,
    LoraSaved,
    Notice,
    SampleReady,
    StageStarted,
    StateSaved,
    StepDone,
    Validated,
)
from core.families.sd1 import StableDiffusion1
from core.jobs import TrainJob
from core.run_folder import RunFolder, lora_path, state_files
from core.runner import LocalRun
from core.training import course, preparing, previews, saving
from core.training.loop import NotANumberError, Trainer
from core.training.recovery import next_saving
from core.training.state import Learned, load_state
from tests.integration.conftest import make_pictures

MakeConfig = Callable[..., TrainConfig]


def run(
    config: TrainConfig, *, resume: bool = False, from_step: int = -1, ask: tuple[int, Command] | None = None
) -> list[Event]:
    """All events of a run; something is asked of it as soon as a step is done."""
    local = LocalRun(TrainJob(config=config, resume=resume, from_step=from_step))
    events = []
    for event in local.events():
        events.append(event)
        if ask and isinstance(event, StepDone) and event.step == ask[0]:
            local.send(ask[1])
    return events


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished), events[-1]
    return events[-1]


def failed(events: list[Event]) -> Failed:
    assert isinstance(events[-1], Failed), events[-1]
    return events[-1]


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def losses(events: list[Event]) -> list[float]:
    return [event.loss for event in of(StepDone, events)]


def elsewhere(config: TrainConfig, folder: str) -> TrainConfig:
    return with_values(config, {"output.folder": config.output.folder.parent / folder})


def assert_same_lora(a: TrainConfig, b: TrainConfig, *, atol: float = 0.0) -> None:
    first, second = load_file(lora_path(a)), load_file(lora_path(b))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=atol, rtol=0, msg=name)


def notices(events: list[Event]) -> str:
    return "\n".join(event.message for event in of(Notice, events))


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Lets an operation run out of memory in its first calls; returns the list that counts them."""

    def install(owner: Any, name: str, *, times: int = 1, when: Callable[..., bool] = lambda *_: True) -> list[int]:
        real, failures = getattr(owner, name), [0]

        def fails(*arguments: Any, **options: Any) -> Any:
            if failures[0] < times and when(*arguments):
                failures[0] += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, fails)
        return failures

    return install


NoMemory = Callable[..., list[int]]


class SmallCard:
    """A card whose memory takes so many pictures in a step; three times as many with gradient checkpointing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.sizes: list[int] = []
        real = StableDiffusion1.predict

        def predict(
            family: StableDiffusion1, parts: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Any
        ) -> torch.Tensor:
            if torch.is_grad_enabled():
                need = len(noisy) * (1 if parts.denoiser.is_gradient_checkpointing else 3)
                if need > room:
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                self.sizes.append(len(noisy))
            return real(family, parts, noisy, timesteps, conditioning)

        monkeypatch.setattr(StableDiffusion1, "predict", predict)


def test_a_card_that_is_too_small_gets_smaller_batches_and_the_effective_batch_stays(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = make_config(training__batch_size=4, training__epochs=3, output__precision="fp32")
    whole = losses(run(roomy))
    config = elsewhere(roomy, "small card")
    card = SmallCard(monkeypatch, room=2)
    events = run(config)
    finished(events)
    adapted = of(Adapted, events)
    assert [event.cause for event in adapted] == ["memory", "memory"]
    assert [event.step for event in adapted] == [0, 0]
    assert adapted[0].changes == (("training.gradient_checkpointing", "true"),)
    assert adapted[1].changes == (("training.batch_size", "2"), ("training.gradient_accumulation", "2"))
    assert "Kiln goes on with 2 pictures at a time instead of 4" in adapted[1].message
    assert set(card.sizes) == {2}
    assert losses(events) == pytest.approx(whole, rel=1e-3)  # the same pictures, noise and number of steps
    assert of(Adapted, RunFolder.of(config).recorded()) == adapted


def test_what_was_learned_about_memory_is_known_after_a_pause_and_the_rest_is_the_same_to_the_bit(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    SmallCard(monkeypatch, room=2)
    whole = make_config(training__batch_size=4, training__epochs=4)
    finished(run(whole))
    parted = elsewhere(whole, "parted")
    assert finished(run(parted, ask=(2, "pause"))).paused
    rest = run(parted, resume=True)
    finished(rest)
    assert not of(Adapted, rest)
    assert_same_lora(whole, parted)


def test_a_card_that_is_too_small_for_one_picture_ends_with_a_proposal(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    SmallCard(monkeypatch, room=0)
    ended = failed(run(make_config(training__batch_size=2, dataset__resolution=512)))
    assert ended.failure == "out_of_memory"
    assert "let it go on at 384 px" in ended.remedy


def test_who_does_not_want_to_adapt_is_not_adapted(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    SmallCard(monkeypatch, room=1)
    events = run(make_config(training__on_out_of_memory="stop"))
    assert failed(events).failure == "out_of_memory"
    assert not of(Adapted, events)


def test_a_frozen_text_encoder_leaves_the_card_before_anything_gets_slower(
    make_config: MakeConfig, no_memory: NoMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPTextModel

    config = make_config(network__train_text_encoder=False, dataset__tag_dropout=0.5, training__epochs=1)
    told = losses(run(config))
    moves: list[Any] = []
    real = CLIPTextModel.to

    def to(model: CLIPTextModel, *where: Any, **options: Any) -> Any:
        moves.append(where)
        return real(model, *where, **options)

    def on_a_card(learned: Learned, batch_size: int, *, frozen_text_encoder_on_card: bool) -> Learned | None:
        assert not frozen_text_encoder_on_card  # It is where the savings go, here.
        return next_saving(learned, batch_size, frozen_text_encoder_on_card=True)

    monkeypatch.setattr(course, "next_saving", on_a_card)
    monkeypatch.setattr(CLIPTextModel, "to", to)
    no_memory(Trainer, "_backward", when=lambda *_: not moves.clear())  # What was before is of no interest.
    events = run(elsewhere(config, "small card"))
    finished(events)
    (adapted,) = of(Adapted, events)
    assert "text encoder in main memory" in adapted.message
    assert adapted.changes == ()
    assert moves[0] == ("cpu",)
    assert losses(events) == told


def test_pictures_that_are_too_large_for_the_card_are_encoded_in_tiles(
    make_config: MakeConfig, no_memory: NoMemory
) -> None:
    failures = no_memory(
        StableDiffusion1, "encode_images", times=99, when=lambda _, parts, *__: not parts.vae.use_tiling
    )
    events = run(make_config(training__epochs=1))
    finished(events)
    assert failures == [1]
    assert "encoded in tiles" in notices(events)


def test_pictures_that_are_too_large_even_in_tiles_are_encoded_by_the_processor(
    make_config: MakeConfig, no_memory: NoMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import Accelerator

    # Another name of the same device stands for a card.
    card, processor = torch.device("cpu", 0), torch.device("cpu")
    used: list[tuple[torch.device, bool]] = []
    real = preparing.to_vae

    def to_vae(parts: Any, family: Any, config: Any, device: torch.device, *, tiled: bool) -> bool:
        used.append((device, tiled))
        return real(parts, family, config, device, tiled=tiled)

    monkeypatch.setattr(Accelerator, "device", card)
    monkeypatch.setattr(preparing, "to_vae", to_vae)
    no_memory(StableDiffusion1, "encode_images", times=99, when=lambda *_: used[-1][0] == card)
    events = run(make_config(training__epochs=1))
    finished(events)
    assert used == [(card, False), (card, True), (processor, False)]
    assert "the processor does it, which takes longer" in notices(events)


STAGES: dict[str, tuple[Any, str]] = {
    "encoding captions": (preparing.Embeddings, "encode"),
    "measuring": (Trainer, "validation_loss"),
    "step": (Trainer, "_backward"),
    "LoRA file": (saving, "save_lora"),
    "state": (saving, "save_state"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_memory_that_runs_out_in_a_stage_ends_in_a_finished_lora(
    make_config: MakeConfig, no_memory: NoMemory, stage: str
) -> None:
    config = make_config(
        network__train_text_encoder=stage != "encoding captions",
        validation__pictures=1,
        training__epochs=1,
        output__state_every_n_steps=1,
    )
    owner, name = STAGES[stage]
    failures = no_memory(owner, name)
    events = run(config)
    assert finished(events).output == lora_path(config)
    assert failures == [1]
    assert len(of(StepDone, events)) == 3
    told = notices(events) + "".join(event.message for event in of(Adapted, events))
    expected = {
        "encoding captions": "encode captions on this device",
        "measuring": "could not be measured in step 0",
        "step": "gradient checkpointing",
    }
    assert expected.get(stage, "") in told


def test_memory_that_runs_out_while_the_model_moves_to_the_device_is_tried_again(
    make_config: MakeConfig, no_memory: NoMemory
) -> None:
    from diffusers import UNet2DConditionModel

    failures = no_memory(UNet2DConditionModel, "to", when=lambda _, *where: where == (torch.device("cpu"),))
    finished(run(make_config(training__epochs=1)))
    assert failures == [1]


def test_memory_that_runs_out_in_an_update_goes_back_to_the_last_state(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update itself is torn: some weights are new and some old. All of it is taken back."""
    whole = make_config(training__batch_size=2, training__epochs=4, output__save_every_n_epochs=0)
    told = losses(run(whole))
    config = elsewhere(whole, "torn")
    real, calls = torch.optim.AdamW.step, [0]

    def torn(optimizer: torch.optim.Optimizer, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 5:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][1].add_(1.0)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", torch.optim.Optimizer.profile_hook_step(torn))
    events = run(config)
    finished(events)
    (adapted,) = of(Adapted, events)
    assert (adapted.cause, adapted.step) == ("memory", 3)  # states are kept every 3 steps
    assert [event.step for event in of(StepDone, events)] == [1, 2, 3, 4, 4, 5, 6, 7, 8]
    recorded = RunFolder.of(config).recorded()
    assert [event.step for event in of(StepDone, recorded)] == list(range(1, 9))
    assert losses(recorded) == pytest.approx(told, rel=1e-3)


def test_a_preview_that_needs_too_much_memory_is_drawn_in_tiles_from_then_on(
    make_config: MakeConfig, no_memory: NoMemory
) -> None:
    config = make_config(sampling__prompts=("miru",), training__epochs=1)
    failures = no_memory(previews, "draw", times=99, when=lambda pipeline, *_: not pipeline.vae.use_tiling)
    events = run(config)
    finished(events)
    assert failures == [1]
    assert [event.step for event in of(SampleReady, events)] == [0, 4]


def test_a_preview_that_needs_too_much_memory_is_tried_in_tiles_and_then_left_out(
    make_config: MakeConfig, no_memory: NoMemory
) -> None:
    config = make_config(sampling__prompts=("miru",), training__epochs=1)
    failures = no_memory(previews, "draw", times=2)
    events = run(config)
    finished(events)
    assert failures == [2]
    assert "preview could not be drawn" in notices(events)
    assert [event.step for event in of(SampleReady, events)] == [4]


class Spoiled:
    """Makes the losses of some steps of the trainer what they should not be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int, float], float]) -> None:
        self.rates: list[tuple[int, float]] = []
        real = Trainer.step

        def step(trainer: Trainer, number: int, *arguments: Any, **options: Any) -> Any:
            rate = float(trainer.optimizer.param_groups[0]["base_rate"])
            self.rates.append((number + 1, rate))
            if math.isnan(spoil(number + 1, rate)):
                raise NotANumberError(number)
            result = real(trainer, number, *arguments, **options)
            return dataclasses.replace(result, loss=result.loss * spoil(number + 1, rate))

        monkeypatch.setattr(Trainer, "step", step)


def test_a_loss_that_is_no_number_goes_back_and_on_with_half_the_rate(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    spoiled = Spoiled(monkeypatch, lambda step, rate: math.nan if step == 5 and rate == 1e-2 else 1.0)
    events = run(config)
    finished(events)
    (adapted,) = of(Adapted, events)
    assert (adapted.cause, adapted.step) == ("not_a_number", 3)
    assert ("optimizer.learning_rate", "0.005") in adapted.changes
    assert "went back to step 3" in adapted.message
    assert spoiled.rates == [(step, 1e-2) for step in (1, 2, 3, 4, 5)] + [(step, 5e-3) for step in (4, 5, 6, 7, 8)]


def test_the_halved_rate_is_known_after_a_pause(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_config()
    Spoiled(monkeypatch, lambda step, rate: math.nan if step == 5 and rate == 1e-2 else 1.0)
    told = run(whole)
    parted = elsewhere(whole, "parted")
    finished(run(parted, ask=(6, "pause")))
    rest = run(parted, resume=True)
    assert not of(Adapted, rest)
    assert losses(rest) == losses(told)[-2:]
    assert_same_lora(whole, parted)


def test_a_loss_that_is_no_number_again_ends_the_run_with_the_reason_and_no_file(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    Spoiled(monkeypatch, lambda step, _: math.nan if step == 5 else 1.0)
    events = run(config)
    ended = failed(events)
    assert ended.failure == "not_a_number"
    assert "no longer a number in step 5" in ended.message
    assert len(of(Adapted, events)) == 1
    assert not lora_path(config).exists()
    monkeypatch.undo()
    finished(run(with_values(config, {"optimizer.learning_rate": 1e-3}), resume=True))


def test_a_loss_that_explodes_goes_back_to_before_it_did(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training__epochs=8, output__state_every_n_steps=8, output__keep_states=9)
    Spoiled(monkeypatch, lambda step, rate: 1000.0 if step >= 25 and rate == 1e-2 else 1.0)
    events = run(config)
    finished(events)
    (adapted,) = of(Adapted, events)
    assert (adapted.cause, adapted.step) == ("exploding", 24)
    recorded = of(StepDone, RunFolder.of(config).recorded())
    assert [event.step for event in recorded] == list(range(1, 33))
    assert max(event.loss for event in recorded) < 100


def test_a_lora_with_a_weight_that_is_no_number_is_never_written(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(output__state_every_n_steps=1000)
    real = Trainer.step

    def spoil(trainer: Trainer, number: int, *arguments: Any, **options: Any) -> Any:
        result = real(trainer, number, *arguments, **options)
        if number == 3:
            with torch.no_grad():
                next(iter(trainer.network.named_parameters()))[1][0, 0] = math.nan
            trainer.accelerator.scaler = None
        return result

    monkeypatch.setattr(Trainer, "step", spoil)
    ended = failed(run(with_values(config, {"training.max_steps": 4})))
    assert ended.failure == "not_a_number"
    assert not list(config.output.folder.glob("*.safetensors"))
    assert [file.step for file in state_files(RunFolder.of(config).state)] == [0]


def test_a_pause_keeps_the_state_and_ends_and_the_run_goes_on_to_the_bit(make_config: MakeConfig) -> None:
    whole = make_config(sampling__prompts=("miru",), optimizer__ema_decay=0.9, network__dropout=0.2)
    told = losses(run(whole))
    parted = elsewhere(whole, "parted")
    events = run(parted, ask=(5, "pause"))
    ended = finished(events)
    assert (ended.stopped, ended.paused, ended.output) == (True, True, None)
    assert not lora_path(parted).exists()
    assert of(StateSaved, events)[-1].step == 5
    rest = run(parted, resume=True)
    assert losses(rest) == told[5:]
    assert_same_lora(whole, parted)


def test_a_save_that_was_asked_for_just_before_a_pause_is_done(make_config: MakeConfig) -> None:
    config = make_config()
    local = LocalRun(TrainJob(config=config))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            local.send("pause")
            local.send("save")
    assert finished(events).paused
    assert lora_path(config, step=3).is_file()


def test_a_pause_while_pictures_are_encoded_ends_at_once(make_config: MakeConfig) -> None:
    local = LocalRun(TrainJob(config=make_config()))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StageStarted) and event.stage == "cache":
            local.send("pause")
    assert finished(events).paused
    assert not of(StepDone, events)


def test_a_damaged_newest_state_is_told_and_the_one_before_is_used(make_config: MakeConfig) -> None:
    whole = make_config()
    told = losses(run(whole))
    parted = elsewhere(whole, "parted")
    finished(run(parted, ask=(7, "pause")))
    newest, before = state_files(RunFolder.of(parted).state)
    assert (newest.step, before.step) == (7, 6)
    newest.path.write_bytes(newest.path.read_bytes()[:-7])
    rest = run(parted, resume=True)
    assert "The state of step 7 is damaged; the run goes on from the one before it, of step 6" in notices(rest)
    assert losses(rest) == told[6:]
    assert_same_lora(whole, parted)


def test_back_to_an_epoch_and_on_from_there(make_config: MakeConfig) -> None:
    config = make_config(
        training__epochs=4,
        output__save_every_n_epochs=1,
        output__epoch_states=4,
        sampling__prompts=("miru",),
        sampling__at_start=False,
    )
    told = losses(run(config))
    before = lora_path(config, 3).read_bytes()
    back = run(config, resume=True, from_step=4)
    finished(back)
    folder = RunFolder.of(config).set_aside / "001"
    assert {path.name for path in folder.glob("*.safetensors")} == {
        "miru-000002.safetensors",
        "miru-000003.safetensors",
        "miru.safetensors",
    }
    assert (folder / "miru-000003.safetensors").read_bytes() == before
    assert str(folder) in notices(back)
    assert losses(back) == told[4:]
    recorded = RunFolder.of(config).recorded()
    assert losses(recorded) == told
    assert [event.step for event in of(SampleReady, recorded)] == [4, 8, 12, 16]
    nowhere = failed(run(config, resume=True, from_step=5))
    assert nowhere.failure == "no_such_state"
    assert "4, 8, 12" in nowhere.remedy


def test_back_to_the_beginning(make_config: MakeConfig) -> None:
    config = make_config()
    told = losses(run(config))
    assert losses(run(config, resume=True, from_step=0)) == told
    assert len(of(Finished, RunFolder.of(config).recorded())) == 1


def test_files_saved_on_the_way_and_how_many_of_them_stay(make_config: MakeConfig) -> None:
    config = make_config(
        output__save_every_n_epochs=1, output__save_every_n_steps=3, output__keep_last=2, training__epochs=4
    )
    events = run(config, ask=(2, "save"))
    assert [event.path.name for event in of(LoraSaved, events)] == [
        "miru-step00000002.safetensors",
        "miru-step00000003.safetensors",
        "miru-000001.safetensors",
        "miru-step00000006.safetensors",
        "miru-000002.safetensors",
        "miru-step00000009.safetensors",
        "miru-000003.safetensors",
        "miru-step00000015.safetensors",
        "miru.safetensors",
    ]
    assert {path.name for path in config.output.folder.glob("*.safetensors")} == {
        "miru-step00000002.safetensors",  # asked for by the user
        "miru-000003.safetensors",
        "miru-step00000015.safetensors",
        "miru.safetensors",
    }


def test_previews_by_epochs_only_at_the_ends_when_asked_for_none(make_config: MakeConfig) -> None:
    config = make_config(sampling__prompts=("miru",), sampling__every_n_epochs=0)
    assert [event.step for event in of(SampleReady, run(config))] == [0, 8]


def test_another_base_model_in_the_same_place_is_refused_by_name(
    make_config: MakeConfig, tiny_sd1: Path, tmp_path: Path
) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_sd1, base)
    config = make_config(model__base=base)
    finished(run(config, ask=(3, "pause")))
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(data)
    ended = failed(run(config, resume=True))
    assert ended.failure == "base_model_changed"
    assert "unet changed" in ended.message
    finished(run(with_values(config, {"model.base": tiny_sd1}), resume=True))  # the same one, elsewhere


def test_changed_pictures_and_captions_are_named_and_only_those_are_encoded_again(
    make_config: MakeConfig, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    config = make_config()
    finished(run(config, ask=(3, "pause")))
    first, second, *_ = sorted(pictures.glob("*.png"))
    Image.new("RGB", (96, 96), "#123456").save(first)
    second.with_suffix(".txt").write_text("something else", encoding="utf-8")
    encoded = []
    real = StableDiffusion1.encode_images

    def counted(family: StableDiffusion1, *arguments: Any) -> torch.Tensor:
        encoded.append(1)
        return real(family, *arguments)

    monkeypatch.setattr(StableDiffusion1, "encode_images", counted)
    events = run(config, resume=True)
    finished(events)
    told = of(Notice, events)
    assert [event.message for event in told if first.name in event.message and "pictures changed" in event.message]
    assert [event.message for event in told if second.name in event.message and "captions changed" in event.message]
    assert len(encoded) == 1


def test_options_that_change_the_rest_of_a_run_are_named(make_config: MakeConfig) -> None:
    config = make_config()
    finished(run(config, ask=(3, "pause")))
    events = run(with_values(config, {"training.epochs": 3, "sampling.prompts": ("a",)}), resume=True)
    finished(events)
    assert "Changed since this run was stopped: Epochs." in notices(events)
    assert of(StepDone, events)[-1].step == 12


@pytest.fixture
def many(make_config: MakeConfig, tmp_path: Path) -> TrainConfig:
    """Six pictures of which two are held out."""
    folder = make_pictures(tmp_path / "six", 6)
    return make_config(
        dataset__folder=folder, validation__pictures=2, training__epochs=4, output__save_every_n_epochs=1
    )


def test_held_out_pictures_are_measured_and_not_trained(many: TrainConfig) -> None:
    events = run(many)
    finished(events)
    measured = of(Validated, events)
    assert [(event.step, event.epoch, event.num_pictures) for event in measured] == [
        (4 * epoch, epoch, 2) for epoch in range(5)
    ]
    assert len({event.loss for event in measured}) == 5
    assert of(StepDone, events)[-1].step == 16
    (best,) = of(BestEpoch, events)
    assert best.path is not None
    assert best.path.exists()
    assert best.reason
    assert isinstance(RunFolder.of(many).recorded()[-2], BestEpoch)


def test_the_same_pictures_are_held_out_after_a_stop_and_the_curve_goes_on(many: TrainConfig) -> None:
    whole = of(Validated, run(many))
    parted = elsewhere(many, "parted")
    stopped = run(parted, ask=(6, "stop"))
    assert [event.step for event in of(Validated, stopped)] == [0, 4, 6]
    assert of(BestEpoch, stopped)[0].path in (lora_path(parted, 1), lora_path(parted))
    events = run(parted, resume=True)
    finished(events)
    assert of(Validated, events) == whole[2:]
    # What was measured for the stop is told, and is no part of the curve by which the run goes on.
    assert [event for event in of(Validated, RunFolder.of(parted).recorded()) if event.step != 6] == whole
    curve = load_state(state_files(RunFolder.of(parted).state)[0].path).curve
    assert [measure.step for measure in curve] == [0, 4, 8, 12, 16]
    assert of(BestEpoch, events)
    assert_same_lora(many, parted)


def test_a_run_without_validation_names_no_best_epoch(make_config: MakeConfig) -> None:
    events = run(make_config())
    finished(events)
    assert not of(Validated, events)
    assert not of(BestEpoch, events)


def test_a_run_that_gets_no_better_ends_early_when_asked_to(many: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([1.0, 0.8, 0.9, 0.85, 0.7])
    monkeypatch.setattr(Trainer, "validation_loss", lambda *_: next(measured))
    events = run(with_values(many, {"validation.patience": 2}))
    assert not finished(events).stopped
    assert of(StepDone, events)[-1].step == 12
    assert "not measured better for 2 times in a row" in notices(events)
    assert of(LoraSaved, events)[-1].path == lora_path(many)
    assert of(BestEpoch, events)[0].epoch == 1


def test_curves_are_written_for_tensorboard(make_config: MakeConfig) -> None:
    config = make_config(output__tensorboard=True, training__epochs=1)
    finished(run(config, ask=(2, "pause")))
    finished(run(config, resume=True))
    files = sorted(RunFolder.of(config).tensorboard.iterdir())
    assert len(files) == 2
    assert b"loss/train" in files[0].read_bytes()
    assert b"loss/train" in files[1].read_bytes()


def test_a_disk_without_room_is_told_before_the_first_step(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.space.free_bytes", lambda _: 1000)
    events = run(make_config())
    assert failed(events).failure == "disk_full"
    assert not of(StepDone, events)


def test_a_run_can_go_back_to_its_start_from_its_first_step_on(make_config: MakeConfig) -> None:
    events = run(make_config(output__state_every_n_steps=1000))
    assert [event.step for event in of(StateSaved, events)] == [0, 8]
