"""Files that say that they hold the weights of real models, and are empty behind their headers."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

from core.safetensors_header import DTYPE_BITS

Shapes = Mapping[str, tuple[int, ...]]

UNET = "model.diffusion_model."
VAE: Shapes = {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}
CLIP: Shapes = {"cond_stage_model.transformer.text_model.embeddings.position_ids": (1, 77)}
OPEN_CLIP: Shapes = {"cond_stage_model.model.ln_final.weight": (1024,)}
TWO_CLIPS: Shapes = {
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (768,),
    "conditioner.embedders.1.model.ln_final.weight": (1280,),
}
TELLING = f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias"


def sd_unet(context: int, channels: int = 4, prefix: str = UNET) -> dict[str, tuple[int, ...]]:
    """What tells the denoiser of a Stable Diffusion 1 (context 768) or 2 (1024) by its names and shapes."""
    return {
        f"{prefix}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{prefix}input_blocks.1.1.proj_in.weight": (320, 320, 1, 1) if context == 768 else (320, 320),
        f"{prefix}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, context),
        f"{prefix}input_blocks.11.0.in_layers.0.weight": (1280,),
        f"{prefix}middle_block.0.in_layers.0.weight": (1280,),
        f"{prefix}output_blocks.11.0.in_layers.0.weight": (640,),
        f"{prefix}output_blocks.11.1.transformer_blocks.0.norm1.bias": (320,),
    }


def sdxl_unet(
    context: int = 2048, extra: int = 2816, width: int = 320, depth: int = 10, channels: int = 4, prefix: str = UNET
) -> dict[str, tuple[int, ...]]:
    """The same of an SDXL."""
    last = depth - 1
    return {
        f"{prefix}input_blocks.0.0.weight": (width, channels, 3, 3),
        f"{prefix}label_emb.0.0.weight": (1280, extra),
        f"{prefix}input_blocks.4.1.proj_in.weight": (640, 640),
        f"{prefix}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, context),
        f"{prefix}input_blocks.4.1.transformer_blocks.1.norm1.weight": (640,),
        f"{prefix}input_blocks.8.1.transformer_blocks.{last}.norm1.weight": (1280,),
        f"{prefix}middle_block.1.transformer_blocks.{last}.norm1.weight": (1280,),
        f"{prefix}output_blocks.0.1.transformer_blocks.{last}.norm1.weight": (1280,),
    }


def kolors_unet(prefix: str = "") -> dict[str, tuple[int, ...]]:
    """The same of Kolors, by the names of diffusers."""
    return {
        f"{prefix}conv_in.weight": (320, 4, 3, 3),
        f"{prefix}time_embedding.linear_1.weight": (1280, 320),
        f"{prefix}add_embedding.linear_1.weight": (1280, 5632),
        f"{prefix}encoder_hid_proj.weight": (2048, 4096),
        f"{prefix}down_blocks.1.attentions.0.proj_in.weight": (640, 640),
        f"{prefix}down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    }


SD1: Shapes = {**sd_unet(768), **CLIP, **VAE}
SD2: Shapes = {**sd_unet(1024), **OPEN_CLIP, **VAE}
SDXL: Shapes = {**sdxl_unet(), **TWO_CLIPS, **VAE}


def write_weights(
    path: Path,
    shapes: Shapes,
    *,
    dtype: str = "F16",
    metadata: Mapping[str, str] | None = None,
    data: Mapping[str, bytes] | None = None,
) -> Path:
    """A safetensors file of these tensors, which takes next to no space: what is not given in `data` is a hole."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    places: dict[str, int] = {}
    end = 0
    for name, shape in shapes.items():
        places[name] = end
        end += prod(shape) * DTYPE_BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [places[name], end]}
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for name, numbers in (data or {}).items():
            file.seek(8 + len(raw) + places[name])
            file.write(numbers)
        file.truncate(8 + len(raw) + end)
    return path
