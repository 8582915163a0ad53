"""The LoRA file in a plain diffusers pipeline, as other programs use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig, with_values
from core.events import Finished, SampleReady
from core.families.sd1 import FAMILY
from core.jobs import SampleJob, TrainJob
from core.lora.file import load_lora
from core.lora.network import add_from_file
from core.models import describe_base
from core.run_folder import lora_path
from core.runner import LocalRun

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def trained(make_config: MakeConfig) -> TrainConfig:
    config = make_config(network__alpha=2.0, output__precision="fp32", training__epochs=3)
    assert isinstance(list(LocalRun(TrainJob(config=config)).events())[-1], Finished)
    return config


def test_a_plain_pipeline_takes_every_key_and_draws_what_kiln_draws(trained: TrainConfig) -> None:
    from diffusers import StableDiffusionPipeline

    path = lora_path(trained)
    pipeline = StableDiffusionPipeline.from_pretrained(trained.model.base, safety_checker=None)
    pipeline.load_lora_weights(str(path.parent), weight_name=path.name)
    in_file = {name for name in load_file(path) if name.endswith(".lora_down.weight")}
    loaded = {
        name
        for part in (pipeline.unet, pipeline.text_encoder)
        for name, module in part.named_modules()
        if hasattr(module, "lora_A") and len(module.lora_A)
    }
    assert len(loaded) == len(in_file)

    parts = FAMILY.load(describe_base(trained.model.base), torch.float32)
    add_from_file(parts, FAMILY, load_lora(path))
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        conditioning = FAMILY.encode_captions(parts, ["miru, 1girl, ball 1"])
        ours = FAMILY.predict(parts, latents, torch.tensor([400]), conditioning)
        embeds = pipeline.encode_prompt("miru, 1girl, ball 1", "cpu", 1, False)[0]
        theirs = pipeline.unet(latents, torch.tensor([400]), encoder_hidden_states=embeds).sample
        pipeline.unload_lora_weights()
        plain_embeds = pipeline.encode_prompt("miru, 1girl, ball 1", "cpu", 1, False)[0]
        plain = pipeline.unet(latents, torch.tensor([400]), encoder_hidden_states=plain_embeds).sample
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)
    assert float((plain - ours).abs().max()) > 1e-3


def test_the_sample_job_draws_with_and_without_the_lora_and_overwrites_nothing(
    trained: TrainConfig, tmp_path: Path
) -> None:
    from PIL import Image

    target = tmp_path / "画 out"
    sampling = with_values(trained, {"sampling.prompts": ("miru", "1girl")}).sampling
    drawn = []
    for lora in (None, lora_path(trained), lora_path(trained)):
        job = SampleJob(model=trained.model, lora=lora, sampling=sampling, target=target)
        events = list(LocalRun(job).events())
        assert isinstance(events[-1], Finished), events[-1]
        drawn.append([np.asarray(Image.open(event.image)) for event in events if isinstance(event, SampleReady)])
    assert len(list(target.iterdir())) == 6
    assert not np.array_equal(drawn[0][0], drawn[1][0])
    assert np.array_equal(drawn[1][0], drawn[2][0])
