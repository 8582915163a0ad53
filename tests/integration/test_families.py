"""SD 1, SD 2 and SDXL from pictures to a LoRA that plain diffusers applies, from folders and from single files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.config import TrainConfig, with_values
from core.config.model import ModelConfig
from core.events import Event, Failed, Finished, SampleReady, StepDone
from core.families.base import Sizes, family, use_as
from core.jobs import ConvertJob, SampleJob, TrainJob
from core.lora.file import load_lora
from core.lora.network import add_from_file
from core.models import FamilyName, describe_base
from core.run_folder import lora_path
from core.runner import LocalRun
from core.sampling import draw
from tests.tiny.models import make_tiny_sd1, make_tiny_sd2, make_tiny_sdxl
from tests.trainers import make_trainer, take_steps

MakeConfig = Callable[..., TrainConfig]
Forms = Callable[[FamilyName], tuple[Path, Path]]

MAKERS = {"sd1": make_tiny_sd1, "sd2": make_tiny_sd2, "sdxl": partial(make_tiny_sdxl, depths=(1, 1, 2))}
PROMPT = "miru, 1girl, ball 1"


@pytest.fixture(scope="session")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    """The tiny model of a family, as a folder and as the single file that is made of it."""
    made: dict[FamilyName, tuple[Path, Path]] = {}

    def both(name: FamilyName) -> tuple[Path, Path]:
        if name not in made:
            place = tmp_path_factory.mktemp("模型 forms")
            folder, file = MAKERS[name](place / f"tiny {name}", words="clip"), place / f"tiny {name}.safetensors"
            events = list(LocalRun(ConvertJob(source=folder, target=file, to="file")).events())
            assert isinstance(events[-1], Finished), events[-1]
            made[name] = folder, file
        return made[name]

    return both


def run(config: TrainConfig, *, resume: bool = False, stop_after: int = 0) -> list[Event]:
    local = LocalRun(TrainJob(config=config, resume=resume))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            local.send("stop")
    assert isinstance(events[-1], Finished), events[-1]
    return events


def encoders_of(pipeline: Any) -> Iterator[tuple[str, Any]]:
    """The text encoders of a plain pipeline, with what their modules begin with in Kiln."""
    if hasattr(pipeline, "text_encoder_2"):
        yield "text_encoder.", pipeline.text_encoder
        yield "text_encoder_2.", pipeline.text_encoder_2
    else:
        yield "", pipeline.text_encoder


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_a_lora_is_trained_from_folder_and_file_alike_and_plain_diffusers_applies_all_of_it(
    name: FamilyName, make_config: MakeConfig, forms: Forms, tmp_path: Path
) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    folder, file = forms(name)
    configs = [
        make_config(
            model__base=base,
            training__max_steps=3,
            network__alpha=2.0,
            output__precision="fp32",
            output__folder=tmp_path / f"out {number}",
            sampling__prompts=(PROMPT,) if base is file else (),
        )
        for number, base in enumerate((folder, file))
    ]
    events = [run(config) for config in configs]
    losses = [[event.loss for event in told if isinstance(event, StepDone)] for told in events]
    # Weights lie otherwise in another file, and sums of numbers that lie otherwise differ in their last bits.
    assert len(losses[0]) == 3 and losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert [event.prompt for event in events[1] if isinstance(event, SampleReady)]
    path = lora_path(configs[0])
    tensors = load_file(path)
    assert tensors.keys() == load_file(lora_path(configs[1])).keys()

    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    plain = (StableDiffusionXLPipeline if name == "sdxl" else StableDiffusionPipeline).from_pretrained(folder)
    plain.set_progress_bar_config(disable=True)
    ours = family(name)

    def draw() -> np.ndarray[Any, Any]:
        generator = torch.Generator().manual_seed(3)
        options = {"num_inference_steps": 2, "width": 64, "height": 64, "guidance_scale": 3.0, "output_type": "np"}
        image: np.ndarray[Any, Any] = plain(PROMPT, generator=generator, **options).images[0]
        return image

    before = draw()
    plain.load_lora_weights(str(path.parent), weight_name=path.name)
    with_lora = {ours.denoiser_key(at) for at, part in plain.unet.named_modules() if hasattr(part, "lora_A")}
    with_lora |= {
        ours.text_encoder_key(start + at)
        for start, encoder in encoders_of(plain)
        for at, part in encoder.named_modules()
        if hasattr(part, "lora_A")
    }
    assert with_lora == {key.removesuffix(".alpha") for key in tensors if key.endswith(".alpha")}
    assert np.abs(draw() - before).max() > 1e-3
    plain.set_adapters(plain.get_active_adapters(), 0.0)
    assert np.abs(draw() - before).max() < 1e-4
    plain.set_adapters(plain.get_active_adapters(), 1.0)

    parts = ours.load(describe_base(file), torch.float32)
    add_from_file(parts, ours, load_lora(path))
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        conditioning = ours.encode_captions(parts, [PROMPT]) | ours.describe_sizes([Sizes((64, 48), (0, 8), (64, 64))])
        answer = ours.predict(parts, latents, torch.tensor([400]), conditioning)
        told = plain.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
        more: dict[str, Any] = {}
        if name == "sdxl":
            more["added_cond_kwargs"] = {
                "text_embeds": told[2],
                "time_ids": plain._get_add_time_ids((48, 64), (8, 0), (64, 64), torch.float32, told[2].shape[-1]),
            }
        theirs = plain.unet(latents, torch.tensor([400]), encoder_hidden_states=told[0], **more).sample
    torch.testing.assert_close(theirs, answer, atol=1e-5, rtol=1e-4)


def test_sdxl_trained_with_both_text_encoders_goes_on_to_the_bit(
    make_config: MakeConfig, tiny_sdxl: Path, tmp_path: Path
) -> None:
    whole = make_config(
        model__base=tiny_sdxl,
        network__dropout=0.2,
        dataset__flip=True,
        dataset__random_crop=True,
        training__gradient_checkpointing=True,
        training__epochs=1,
        output__state_every_n_steps=1,
    )
    losses = [event.loss for event in run(whole) if isinstance(event, StepDone)]
    parted = with_values(whole, {"output.folder": tmp_path / "parted"})
    run(parted, stop_after=2)
    rest = [event.loss for event in run(parted, resume=True) if isinstance(event, StepDone)]
    assert rest == losses[2:]
    tensors, others = load_file(lora_path(whole)), load_file(lora_path(parted))
    assert all(torch.equal(tensor, others[key]) for key, tensor in tensors.items())
    for prefix in ("lora_te1_", "lora_te2_", "lora_unet_"):
        learned = [bool(tensor.any()) for key, tensor in tensors.items() if key.startswith(prefix) and "lora_up" in key]
        assert any(learned), prefix


def test_checkpointing_changes_no_gradient_of_sdxl(make_config: MakeConfig, tiny_sdxl: Path) -> None:
    from core.training.restoring import use_checkpointing

    grads = []
    for checkpointing in (False, True):
        trainer = make_trainer(make_config(model__base=tiny_sdxl))
        if checkpointing:
            use_checkpointing(trainer.parts, text_encoder=True)
        update, seen = trainer.optimizer.step, {}

        def looked(*_: Any, trainer: Any = trainer, update: Any = update, seen: dict[str, Any] = seen) -> Any:
            seen.update({key: weight.grad for key, weight in trainer.network.named_parameters()})
            return update()

        trainer.optimizer.step = looked
        take_steps(trainer, 1)
        grads.append(seen)
    plain, saving = grads
    for key, grad in plain.items():
        assert (grad is None) == (saving[key] is None), key
        if grad is not None:
            torch.testing.assert_close(saving[key], grad)


def test_cached_embeddings_of_sdxl_equal_fresh_ones(make_config: MakeConfig, tiny_sdxl: Path) -> None:
    config = make_config(model__base=tiny_sdxl, model__max_tokens=150, network__train_text_encoder=False)
    trainer = make_trainer(config)
    again = make_trainer(config)  # reads what the first one kept
    assert trainer.embeddings is not None and again.embeddings is not None
    for caption in (PROMPT, ""):
        with torch.no_grad():
            fresh = family("sdxl").encode_captions(trainer.parts, [caption])
        assert set(fresh) == {"prompt_embeds", "pooled_embeds"} and fresh["prompt_embeds"].shape == (1, 154, 40)
        for embeddings in (trainer.embeddings, again.embeddings):
            cached = embeddings.get([caption], torch.device("cpu"))
            assert all(torch.equal(cached[key], tensor) for key, tensor in fresh.items())


def test_clip_skip_of_sdxl_begins_at_the_layer_that_it_was_made_with(make_config: MakeConfig, tiny_sdxl: Path) -> None:
    ours = family("sdxl")
    parts = ours.load(describe_base(tiny_sdxl), torch.float32)
    told = []
    with torch.no_grad():
        for skip in (1, 2, 3):
            use_as(parts, make_config(model__clip_skip=skip).model)
            told.append(ours.encode_captions(parts, [PROMPT]))
        encoders: Any = parts.text_encoder
        ids = torch.tensor([parts.tokenizer[0](PROMPT, padding="max_length", max_length=77).input_ids])
        layers = encoders.text_encoder(ids, output_hidden_states=True).hidden_states
    assert torch.equal(told[0]["prompt_embeds"], told[1]["prompt_embeds"])
    assert torch.equal(told[0]["prompt_embeds"][..., :16], layers[-2])
    assert torch.equal(told[2]["prompt_embeds"][..., :16], layers[-3])
    assert torch.equal(told[0]["pooled_embeds"], told[2]["pooled_embeds"])


def test_pooled_embeddings_are_those_of_the_first_piece(tiny_sdxl: Path) -> None:
    ours = family("sdxl")
    parts = ours.load(describe_base(tiny_sdxl), torch.float32)
    start = ", ".join(["ball"] * 38)
    assert ours.num_tokens(parts, start)[0] == 75
    with torch.no_grad():
        (short,) = ours.encode_captions(parts, [start])["pooled_embeds"]
        parts.max_tokens = 225
        long = ours.encode_captions(parts, [f"{start}, miru, red hair", start])
    assert long["prompt_embeds"].shape == (2, 231, 40) and long["pooled_embeds"].shape == (2, 24)
    torch.testing.assert_close(long["pooled_embeds"], torch.stack([short, short]))
    assert not torch.equal(long["prompt_embeds"][0, 77:], long["prompt_embeds"][1, 77:])


def test_sizes_reach_the_denoiser_in_training_and_in_validation(
    make_config: MakeConfig, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(make_config(model__base=tiny_sdxl, dataset__flip=True, dataset__random_crop=True))
    seen = []
    predict = trainer.family.predict

    def watched(parts: Any, latents: Any, timesteps: Any, conditioning: Any) -> Any:
        seen.append(conditioning["time_ids"].tolist())
        return predict(parts, latents, timesteps, conditioning)

    monkeypatch.setattr(type(trainer.family), "predict", lambda _, *arguments: watched(*arguments))
    take_steps(trainer, 4)
    assert len(seen) == 4 and {tuple(row[0][4:]) for row in seen} == {(64.0, 64.0)}
    assert {tuple(row[0][:2]) for row in seen} == {(96.0, 96.0), (80.0, 120.0), (128.0, 80.0)}
    cropped = [max(row[0][2:4]) for row in seen if row[0][0] != row[0][1]]
    assert any(cropped)  # by chance at an end it is 0
    seen.clear()
    trainer.validation_loss([trainer.plan.examples[1]], 0, 1)
    # 120 x 80 at 64 x 64: 64 of 96 pixels across are shown, from the middle.
    assert seen == [[[80.0, 120.0, 0.0, 16.0, 64.0, 64.0]]]


def test_previews_with_a_frozen_text_encoder_never_ask_it_again(
    make_config: MakeConfig, tiny_sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.families.sdxl import FAMILY
    from core.training.previews import Previews

    config = make_config(
        model__base=tiny_sdxl,
        network__train_text_encoder=False,
        training__max_steps=1,
        sampling__prompts=("miru", "1girl"),
        sampling__negative_prompt="ball",
    )
    draw = Previews.draw

    def without_text_encoder(self: Previews, step: int) -> Iterator[Event]:
        with monkeypatch.context() as patch:
            patch.setattr(type(FAMILY), "encode_captions", lambda *_: pytest.fail("the text encoder was asked"))
            yield from draw(self, step)

    monkeypatch.setattr(Previews, "draw", without_text_encoder)
    drawn = [event for event in run(config) if isinstance(event, SampleReady)]
    assert [(event.step, event.prompt) for event in drawn] == [(0, "miru"), (0, "1girl"), (1, "miru"), (1, "1girl")]


def test_the_sample_job_reads_long_prompts_to_their_ends(
    make_config: MakeConfig, tiny_sdxl: Path, tmp_path: Path
) -> None:
    from PIL import Image

    long = ", ".join(["ball"] * 45)
    prompts = (long, f"{long}, red hair")
    config = make_config(sampling__prompts=prompts, sampling__seed=1)
    job = SampleJob(model=ModelConfig(base=tiny_sdxl), sampling=config.sampling, target=tmp_path / "out")
    events = list(LocalRun(job).events())
    assert isinstance(events[-1], Finished), events[-1]
    seeds = {}
    for event in events:
        if isinstance(event, SampleReady):
            seeds[event.prompt] = np.asarray(Image.open(event.image))
    again = SampleJob(
        model=ModelConfig(base=tiny_sdxl),
        sampling=config.sampling.model_copy(update={"prompts": (prompts[1],)}),
        target=tmp_path / "again",
    )
    (other,) = [event for event in LocalRun(again).events() if isinstance(event, SampleReady)]
    # The same seed, and a prompt that differs behind its 75th token.
    assert not np.array_equal(seeds[long], np.asarray(Image.open(other.image)))


def test_the_sample_job_uses_the_model_as_its_settings_say(
    make_config: MakeConfig, forms: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import core.sampling as sampling_module

    folder, file = forms("sdxl")
    bare = tmp_path / "no vae.safetensors"
    with safe_open(file, "pt") as opened:
        configs = opened.metadata()
    weights = {name: weight for name, weight in load_file(file).items() if not name.startswith("first_stage_model.")}
    save_file(weights, bare, configs)
    seen = []

    def look(pipeline: Any, *given: Any) -> Any:
        seen.append((pipeline.scheduler.config, float(pipeline.vae.config.scaling_factor)))
        return draw(pipeline, *given)

    monkeypatch.setattr(sampling_module, "draw", look)
    sampling = make_config(sampling__prompts=("ball",), sampling__denoising_steps=2).sampling
    alone = SampleJob(model=ModelConfig(base=bare), sampling=sampling, target=tmp_path / "out")
    (failed,) = [event for event in LocalRun(alone).events() if isinstance(event, Failed)]
    assert "no VAE" in failed.message and "Choose a VAE for SDXL in the settings" in failed.remedy
    model = ModelConfig(base=bare, vae=folder / "vae", prediction="v_prediction", zero_terminal_snr=True)
    events = list(LocalRun(alone.model_copy(update={"model": model})).events())
    assert isinstance(events[-1], Finished), events[-1]
    ((config, scale),) = seen
    assert scale == 0.13025
    assert config.prediction_type == "v_prediction" and config.rescale_betas_zero_snr


def test_what_a_file_says_about_prediction_and_noise_is_honoured_and_the_settings_win(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    folder, file = tmp_path / "vpred", tmp_path / "vpred.safetensors"
    make_tiny_sdxl(folder, depths=(1, 1, 1), prediction_type="v_prediction", words="clip")
    scheduler = folder / "scheduler" / "scheduler_config.json"
    said = json.loads(scheduler.read_text(encoding="utf-8"))
    scheduler.write_text(json.dumps({**said, "rescale_betas_zero_snr": True}), encoding="utf-8")
    assert isinstance(list(LocalRun(ConvertJob(source=folder, target=file, to="file")).events())[-1], Finished)
    ours = family("sdxl")
    for base in (folder, file):
        parts = ours.load(describe_base(base), torch.float32)
        use_as(parts, make_config().model)
        assert parts.prediction == "v_prediction" and float(parts.alphas_cumprod[-1]) == 0
        noise = ours.pipeline(parts).scheduler.config
        assert noise.prediction_type == "v_prediction" and noise.rescale_betas_zero_snr
        assert noise.timestep_spacing == "trailing"
        use_as(parts, make_config(model__prediction="epsilon").model)
        assert parts.prediction == parts.scheduler_config["prediction_type"] == "epsilon"
