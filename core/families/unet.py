"""What the families share whose denoiser is a UNet with cross-attention behind an 8x VAE."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.checkpoints.configs import is_believable
from core.checkpoints.opening import load_module
from core.checkpoints.parts import PartName, PartSource, parts_of, scheduler_config
from core.checkpoints.refusals import damaged
from core.families.base import Conditioning, Parts, Sizes
from core.lora.keys import denoiser_name
from core.models import BaseModel, FamilyName

if TYPE_CHECKING:
    from torch import Tensor, nn


_FOR_LATENTS = {"clip_sample": False, "set_alpha_to_one": False}
"""What the schedules of latent diffusion have, and many leave out: DDIM would cut latents off at -1 and 1 without it.

Only DDIM knows these; diffusers hands them on from one scheduler to the next.
"""


class UNetFamily(ABC):
    """Opening the parts, encoding pictures, and which modules of a UNet take a LoRA: kohya's."""

    name: FamilyName
    title: str
    denoiser_targets: tuple[str, ...] = (
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
        "ff.net.0.proj",
        "ff.net.2",
        "proj_in",
        "proj_out",
    )
    denoiser_conv_targets: tuple[str, ...] = (
        "conv1",
        "conv2",
        "time_emb_proj",
        "conv_shortcut",
        "downsamplers.0.conv",
        "upsamplers.0.conv",
    )

    @abstractmethod
    def load_tokenizer(self, base: BaseModel) -> Any:
        """What `Parts.tokenizer` is."""

    @abstractmethod
    def load_text_encoder(
        self, base: BaseModel, sources: Mapping[PartName, PartSource], dtype: torch.dtype
    ) -> nn.Module:
        """What `Parts.text_encoder` is, in `dtype`."""

    def load(self, base: BaseModel, dtype: torch.dtype, vae: Path = Path()) -> Parts:
        """Open all parts; weights are read from the disk when they are first used.

        Raises:
            UserError: A weight is missing, or does not fit this family.
        """
        sources = parts_of(base, vae)
        noise = scheduler_config(base)
        scheduler = _schedule(noise, base)
        parts = Parts(
            tokenizer=self.load_tokenizer(base),
            text_encoder=self.load_text_encoder(base, sources, dtype),
            denoiser=load_module(sources["denoiser"], "denoiser", dtype),
            vae=load_module(sources["vae"], "vae", torch.float32),
            scheduler_config=noise,
            alphas_cumprod=scheduler.alphas_cumprod.clone(),
            prediction=scheduler.config.prediction_type,
        )
        for module in (parts.text_encoder, parts.denoiser, parts.vae):
            module.requires_grad_(False)
            module.eval()
        return parts

    def denoiser_key(self, module: str) -> str:
        """The diffusers path behind `lora_unet_`."""
        return denoiser_name(module)

    def describe_sizes(self, sizes: Sequence[Sizes]) -> Conditioning:
        """Nothing."""
        return {}

    def encode_images(self, parts: Parts, pixels: Tensor) -> Tensor:
        """The mean of the VAE's distribution, times its scaling factor: the same picture gives the same latents."""
        vae: Any = parts.vae
        with torch.no_grad():
            latents: Tensor = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
        return latents.float() * float(vae.config.scaling_factor)


def _schedule(config: Mapping[str, Any], base: BaseModel) -> Any:
    """The noise schedule of a base model as training counts it.

    Raises:
        UserError: Its configuration makes no sense.
    """
    from diffusers import DDPMScheduler

    try:
        if not is_believable(config):
            raise ValueError("no noise schedule")
        return DDPMScheduler.from_config(plain_config(config))
    except (ValueError, TypeError, RuntimeError) as error:
        raise damaged(base.path / "scheduler" / "scheduler_config.json") from error


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's configuration without the names of the class and the version that wrote it."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def first_sampler(parts: Parts) -> Any:
    """DPM-Solver++ (2M), which draws well in 20 steps, on the noise schedule of the base model."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler.from_config({**_FOR_LATENTS, **plain_config(parts.scheduler_config)})
