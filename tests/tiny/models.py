"""Real pipelines with random weights for tests: the module trees of the real models, a few channels wide."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch

from core.checkpoints.clip_tokenizer import write_clip_tokenizer
from core.paths import STARTER_MODEL

SIZE_PX = 64
"""Side of the pictures that the tiny models are used with."""


Words = Literal["starter", "clip"]
"""Which tokens captions are made of: the few of the starter model, or CLIP's, which single files are read with."""


def make_tiny_sd1(
    folder: Path,
    *,
    text_layers: int = 2,
    prediction_type: str = "epsilon",
    seed: int = 0,
    words: Words = "starter",
) -> Path:
    """A diffusers folder of a Stable Diffusion 1.x with the full UNet tree, about 1 MB.

    Args:
        folder: Where it goes.
        text_layers: Layers of the text encoder; the real one has 12.
        prediction_type: Written into the scheduler.
        seed: Of the random weights.
        words: What its tokenizer knows.
    """
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)
    _save_text_encoder(folder, 1, words, hidden_size=16, num_hidden_layers=text_layers)
    UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
    ).save_pretrained(folder / "unet")
    _save_vae(folder)
    _save_ddim(folder, prediction_type)
    _save_index(folder, "StableDiffusionPipeline", "DDIMScheduler", requires_safety_checker=False)
    return folder


def make_tiny_sd2(
    folder: Path,
    *,
    text_layers: int = 2,
    prediction_type: str = "v_prediction",
    seed: int = 0,
    words: Words = "starter",
) -> Path:
    """A diffusers folder of a Stable Diffusion 2.x with the full UNet tree, about 1 MB.

    Args:
        folder: Where it goes.
        text_layers: Layers of the text encoder; the real one has 23.
        prediction_type: Written into the scheduler; 2.1 at 768 px has v-prediction.
        seed: Of the random weights.
        words: What its tokenizer knows.
    """
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)
    _save_text_encoder(folder, 1, words, hidden_size=16, num_hidden_layers=text_layers, hidden_act="gelu")
    UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=(1, 2, 4, 4),
        cross_attention_dim=16,
        use_linear_projection=True,
    ).save_pretrained(folder / "unet")
    _save_vae(folder)
    _save_ddim(folder, prediction_type)
    _save_index(folder, "StableDiffusionPipeline", "DDIMScheduler", requires_safety_checker=False)
    return folder


def make_tiny_sdxl(
    folder: Path,
    *,
    text_layers: tuple[int, int] = (2, 3),
    depths: tuple[int, int, int] = (1, 2, 10),
    prediction_type: str = "epsilon",
    seed: int = 0,
    words: Words = "starter",
) -> Path:
    """A diffusers folder of an SDXL with the full UNet tree, about 2 MB.

    Args:
        folder: Where it goes.
        text_layers: Layers of both text encoders; the real ones have 12 and 32.
        depths: Transformer blocks per layer at each resolution; as the real one has them.
        prediction_type: Written into the scheduler.
        seed: Of the random weights.
        words: What its tokenizers know.
    """
    from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

    torch.manual_seed(seed)
    _save_text_encoder(folder, 1, words, hidden_size=16, num_hidden_layers=text_layers[0])
    _save_text_encoder(folder, 2, words, hidden_size=24, num_hidden_layers=text_layers[1], hidden_act="gelu")
    UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8, 8),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=(1, 2, 4),
        transformer_layers_per_block=depths,
        cross_attention_dim=16 + 24,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, scaling_factor=0.13025)
    EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
        prediction_type=prediction_type,
    ).save_pretrained(folder / "scheduler")
    _save_index(folder, "StableDiffusionXLPipeline", "EulerDiscreteScheduler", force_zeros_for_empty_prompt=True)
    return folder


def _save_text_encoder(folder: Path, which: int, words: Words, *, hidden_size: int, **config: Any) -> None:
    """Write a CLIP and its tokenizer: the first, or the second with its projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    ending = "" if which == 1 else f"_{which}"
    tokenizer = folder / f"tokenizer{ending}"
    if words == "clip":
        write_clip_tokenizer(tokenizer, "!" if "hidden_act" in config else "<|endoftext|>")
    else:
        shutil.copytree(STARTER_MODEL / "tokenizer", tokenizer)
        if "hidden_act" in config:
            _pad_with(tokenizer, "!")
    vocabulary = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
    cls = CLIPTextModel if which == 1 else CLIPTextModelWithProjection
    cls(
        CLIPTextConfig(
            vocab_size=max(vocabulary.values()) + 1,
            hidden_size=hidden_size,
            intermediate_size=2 * hidden_size,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=hidden_size,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
            **config,
        )
    ).save_pretrained(folder / f"text_encoder{ending}")


def _pad_with(tokenizer: Path, token: str) -> None:
    """Let a tokenizer fill captions up with another token, as that of OpenCLIP does."""
    file = tokenizer / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**config, "pad_token": token}), encoding="utf-8")


def _save_vae(folder: Path, **config: Any) -> None:
    from diffusers import AutoencoderKL

    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 8),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIZE_PX,
        **config,
    ).save_pretrained(folder / "vae")


def _save_ddim(folder: Path, prediction_type: str) -> None:
    from diffusers import DDIMScheduler

    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    ).save_pretrained(folder / "scheduler")


def _save_index(folder: Path, pipeline: str, scheduler: str, **more: Any) -> None:
    has_two = (folder / "text_encoder_2").is_dir()
    classes = {
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        **({"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]} if has_two else {}),
        **({"tokenizer_2": ["transformers", "CLIPTokenizer"]} if has_two else {}),
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        **({} if has_two else {"safety_checker": [None, None]}),
        "feature_extractor": [None, None],
    }
    index = {"_class_name": pipeline, **more, **classes}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
