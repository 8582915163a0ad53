"""What is learned in a step: the target of the prediction, how errors count, and how much each timestep counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from core.config.model import LossConfig

if TYPE_CHECKING:
    from torch import Tensor

    from core.families.base import Prediction

SNR_LIMITS = (1e-3, 1e3)
"""Between these the signal-to-noise ratio sets a weight; beyond them, at pure noise or hardly any, it is as there."""


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """How much of the picture is left at each timestep; `alphas_cumprod` is [T], from near 1 down to 0 or near it."""

    alphas_cumprod: Tensor
    prediction: Prediction

    @property
    def num_timesteps(self) -> int:
        """T: timesteps go from 0 (clean) to T - 1 (noise)."""
        return len(self.alphas_cumprod)

    def snr(self, timesteps: Tensor) -> Tensor:
        """[B] signal-to-noise ratio at each timestep; 0 where there is noise alone."""
        left = self.alphas_cumprod[timesteps]
        return left / (1 - left)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents [B, ...] as they look at their timesteps [B]."""
        left = self._left(latents, timesteps)
        return left.sqrt() * latents + (1 - left).sqrt() * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should answer, shaped like the latents."""
        if self.prediction == "epsilon":
            return noise
        left = self._left(latents, timesteps)
        return left.sqrt() * noise - (1 - left).sqrt() * latents

    def _left(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        return self.alphas_cumprod[timesteps].view(-1, *[1] * (latents.ndim - 1))

    def to(self, device: torch.device) -> NoiseSchedule:
        """The same schedule on a device."""
        return NoiseSchedule(self.alphas_cumprod.to(device), self.prediction)


def timestep_weights(snr: Tensor, config: LossConfig, prediction: Prediction) -> Tensor:
    """[B] how much the loss of each sample counts by its timestep.

    Debiased estimation takes the place of Min-SNR. Scaling the loss of v-prediction comes on top of either, as in
    kohya's scripts.

    Args:
        snr: [B] signal-to-noise ratio at each sample's timestep.
        config: Which weighting.
        prediction: What the denoiser predicts.
    """
    if config.debiased:
        weights = debiased_weights(snr, prediction)
    else:
        weights = min_snr_weights(snr, config.min_snr_gamma, prediction)
    if config.scale_v_prediction and prediction == "v_prediction":
        # The error of the velocity is 1 + 1 / snr times that of the noise it stands for.
        weights = weights * (snr / (snr + 1))
    return weights


def min_snr_weights(snr: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Loss weights that stop low-noise timesteps from dominating (Hang et al. 2023, arXiv:2303.09556, sec. 3.4).

    Args:
        snr: [B] signal-to-noise ratio at each sample's timestep; may be 0.
        gamma: Cap on the ratio; the paper uses 5.0. 0 gives weights of 1.
        prediction: What the denoiser predicts.

    Returns:
        [B] factors for the per-sample loss.
    """
    if gamma == 0:
        return torch.ones_like(snr)
    if prediction == "epsilon":
        return gamma / snr.clamp(min=gamma)  # min(snr, gamma) / snr, which has a value at 0 too
    return snr.clamp(max=gamma) / (snr + 1)


def debiased_weights(snr: Tensor, prediction: Prediction) -> Tensor:
    """Loss weights that make up for the small part of noisy timesteps in the loss (Yu et al. 2023, arXiv:2310.08442).

    Args:
        snr: [B] signal-to-noise ratio at each sample's timestep; may be 0.
        prediction: What the denoiser predicts.

    Returns:
        [B] one over its root; of velocity, one over 1 + snr.
    """
    limited = snr.clamp(*SNR_LIMITS)
    return limited.rsqrt() if prediction == "epsilon" else 1 / (limited + 1)


def huber_limits(alphas_cumprod: Tensor, timesteps: Tensor, config: LossConfig) -> Tensor:
    """[B] from which error on Huber losses count linearly at each timestep.

    Exponential: from 1 at the clean end down to the limit at the noisy end. By signal-to-noise ratio: the same, along
    1 / (1 + sigma)^2 with sigma the noise per part of picture.

    Args:
        alphas_cumprod: [T] of the schedule.
        timesteps: [B].
        config: The limit and how it moves.
    """
    limit = config.huber_limit
    if config.huber_schedule == "exponential":
        return torch.exp(math.log(limit) * timesteps / len(alphas_cumprod))
    if config.huber_schedule == "snr":
        left = alphas_cumprod[timesteps]
        clean = left / (left.sqrt() + (1 - left).sqrt()).square()
        return (1 - limit) * clean + limit
    return torch.full(timesteps.shape, limit, device=timesteps.device)


Counted = Callable[["Tensor", "Tensor"], "Tensor"]
"""Predictions and targets to errors as they count, place by place, in float32."""


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared errors."""
    return (prediction.float() - target.float()).square()


def counted_errors(config: LossConfig, alphas_cumprod: Tensor, timesteps: Tensor) -> Counted:
    """How errors at these timesteps count.

    Huber is 2 c (sqrt(e^2 + c^2) - c) and smooth L1 is 2 (sqrt(e^2 + c^2) - c): near e^2, or e^2 / c, below the limit c
    and lines above it.

    Args:
        config: The kind of loss, and the limit of Huber and smooth L1.
        alphas_cumprod: [T] of the schedule.
        timesteps: [B].
    """
    if config.kind == "l2":
        return squared
    if config.kind == "l1":
        return lambda prediction, target: (prediction.float() - target.float()).abs()
    limits = huber_limits(alphas_cumprod, timesteps, config).view(-1, 1, 1, 1)
    scale: Tensor | float = 2 * limits if config.kind == "huber" else 2.0
    return lambda prediction, target: scale * ((squared(prediction, target) + limits.square()).sqrt() - limits)


def per_sample_loss(
    prediction: Tensor, target: Tensor, masks: Tensor | None = None, counted: Counted = squared
) -> Tensor:
    """[B] mean error of each sample, in float32.

    Args:
        prediction: [B, C, h, w].
        target: Of the same shape.
        masks: [B, h, w] how much each place counts, 0 to 1; None counts all the same. The mean is over what counts, so
            that a padded picture weighs as much as any other.
        counted: What is the error of each place.
    """
    errors = counted(prediction, target)
    if masks is None:
        return errors.mean(dim=tuple(range(1, target.ndim)))
    return (errors.mean(dim=1) * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1e-6)
