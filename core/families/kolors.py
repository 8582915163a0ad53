"""Kolors: SDXL's denoiser and VAE behind one ChatGLM3 text encoder, with 1100 timesteps."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.cache import content_hash, key_of
from core.checkpoints.content import content_key
from core.checkpoints.parts import PartName, PartSource, tokenizer_folder
from core.errors import UserError
from core.families.base import Conditioning, Parts
from core.families.glm import GlmEncoder
from core.families.glm_chunks import TextRead, with_padding
from core.families.glm_tokens import FRONT, LENGTH, GlmTokenizer
from core.families.sdxl import StableDiffusionXL, prompts_of_pipeline
from core.families.texts import TextsEncoded
from core.families.unet import first_sampler
from core.lora.keys import denoiser_name
from core.models import BaseModel, FamilyName

if TYPE_CHECKING:
    from torch import nn

TOKENIZER_FILE = "tokenizer.model"


class Kolors(StableDiffusionXL):
    """The family of Kolors and what is fine-tuned from it.

    Its text encoder is never trained: at 6 billion weights it is larger than everything else, and programs that draw
    with a LoRA for Kolors apply it to the denoiser alone. Captions are encoded once, before the first step.
    """

    name: FamilyName = "kolors"
    title = "Kolors"
    text_encoder_targets: tuple[str, ...] = ()

    def load_tokenizer(self, base: BaseModel) -> GlmTokenizer:
        """The tokenizer of ChatGLM3, which lies beside its weights where Kolors is as it was published."""
        files = [folder / TOKENIZER_FILE for folder in (tokenizer_folder(base), base.path / "text_encoder")]
        return GlmTokenizer(next((file for file in files if file.is_file()), files[0]))

    def load_text_encoder(
        self, base: BaseModel, sources: Mapping[PartName, PartSource], dtype: torch.dtype
    ) -> nn.Module:
        """A `GlmEncoder`, which has no weights until it is asked for captions."""
        return GlmEncoder(sources["text_encoder"], dtype)

    def load(self, base: BaseModel, dtype: torch.dtype, vae: Path = Path()) -> Parts:
        """Open all parts but the weights of the text encoder.

        Raises:
            UserError: A weight is missing or does not fit, or the tokenizer is that of another model.
        """
        parts = super().load(base, dtype, vae)
        if parts.tokenizer.size > parts.text_encoder.vocabulary:
            raise UserError(
                "{path} belongs to another text encoder: it has {number} tokens, where this one knows {most}.",
                remedy="Download the model again.",
                failure="model_damaged",
                path=parts.tokenizer.file,
                number=parts.tokenizer.size,
                most=parts.text_encoder.vocabulary,
            )
        return parts

    def denoiser_key(self, module: str) -> str:
        """The diffusers path behind `lora_unet_`, which is what programs read that draw with Kolors."""
        return denoiser_name(module)

    def text_encoder_key(self, module: str) -> str:
        """No module of the text encoder takes a LoRA.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"the text encoder of Kolors is not trained: {module}")

    def encode_many(self, parts: Parts, captions: Sequence[str]) -> Generator[TextsEncoded, None, None]:
        """Encode captions with the encoder in memory for as long as that takes.

        An entry has `prompt_embeds` [r, 4096], one row for all padding and one for each token, and `pooled_embeds`
        [4096].
        """
        encoder: Any = parts.text_encoder
        tokens = [parts.tokenizer.read(caption) for caption in captions]
        for share, finished in encoder.read(tokens, parts.large_text_encoder):
            yield TextsEncoded(share, {captions[number]: _entry(read) for number, read in finished.items()})

    def unpacked(self, entry: Conditioning) -> Conditioning:
        """The entry with all of its 256 rows."""
        return {**entry, "prompt_embeds": with_padding(entry["prompt_embeds"])}

    def texts_key(self, parts: Parts) -> str:
        """A hash of encoder and tokenizer, their number format and length; of 8 bit too, which answers a little off."""
        encoder: Any = parts.text_encoder
        in_8_bit = parts.large_text_encoder == "int8"
        return key_of(content_key(encoder.source), content_hash(parts.tokenizer.file), encoder.dtype, LENGTH, in_8_bit)

    def encode_captions(self, parts: Parts, captions: list[str]) -> Conditioning:
        """What the encoder says of each caption: loads it, so many captions at once take hardly longer than one.

        `prompt_embeds` [B, 256, 4096] are of the layer before the last, padding in front; `pooled_embeds` [B, 4096] is
        the last token of the last layer. They are where the encoder computes.
        """
        encoder: Any = parts.text_encoder
        entries: dict[str, Conditioning] = {}
        for part in self.encode_many(parts, list(dict.fromkeys(captions))):
            entries.update(part.entries)
        unpacked = [self.unpacked(entries[caption]) for caption in captions]
        return {name: torch.stack([entry[name] for entry in unpacked]).to(encoder.place.device) for name in unpacked[0]}

    def num_tokens(self, parts: Parts, caption: str) -> tuple[int, int]:
        """Pieces of the caption, and how many are read besides the two tokens in front."""
        return len(parts.tokenizer.pieces(caption)), LENGTH - len(FRONT)

    def pipeline(self, parts: Parts) -> Any:
        """A KolorsPipeline whose captions are read here; nothing unwanted is the empty caption."""
        from diffusers import KolorsPipeline

        family = self

        class Pipeline(KolorsPipeline):
            def encode_prompt(
                self, prompt: list[str], device: Any, *, negative_prompt: list[str] | None = None, **_: Any
            ) -> Any:
                """Prompts and what is unwanted, then the pooled of both; in float32, in which pictures are drawn."""
                return prompts_of_pipeline(family, parts, prompt, negative_prompt, device)

        pipeline = Pipeline(
            vae=parts.vae,
            text_encoder=None,
            tokenizer=None,
            unet=parts.denoiser,
            scheduler=first_sampler(parts),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _entry(read: TextRead) -> Conditioning:
    return {"prompt_embeds": read.rows, "pooled_embeds": read.last}


FAMILY = Kolors()
