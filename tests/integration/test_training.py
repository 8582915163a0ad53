"""Real training runs on a real pipeline with random weights."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.config import TrainConfig, with_values
from core.control import Control
from core.errors import UserError
from core.events import (
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    StageStarted,
    StateSaved,
    StepDone,
)
from core.jobs import TrainJob
from core.run_folder import RunFolder, lora_path, state_files
from core.runner import LocalRun
from core.safetensors_header import read_header

MakeConfig = Callable[..., TrainConfig]


def run(config: TrainConfig, *, resume: bool = False, stop_after: int | None = None) -> list[Event]:
    """All events of a run; asked to stop as soon as step `stop_after` is done."""
    local = LocalRun(TrainJob(config=config, resume=resume))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            local.send("stop")
    return events


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished), events[-1]
    return events[-1]


def losses(events: list[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepDone)]


def tensors(config: TrainConfig) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(lora_path(config))
    return loaded


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=atol, rtol=0, msg=name)


def elsewhere(config: TrainConfig, folder: str) -> TrainConfig:
    return with_values(config, {"output.folder": config.output.folder.parent / folder})


def test_a_run_tells_its_story_and_leaves_its_files(make_config: MakeConfig) -> None:
    config = make_config(
        sampling__prompts=("miru, 1girl", "1boy"), sampling__every_n_steps=3, output__save_every_n_epochs=1
    )
    events = run(config)
    assert finished(events).output == lora_path(config)
    assert not finished(events).stopped
    started = next(event for event in events if isinstance(event, JobStarted))
    assert (started.total_steps, started.num_images, started.device, started.precision) == (8, 4, "CPU", "fp32")
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [step.step for step in steps] == list(range(1, 9))
    assert [step.epoch for step in steps] == [1] * 4 + [2] * 4
    assert all(math.isfinite(step.loss) and step.loss > 0 for step in steps)
    assert all(b.elapsed_s >= a.elapsed_s for a, b in itertools.pairwise(steps))
    assert [event.path.name for event in events if isinstance(event, LoraSaved)] == [
        "miru-000001.safetensors",
        "miru.safetensors",
    ]
    previews = [event for event in events if isinstance(event, SampleReady)]
    assert [(event.step, event.index) for event in previews] == [(s, i) for s in (0, 3, 4, 6, 8) for i in (0, 1)]
    for event in previews:
        assert Image.open(event.image).size == (64, 64)
    folder = RunFolder.of(config)
    assert folder.recorded() == events[1:]  # all since the folder was claimed
    assert folder.load_config() == config
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages[:4] == ["scan", "load", "cache", "sample"]
    assert any(isinstance(event, StateSaved) for event in events)
    assert not list(config.output.folder.rglob("*.tmp"))


def test_the_file_says_truly_how_it_was_made(make_config: MakeConfig) -> None:
    config = make_config(dataset__trigger_word="miru", dataset__repeats=2, training__gradient_accumulation=2)
    finished(run(config))
    metadata = read_header(lora_path(config)).metadata
    assert metadata["ss_network_dim"] == "4"
    assert metadata["ss_steps"] == "8"
    assert metadata["ss_num_train_images"] == "8"
    assert metadata["ss_base_model_version"] == "sd_v1"
    assert json.loads(metadata["ss_tag_frequency"]) == {
        "2_我的 图片 😀": {"miru": 4, "1girl": 4, "ball 0": 1, "ball 1": 1, "ball 2": 1, "ball 3": 1}
    }
    assert json.loads(metadata["ss_dataset_dirs"]) == {"2_我的 图片 😀": {"n_repeats": 2, "img_count": 4}}
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["modelspec.trigger_phrase"] == "miru"


def test_training_learns(make_config: MakeConfig) -> None:
    """Memorising four pictures: the mean loss of the last quarter is clearly below that of the first."""
    config = make_config(training__epochs=48, training__batch_size=4, schedule__name="constant")
    told = losses(run(config))
    assert sum(told[-12:]) / 12 < 0.9 * sum(told[:12]) / 12


def test_same_seed_same_losses_and_another_seed_others(make_config: MakeConfig) -> None:
    config = make_config()
    first, second = losses(run(config)), losses(run(elsewhere(config, "again")))
    assert first == second
    assert losses(run(with_values(elsewhere(config, "other"), {"training.seed": 7}))) != first


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network__train_text_encoder": False, "training__batch_size": 2, "dataset__fit": "buckets"},
        {"network__dropout": 0.3, "dataset__flip": True, "training__gradient_accumulation": 2},
        {"dataset__shuffle_tags": True, "dataset__tag_dropout": 0.3, "dataset__caption_dropout": 0.3},
        {"training__precision": "bf16", "schedule__name": "cosine_with_restarts", "loss__noise_offset": 0.1},
    ],
    ids=["plain", "cached-text", "dropout-flip-accumulation", "caption-chances", "bf16"],
)
def test_resumed_equals_uninterrupted_to_the_bit(make_config: MakeConfig, options: dict[str, object]) -> None:
    whole = make_config(**options)
    told = losses(run(whole))
    parted = elsewhere(whole, "parted")
    half = len(told) // 2
    assert finished(run(parted, stop_after=half)).stopped
    rest = run(parted, resume=True)
    assert not finished(rest).stopped
    assert losses(rest) == told[half:]
    assert_same(tensors(whole), tensors(parted))
    recorded = RunFolder.of(parted).recorded()
    assert losses(recorded) == told


def test_a_crash_between_states_repeats_the_lost_steps_to_the_bit(make_config: MakeConfig) -> None:
    whole = make_config(output__state_every_n_steps=3)
    told = losses(run(whole))
    parted = elsewhere(whole, "crashed")
    events = LocalRun(TrainJob(config=parted)).events()
    for event in events:
        if isinstance(event, StepDone) and event.step == 5:
            break
    events.close()  # type: ignore[attr-defined]  # the generator goes away in the middle, as in a crash
    rest = run(parted, resume=True)
    assert losses(rest) == told[3:]
    assert_same(tensors(whole), tensors(parted))
    assert losses(RunFolder.of(parted).recorded()) == told


def test_a_finished_run_can_go_on_for_more_epochs(make_config: MakeConfig) -> None:
    config = make_config(schedule__name="constant")
    finished(run(config))
    longer = with_values(config, {"training.epochs": 3})
    more = run(longer, resume=True)
    assert [event.step for event in more if isinstance(event, StepDone)] == [9, 10, 11, 12]


def test_settings_that_changed_in_between_are_refused_by_name(make_config: MakeConfig) -> None:
    config = make_config()
    run(config, stop_after=3)
    failed = run(with_values(config, {"network.rank": 8}), resume=True)[-1]
    assert isinstance(failed, Failed)
    assert "network.rank" in failed.message
    kept = RunFolder.of(config).continued_config()
    assert kept == config
    assert not finished(run(kept, resume=True)).stopped


def test_a_state_at_the_end_without_its_lora_gives_the_lora(make_config: MakeConfig) -> None:
    """A kill between the last state and the file must not end in a run that says finished and has no file."""
    config = make_config(output__save_every_n_epochs=0)
    finished(run(config))
    expected = tensors(config)
    lora_path(config).unlink()
    again = run(config, resume=True)
    assert finished(again).output == lora_path(config)
    assert_same(tensors(config), expected)


def test_a_run_that_never_got_anywhere_leaves_its_name_free(make_config: MakeConfig, tmp_path: Path) -> None:
    wrong = make_config(model__base=tmp_path / "nowhere")
    assert isinstance(run(wrong)[-1], Failed)
    right = make_config()
    assert finished(run(right)).output == lora_path(right)


def test_a_lora_without_its_state_is_not_trained_over(make_config: MakeConfig) -> None:
    config = make_config()
    finished(run(config))
    before = lora_path(config).read_bytes()
    for file in state_files(RunFolder.of(config).state):
        file.path.unlink()
    failed = run(config, resume=True)[-1]
    assert isinstance(failed, Failed)
    assert "state of miru is gone" in failed.message
    assert lora_path(config).read_bytes() == before


def test_two_runs_in_one_output_folder_do_not_disturb_each_other(make_config: MakeConfig) -> None:
    first = make_config()
    second = with_values(first, {"output.name": "second"})
    events = LocalRun(TrainJob(config=first)).events()
    seen = [next(events) for _ in range(12)]
    same = run(first, resume=True)[-1]
    assert isinstance(same, Failed)
    assert "still going on" in same.message
    finished(run(second))
    finished([*seen, *events])
    assert_same(tensors(first), tensors(second))


def test_a_run_continues_with_a_lower_learning_rate(make_config: MakeConfig) -> None:
    config = make_config(schedule__name="constant")
    run(config, stop_after=3)
    lower = with_values(config, {"optimizer.learning_rate": 1e-5})
    steps = [event for event in run(lower, resume=True) if isinstance(event, StepDone)]
    assert steps[0].step == 4
    assert {step.learning_rate for step in steps} == {1e-5}


def test_a_text_encoder_at_rate_zero_is_not_in_the_file(make_config: MakeConfig) -> None:
    config = make_config(optimizer__text_encoder_learning_rate=0.0)
    finished(run(config))
    assert not any(name.startswith("lora_te") for name in tensors(config))


def test_a_name_that_is_taken_is_never_overwritten(make_config: MakeConfig) -> None:
    config = make_config()
    run(config)
    before = lora_path(config).read_bytes()
    failed = run(config)[-1]
    assert isinstance(failed, Failed)
    assert "already" in failed.message
    assert lora_path(config).read_bytes() == before


def test_cached_latents_and_embeddings_give_what_fresh_ones_give(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run fills the cache, the second reads it; a cached text encoder equals one asked in every step."""
    config = make_config(network__train_text_encoder=False)
    fresh = losses(run(config))

    def must_not_encode(*_: object) -> None:
        raise AssertionError("the cache was not used")

    with monkeypatch.context() as patch:
        patch.setattr("core.families.sd1.StableDiffusion1.encode_images", must_not_encode)
        patch.setattr("core.families.sd1.StableDiffusion1.encode_captions", must_not_encode)
        cached = losses(run(elsewhere(config, "cached")))
    live = losses(run(with_values(elsewhere(config, "live"), {"dataset.shuffle_tags": True, "dataset.keep_tags": 100})))
    assert fresh == cached
    assert live == pytest.approx(fresh, rel=1e-5)


