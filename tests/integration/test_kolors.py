"""Kolors from its folder to a LoRA file that a plain pipeline draws with, in both layouts and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig, with_values
from core.errors import UserError
from core.events import Event, Failed, Finished, LoraSaved, Notice, SampleReady, StageProgress, StepDone
from core.families.base import Sizes, family
from core.families.glm import GlmEncoder
from core.families.glm_tokens import GlmTokenizer
from core.jobs import SampleJob, TrainJob
from core.models import describe_base
from core.run_folder import lora_path
from core.runner import LocalRun
from core.training import encoding
from core.training.encoding import Embeddings
from tests.tiny.kolors import SIZE_PX, make_tiny_kolors, without_text_encoder

MakeConfig = Callable[..., TrainConfig]
CAPTIONS = ["一只可爱的猫坐在窗台上", "蓝天白云下的女孩", "红色的球, 1girl, solo", "a cute dog 😀"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("可图 kolors")
    return {
        "diffusers": make_tiny_kolors(folder / "diffusers", "diffusers"),
        "original": make_tiny_kolors(folder / "original", "original"),
    }


@pytest.fixture
def config(bases: dict[str, Path], make_config: MakeConfig, pictures: Path) -> MakeConfig:
    for caption, file in zip(CAPTIONS, sorted(pictures.glob("*.txt")), strict=True):
        file.write_text(caption, encoding="utf-8")

    def make(layout: str = "diffusers", **changes: object) -> TrainConfig:
        settings: dict[str, object] = {"training__epochs": 1, "training__max_steps": 3, "output__precision": "fp32"}
        return make_config(**{"model__base": bases[layout], **settings, **changes})

    return make


def run(config: TrainConfig, *, resume: bool = False, stop_after: int = 0) -> list[Event]:
    local = LocalRun(TrainJob(config=config, resume=resume))
    events: list[Event] = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            local.send("stop")
    assert isinstance(events[-1], Finished), events[-1]
    return events


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many captions each use of the text encoder read."""
    found: list[int] = []
    read = GlmEncoder.read

    def counted(self: GlmEncoder, tokens: Any, wish: Any) -> Any:
        found.append(len(tokens))
        return read(self, tokens, wish)

    monkeypatch.setattr(GlmEncoder, "read", counted)
    return found


