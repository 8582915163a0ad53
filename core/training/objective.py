"""What is learned in a step: noise, the target of the prediction, and how much each timestep counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from core.families.base import Prediction


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """How much of the picture is left at each timestep; `alphas_cumprod` is [T], falling from near 1 to near 0."""

    alphas_cumprod: Tensor
    prediction: Prediction

    @property
    def num_timesteps(self) -> int:
        """T: timesteps go from 0 (clean) to T - 1 (noise)."""
        return len(self.alphas_cumprod)

    def snr(self, timesteps: Tensor) -> Tensor:
        """[B] signal-to-noise ratio at each timestep."""
        left = self.alphas_cumprod[timesteps]
        return left / (1 - left)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents [B, ...] as they look at their timesteps [B]."""
        left = self.alphas_cumprod[timesteps].view(-1, *[1] * (latents.ndim - 1))
        return left.sqrt() * latents + (1 - left).sqrt() * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should answer, shaped like the latents."""
        if self.prediction == "epsilon":
            return noise
        left = self.alphas_cumprod[timesteps].view(-1, *[1] * (latents.ndim - 1))
        return left.sqrt() * noise - (1 - left).sqrt() * latents

    def to(self, device: torch.device) -> NoiseSchedule:
        """The same schedule on a device."""
        return NoiseSchedule(self.alphas_cumprod.to(device), self.prediction)


def min_snr_weights(snr: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Loss weights that stop low-noise timesteps from dominating (Hang et al. 2023, arXiv:2303.09556, sec. 3.4).

    Args:
        snr: [B] signal-to-noise ratio at each sample's timestep, above 0.
        gamma: Cap on the ratio; the paper uses 5.0. 0 gives weights of 1.
        prediction: What the denoiser predicts.

    Returns:
        [B] factors for the per-sample loss.
    """
    if gamma == 0:
        return torch.ones_like(snr)
    return snr.clamp(max=gamma) / (snr if prediction == "epsilon" else snr + 1)


def draw_noise(shape: tuple[int, ...], offset: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise [B, C, h, w] on the CPU, so that every device trains on the same numbers.

    Args:
        shape: Of the latents.
        offset: Strength of an extra shift per sample and channel, which teaches overall brightness.
        generator: Where the randomness comes from.
    """
    noise = torch.randn(shape, generator=generator)
    if offset:
        noise += offset * torch.randn((shape[0], shape[1], 1, 1), generator=generator)
    return noise


def per_sample_loss(prediction: Tensor, target: Tensor, masks: Tensor | None = None) -> Tensor:
    """[B] mean squared error of each sample, in float32.

    Args:
        prediction: [B, C, h, w].
        target: Of the same shape.
        masks: [B, h, w] how much each place counts, 0 to 1; None counts all the same. The mean is over what counts, so
            that a padded picture weighs as much as any other.
    """
    errors = (prediction.float() - target.float()).square()
    if masks is None:
        return errors.mean(dim=tuple(range(1, target.ndim)))
    return (errors.mean(dim=1) * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1e-6)
