"""The real sizes of Kolors: what its text encoder takes per caption, and which layers a LoRA for it has.

Not a test; run it by hand. Two of the 28 layers of the encoder are written with random weights (0.8 GB), and read as in
a run, layer by layer from the disk; times and memory are projected to all layers. The denoiser is built without memory.

    python tests/bench/bench_kolors.py [--precision bf16|fp32|fp16] [--device cpu|cuda] [--way layers|whole|int8]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: E402, F401 - sets how threads wait, before torch is imported

LAYERS, WRITTEN = 28, 2
CAPTIONS = {16: 16, 64: 8, 128: 4, 256: 2}
"""Tokens of a caption -> how many such captions are read together."""
GLM: dict[str, Any] = {
    "add_qkv_bias": True,
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": WRITTEN,
    "original_rope": True,
    "padded_vocab_size": 512,
    "seq_length": 32768,
}
UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 5632,
}


def write_encoder(folder: Path) -> None:
    """Random weights in fp16, as Kolors has them, one layer in memory at a time."""
    import torch
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, GLMBlock
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(GLM), encoding="utf-8")
    places = {}
    block = GLMBlock(ChatGLMConfig(**GLM), 1, device="meta")
    for number in range(WRITTEN):
        tensors = {
            f"transformer.encoder.layers.{number}.{name}": torch.randn(weight.shape, dtype=torch.float16) * 0.02
            for name, weight in block.state_dict().items()
        }
        if number == 0:
            rows = GLM["padded_vocab_size"], GLM["hidden_size"]
            tensors["transformer.embedding.word_embeddings.weight"] = torch.randn(rows, dtype=torch.float16)
        file = f"model-{number + 1:05d}-of-{WRITTEN:05d}.safetensors"
        save_file(tensors, folder / file)
        places |= dict.fromkeys(tensors, file)
    index = {"weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def time_encoder(folder: Path, precision: str, device: str, way: str) -> None:
    """Say what captions of several lengths take."""
    import torch

    from core.checkpoints.folders import folder_part
    from core.families.glm import GlmEncoder
    from core.training.device import peak_memory_bytes

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}[precision]
    encoder = GlmEncoder(folder_part(folder, "text_encoder"), dtype).to(device)
    scale = LAYERS / WRITTEN
    list(encoder.read([[5] * 8], way))  # type: ignore[arg-type]
    started, worked = time.perf_counter(), time.process_time()
    list(encoder.read([[5, 6]], way))  # type: ignore[arg-type]
    fixed, fixed_work = time.perf_counter() - started, time.process_time() - worked
    print(
        f"{precision} on {device}, {way}; loading all {LAYERS} layers and a shortest caption: {fixed * scale:.1f} s, "
        f"{fixed_work * scale:.1f} s of the processor"
    )
    for length, number in CAPTIONS.items():
        started, worked = time.perf_counter(), time.process_time()
        tokens = [[7 + place % 400 for place in range(index, index + length)] for index in range(number)]
        for _, found in encoder.read(tokens, way):  # type: ignore[arg-type]
            for read in found.values():
                assert bool(torch.isfinite(read.rows).all())
        spent, work = time.perf_counter() - started - fixed, time.process_time() - worked - fixed_work
        mebibytes = min(length + 1, 256) * GLM["hidden_size"] * dtype.itemsize / 2**20
        print(
            f"{length:4d} tokens: {max(0.0, spent) / number * scale:6.2f} s per caption, "
            f"{max(0.0, work) / number * scale:6.2f} s of the processor, {mebibytes:.2f} MiB in the cache",
            flush=True,
        )
    print(f"peak memory {peak_memory_bytes(torch.device(device)) / 2**30:.2f} GiB, with PyTorch and diffusers in it")
    print(f"whole it would be {encoder.whole_bytes * scale / 2**30:.1f} GiB")


def count_layers() -> None:
    """Compare the layers of the full-size denoiser that take a LoRA with the table of names."""
    import torch
    from diffusers import UNet2DConditionModel

    from core.families.kolors import FAMILY
    from core.lora.keys import module_names

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET)
    wanted = tuple(f".{end}" for end in FAMILY.denoiser_targets)
    found = {
        FAMILY.denoiser_key(path): tuple(module.weight.shape)
        for path, module in unet.named_modules()
        if path.endswith(wanted) and hasattr(module, "weight")
    }
    known = {name.name: name.shape for name in module_names("kolors").values() if name.kind == "default"}
    print(f"{sum(weight.numel() for weight in unet.parameters()):,} weights, {len(found)} layers take a LoRA")
    print(f"the table of names {'is the same' if found == known else f'differs: {found.keys() ^ known.keys()}'}")
    print(f"a LoRA of rank 16 has {16 * sum(shape[0] + shape[1] for shape in found.values()):,} weights")


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32", "fp16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--way", default="layers", choices=["layers", "whole", "int8"])
    options = parser.parse_args()
    count_layers()
    with tempfile.TemporaryDirectory() as folder:
        write_encoder(Path(folder) / "text_encoder")
        time_encoder(Path(folder) / "text_encoder", options.precision, options.device, options.way)


if __name__ == "__main__":
    main()
