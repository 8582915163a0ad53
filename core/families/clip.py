"""What the families share that read captions with CLIP: pieces of 75 tokens, and all of those with one CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from core.checkpoints.opening import load_module
from core.checkpoints.parts import PartName, PartSource, tokenizer_folder
from core.checkpoints.refusals import damaged
from core.dataset.tokens import CHUNK
from core.families.base import Conditioning, Parts, read_prompts
from core.families.unet import UNetFamily, first_sampler
from core.lora.keys import text_encoder_name
from core.models import BaseModel

if TYPE_CHECKING:
    from torch import Tensor, nn

CLIP_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
"""Ends of the names of a CLIP's modules that take a LoRA: kohya's."""


class ClipFamily(UNetFamily):
    """A family with one CLIP, whose last layer stands under a norm that the other layers go through as well."""

    text_encoder_targets: tuple[str, ...] = CLIP_TARGETS

    def load_tokenizer(self, base: BaseModel) -> Any:
        """A CLIPTokenizer."""
        return clip_tokenizer(base, 1)

    def load_text_encoder(
        self, base: BaseModel, sources: Mapping[PartName, PartSource], dtype: torch.dtype
    ) -> nn.Module:
        """A CLIPTextModel."""
        return load_module(sources["text_encoder"], "text_encoder", dtype)

    def text_encoder_key(self, module: str) -> str:
        """The path behind `lora_te_`."""
        return text_encoder_name(module, "lora_te")

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """`prompt_embeds` [B, 77 n, D] of n pieces of 75 tokens, each read by itself between its own start and end.

        With clip skip they are those of an earlier layer under the final norm. All captions take as many pieces as the
        parts say; those that a caption does not fill are empty.
        """
        text_encoder: Any = parts.text_encoder
        tokens = pieces(parts.tokenizer, captions, parts.max_tokens).to(text_encoder.device)
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
        """A StableDiffusionPipeline whose captions are read here, with the clip skip and length of the training."""
        from diffusers import StableDiffusionPipeline

        family = self

        class Pipeline(StableDiffusionPipeline):
            def encode_prompt(
                self, prompt: list[str], device: Any, number: int, guided: bool, unwanted: Any = None, **_: Any
            ) -> Any:
                """Prompts and what is unwanted, [B, 77 n, D] each; in float32, which pictures are then drawn in."""
                wished, other = (
                    read_prompts(family, parts, texts)["prompt_embeds"].to(device, torch.float32)
                    for texts in (prompt, unwanted or [""] * len(prompt))
                )
                return wished, other

        pipeline = Pipeline(
            vae=parts.vae,
            text_encoder=None,
            tokenizer=parts.tokenizer,
            unet=parts.denoiser,
            scheduler=first_sampler(parts),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def clip_tokenizer(base: BaseModel, which: int) -> Any:
    """The tokenizer of a base model's first or second CLIP.

    Raises:
        UserError: Its files are damaged.
    """
    from transformers import CLIPTokenizer

    folder = tokenizer_folder(base, which)
    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except MemoryError:
        raise
    except Exception as error:  # The library has no class of its own for what it finds wrong in them.
        raise damaged(folder) from error


def pieces(tokenizer: Any, captions: Sequence[str], max_tokens: int) -> Tensor:
    """[B n, 77] token ids: n pieces of each caption, each with a start, its share of the tokens, an end and padding.

    Args:
        tokenizer: Of the CLIP that reads them; it says what padding is.
        captions: B of them.
        max_tokens: Of a caption that are read, n times 75.
    """
    read = tokenizer(list(captions), add_special_tokens=False, truncation=True, max_length=max_tokens).input_ids
    found = []
    for tokens in read:
        for first in range(0, max_tokens, CHUNK):
            piece = [tokenizer.bos_token_id, *tokens[first : first + CHUNK], tokenizer.eos_token_id]
            found.append(piece + [tokenizer.pad_token_id] * (CHUNK + 2 - len(piece)))
    return torch.tensor(found)
