"""Fills a work folder from a finished pack, so that its model can be trained on where the states are gone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from starter.train_diffusion import new_training
from starter.training import save_atomically

if TYPE_CHECKING:
    from starter.recipe import Recipe


def unpack_model(recipe: Recipe) -> None:
    """Writes VAE, tokenizer, tagger, words and a UNet state of step 0, from which the stages after them go on.

    The moving averages are what was packed, so they are what training starts from; Adam's moments start at zero.

    Raises:
        FileExistsError: The work folder holds one of these already; hours may be in it.
    """
    states = (recipe.decoder_state, recipe.words, recipe.diffusion_state)
    for path in (recipe.vae, recipe.tokenizer, recipe.tagger, *states):
        if path.exists():
            raise FileExistsError(f"{path} is there already: unpack into an empty folder")
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    model = recipe.pack / "model"
    shutil.copytree(model / "tokenizer", recipe.tokenizer)
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder", dtype=torch.float32)
    save_atomically(text_encoder.state_dict(), recipe.words)
    unet, _, training = new_training(recipe)
    packed = UNet2DConditionModel.from_pretrained(model / "unet", torch_dtype=torch.float32)
    unet.load_state_dict(packed.state_dict())
    training.ema.copy_(training.flat.values)
    training.save(recipe.diffusion_state)
    shutil.copytree(model / "vae", recipe.vae)
    shutil.copytree(recipe.pack / "tagger", recipe.tagger)
