"""The networks of the pack, in the module tree of Stable Diffusion 1.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from starter.tokenizer import MAX_TOKENS

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    from starter.recipe import Recipe

SCALING_FACTOR = 0.18215
NOISE_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
}


def new_vae(recipe: Recipe) -> AutoencoderKL:
    """An untrained VAE: f = 8, four latent channels."""
    from diffusers import AutoencoderKL

    widths = recipe.vae_widths
    return AutoencoderKL(
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=recipe.picture_px,
        scaling_factor=SCALING_FACTOR,
    )


def load_vae(recipe: Recipe) -> AutoencoderKL:
    """The finished VAE, in float32, its parameters frozen."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(recipe.vae, torch_dtype=torch.float32)
    return vae.to(recipe.device).eval().requires_grad_(False)


def new_text_encoder(recipe: Recipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.text_width,
        intermediate_size=4 * recipe.text_width,
        num_hidden_layers=recipe.text_layers,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=recipe.text_width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        attn_implementation="eager" if recipe.device == "cpu" else "sdpa",  # Eager is faster on a CPU.
    )
    return CLIPTextModel(config).to(recipe.device)


def new_unet(recipe: Recipe) -> UNet2DConditionModel:
    """An untrained UNet in which each residual branch begins at zero, as in the original latent diffusion code."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    unet = UNet2DConditionModel(
        sample_size=recipe.latents_px,
        block_out_channels=recipe.unet_widths,
        layers_per_block=2,
        attention_head_dim=2,
        cross_attention_dim=recipe.text_width,
        norm_num_groups=recipe.unet_groups,
    )
    for name, module in unet.named_modules():
        if name.endswith(("conv2", "proj_out")) or name == "conv_out":
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    if recipe.device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # Faster than fused attention on a CPU, backwards above all.
    return unet.to(recipe.device)


def signal_rates(device: str) -> torch.Tensor:
    """[1000] how much of the signal's variance is left at each timestep ("alphas cumprod")."""
    first, last = NOISE_SCHEDULE["beta_start"] ** 0.5, NOISE_SCHEDULE["beta_end"] ** 0.5
    betas = torch.linspace(first, last, NOISE_SCHEDULE["num_train_timesteps"], dtype=torch.float32) ** 2
    return torch.cumprod(1 - betas, 0).to(device)
