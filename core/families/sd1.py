"""Stable Diffusion 1.x: one CLIP text encoder of 77 tokens, a UNet with cross-attention, an 8x VAE."""

from __future__ import annotations

from core.families.clip import ClipFamily
from core.models import FamilyName


class StableDiffusion1(ClipFamily):
    """The family of SD 1.4, 1.5 and everything fine-tuned from them."""

    name: FamilyName = "sd1"
    title = "Stable Diffusion 1.x"


FAMILY = StableDiffusion1()
