"""Latents and text embeddings of a training set, from the disk cache or computed now."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core.cache import DiskCache, content_hash, key_of
from core.dataset.fitting import fit_image
from core.dataset.images import load_image
from core.errors import UserError, explain
from core.events import Event, Notice, StageProgress
from core.models import weight_file
from core.text import tr

if TYPE_CHECKING:
    from torch import Tensor

    from core.dataset.fitting import FitPlan
    from core.families.base import Family, Parts
    from core.training.data import Example


class Latents:
    """Latents of all examples, [C, h, w] each in float32 on the CPU; mirrored ones too when asked for."""

    def __init__(self, *, mirrored: bool) -> None:
        self._variants = (False, True) if mirrored else (False,)
        self._tensors: dict[tuple[int, bool], Tensor] = {}

    def get(self, example: int, mirrored: bool) -> Tensor:
        """The latents of one showing."""
        return self._tensors[example, mirrored]

    def mask(self, example: int, plan: FitPlan, mirrored: bool) -> Tensor:
        """[h, w] share of each latent pixel that shows the picture and not what is filled in around it, 0 to 1."""
        height, width = self._tensors[example, mirrored].shape[-2:]
        return content_mask(plan, (width, height), mirrored=mirrored)

    def encode(
        self, examples: Sequence[Example], base: Path, family: Family, parts: Parts, device: torch.device
    ) -> Generator[Event, None, list[Example]]:
        """Fill from the cache, and encode what is missing.

        Args:
            examples: The training set.
            base: The base model's folder; its VAE is part of the cache key.
            family: Knows how to encode.
            parts: Hold the VAE, already on `device`.
            device: Where to encode.

        Returns:
            The examples that could be read, in order; `get` counts along them. The others were told by name.
        """
        cache = DiskCache()
        vae = _model_hash(base, "vae")
        started = time.monotonic()
        usable: list[Example] = []
        for done, example in enumerate(examples, start=1):
            try:
                content = content_hash(example.record.path)
                for mirrored in self._variants:
                    key = key_of("latents", family.name, vae, content, example.plan, mirrored)
                    entry = cache.get(key)
                    if entry is None:
                        pixels = pixels_of(example, mirrored=mirrored)
                        entry = {"latents": family.encode_images(parts, pixels[None].to(device))[0].cpu()}
                        yield from _keep(cache, key, entry)
                    self._tensors[len(usable), mirrored] = entry["latents"]
                usable.append(example)
            except (UserError, OSError) as error:
                # A picture can break off behind its header, or vanish; the run goes on without it.
                known = explain(error)
                yield Notice(level="warning", message=str(known) if known else str(error), image=example.record.path)
            yield StageProgress(stage="cache", done=done, total=len(examples), elapsed_s=time.monotonic() - started)
        return usable


class Embeddings:
    """What the frozen text encoder says about each caption, on the CPU."""

    def __init__(self) -> None:
        self._tensors: dict[str, dict[str, Tensor]] = {}

    def encode(
        self,
        captions: Sequence[str],
        base: Path,
        family: Family,
        parts: Parts,
        clip_skip: int,
        dtype: torch.dtype,
    ) -> Iterator[Event]:
        """Fill from the cache, and encode what is missing, each distinct caption once."""
        cache = DiskCache()
        text_encoder = _model_hash(base, "text_encoder")
        tokenizer = key_of(*(content_hash(file) for file in sorted((base / "tokenizer").iterdir()) if file.is_file()))
        for caption in dict.fromkeys(captions):
            key = key_of("text", family.name, text_encoder, tokenizer, clip_skip, dtype, caption)
            entry = cache.get(key)
            if entry is None:
                with torch.no_grad():
                    embedded = family.encode_captions(parts, [caption], clip_skip)
                entry = {name: tensor[0].cpu() for name, tensor in embedded.items()}
                yield from _keep(cache, key, entry)
            self._tensors[caption] = entry

    def get(self, captions: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """The embeddings of a batch, stacked on the device."""
        entries = [self._tensors[caption] for caption in captions]
        return {name: torch.stack([entry[name] for entry in entries]).to(device) for name in entries[0]}


def pixels_of(example: Example, *, mirrored: bool) -> Tensor:
    """The picture as the VAE sees it: [3, H, W] float32 in [-1, 1].

    Raises:
        UserError: The picture cannot be read.
    """
    import numpy as np
    from PIL import ImageOps

    image = fit_image(load_image(example.record), example.plan)
    if mirrored:
        image = ImageOps.mirror(image)
    array = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def content_mask(plan: FitPlan, size: tuple[int, int], *, mirrored: bool) -> Tensor:
    """[h, w] share of each cell that shows the picture and not what is filled in around it, 0 to 1.

    Args:
        plan: How the picture is shown.
        size: (w, h) cells that the target is divided into.
        mirrored: Whether it is shown mirrored.
    """
    left, top, right, bottom = plan.content_px
    if mirrored:
        left, right = plan.target_px[0] - right, plan.target_px[0] - left
    across = _covered(left / plan.target_px[0], right / plan.target_px[0], size[0])
    along = _covered(top / plan.target_px[1], bottom / plan.target_px[1], size[1])
    return along[:, None] * across[None, :]


def _covered(start: float, end: float, cells: int) -> Tensor:
    """[cells] share of each of equal cells between 0 and 1 that lies between two places."""
    edges = torch.arange(cells + 1, dtype=torch.float32) / cells
    covered = edges[1:].clamp(max=end) - edges[:-1].clamp(min=start)
    return (covered * cells).clamp(0, 1)


def _model_hash(base: Path, part: str) -> str:
    """A hash of one part of a base model: its weights and its configuration."""
    return key_of(content_hash(weight_file(base, part)), content_hash(base / part / "config.json"))


_told_about_cache = False


def _keep(cache: DiskCache, key: str, entry: dict[str, Tensor]) -> Iterator[Event]:
    """Write an entry; a cache that cannot be written costs time in the next run, and is told once."""
    global _told_about_cache
    try:
        cache.put(key, entry)
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
