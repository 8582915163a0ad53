"""The randomness of a step: noise and timesteps, drawn on the CPU so that every device trains on the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from core.config.model import LossConfig
from core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_TIMESTEPS = 1000
"""That the limits in the settings are of; nearly all base models have so many."""


def draw_noise(latents: Tensor, config: LossConfig, generator: torch.Generator) -> Tensor:
    """Gaussian noise shaped like the latents [B, C, h, w], with what the settings add to it.

    Args:
        latents: On the CPU; the adaptive noise scale goes by their means.
        config: Noise offset, or multires noise, which takes its place.
        generator: Where the randomness comes from.
    """
    noise = torch.randn(latents.shape, generator=generator)
    if config.multires_noise_levels:
        return _with_coarser_sizes(noise, config.multires_noise_levels, config.multires_noise_discount, generator)
    if config.noise_offset:
        noise += _offset(latents, config, generator) * torch.randn((*latents.shape[:2], 1, 1), generator=generator)
    return noise


def _offset(latents: Tensor, config: LossConfig, generator: torch.Generator) -> Tensor | float:
    """How far whole channels of each sample are shifted, which teaches overall brightness (Guttenberg 2023)."""
    offset: Tensor | float = config.noise_offset
    if config.random_noise_offset:
        offset = offset * torch.rand((len(latents), 1, 1, 1), generator=generator)
    if config.adaptive_noise_scale:
        means = latents.mean(dim=(2, 3), keepdim=True).abs()
        offset = (offset + config.adaptive_noise_scale * means).clamp(min=0)
    return offset


def _with_coarser_sizes(noise: Tensor, levels: int, discount: float, generator: torch.Generator) -> Tensor:
    """Noise with further noise of coarser sizes in it, brought back to a standard deviation of 1 (Whitaker 2023).

    Each size is a random 2 to 4 times as coarse as the one before, to the power of its number, and counts `discount`
    times as much. The first is as fine as the noise itself.
    """
    height, width = noise.shape[-2:]
    for level in range(levels):
        ratio = float(torch.rand((), generator=generator)) * 2 + 2
        size = max(1, int(height / ratio**level)), max(1, int(width / ratio**level))
        coarse = torch.randn((*noise.shape[:2], *size), generator=generator)
        noise = noise + interpolate(coarse, (height, width), mode="bilinear", align_corners=False) * discount**level
        if 1 in size:
            break
    return noise / noise.std()


def perturbed(noise: Tensor, config: LossConfig, generator: torch.Generator) -> Tensor:
    """The noise that the denoiser is shown, where it has to answer `noise` (Ning et al. 2023, arXiv:2301.11706)."""
    if not config.input_perturbation:
        return noise
    strength: Tensor | float = config.input_perturbation
    if config.random_input_perturbation:
        strength = strength * torch.rand((len(noise), 1, 1, 1), generator=generator)
    return noise + strength * torch.randn(noise.shape, generator=generator)


def timestep_range(config: LossConfig, num_timesteps: int) -> range:
    """The timesteps that are learned: the settings count them as if there were 1000, whatever the base model has.

    Raises:
        UserError: There are none.
    """
    first, end = (limit * num_timesteps // _TIMESTEPS for limit in (config.min_timestep, config.max_timestep))
    found = range(first, min(end, num_timesteps))
    if not found:
        raise UserError(
            "No timestep is left to learn: the first is {first}, and they end before {last}.",
            remedy="Set the first timestep below the last one; 0 and 1000 are usual.",
            first=first,
            last=found.stop,
        )
    return found


def draw_timesteps(number: int, config: LossConfig, num_timesteps: int, generator: torch.Generator) -> Tensor:
    """[B] timesteps from the range that is learned.

    `logit_normal` takes the place within the range from a normal distribution through the logistic function (Esser et
    al. 2024, arXiv:2403.03206, sec. 3.1); with `early` the chance of a place grows evenly from the clean to the noisy
    end, with `late` the other way.

    Args:
        number: B.
        config: Range and distribution.
        num_timesteps: T of the schedule.
        generator: Where the randomness comes from.

    Raises:
        UserError: The range is empty.
    """
    learned = timestep_range(config, num_timesteps)
    if config.timestep_sampling == "uniform":
        return torch.randint(learned.start, learned.stop, (number,), generator=generator)
    if config.timestep_sampling == "logit_normal":
        place = torch.randn((number,), generator=generator).sigmoid()
    else:
        place = torch.rand((number,), generator=generator).sqrt()
        place = 1 - place if config.timestep_sampling == "late" else place
    return learned.start + (place * len(learned)).long().clamp(max=len(learned) - 1)
