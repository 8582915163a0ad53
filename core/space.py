"""Disk space: what a run will need, what is there, and a look now and then while it goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.events import Notice
from core.paths import user_data_folder
from core.text import tr

if TYPE_CHECKING:
    from core.config.model import TrainConfig

LOW_BYTES = 200_000_000
LOOK_EVERY_S = 20.0
RESERVE_BYTES = 50_000_000
"""Left over for the log, the events, and what other programs write meanwhile."""

_FILE_VALUE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
_PREVIEW_BYTES_PER_PIXEL = 2.0  # A PNG of a painting or a photograph has 1.2 to 2.
_CACHE_BYTES_PER_PICTURE_PIXEL = 0.3  # Four channels of float32 for 64 pixels, and their file's head.
_CACHE_BYTES_PER_CAPTION = 300_000  # 77 tokens of 768 numbers in float32, and a pooled one.


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write on the disk of a folder, which need not exist yet.

    Raises:
        OSError: The disk does not answer.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def needed_bytes(config: TrainConfig, num_steps_per_epoch: int, lora_bytes: int, *, from_step: int = 0) -> int:
    """Bytes that the rest of a run writes into its output folder: LoRA files, states and previews. Rather too many.

    Args:
        config: The settings of the run.
        num_steps_per_epoch: Optimizer steps of one epoch.
        lora_bytes: Size of the LoRA file in the precision of `config.output.precision`.
        from_step: The step that the run goes on from. Its rolling states are there already and get replaced.
    """
    output, sampling = config.output, config.sampling
    num_steps = num_steps_per_epoch * config.training.epochs
    if config.training.max_steps:
        num_steps = min(num_steps, config.training.max_steps)

    def times(every: int) -> int:
        return num_steps // every - min(from_step, num_steps) // every if every else 0

    num_saved_epochs = times(output.save_every_n_epochs * num_steps_per_epoch)
    num_saves = num_saved_epochs + times(output.save_every_n_steps)
    if output.keep_last:
        num_saves = min(num_saves, output.keep_last)
    weights_bytes = lora_bytes * 4 // _FILE_VALUE_BYTES[output.precision]
    # The weights, two moments of the optimizer, and the averaged weights where there are such.
    state_bytes = weights_bytes * (4 if config.optimizer.ema_decay else 3)
    # While a state is written, the one that it replaces is still there.
    num_states = min(output.epoch_states, num_saved_epochs) + (1 if from_step else output.keep_states + 1)
    num_previews = 1 + int(sampling.at_start and not from_step)
    num_previews += times(sampling.every_n_epochs * num_steps_per_epoch) + times(sampling.every_n_steps)
    preview_bytes = int(sampling.width * sampling.height * _PREVIEW_BYTES_PER_PIXEL) * len(sampling.prompts)
    return (num_saves + 1) * lora_bytes + num_states * state_bytes + num_previews * preview_bytes


def cache_bytes(config: TrainConfig, num_pictures: int) -> int:
    """Bytes that the latents and text embeddings of so many pictures take in the cache, if none are there yet."""
    num_mirrored = 2 if config.dataset.flip else 1
    latents = int(config.dataset.resolution**2 * _CACHE_BYTES_PER_PICTURE_PIXEL) * num_mirrored
    captions = 0 if config.network.train_text_encoder else _CACHE_BYTES_PER_CAPTION
    return num_pictures * (latents + captions)


def check_space(
    config: TrainConfig, num_steps_per_epoch: int, lora_bytes: int, *, num_pictures: int = 0, from_step: int = 0
) -> None:
    """Make sure before the start that a run has room for all it writes.

    Args:
        config: The settings of the run.
        num_steps_per_epoch: Optimizer steps of one epoch.
        lora_bytes: Size of the LoRA file in the precision of `config.output.precision`.
        num_pictures: Pictures whose latents and captions may have to be cached.
        from_step: The step that the run goes on from.

    Raises:
        UserError: Some disk is too full; says which folder needs how much.
        OSError: A disk does not answer.
    """
    output, cache = config.output.folder, user_data_folder()
    needed = {output: needed_bytes(config, num_steps_per_epoch, lora_bytes, from_step=from_step) + RESERVE_BYTES}
    cached = cache_bytes(config, num_pictures)
    if cached and _disk_of(cache) == _disk_of(output):
        needed[output] += cached
    elif cached:
        needed[cache] = cached + RESERVE_BYTES
    for folder, num_bytes in needed.items():
        free = free_bytes(folder)
        if free < num_bytes:
            raise UserError(
                "The disk is too full for this run: it needs about {needed} MB in {folder}, and {free} MB are free.",
                remedy="Free some space, choose another output folder, or keep fewer states and LoRA files.",
                failure="disk_full",
                needed=f"{num_bytes / 1e6:,.0f}",
                free=f"{free / 1e6:,.0f}",
                folder=folder,
            )


class SpaceWatch:
    """Looks at the disks of a run now and then; cheap enough to be asked after every step."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(folders)
        self._next_look = 0.0

    def look(self) -> Notice | None:
        """A warning when a disk is nearly full, once for each folder; else None."""
        if not self._folders or time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_EVERY_S
        for folder in self._folders:
            try:
                free = free_bytes(folder)
            except OSError:  # A drive that is away for a moment; writing there will tell.
                continue
            if free < LOW_BYTES:
                self._folders.remove(folder)
                return Notice(
                    level="warning",
                    message=tr(
                        "The disk of {folder} is nearly full: {free} MB are left. Free some space, or the run will "
                        "have to stop.",
                        folder=folder,
                        free=f"{free / 1e6:,.0f}",
                    ),
                )
        return None


def _disk_of(folder: Path) -> int:
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.stat().st_dev
