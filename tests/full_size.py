"""Base models of full size without their files: what an estimate of memory goes by."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from core.lora.keys import module_names
from core.model_shape import Layers, ModelShape, _levels
from core.models import BaseModel, FamilyName
from core.paths import RESOURCES

_WEIGHTS: dict[FamilyName, tuple[int, int]] = {
    "sd1": (859_520_964, 123_060_480),
    "sd2": (865_910_724, 340_387_840),
    "sdxl": (2_567_463_684, 817_720_320),
    "kolors": (2_579_458_820, 6_243_584_000),
}
"""Of the denoiser, and of all text encoders."""
_TEXT: dict[FamilyName, tuple[int, int]] = {
    "sd1": (768, 12),
    "sd2": (1024, 23),
    "sdxl": (1280, 39),
    "kolors": (4096, 28),
}
_SIDES: dict[FamilyName, int] = {"sd1": 512, "sd2": 768, "sdxl": 1024, "kolors": 1024}


def full_size(family: FamilyName, lineage: str = "") -> BaseModel:
    """A base model that is nowhere."""
    path, side = Path(family), _SIDES[family]
    return BaseModel(path=path, family=family, title="", size_bytes=1, native_size_px=side, lineage=lineage)


@cache
def full_shape(family: FamilyName) -> ModelShape:
    """What its files would say."""
    config = json.loads((RESOURCES / "models" / family / "unet.json").read_text(encoding="utf-8"))
    resnets, transformers, blocks, modules, widest = _levels(config)
    (denoiser, text_encoder), (text_width, text_layers) = _WEIGHTS[family], _TEXT[family]
    return ModelShape(
        denoiser=denoiser,
        text_encoder=text_encoder,
        vae=83_653_863,
        denoiser_layers=_layers(family, "denoiser"),
        text_encoder_layers=_layers(family, "text_encoder", "text_encoder_2"),
        resnets=resnets,
        transformers=transformers,
        blocks=blocks,
        modules=modules,
        widest=widest,
        text_width=text_width,
        text_layers=text_layers,
        vae_width=128,
        scale=8,
    )


def _layers(family: FamilyName, *parts: str) -> Layers:
    return tuple(
        (module.path, module.shape)
        for module in module_names(family).values()
        if module.part in parts and module.path != "text_projection"
    )
