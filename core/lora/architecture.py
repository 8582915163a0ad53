"""The weights that a LoRA can change in each family, as paths in diffusers' models and shapes; without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.models import FamilyName

DEFAULT_ENDS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
"""Ends of the paths of the denoiser's modules that kohya's plain LoRA changes."""
CONV_ENDS = ("conv1", "conv2", "time_emb_proj", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
"""And of those that LoCon adds."""

_LAYERS = 2
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _UNet:
    """`depths` counts the transformer blocks at each resolution, from the finest; 0 is without attention.

    `middle` is how many there are in the middle; `context` the width of what the text encoder says; `added` that of
    the sizes and the pooled text, `projected` that of a text before it is brought to `context`; 0 where there is none.
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...]
    middle: int
    context: int
    has_linear_projection: bool = True
    added: int = 0
    projected: int = 0


@dataclass(frozen=True, slots=True)
class _TextEncoder:
    layers: int
    width: int
    inner: int
    projection: int = 0


_UNETS: dict[FamilyName, _UNet] = {
    "sd1": _UNet(
        channels=(320, 640, 1280, 1280), depths=(1, 1, 1, 0), middle=1, context=768, has_linear_projection=False
    ),
    "sd2": _UNet(channels=(320, 640, 1280, 1280), depths=(1, 1, 1, 0), middle=1, context=1024),
    "sdxl": _UNet(channels=(320, 640, 1280), depths=(0, 2, 10), middle=10, context=2048, added=2816),
    "kolors": _UNet(channels=(320, 640, 1280), depths=(0, 2, 10), middle=10, context=2048, added=5632, projected=4096),
}
_TEXT_ENCODERS: dict[FamilyName, tuple[_TextEncoder, ...]] = {
    "sd1": (_TextEncoder(12, 768, 3072),),
    "sd2": (_TextEncoder(23, 1024, 4096),),
    "sdxl": (_TextEncoder(12, 768, 3072), _TextEncoder(32, 1280, 5120, projection=1280)),
    "kolors": (),
}


def unet_shapes(family: FamilyName) -> dict[str, Shape]:
    """Path -> shape of the weight, [out, in] or [out, in, k, k], of all modules of the denoiser that multiply."""
    unet = _UNETS[family]
    channels, embedded = unet.channels, unet.channels[0] * 4
    found: dict[str, Shape] = {
        "conv_in": (channels[0], 4, 3, 3),
        "time_embedding.linear_1": (embedded, channels[0]),
        "time_embedding.linear_2": (embedded, embedded),
    }
    if unet.added:
        found["add_embedding.linear_1"] = (embedded, unet.added)
        found["add_embedding.linear_2"] = (embedded, embedded)
    if unet.projected:
        found["encoder_hid_proj"] = (unet.context, unet.projected)
    last = len(channels) - 1
    width = channels[0]
    for level, out in enumerate(channels):
        block = f"down_blocks.{level}"
        for layer in range(_LAYERS):
            found |= _resnet(f"{block}.resnets.{layer}", width, out, embedded)
            found |= _attention(f"{block}.attentions.{layer}", unet, out, unet.depths[level])
            width = out
        if level < last:
            found[f"{block}.downsamplers.0.conv"] = (out, out, 3, 3)
    found |= _resnet("mid_block.resnets.0", width, width, embedded)
    found |= _attention("mid_block.attentions.0", unet, width, unet.middle)
    found |= _resnet("mid_block.resnets.1", width, width, embedded)
    for level in range(last + 1):
        block, out = f"up_blocks.{level}", channels[last - level]
        finer = channels[max(last - level - 1, 0)]
        for layer in range(_LAYERS + 1):
            beside = finer if layer == _LAYERS else out
            found |= _resnet(f"{block}.resnets.{layer}", width + beside, out, embedded)
            found |= _attention(f"{block}.attentions.{layer}", unet, out, unet.depths[last - level])
            width = out
        if level < last:
            found[f"{block}.upsamplers.0.conv"] = (out, out, 3, 3)
    found["conv_out"] = (4, channels[0], 3, 3)
    return found


def text_encoder_shapes(family: FamilyName, second: bool) -> dict[str, Shape]:
    """The same of a text encoder, with its level `text_model`; nothing where the family has none that is trained."""
    encoders = _TEXT_ENCODERS[family]
    if len(encoders) <= second:
        return {}
    encoder = encoders[second]
    found: dict[str, Shape] = {}
    for layer in range(encoder.layers):
        path = f"text_model.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found[f"{path}.self_attn.{name}"] = (encoder.width, encoder.width)
        found[f"{path}.mlp.fc1"] = (encoder.inner, encoder.width)
        found[f"{path}.mlp.fc2"] = (encoder.width, encoder.inner)
    if encoder.projection:
        found["text_projection"] = (encoder.projection, encoder.width)
    return found


def _resnet(path: str, width: int, out: int, embedded: int) -> dict[str, Shape]:
    found: dict[str, Shape] = {
        f"{path}.conv1": (out, width, 3, 3),
        f"{path}.time_emb_proj": (out, embedded),
        f"{path}.conv2": (out, out, 3, 3),
    }
    if width != out:
        found[f"{path}.conv_shortcut"] = (out, width, 1, 1)
    return found


def _attention(path: str, unet: _UNet, width: int, depth: int) -> dict[str, Shape]:
    if not depth:
        return {}
    projection: Shape = (width, width) if unet.has_linear_projection else (width, width, 1, 1)
    found = {f"{path}.proj_in": projection}
    for block in range(depth):
        found |= {f"{path}.{name}": shape for name, shape in _transformer_block(block, width, unet.context)}
    found[f"{path}.proj_out"] = projection
    return found


def _transformer_block(block: int, width: int, context: int) -> Iterator[tuple[str, Shape]]:
    path = f"transformer_blocks.{block}"
    for attention, reads in (("attn1", width), ("attn2", context)):
        yield f"{path}.{attention}.to_q", (width, width)
        yield f"{path}.{attention}.to_k", (width, reads)
        yield f"{path}.{attention}.to_v", (width, reads)
        yield f"{path}.{attention}.to_out.0", (width, width)
    yield f"{path}.ff.net.0.proj", (8 * width, width)
    yield f"{path}.ff.net.2", (width, 4 * width)
