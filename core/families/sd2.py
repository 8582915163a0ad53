"""Stable Diffusion 2.x: the parts of 1.x with the text encoder of OpenCLIP-H, often with v-prediction."""

from __future__ import annotations

from core.families.clip import ClipFamily
from core.models import FamilyName


class StableDiffusion2(ClipFamily):
    """The family of SD 2.0, 2.1 and everything fine-tuned from them.

    It was made with the last layer but one of a text encoder of 24, so in the form of diffusers the encoder has 23.
    Clip skip counts from the end of these, as in kohya's scripts: 1 is the layer that the models were made with, 2 the
    one before it.
    """

    name: FamilyName = "sd2"
    title = "Stable Diffusion 2.x"


FAMILY = StableDiffusion2()
