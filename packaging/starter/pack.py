"""Puts the trained parts together: `model/` as a diffusers pipeline in float16, and `tagger/`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import torch

from starter.models import NOISE_SCHEDULE
from starter.train_diffusion import load_trained
from starter.training import swap_folders

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from starter.recipe import Recipe

LEFT_OUT = ("_name_or_path", "_commit_hash")


def pack_model(recipe: Recipe) -> None:
    """Writes the pack's `model/` from the work folder; the old one stays whole until the new one is."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from diffusers.models.attention_processor import AttnProcessor2_0

    unet, text_encoder = load_trained(recipe)
    unet.set_attn_processor(AttnProcessor2_0())
    new = recipe.pack / "model.new"
    shutil.rmtree(new, ignore_errors=True)
    unet.half().save_pretrained(new / "unet")
    text_encoder.half().save_pretrained(new / "text_encoder")
    AutoencoderKL.from_pretrained(recipe.vae, torch_dtype=torch.float16).save_pretrained(new / "vae")
    shutil.copytree(recipe.tokenizer, new / "tokenizer")
    DDIMScheduler(**NOISE_SCHEDULE, set_alpha_to_one=False, steps_offset=1).save_pretrained(new / "scheduler")
    name_as_older_programs_do(new / "text_encoder" / "model.safetensors")
    write_index(new)
    tidy_configs(new)
    swap_folders(new, recipe.pack / "model")


def pack_tagger(recipe: Recipe) -> None:
    """Writes the pack's `tagger/` from the work folder."""
    new = recipe.pack / "tagger.new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(recipe.tagger, new)
    swap_folders(new, recipe.pack / "tagger")


def name_as_older_programs_do(path: Path) -> None:
    """Gives the text encoder's tensors the prefix that transformers 5 dropped and still reads."""
    from safetensors.torch import load_file, save_file

    prefix = "text_model."
    tensors: dict[str, Tensor] = load_file(path)
    renamed = {key if key.startswith(prefix) else prefix + key: tensor for key, tensor in tensors.items()}
    save_file(renamed, path, metadata={"format": "pt"})


def write_index(folder: Path) -> None:
    """Writes `model_index.json`: which class each part has."""
    import diffusers

    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def tidy_configs(folder: Path) -> None:
    """Leaves out where the parts came from, and lets the text encoder load in float32 as the other parts do."""
    for path in folder.rglob("*config.json"):
        config = {key: value for key, value in json.loads(path.read_text("utf-8")).items() if key not in LEFT_OUT}
        for key in ("dtype", "torch_dtype"):
            if key in config:
                config[key] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