def test_checkpointing_computes_again_and_does_not_change_the_result(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    plain = losses(run(config))
    recomputed = 0
    real = torch.utils.checkpoint.checkpoint

    def counted(*arguments: object, **options: object) -> object:
        nonlocal recomputed
        recomputed += 1
        return real(*arguments, **options)

    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", counted)
    saved = losses(run(with_values(elsewhere(config, "ckpt"), {"training.gradient_checkpointing": True})))
    assert recomputed > 8
    assert saved == pytest.approx(plain, rel=1e-4)


def test_two_accumulated_batches_are_one_step(make_config: MakeConfig) -> None:
    config = make_config(training__batch_size=2)
    accumulated = with_values(elsewhere(config, "acc"), {"training.batch_size": 1, "training.gradient_accumulation": 2})
    assert len(losses(run(config))) == len(losses(run(accumulated))) == 4


def test_wishes_during_a_run_are_granted(make_config: MakeConfig) -> None:
    config = make_config(sampling__prompts=("miru",), sampling__at_start=False, sampling__every_n_epochs=0)
    local = LocalRun(TrainJob(config=config))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            local.send("sample")
            local.send("save")
    assert [event.step for event in events if isinstance(event, SampleReady)] == [2, 8]
    saved = [(event.step, event.path.name) for event in events if isinstance(event, LoraSaved)]
    assert saved == [(2, "miru-step00000002.safetensors"), (8, "miru.safetensors")]
    assert 2 in [event.step for event in events if isinstance(event, StateSaved)]


def test_a_stop_while_pictures_are_encoded_ends_without_a_file(make_config: MakeConfig) -> None:
    config = make_config()
    local = LocalRun(TrainJob(config=config))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StageStarted) and event.stage == "cache":
            local.send("stop")
    assert finished(events).stopped
    assert not lora_path(config).exists()
    assert not finished(run(config, resume=True)).stopped


