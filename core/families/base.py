"""What Kiln asks of a model family: six things. One file per family implements them and ends in `FAMILY = ...`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Prediction = Literal["epsilon", "v_prediction"]
Conditioning = dict[str, "Tensor"]
"""What the denoiser is told about a picture: name -> [B, ...]."""


@dataclass(slots=True)
class Parts:
    """The loaded pieces of a base model. All weights are frozen; LoRA layers are added later.

    `alphas_cumprod` is [T] on the CPU; timesteps grow from clean (0) to noise (T - 1).
    """

    tokenizer: Any
    text_encoder: nn.Module
    denoiser: nn.Module
    vae: nn.Module
    scheduler_config: dict[str, Any]
    alphas_cumprod: Tensor
    prediction: Prediction


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

    def encode_captions(self, parts: Parts, captions: list[str], clip_skip: int) -> Conditioning:
        """What the denoiser is told about each caption."""

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Length of a caption in tokens, and the most that are read."""

    def predict(self, parts: Parts, noisy_latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's prediction, shaped like the latents."""

    def pipeline(self, parts: Parts) -> Any:
        """A diffusers pipeline over the same pieces, for previews."""


def family(name: str) -> Family:
    """The family of this name."""
    from importlib import import_module

    found: Family = import_module(f"core.families.{name}").FAMILY
    return found
