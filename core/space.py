"""Disk space: what a run will need, what is there, and a look now and then while it goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.events import Notice
from core.text import tr

if TYPE_CHECKING:
    from core.config.model import TrainConfig

LOW_BYTES = 200_000_000
LOOK_EVERY_S = 20.0
RESERVE_BYTES = 50_000_000
"""Left over for the log, the events, and what other programs write meanwhile."""

_FILE_VALUE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
_PREVIEW_BYTES_PER_PIXEL = 2.0  # A PNG of a painting or a photograph has 1.2 to 2.


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


def check_space(config: TrainConfig, num_steps_per_epoch: int, lora_bytes: int, *, from_step: int = 0) -> None:
    """Make sure before the start that a run has room for all it writes into its output folder.

    The cache of encoded pictures is not counted: most of it is often there already, and a run goes on without it.

    Args:
        config: The settings of the run.
        num_steps_per_epoch: Optimizer steps of one epoch.
        lora_bytes: Size of the LoRA file in the precision of `config.output.precision`.
        from_step: The step that the run goes on from.

    Raises:
        UserError: The disk is too full; says how much is needed.
        OSError: The disk does not answer.
    """
    folder = config.output.folder
    num_bytes = needed_bytes(config, num_steps_per_epoch, lora_bytes, from_step=from_step) + RESERVE_BYTES
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
