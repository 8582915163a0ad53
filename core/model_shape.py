"""How large the parts of a base model are: numbers of weights, widths and depths, from headers and config files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from core.checkpoints.parts import PartSource, parts_of
from core.models import BaseModel

_DOWN = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
_UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3


Layers = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes of a base model.

    `denoiser`, `text_encoder` and `vae` count weights. `denoiser_layers` and `text_encoder_layers` are the paths of
    all layers that multiply, of the text encoders those that can be trained, with the shapes of their weights, [out,
    in] or [out, in, k, k]. `resnets`, `transformers` and `blocks` are sums of channels over those parts of the
    denoiser, each level weighted with its share of the latent pixels; `modules` is the same sum over modules that take
    a LoRA, of 1 each.
    `widest` is the most channels of one block, weighted in the same way. `text_width` is that of the widest text
    encoder, and `text_layers` counts the layers of all of them as if they had that width. `scale` is picture
    pixels per latent pixel, along a side.
    """

    denoiser: int
    text_encoder: int
    vae: int
    denoiser_layers: Layers
    text_encoder_layers: Layers
    resnets: float
    transformers: float
    blocks: float
    modules: float
    widest: float
    text_width: int
    text_layers: int
    vae_width: int
    scale: int


def shape_of(base: BaseModel, vae: Path = Path()) -> ModelShape:
    """The shape of a base model, a folder or a single file; worked out again only when its files are others.

    Args:
        base: The model.
        vae: Another VAE than its own.

    Raises:
        UserError: A file is missing or damaged.
        OSError: A file cannot be read.
    """
    files = sorted({file for part in parts_of(base, vae).values() for file in part.files})
    stamps = tuple((file, status.st_mtime_ns, status.st_size) for file in files for status in [file.stat()])
    return _shape(base, vae, stamps)


@lru_cache(maxsize=64)
def _shape(base: BaseModel, vae: Path, _stamps: tuple[tuple[Path, int, int], ...]) -> ModelShape:
    parts = parts_of(base, vae)
    denoiser, vae_part = parts["denoiser"], parts["vae"]
    texts = [part for name, part in parts.items() if name.startswith("text_encoder")]
    resnets, transformers, blocks, modules, widest = _levels(denoiser.config)
    text_width = max(_text_size(part, "hidden_size", 768) for part in texts)
    in_layers = sum(_text_size(part, "hidden_size", 768) * _num_layers(part) for part in texts)
    levels = vae_part.config.get("block_out_channels", [128] * 4)
    return ModelShape(
        denoiser=_count(denoiser),
        text_encoder=sum(_count(part) for part in texts),
        vae=_count(vae_part),
        denoiser_layers=tuple(_layers(denoiser)),
        text_encoder_layers=tuple(
            layer for part in texts if base.family != "kolors" for layer in _layers(part) if ".layers." in layer[0]
        ),
        resnets=resnets,
        transformers=transformers,
        blocks=blocks,
        modules=modules,
        widest=widest,
        text_width=text_width,
        text_layers=round(in_layers / text_width),
        vae_width=int(levels[0]),
        scale=int(2 ** (len(levels) - 1)),
    )


def _text_size(part: PartSource, name: str, usual: int) -> int:
    return int(part.config.get(name) or usual)


def _num_layers(part: PartSource) -> int:
    """Layers of a text encoder; ChatGLM has a word of its own for them."""
    return _text_size(part, "num_hidden_layers", _text_size(part, "num_layers", 12))


def _shapes(part: PartSource) -> Iterable[tuple[str, tuple[int, ...]]]:
    return ((name, tensor.shape) for name, tensor in part.tensors.items())


def _count(part: PartSource) -> int:
    return sum(prod(shape) for _, shape in _shapes(part))


def _layers(part: PartSource) -> Iterable[tuple[str, tuple[int, ...]]]:
    """All matrices and convolutions."""
    for name, shape in _shapes(part):
        if name.endswith(".weight") and len(shape) in (2, 4):
            yield name.removesuffix(".weight"), shape


def _levels(config: Mapping[str, Any]) -> tuple[float, float, float, float, float]:
    """Sums over resnets, transformers, their blocks and their modules, and the widest block, by latent pixel."""
    channels = [int(width) for width in config.get("block_out_channels", (320, 640, 1280, 1280))]
    per_block = config.get("layers_per_block", 2)
    layers = per_block if isinstance(per_block, int) else max(per_block)
    down, up = config.get("down_block_types", _DOWN), config.get("up_block_types", _UP)
    depth = config.get("transformer_layers_per_block") or 1
    depths = [
        sum(item) / len(item) if isinstance(item, list) else item
        for item in ([depth] * len(channels) if isinstance(depth, int) else depth)
    ]
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