def drawn(base: Path, lora: Path | None, strength: float = 1.0) -> np.ndarray[Any, Any]:
    """A picture by diffusers alone, which reads the prompt with the whole text encoder."""
    from diffusers import KolorsPipeline

    pipeline = KolorsPipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    if lora is not None:
        pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="ours")
        pipeline.set_adapters("ours", strength)
        in_file = {name for name in load_file(lora) if name.endswith(".lora_down.weight")}
        taken = [part for part in pipeline.unet.modules() if hasattr(part, "lora_A") and len(part.lora_A)]
        assert len(taken) == len(in_file)
    picture = pipeline(
        CAPTIONS[0],
        width=SIZE_PX,
        height=SIZE_PX,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    return np.asarray(picture)


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_three_steps_from_either_layout_make_a_file_that_a_plain_pipeline_draws_with(
    layout: str, config: MakeConfig, bases: dict[str, Path], readings: list[int]
) -> None:
    events = run(config(layout, network__alpha=8.0, optimizer__learning_rate=0.1, sampling__prompts=("一只猫",)))
    assert len(of(StepDone, events)) == 3
    assert of(SampleReady, events)
    assert any("text encoder of Kolors is not trained" in notice.message for notice in of(Notice, events))
    assert readings == [len(CAPTIONS) + 2]  # The empty caption and the prompt are read with the captions, once.
    lora = of(LoraSaved, events)[-1].path
    names = set(load_file(lora))
    assert all(name.startswith("lora_unet_") for name in names)
    assert "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight" in names
    plain = drawn(bases["diffusers"], None)
    assert float(np.abs(drawn(bases["diffusers"], lora) - plain).max()) > 0.01
    np.testing.assert_allclose(drawn(bases["diffusers"], lora, strength=0.0), plain, atol=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_one_and_reads_no_caption_again(
    config: MakeConfig, tmp_path: Path, readings: list[int]
) -> None:
    whole, part = (config(output__folder=tmp_path / name, dataset__caption_dropout=0.3) for name in ("whole", "part"))
    run(whole)
    run(part, stop_after=2)
    assert [event.step for event in of(StepDone, run(part, resume=True))] == [3]
    assert readings == [len(CAPTIONS) + 1]
    expected, found = load_file(lora_path(whole)), load_file(lora_path(part))
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_the_picture_of_kiln_is_that_of_the_plain_pipeline(bases: dict[str, Path]) -> None:
    """Its prompts are read row by row, those of the plain pipeline with all padding; "" is read and not zeros."""
    kolors = family("kolors")
    parts = kolors.load(describe_base(bases["original"]), torch.float32)
    assert not list(parts.text_encoder.parameters())
    pipeline = kolors.pipeline(parts)
    from diffusers import EulerDiscreteScheduler

    pipeline.scheduler = EulerDiscreteScheduler.from_config(parts.scheduler_config)
    options = {
        "num_inference_steps": 2,
        "guidance_scale": 5.0,
        "output_type": "np",
        "width": SIZE_PX,
        "height": SIZE_PX,
    }
    with torch.no_grad():
        ours = pipeline([CAPTIONS[0]], generator=torch.Generator().manual_seed(5), **options).images[0]
    np.testing.assert_allclose(ours, drawn(bases["diffusers"], None), atol=1e-4)


def test_every_timestep_of_the_schedule_is_learned(bases: dict[str, Path]) -> None:
    from core.config.model import LossConfig
    from core.training.noise import draw_timesteps, timestep_range

    parts = family("kolors").load(describe_base(bases["diffusers"]), torch.float32)
    assert len(parts.alphas_cumprod) == 1100
    assert float(parts.alphas_cumprod[-1]) == pytest.approx(0.00118, abs=1e-5)
    drawn_steps = draw_timesteps(20_000, LossConfig(), len(parts.alphas_cumprod), torch.Generator().manual_seed(0))
    assert set(drawn_steps.tolist()) == set(range(1100))
    assert timestep_range(LossConfig(min_timestep=500, max_timestep=750), 1100) == range(550, 825)


def test_the_denoiser_is_told_sizes_as_sdxl_is(bases: dict[str, Path]) -> None:
    kolors = family("kolors")
    sizes = [Sizes((120, 80), (4, 2), (64, 48))]
    assert kolors.describe_sizes(sizes)["time_ids"].tolist() == [[80, 120, 2, 4, 48, 64]]
    parts = kolors.load(describe_base(bases["diffusers"]), torch.float32)
    said = kolors.encode_captions(parts, ["猫"])
    latents, step = torch.randn(1, 4, 6, 8), torch.tensor([1099])
    with torch.no_grad():
        answers = [
            kolors.predict(parts, latents, step, {**said, **kolors.describe_sizes([told])})
            for told in (sizes[0], Sizes((64, 48), (0, 0), (64, 48)))
        ]
    assert not torch.allclose(answers[0], answers[1], atol=1e-4)


def test_a_folder_without_the_text_encoder_is_refused_in_words(
    bases: dict[str, Path], config: MakeConfig, tmp_path: Path
) -> None:
    folder = without_text_encoder(bases["diffusers"], tmp_path / "half")
    events = list(LocalRun(TrainJob(config=config(model__base=folder))).events())
    assert isinstance(events[-1], Failed)
    assert "text_encoder" in events[-1].message or "text encoder" in events[-1].message
    assert events[-1].known


def test_a_tokenizer_of_another_text_encoder_is_refused(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GlmTokenizer, "size", 65024)
    with pytest.raises(UserError, match="it has 65024 tokens, where this one knows 768"):
        family("kolors").load(describe_base(bases["original"]), torch.float32)


def test_captions_that_change_are_refused_before_anything_is_loaded(config: MakeConfig, readings: list[int]) -> None:
    events = list(LocalRun(TrainJob(config=config(dataset__shuffle_tags=True))).events())
    assert isinstance(events[-1], Failed)
    assert "reads all captions once" in events[-1].message
    assert events[-1].remedy == "Turn off Shuffle tags."
    assert not readings


def test_a_caption_that_is_too_long_is_told(config: MakeConfig, pictures: Path) -> None:
    next(iter(pictures.glob("*.txt"))).write_text("很长的标注, word " * 200, encoding="utf-8")
    told = [notice.message for notice in of(Notice, run(config(training__max_steps=1)))]
    assert any("1 captions are longer" in message for message in told)


def test_progress_is_told_while_captions_are_read_and_very_many_stay_on_the_disk(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kolors = family("kolors")
    base = describe_base(bases["diffusers"])
    parts = kolors.load(base, torch.float32)
    embeddings = Embeddings()
    events = list(embeddings.encode([*CAPTIONS, ""], base, kolors, parts, torch.float32))
    done = [event.done for event in of(StageProgress, events)]
    assert done == sorted(done)
    assert (done[-1], of(StageProgress, events)[-1].total) == (5, 5)
    direct = kolors.encode_captions(parts, CAPTIONS[:2])
    for name, tensor in embeddings.get(CAPTIONS[:2], torch.device("cpu")).items():
        torch.testing.assert_close(tensor, direct[name], atol=1e-5, rtol=0)

    monkeypatch.setattr(encoding, "_MOST_KEPT_BYTES", 3000)
    from_disk = Embeddings()
    list(from_disk.encode(CAPTIONS, base, kolors, parts, torch.float32))
    for name, tensor in from_disk.get(CAPTIONS, torch.device("cpu")).items():
        assert torch.equal(tensor, embeddings.get(CAPTIONS, torch.device("cpu"))[name])
    for file in (Path(from_disk._cache.folder)).glob("*/*.safetensors"):
        file.unlink()
    with pytest.raises(UserError, match="was emptied"):
        from_disk.get(CAPTIONS, torch.device("cpu"))


def test_a_stop_while_captions_are_read_ends_the_run(config: MakeConfig, readings: list[int]) -> None:
    local = LocalRun(TrainJob(config=config()))
    events: list[Event] = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StageProgress) and readings:
            local.send("stop")
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert not of(StepDone, events)


def test_the_sample_job_draws_with_a_lora_for_kolors(config: MakeConfig, tmp_path: Path) -> None:
    settings = config(optimizer__learning_rate=0.1, network__alpha=8.0)
    run(settings)
    sampling = with_values(settings, {"sampling.prompts": ("一只猫",)}).sampling
    pictures = []
    for lora in (None, lora_path(settings)):
        job = SampleJob(model=settings.model, lora=lora, sampling=sampling, target=tmp_path / "画")
        events = list(LocalRun(job).events())
        assert isinstance(events[-1], Finished), events[-1]
        pictures.append(of(SampleReady, events)[0].image.read_bytes())
    assert pictures[0] != pictures[1]
