"""Velocity and noise that ends in noise alone, on pictures of known statistics, through the whole path of SDXL.

The denoiser is a straight line at each timestep. Latents are drawn from a normal distribution, so a line is the best
there can be, and both what it should be and the least loss are known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from core.config.model import ModelConfig, SamplingConfig
from core.families.base import Parts, Sizes, use_as
from core.families.sdxl import FAMILY
from core.models import BaseModel
from core.sampling import draw
from core.training.objective import NoiseSchedule

MEAN, SPREAD = 0.6, 0.1
"""Of all latents; white is 1, black is -1."""

Kind = Literal["epsilon", "v_prediction"]


class Line(torch.nn.Module):
    """Answers `slope * latents + offset` of its timestep, whatever it is told besides."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.config, self.add_embedding, self.dtype, self.device = (
            unet.config,
            unet.add_embedding,
            unet.dtype,
            unet.device,
        )
        self.table = torch.nn.Parameter(torch.zeros(1000, 2))

    def forward(self, latents: Tensor, timesteps: Tensor, **_: Any) -> tuple[Tensor]:
        lines = self.table[timesteps.long().reshape(-1)]
        return (lines[:, 0].view(-1, 1, 1, 1) * latents + lines[:, 1].view(-1, 1, 1, 1),)


def load(tiny_sdxl: Path, prediction: Kind) -> Parts:
    """An SDXL whose files say nothing, used with noise that ends in noise alone; its VAE shows latents as they are."""
    base = BaseModel(path=tiny_sdxl, family="sdxl", title="", size_bytes=0, native_size_px=64)
    parts = FAMILY.load(base, torch.float32)
    use_as(parts, ModelConfig(prediction=prediction, zero_terminal_snr=True))
    parts.denoiser = Line(parts.denoiser)
    vae: Any = parts.vae
    scale = vae.config.scaling_factor

    def decode(latents: Tensor, **_: Any) -> tuple[Tensor]:
        return (latents[:, :3].mul(scale).repeat_interleave(8, 2).repeat_interleave(8, 3),)

    vae.decode = decode
    return parts


def pictures(number: int, generator: torch.Generator) -> Tensor:
    return MEAN + SPREAD * torch.randn((number, 4, 2, 2), generator=generator)


def conditioning_of(parts: Parts, number: int) -> dict[str, Tensor]:
    with torch.no_grad():
        of_caption = FAMILY.encode_captions(parts, [""] * number)
    return of_caption | FAMILY.describe_sizes([Sizes((64, 64), (0, 0), (64, 64))] * number)


def train(parts: Parts) -> tuple[NoiseSchedule, list[float]]:
    """Learn every line from pictures and noise; returns the losses of all timesteps over fresh ones."""
    schedule = NoiseSchedule(parts.alphas_cumprod, parts.prediction)
    timesteps = torch.arange(1000)
    generator = torch.Generator().manual_seed(0)
    conditioning = {name: tensor.expand(1000, *tensor.shape[1:]) for name, tensor in conditioning_of(parts, 1).items()}
    optimizer = torch.optim.Adam(parts.denoiser.parameters(), lr=0.1)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)

    def losses() -> Tensor:
        latents = pictures(1000, generator)
        noise = torch.randn(latents.shape, generator=generator)
        noisy = schedule.add_noise(latents, noise, timesteps)
        answer = FAMILY.predict(parts, noisy, timesteps, conditioning)
        return (answer - schedule.target(latents, noise, timesteps)).square().mean(dim=(1, 2, 3))

    for _ in range(200):
        optimizer.zero_grad()
        losses().sum().backward()
        optimizer.step()
        rates.step()
    with torch.no_grad():
        return schedule, torch.stack([losses() for _ in range(40)]).mean(dim=0).tolist()


def picture_error(parts: Parts, schedule: NoiseSchedule, timestep: int) -> float:
    """Mean squared error of the picture that the answer stands for: the same measure for both predictions."""
    generator = torch.Generator().manual_seed(1)
    latents = pictures(256, generator)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.full((256,), timestep)
    noisy = schedule.add_noise(latents, noise, timesteps)
    with torch.no_grad():
        answer = FAMILY.predict(parts, noisy, timesteps, conditioning_of(parts, 256))
    left = schedule.alphas_cumprod[timestep].double().clamp(min=2**-24)  # As samplers take it.
    if schedule.prediction == "epsilon":
        seen = (noisy - (1 - left).sqrt() * answer) / left.sqrt()
    else:
        seen = left.sqrt() * noisy - (1 - left).sqrt() * answer
    return float((seen - latents).square().mean())


def brightness(parts: Parts, sampler: str, steps: int = 12) -> tuple[float, float]:
    """Mean and spread of drawn pixels, 0 to 255."""
    sampling = SamplingConfig(width=64, height=64, denoising_steps=steps, guidance=1.0, sampler=sampler)
    drawn = draw(FAMILY.pipeline(parts), ["", ""], [1, 2], sampling)
    pixels = np.stack([np.asarray(image, dtype=np.float64) for image in drawn])
    return float(pixels.mean()), float(pixels.std())


def test_velocity_learns_the_whole_way_from_noise_alone_and_draws_the_pictures_it_learned(tiny_sdxl: Path) -> None:
    parts = load(tiny_sdxl, "v_prediction")
    schedule, losses = train(parts)
    assert float(schedule.alphas_cumprod[-1]) == 0
    left = schedule.alphas_cumprod.double()
    least = SPREAD**2 / (left * SPREAD**2 + 1 - left)  # The part of the velocity that no denoiser can know.
    assert np.mean(losses) == pytest.approx(float(least.mean()), rel=0.1)
    other = load(tiny_sdxl, "epsilon")
    other_schedule, _ = train(other)
    # In noise alone nothing is left of a picture, so the noise says nothing about it; the velocity is the picture.
    assert picture_error(parts, schedule, 999) < 1.2 * SPREAD**2
    assert picture_error(other, other_schedule, 999) > 0.8 * MEAN**2
    white = 255 * (1 + MEAN) / 2
    for sampler in ("dpmpp_2m", "euler", "ddim"):
        mean, spread = brightness(parts, sampler)
        assert mean == pytest.approx(white, abs=3), sampler
        assert 1 < spread < 255 * SPREAD, sampler
    # The first step alone shows what each has learned of noise.
    assert brightness(parts, "euler", 1)[0] == pytest.approx(white, abs=3)
    assert brightness(other, "euler", 1)[0] < white - 50