def test_pictures_without_captions_are_told_and_trained(make_config: MakeConfig, pictures: Path) -> None:
    next(pictures.glob("*.txt")).unlink()
    events = run(make_config())
    told = [event.message for event in events if isinstance(event, Notice)]
    assert any("1 of 4 pictures have no caption. Tag them first" in message for message in told)
    finished(events)


def test_captions_that_are_too_long_are_told(make_config: MakeConfig, pictures: Path) -> None:
    next(pictures.glob("*.txt")).write_text(", ".join(f"tag{index}" for index in range(100)), encoding="utf-8")
    events = run(make_config())
    assert any(isinstance(event, Notice) and "longer than the text encoder reads" in event.message for event in events)


def test_a_broken_picture_is_named_and_the_rest_is_trained(make_config: MakeConfig, pictures: Path) -> None:
    (pictures / "坏 broken.png").write_bytes(b"")
    events = run(make_config())
    assert any(isinstance(event, Notice) and event.image == pictures / "坏 broken.png" for event in events)
    assert next(event for event in events if isinstance(event, JobStarted)).num_images == 4
    finished(events)


def test_a_picture_that_breaks_off_when_decoded_is_named_and_the_rest_is_trained(
    make_config: MakeConfig, pictures: Path
) -> None:
    victim = sorted(pictures.glob("*.png"))[1]
    victim.write_bytes(victim.read_bytes()[:-40])
    events = run(make_config())
    assert any(isinstance(event, Notice) and event.image == victim for event in events)
    finished(events)


def test_an_output_folder_that_is_a_file_is_one_sentence(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed = run(make_config(output__folder=tmp_path / "file"))[-1]
    assert isinstance(failed, Failed)
    assert f"{tmp_path / 'file'} is a file where a folder is needed" in failed.message


@pytest.mark.parametrize("missing", ["model__base", "dataset__folder", "output__folder"])
def test_what_was_not_chosen_is_asked_for(make_config: MakeConfig, missing: str) -> None:
    failed = run(make_config(**{missing: Path()}))[-1]
    assert isinstance(failed, Failed)
    assert failed.remedy


def test_a_wish_is_granted_once() -> None:
    control = Control()
    control.ask("sample")
    assert control.take_sample_request()
    assert not control.take_sample_request()
    assert not control.stop_requested


def test_user_errors_show_both_sentences() -> None:
    assert str(UserError("{a} broke.", remedy="Mend {a}.", a="It")) == "It broke. Mend It."
