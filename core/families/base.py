"""What Kiln asks of a model family: six things. One file per family implements them and ends in `FAMILY = ...`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from core.config.model import ModelConfig

Prediction = Literal["epsilon", "v_prediction"]
Conditioning = dict[str, "Tensor"]
"""What the denoiser is told about a picture: name -> [B, ...]."""


@dataclass(slots=True)
class Parts:
    """The loaded pieces of a base model. All weights are frozen; LoRA layers are added later.

    `alphas_cumprod` is [T] on the CPU; timesteps grow from clean (0) to noise (T - 1). `clip_skip` counts layers of the
    text encoder from its end, 1 for the last; `max_tokens` of a caption are read, in pieces of 75.
    """

    tokenizer: Any
    text_encoder: nn.Module
    denoiser: nn.Module
    vae: nn.Module
    scheduler_config: dict[str, Any]
    alphas_cumprod: Tensor
    prediction: Prediction
    clip_skip: int = 1
    max_tokens: int = 75


def use_as(parts: Parts, config: ModelConfig) -> None:
    """Change how a base model is used, in training and previews alike: what the settings say about it.

    Args:
        parts: As they were loaded.
        config: Clip skip and caption length; what the model predicts, where its files do not say it rightly; and
            whether its noise ends in noise alone.
    """
    parts.clip_skip, parts.max_tokens = config.clip_skip, config.max_tokens
    if config.prediction != "auto":
        parts.prediction = config.prediction
    if config.zero_terminal_snr:
        parts.alphas_cumprod = zero_terminal(parts.alphas_cumprod)
    parts.scheduler_config = {
        **parts.scheduler_config,
        "prediction_type": parts.prediction,
        # A picture begins at pure noise there, which only the last timestep has.
        **({"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if config.zero_terminal_snr else {}),
    }


def zero_terminal(alphas_cumprod: Tensor) -> Tensor:
    """Share of the picture at each timestep, so that none is left at the last (Lin et al. 2023, arXiv:2305.08891).

    The square roots are shifted to end in 0, then stretched to begin where they began (algorithm 1).

    Args:
        alphas_cumprod: [T], falling.
    """
    roots = alphas_cumprod.double().sqrt()
    stretched = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    return stretched.square().to(alphas_cumprod.dtype)


class Family(Protocol):
    """A kind of base model."""

    name: str
    title: str
    text_prefix: str
    """Prefix of the text encoder's modules in kohya's names."""
    denoiser_targets: tuple[str, ...]
    """Ends of the names of the denoiser's modules that take a LoRA."""
    text_encoder_targets: tuple[str, ...]
    """The same for the text encoder."""

    def load(self, base: Path, dtype: torch.dtype) -> Parts:
        """Load all pieces on the CPU: denoiser and text encoder in `dtype`, the VAE in float32."""

    def encode_images(self, parts: Parts, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] to latents [B, C, h, w], scaled for the denoiser, without randomness."""

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """What the denoiser is told about each caption, of as many tokens as the parts say."""

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Length of a caption in tokens, and the most that are read."""

    def predict(self, parts: Parts, noisy_latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's prediction, shaped like the latents."""

    def pipeline(self, parts: Parts) -> Any:
        """A diffusers pipeline over the same pieces, for previews; it reads prompts as captions are read."""


def family(name: str) -> Family:
    """The family of this name."""
    from importlib import import_module

    found: Family = import_module(f"core.families.{name}").FAMILY
    return found
