"""Stable Diffusion 1.x: one CLIP text encoder of 77 tokens, a UNet with cross-attention, an 8x VAE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.dataset.tokens import CHUNK
from core.families.base import Conditioning, Parts
from core.models import weight_file

if TYPE_CHECKING:
    from torch import Tensor, nn


class StableDiffusion1:
    """The family of SD 1.4, 1.5 and everything fine-tuned from them."""

    name = "sd1"
    title = "Stable Diffusion 1.x"
    text_prefix = "lora_te"
    denoiser_targets = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
    text_encoder_targets = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

    def load(self, base: Path, dtype: torch.dtype) -> Parts:
        """Load a diffusers folder."""
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # Kiln tells progress itself.
        scheduler_config = json.loads((base / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        scheduler = DDPMScheduler.from_config(
            {key: value for key, value in scheduler_config.items() if not key.startswith("_")}
        )
        parts = Parts(
            tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True),
            text_encoder=_pretrained(CLIPTextModel, base, "text_encoder", dtype),
            denoiser=_pretrained(UNet2DConditionModel, base, "unet", dtype),
            vae=_pretrained(AutoencoderKL, base, "vae", torch.float32),
            scheduler_config=scheduler_config,
            alphas_cumprod=scheduler.alphas_cumprod.clone(),
            prediction=scheduler.config.prediction_type,
        )
        for module in (parts.text_encoder, parts.denoiser, parts.vae):
            module.requires_grad_(False)
            module.eval()
        return parts

    def encode_images(self, parts: Parts, pixels: Tensor) -> Tensor:
        """The mean of the VAE's distribution, times its scaling factor: the same picture gives the same latents."""
        vae: Any = parts.vae
        with torch.no_grad():
            latents: Tensor = vae.encode(pixels.to(vae.dtype)).latent_dist.mode()
        return latents.float() * float(vae.config.scaling_factor)

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """`prompt_embeds` [B, 77 n, D] of n pieces of 75 tokens, each read by itself between its own start and end.

        With clip skip they are those of an earlier layer under the final norm. All captions take as many pieces as the
        parts say; those that a caption does not fill are empty.
        """
        text_encoder: Any = parts.text_encoder
        tokens = _pieces(parts, captions).to(text_encoder.device)
        if parts.clip_skip == 1:
            hidden = text_encoder(tokens).last_hidden_state
        else:
            layers = text_encoder(tokens, output_hidden_states=True).hidden_states
            inner = getattr(text_encoder, "text_model", text_encoder)  # transformers 5 dropped this level
            hidden = inner.final_layer_norm(layers[-parts.clip_skip])
        return {"prompt_embeds": hidden.reshape(len(captions), -1, hidden.shape[-1])}

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Tokens of the caption without start and end, and how many are read."""
        return len(parts.tokenizer.tokenize(caption)), parts.max_tokens

    def predict(self, parts: Parts, noisy_latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """One pass of the UNet."""
        prediction: Tensor = parts.denoiser(
            noisy_latents, timesteps, encoder_hidden_states=conditioning["prompt_embeds"], return_dict=False
        )[0]
        return prediction

    def pipeline(self, parts: Parts) -> Any:
        """A StableDiffusionPipeline with DPM-Solver++ (2M), which draws well in 20 steps."""
        from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

        encode = self.encode_captions

        class Pipeline(StableDiffusionPipeline):
            def encode_prompt(
                self, prompt: list[str], device: Any, number: int, guided: bool, unwanted: Any = None, **_: Any
            ) -> Any:
                """Prompts and what is unwanted, [B, 77 n, D] each, with the clip skip and length of the training."""
                unwanted = unwanted or [""] * len(prompt)
                return encode(parts, prompt)["prompt_embeds"], encode(parts, unwanted)["prompt_embeds"]

        pipeline = Pipeline(
            vae=parts.vae,
            text_encoder=parts.text_encoder,
            tokenizer=parts.tokenizer,
            unet=parts.denoiser,
            scheduler=DPMSolverMultistepScheduler.from_config(
                {key: value for key, value in parts.scheduler_config.items() if not key.startswith("_")}
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _pieces(parts: Parts, captions: list[str]) -> Tensor:
    """[B n, 77] token ids: n pieces of each caption, each with a start, its share of the tokens, an end and padding."""
    tokenizer = parts.tokenizer
    read = tokenizer(captions, add_special_tokens=False, truncation=True, max_length=parts.max_tokens).input_ids
    pieces = []
    for tokens in read:
        for first in range(0, parts.max_tokens, CHUNK):
            piece = [tokenizer.bos_token_id, *tokens[first : first + CHUNK], tokenizer.eos_token_id]
            pieces.append(piece + [tokenizer.pad_token_id] * (CHUNK + 2 - len(piece)))
    return torch.tensor(pieces)


def _pretrained(cls: Any, base: Path, part: str, dtype: torch.dtype) -> nn.Module:
    variant = "fp16" if ".fp16." in weight_file(base, part).name else None
    model: nn.Module = cls.from_pretrained(
        base, subfolder=part, variant=variant, torch_dtype=dtype, use_safetensors=True, local_files_only=True
    )
    return model


FAMILY = StableDiffusion1()
