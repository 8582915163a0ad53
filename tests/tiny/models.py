"""Real pipelines with random weights for tests: the module trees of the real models, a few channels wide."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from core.paths import STARTER_MODEL

SIZE_PX = 64
"""Side of the pictures that the tiny models are used with."""


def make_tiny_sd1(folder: Path, *, text_layers: int = 2, prediction_type: str = "epsilon", seed: int = 0) -> Path:
    """A diffusers folder of a Stable Diffusion 1.x with the full UNet tree, about 1 MB.

    Args:
        folder: Where it goes.
        text_layers: Layers of the text encoder; the real one has 12.
        prediction_type: Written into the scheduler.
        seed: Of the random weights.
    """
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    shutil.copytree(STARTER_MODEL / "tokenizer", folder / "tokenizer")
    vocabulary = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=max(vocabulary.values()) + 1,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=text_layers,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=16,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
        )
    ).save_pretrained(folder / "text_encoder")
    UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 8),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIZE_PX,
    ).save_pretrained(folder / "vae")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    ).save_pretrained(folder / "scheduler")
    classes = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, **classes}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder
