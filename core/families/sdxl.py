"""SDXL and everything fine-tuned from it: two CLIP text encoders, and a UNet that is told how pictures were sized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from core.checkpoints.opening import load_module
from core.checkpoints.parts import PartName, PartSource
from core.families.base import Conditioning, Family, Parts, Sizes, read_prompts
from core.families.clip import CLIP_TARGETS, clip_tokenizer, pieces
from core.families.unet import UNetFamily, first_sampler
from core.lora.keys import original_denoiser_name, text_encoder_name
from core.models import BaseModel, FamilyName

if TYPE_CHECKING:
    from torch import Tensor

LAST_LAYER = 2
"""The layer next to the end that SDXL was made with, counted as clip skip counts."""

_SECOND = "text_encoder_2."


class TextEncoders(nn.Module):
    """Both text encoders: CLIP-L, and OpenCLIP-G with its projection."""

    def __init__(self, text_encoder: nn.Module, text_encoder_2: nn.Module) -> None:
        """Hold them under the names that they have in diffusers."""
        super().__init__()
        self.text_encoder = text_encoder
        self.text_encoder_2 = text_encoder_2

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return next(self.parameters()).device

    def gradient_checkpointing_enable(self, options: dict[str, Any]) -> None:
        """Let both compute again what is needed for gradients, as each of them can alone."""
        for encoder in (self.text_encoder, self.text_encoder_2):
            inner: Any = encoder
            inner.gradient_checkpointing_enable(options)


class StableDiffusionXL(UNetFamily):
    """The family of SDXL 1.0, Pony, Illustrious, NoobAI, Animagine and their like.

    All of them were made with the last layer but one of both text encoders, without a norm on top. This is what people
    mean by clip skip 2 there, and what programs draw with unless they are told otherwise. The last layer was never
    used, so clip skip 1 and 2 are the same here; 3 and 4 take earlier layers of both.
    """

    name: FamilyName = "sdxl"
    title = "Stable Diffusion XL"
    text_encoder_targets: tuple[str, ...] = CLIP_TARGETS

    def load_tokenizer(self, base: BaseModel) -> Any:
        """Those of both text encoders; they differ in what they fill short captions up with."""
        return clip_tokenizer(base, 1), clip_tokenizer(base, 2)

    def load_text_encoder(
        self, base: BaseModel, sources: Mapping[PartName, PartSource], dtype: torch.dtype
    ) -> nn.Module:
        """Both text encoders."""
        return TextEncoders(
            load_module(sources["text_encoder"], "text_encoder", dtype),
            load_module(sources["text_encoder_2"], "text_encoder_2", dtype),
        )

    def denoiser_key(self, module: str) -> str:
        """The path in the original model behind `lora_unet_`."""
        return original_denoiser_name(module)

    def text_encoder_key(self, module: str) -> str:
        """The path behind `lora_te1_` or `lora_te2_`."""
        if module.startswith(_SECOND):
            return text_encoder_name(module.removeprefix(_SECOND), "lora_te2")
        return text_encoder_name(module.removeprefix("text_encoder."), "lora_te1")

    def describe_sizes(self, sizes: Sequence[Sizes]) -> Conditioning:
        """`time_ids` [B, 6] (Podell et al. 2023, arXiv:2307.01952, sec. 2.2).

        They are the original height and width, what is cut off at the top and at the left, and the target height and
        width.
        """
        rows = [
            [*reversed(item.original_px), *reversed(item.crop_px), *reversed(item.target_px)]  # height first
            for item in sizes
        ]
        return {"time_ids": torch.tensor(rows, dtype=torch.float32)}

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """What both text encoders say, as the UNet takes it.

        `prompt_embeds` [B, 77 n, 768 + 1280] are the layers of both side by side, of n pieces of 75 tokens, each read
        by itself; `pooled_embeds` [B, 1280] is what the second says of the whole first piece, of its last layer.
        """
        encoders: Any = parts.text_encoder
        layer = -max(LAST_LAYER, parts.clip_skip)
        first, second = (
            encoder(pieces(tokenizer, captions, parts.max_tokens).to(encoders.device), output_hidden_states=True)
            for tokenizer, encoder in zip(
                parts.tokenizer, (encoders.text_encoder, encoders.text_encoder_2), strict=True
            )
        )
        hidden = torch.cat([first.hidden_states[layer], second.hidden_states[layer]], dim=-1)
        return {
            "prompt_embeds": hidden.reshape(len(captions), -1, hidden.shape[-1]),
            "pooled_embeds": second.text_embeds.reshape(len(captions), -1, second.text_embeds.shape[-1])[:, 0],
        }

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Tokens of the caption without start and end, and how many are read."""
        return len(parts.tokenizer[0].tokenize(caption)), parts.max_tokens

    def predict(self, parts: Parts, noisy_latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """One pass of the UNet; the conditioning is that of captions and of sizes."""
        prediction: Tensor = parts.denoiser(
            noisy_latents,
            timesteps,
            encoder_hidden_states=conditioning["prompt_embeds"],
            added_cond_kwargs={"text_embeds": conditioning["pooled_embeds"], "time_ids": conditioning["time_ids"]},
            return_dict=False,
        )[0]
        return prediction

    def pipeline(self, parts: Parts) -> Any:
        """A StableDiffusionXLPipeline whose captions are read here, with the clip skip and length of the training.

        Pictures are drawn as if they had been of the drawn size and not cut. Nothing unwanted is the empty caption, as
        in ComfyUI, and as captions are left out in training.
        """
        from diffusers import StableDiffusionXLPipeline

        family = self

        class Pipeline(StableDiffusionXLPipeline):
            def encode_prompt(
                self, prompt: list[str], *, device: Any, negative_prompt: list[str] | None = None, **_: Any
            ) -> Any:
                """Prompts and what is unwanted, then the pooled of both; in float32, in which pictures are drawn."""
                return prompts_of_pipeline(family, parts, prompt, negative_prompt, device)

        pipeline = Pipeline(
            vae=parts.vae,
            text_encoder=None,
            text_encoder_2=None,
            tokenizer=parts.tokenizer[0],
            tokenizer_2=parts.tokenizer[1],
            unet=parts.denoiser,
            scheduler=first_sampler(parts),
            add_watermarker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def prompts_of_pipeline(
    family: Family, parts: Parts, prompt: list[str], unwanted: list[str] | None, device: Any
) -> tuple[Tensor, ...]:
    """What a pipeline of this kind draws with: prompts and what is unwanted, then the pooled of both, in float32."""
    wished, other = (read_prompts(family, parts, texts) for texts in (prompt, unwanted or [""] * len(prompt)))
    names = ("prompt_embeds", "pooled_embeds")
    return tuple(said[name].to(device, torch.float32) for name in names for said in (wished, other))


FAMILY = StableDiffusionXL()
