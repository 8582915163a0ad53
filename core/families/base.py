"""What Kiln asks of a model family: six things. One file per family implements them and ends in `FAMILY = ...`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from core.config.model import ModelConfig
    from core.models import BaseModel, FamilyName

Prediction = Literal["epsilon", "v_prediction"]
LargeTextEncoder = Literal["auto", "whole", "layers", "int8"]
Conditioning = dict[str, "Tensor"]
"""What the denoiser is told about a picture: name -> [B, ...]."""


@dataclass(slots=True)
class Parts:
    """The loaded pieces of a base model. All weights are frozen; LoRA layers are added later.

    `text_encoder` is one module that holds all text encoders of the family, and `tokenizer` what it reads captions
    with. `alphas_cumprod` is [T] on the CPU; timesteps grow from clean (0) to noise (T - 1). `clip_skip` counts layers
    of the text encoder from its end, 1 for the last; `max_tokens` of a caption are read, in pieces of 75.
    `large_text_encoder` is how one is loaded that only comes into memory for a while. `prompts` is what the text
    encoder said of prompts before, [1, ...] each: pictures of these are drawn without it.
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
    large_text_encoder: LargeTextEncoder = "auto"
    prompts: dict[str, Conditioning] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a picture came to its size, which some families tell the denoiser.

    All are (width, height) or (left, top) in pixels: `original_px` of the picture, `crop_px` of what is cut off at the
    left and at the top once it is scaled, `target_px` as it is trained.
    """

    original_px: tuple[int, int]
    crop_px: tuple[int, int]
    target_px: tuple[int, int]


def use_as(parts: Parts, config: ModelConfig) -> None:
    """Change how a base model is used, in training and previews alike: what the settings say about it.

    Args:
        parts: As they were loaded.
        config: Clip skip, caption length and how a large text encoder is loaded; what the model predicts, where its
            files do not say it rightly; and whether its noise ends in noise alone, which the files may say as well.
    """
    parts.clip_skip, parts.max_tokens = config.clip_skip, config.max_tokens
    parts.large_text_encoder = config.large_text_encoder
    if config.prediction != "auto":
        parts.prediction = config.prediction
    ends_in_noise = config.zero_terminal_snr or bool(parts.scheduler_config.get("rescale_betas_zero_snr"))
    if ends_in_noise:
        parts.alphas_cumprod = zero_terminal(parts.alphas_cumprod)
    parts.scheduler_config = {
        **parts.scheduler_config,
        "prediction_type": parts.prediction,
        # A picture begins at pure noise there, which only the last timestep has.
        **({"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if ends_in_noise else {}),
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


def read_prompts(family: Family, parts: Parts, texts: Sequence[str]) -> Conditioning:
    """What the denoiser is told about prompts: what is known of all of them, else what the text encoder says now.

    Args:
        family: Knows how to encode.
        parts: Hold the text encoder, and what it said before.
        texts: All prompts of a batch.
    """
    import torch

    if not all(text in parts.prompts for text in texts):
        return family.encode_captions(parts, list(texts))
    known = [parts.prompts[text] for text in texts]
    return {name: torch.cat([one[name] for one in known]) for name in known[0]}


class Family(Protocol):
    """A kind of base model."""

    name: FamilyName
    title: str
    denoiser_targets: tuple[str, ...]
    """Ends of the names of the denoiser's modules that take a LoRA."""
    denoiser_conv_targets: tuple[str, ...]
    """Ends of the names of those that take one as well when convolutions are trained: LoCon's."""
    text_encoder_targets: tuple[str, ...]
    """As `denoiser_targets`, of the text encoder; empty where it cannot be trained."""

    def load(self, base: BaseModel, dtype: torch.dtype, vae: Path = Path()) -> Parts:
        """Load all pieces on the CPU: denoiser and text encoder in `dtype`, the VAE in float32.

        Args:
            base: What `describe_base` says of it: a single file or a folder.
            dtype: Number format of what is computed.
            vae: Another VAE than the base model's own: a file or a folder.

        Raises:
            UserError: A weight is missing, or does not fit this family.
        """

    def denoiser_key(self, module: str) -> str:
        """The name of a module of the denoiser in kohya's file format, of its path in the diffusers model."""

    def text_encoder_key(self, module: str) -> str:
        """The same of a module of `Parts.text_encoder`."""

    def encode_images(self, parts: Parts, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] to latents [B, C, h, w], scaled for the denoiser, without randomness."""

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """What the denoiser is told about each caption, of as many tokens as the parts say."""

    def describe_sizes(self, sizes: Sequence[Sizes]) -> Conditioning:
        """What the denoiser is told about how pictures came to their size; nothing for most families."""

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Length of a caption in tokens, and the most that are read."""

    def predict(self, parts: Parts, noisy_latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's prediction, shaped like the latents."""

    def pipeline(self, parts: Parts) -> Any:
        """A diffusers pipeline over the same pieces, for previews; it reads prompts as captions are read.

        Prompts that are among `Parts.prompts` are drawn without the text encoder.
        """


def family(name: str) -> Family:
    """The family of this name."""
    from importlib import import_module

    found: Family = import_module(f"core.families.{name}").FAMILY
    return found
