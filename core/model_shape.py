"""How large the parts of a base model are: numbers of weights, widths and depths, from headers and config files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from core.models import weight_file
from core.safetensors_header import read_header

_PARTS = ("unet", "text_encoder", "vae")
_DOWN = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
_UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes of a base model.

    `denoiser`, `text_encoder` and `vae` count weights. `lora_denoiser` and `lora_text_encoder` count what a LoRA of
    rank 1 adds. `resnets`, `transformers` and `blocks` are sums of channels over those parts of the denoiser, each
    level weighted with its share of the latent pixels; `modules` is the same sum over modules that take a LoRA, of 1
    each.
    `widest` is the most channels of one block, weighted in the same way. `scale` is picture pixels per latent pixel,
    along a side.
    """

    denoiser: int
    text_encoder: int
    vae: int
    lora_denoiser: int
    lora_text_encoder: int
    resnets: float
    transformers: float
    blocks: float
    modules: float
    widest: float
    text_width: int
    text_layers: int
    vae_width: int
    scale: int


def shape_of(base: Path) -> ModelShape:
    """The shape of the model in a diffusers folder; read again only when its files are others.

    Raises:
        UserError: A file is missing or damaged.
        OSError: The folder cannot be read.
    """
    files = [weight_file(base, part) for part in _PARTS]
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _shape(base, tuple(files), stamps)


@lru_cache(maxsize=64)
def _shape(base: Path, files: tuple[Path, ...], _stamps: tuple[tuple[int, int], ...]) -> ModelShape:
    denoiser, text, vae = (read_header(file).shapes for file in files)
    unet_config, text_config, vae_config = (_config(base / part / "config.json") for part in _PARTS)
    resnets, transformers, blocks, modules, widest = _levels(unet_config)
    return ModelShape(
        denoiser=_count(denoiser),
        text_encoder=_count(text),
        vae=_count(vae),
        lora_denoiser=_lora(denoiser, ".attentions."),
        lora_text_encoder=_lora(text, ".layers."),
        resnets=resnets,
        transformers=transformers,
        blocks=blocks,
        modules=modules,
        widest=widest,
        text_width=int(text_config.get("hidden_size", 768)),
        text_layers=int(text_config.get("num_hidden_layers", 12)),
        vae_width=int(vae_config.get("block_out_channels", [128])[0]),
        scale=int(2 ** (len(vae_config.get("block_out_channels", [0] * 4)) - 1)),
    )


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(prod(shape) for shape in shapes.values())


def _lora(shapes: Mapping[str, tuple[int, ...]], place: str) -> int:
    """Numbers of a LoRA of rank 1 on all matrices, and convolutions over one pixel, at a place of the model."""
    return sum(
        shape[0] + shape[1]
        for name, shape in shapes.items()
        if place in name and name.endswith(".weight") and (len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)))
    )


def _levels(config: Mapping[str, Any]) -> tuple[float, float, float, float, float]:
    """Sums over resnets, transformers, their blocks and their modules, and the widest block, by latent pixel."""
    channels = [int(width) for width in config.get("block_out_channels", (320, 640, 1280, 1280))]
    layers = int(config.get("layers_per_block", 2))
    down, up = config.get("down_block_types", _DOWN), config.get("up_block_types", _UP)
    depth = config.get("transformer_layers_per_block") or 1
    depths = [depth] * len(channels) if isinstance(depth, int) else list(depth)
    resnets = transformers = blocks = modules = widest = 0.0
    levels = list(enumerate(channels))
    for level, width, kind, count in (
        *((level, width, down[level], layers) for level, width in levels),
        *((level, width, up[len(channels) - 1 - level], layers + 1) for level, width in levels),
        (len(channels) - 1, channels[-1], "CrossAttn", 1),
    ):
        area = count * 0.25**level
        resnets += width * area * (2 if kind == "CrossAttn" else 1)
        if "Attn" in kind:
            transformers += width * area
            blocks += width * area * depths[level]
            modules += area * (2 + 10 * depths[level])
            widest = max(widest, width * 0.25**level)
    return resnets, transformers, blocks, modules, widest


def _config(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # What a model is like without it is usual enough for an estimate.
        return {}
    return values if isinstance(values, dict) else {}
