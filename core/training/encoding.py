"""Latents and text embeddings of a training set, from the disk cache or computed now."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.cache import DiskCache, content_hash, key_of
from core.checkpoints.content import content_key
from core.checkpoints.parts import PartSource, part_of, tokenizer_folder
from core.checkpoints.sources import part_names
from core.config.model import DatasetConfig
from core.dataset.fitting import FitPlan
from core.dataset.images import load_image
from core.dataset.tokens import CHUNK
from core.errors import UserError, explain
from core.events import Event, Notice, StageProgress, StageStarted
from core.families.texts import EncodesMany
from core.models import BaseModel
from core.text import tr
from core.training.masks import content_mask, picture_mask
from core.training.pixels import Colours, pixels_of

if TYPE_CHECKING:
    from torch import Tensor

    from core.families.base import Family, Parts
    from core.training.data import Example, Shown

LATENT_PX = 8
"""Pixels of a picture along one side of a latent pixel."""
_MOST_KEPT_BYTES = 1 << 30
"""Of captions in main memory; a thousandth of a second reads one more from the disk."""


class Latents:
    """Latents of examples, [C, h, w] each in float32; mirrored ones too when asked for.

    They are computed once and kept on the CPU, unless colours or crops change with every showing: then each showing is
    encoded when it comes.
    """

    def __init__(self, config: DatasetConfig) -> None:
        """Nothing yet; `encode` fills it.

        Args:
            config: How pictures are shown, and where their masks are.
        """
        self._config = config
        self._variants = (False, True) if config.flip else (False,)
        self._tensors: dict[_Key, Tensor] = {}
        self._masks: dict[_Key, Tensor] = {}
        self._encoder: _Encoder | None = None
        self.contents: dict[Path, str] = {}
        """Hashes of the pictures' bytes, of those that were read for them."""

    @property
    def are_live(self) -> bool:
        """Whether pictures are encoded in every step, with the VAE at hand."""
        return self._config.colour_jitter or self._config.random_crop

    def batch(self, examples: Sequence[Example], shown: Sequence[Shown]) -> Tensor:
        """[B, C, h, w] the latents of showings.

        Args:
            examples: What the showings count along.
            shown: How each is shown this time.

        Raises:
            UserError: A picture that is encoded now can no longer be read.
        """
        return torch.stack([self._one(examples[item.example], item) for item in shown])

    def _one(self, example: Example, shown: Shown) -> Tensor:
        if shown.place is None and shown.colours is None and not self.are_live:
            return self._tensors[_key(example, shown.mirrored)]
        if self._encoder is None:
            raise RuntimeError("encode comes first")
        return self._encoder(placed(example, shown), mirrored=shown.mirrored, colours=shown.colours)

    def masks(self, examples: Sequence[Example], shown: Sequence[Shown], size: tuple[int, int]) -> Tensor | None:
        """[B, h, w] how much each place counts in the loss; None when all counts everywhere.

        Args:
            examples: What the showings count along.
            shown: How each is shown this time.
            size: (w, h) of the latents.
        """
        found = [self._mask(examples[item.example], item, size) for item in shown]
        if all(mask is None for mask in found):
            return None
        return torch.stack([torch.ones(size[::-1]) if mask is None else mask for mask in found])

    def _mask(self, example: Example, shown: Shown, size: tuple[int, int]) -> Tensor | None:
        plan = placed(example, shown).plan
        content = content_mask(plan, size, mirrored=shown.mirrored) if plan.is_padded else None
        if self._config.masks == "none":
            return content
        if shown.place is None and (key := _key(example, shown.mirrored)) in self._masks:
            mask: Tensor | None = self._masks[key]
        else:
            mask = picture_mask(example.record, plan, self._config, size, mirrored=shown.mirrored)
        if mask is None:
            return content
        return mask if content is None else mask * content

    def encode(
        self,
        examples: Sequence[Example],
        base: BaseModel,
        family: Family,
        parts: Parts,
        device: torch.device,
        vae: Path = Path(),
    ) -> Generator[Event, None, list[Example]]:
        """Fill from the cache, and encode what is missing; where showings change, only look whether all can be read.

        Args:
            examples: The training set, and what is held out of it.
            base: The base model; its VAE is part of the cache key.
            family: Knows how to encode.
            parts: Hold the VAE, already on `device`.
            device: Where to encode.
            vae: Another VAE than the base model's own, if that is used.

        Returns:
            The examples that could be read, in order. The others were told by name.
        """
        cache = DiskCache()
        self._encoder = _Encoder(family, parts, device)
        vae_key = "" if self.are_live else _vae_key(part_of(base, "vae", vae), parts)
        started = time.monotonic()
        usable: list[Example] = []
        for done, example in enumerate(examples, start=1):
            try:
                if self.are_live:
                    load_image(example.record)
                else:
                    yield from self._encode_one(example, cache, (family.name, vae_key))
                self._keep_masks(example)
                usable.append(example)
            except (UserError, OSError) as error:
                # A picture can break off behind its header, or vanish; the run goes on without it.
                known = explain(error)
                yield Notice(level="warning", message=str(known) if known else str(error), image=example.record.path)
            yield StageProgress(stage="cache", done=done, total=len(examples), elapsed_s=time.monotonic() - started)
        return usable

    def _encode_one(self, example: Example, cache: DiskCache, model: tuple[str, str]) -> Iterator[Event]:
        path = example.record.path
        content = self.contents[path] = self.contents.get(path) or content_hash(path)
        for mirrored in self._variants:
            key = key_of("latents", *model, content, example.plan, mirrored)
            entry = cache.get(key)
            if entry is None:
                assert self._encoder is not None
                entry = {"latents": self._encoder(example, mirrored=mirrored).cpu()}
                yield from _keep(cache, key, entry)
            self._tensors[_key(example, mirrored)] = entry["latents"]

    def _keep_masks(self, example: Example) -> None:
        """Read the masks of an example, where they are the same for every showing."""
        if self._config.masks == "none" or self._config.random_crop:
            return
        width, height = (side // LATENT_PX for side in example.size_px)
        for mirrored in self._variants:
            mask = picture_mask(example.record, example.plan, self._config, (width, height), mirrored=mirrored)
            self._masks[_key(example, mirrored)] = torch.ones(height, width) if mask is None else mask


_Key = tuple[Path, FitPlan, bool]


def _key(example: Example, mirrored: bool) -> _Key:
    return example.record.path, example.plan, mirrored


@dataclass(frozen=True, slots=True)
class _Encoder:
    """The VAE, brought to where it computes whenever it is asked."""

    family: Family
    parts: Parts
    device: torch.device

    def __call__(self, example: Example, *, mirrored: bool, colours: Colours | None = None) -> Tensor:
        """[C, h, w] in float32, on the device."""
        if next(self.parts.vae.parameters()).device != self.device:
            self.parts.vae.to(self.device)
        pixels = pixels_of(example, mirrored=mirrored, colours=colours)
        return self.family.encode_images(self.parts, pixels[None].to(self.device))[0]


def placed(example: Example, shown: Shown) -> Example:
    """The example with its crop where this showing has it."""
    if shown.place is None:
        return example
    return replace(example, plan=example.plan.moved(shown.place))


class Embeddings:
    """What the frozen text encoder says about each caption, on the CPU; of very many captions partly on the disk."""

    def __init__(self) -> None:
        """Nothing yet; `encode` fills it."""
        self._cache = DiskCache()
        self._tensors: dict[str, dict[str, Tensor]] = {}
        self._on_disk: dict[str, str] = {}
        self._num_bytes = 0
        self._unpacked: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict

    def encode(
        self,
        captions: Sequence[str],
        base: BaseModel,
        family: Family,
        parts: Parts,
        dtype: torch.dtype,
    ) -> Iterator[Event]:
        """Fill from the cache, and encode what is missing, each distinct caption once.

        A text encoder that is in memory only meanwhile reads them all together.
        """
        if isinstance(family, EncodesMany):
            yield from self._encode_many(captions, family, parts)
            return
        text_encoder, tokenizer = _text_keys(base)
        # An entry of 75 tokens has the key that it had when there was no other length.
        reading = (parts.clip_skip,) if parts.max_tokens == CHUNK else (parts.clip_skip, parts.max_tokens)
        for caption in dict.fromkeys(captions):
            key = key_of("text", family.name, text_encoder, tokenizer, *reading, dtype, caption)
            entry = self._cache.get(key)
            if entry is None:
                with torch.no_grad():
                    embedded = family.encode_captions(parts, [caption])
                entry = {name: tensor[0].cpu() for name, tensor in embedded.items()}
                yield from _keep(self._cache, key, entry)
            self._tensors[caption] = entry

    def _encode_many(self, captions: Sequence[str], family: EncodesMany, parts: Parts) -> Iterator[Event]:
        yield StageStarted(stage="cache")
        self._unpacked = family.unpacked
        texts = family.texts_key(parts)
        keys = {caption: key_of("texts", texts, caption) for caption in captions}
        missing = []
        for caption, key in keys.items():
            if (entry := self._cache.get(key)) is None:
                missing.append(caption)
            else:
                self._take(caption, key, entry, is_on_disk=True)
        if not missing:
            return
        yield Notice(
            message=tr(
                "The text encoder reads {number} captions and prompts, once for this run and later ones.",
                number=len(missing),
            )
        )
        yield StageStarted(stage="cache", total=len(missing))
        started = time.monotonic()
        with contextlib.closing(family.encode_many(parts, missing)) as encoding:
            for part in encoding:
                for caption, entry in part.entries.items():
                    is_on_disk = yield from _keep(self._cache, keys[caption], entry)
                    self._take(caption, keys[caption], entry, is_on_disk=is_on_disk)
                yield StageProgress(
                    stage="cache",
                    done=int(part.share * len(missing)),
                    total=len(missing),
                    elapsed_s=time.monotonic() - started,
                )

    def _take(self, caption: str, key: str, entry: dict[str, Tensor], *, is_on_disk: bool) -> None:
        """Keep an entry in memory, or where it is once there are many."""
        size = sum(tensor.nbytes for tensor in entry.values())
        if is_on_disk and self._num_bytes + size > _MOST_KEPT_BYTES:
            self._on_disk[caption] = key
            return
        self._num_bytes += size
        self._tensors[caption] = entry

    def get(self, captions: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """The embeddings of a batch, stacked on the device.

        Raises:
            UserError: The cache was emptied meanwhile.
        """
        entries = [self._unpacked(self._entry(caption)) for caption in captions]
        return {name: torch.stack([entry[name] for entry in entries]).to(device) for name in entries[0]}

    def _entry(self, caption: str) -> dict[str, Tensor]:
        if (key := self._on_disk.get(caption)) is None:
            return self._tensors[caption]
        if (entry := self._cache.get(key)) is None:
            raise UserError(
                "The cache in {folder} was emptied while the training needed it.",
                remedy="Continue the run from its last state; what is missing is prepared again.",
                folder=self._cache.folder,
            )
        return entry


def _text_keys(base: BaseModel) -> tuple[str, str]:
    """Hashes of the text encoders, and of the tokenizers: with one of each, what it was when no family had two."""
    names = [part for part in part_names(base.family) if part.startswith("text_encoder")]
    encoders = [content_key(part_of(base, name)) for name in names]
    files = [sorted(tokenizer_folder(base, number).iterdir()) for number in range(1, len(names) + 1)]
    tokenizers = [key_of(*(content_hash(file) for file in folder if file.is_file())) for folder in files]
    return "/".join(encoders), "/".join(tokenizers)


def _vae_key(source: PartSource, parts: Parts) -> str:
    """A hash of the VAE, and of how it computes where that changes what it gives."""
    vae: Any = parts.vae
    ways = [str(vae.dtype)] * (vae.dtype != torch.float32) + ["tiled"] * bool(getattr(vae, "use_tiling", False))
    return "/".join([content_key(source), *ways])


_told_about_cache = False


def _keep(cache: DiskCache, key: str, entry: dict[str, Tensor]) -> Generator[Event, None, bool]:
    """Write an entry; whether that worked. One that cannot be written costs time in the next run, and is told once."""
    global _told_about_cache
    try:
        cache.put(key, entry)
        return True
    except OSError as error:
        if not _told_about_cache:
            _told_about_cache = True
            reason = explain(error)
            yield Notice(
                level="warning",
                message=tr(
                    "The cache in {folder} cannot be written, so the next run prepares the pictures again. {reason}",
                    folder=cache.folder,
                    reason=reason.message if isinstance(reason, UserError) else str(error),
                ),
            )
        return False
