"""The sum and the time of a run, in words."""

from __future__ import annotations

from app.speed import Duration
from app.wording import duration_text
from core.config import TrainConfig
from core.quick import RunLength
from core.text import tr


def is_exact(config: TrainConfig, length: RunLength) -> bool:
    """Whether all batches are full, so that the sum is right to the last step."""
    return length.num_shown * length.epochs == length.total_steps * _batch(config)


def why_rounded(config: TrainConfig, length: RunLength) -> str:
    """Why the result is only about right."""
    if length.total_steps < length.steps_per_epoch * config.training.epochs:
        return tr("The limit of steps ends the run earlier.")
    return tr("Rounded, because in each epoch the last batch is filled up.")


def _batch(config: TrainConfig) -> int:
    return config.training.batch_size * config.training.gradient_accumulation


def sum_text(config: TrainConfig, length: RunLength) -> str:
    """The sum from pictures to steps. Where parts do not divide evenly the result is rounded up, and so marked."""
    parts = []
    if length.num_images and length.num_shown % length.num_images == 0:
        repeats = length.num_shown // length.num_images
        pictures = length.num_images
        parts.append(tr("1 picture") if pictures == 1 else tr("{number} pictures", number=pictures))
        parts.append(tr("1 repeat") if repeats == 1 else tr("{number} repeats", number=repeats))
    else:
        parts.append(tr("{number} pictures with repeats", number=length.num_shown))
    parts.append(tr("1 epoch") if length.epochs == 1 else tr("{number} epochs", number=length.epochs))
    return tr(
        "{product} ÷ batch {batch} {equals} {steps} steps",
        product=" × ".join(parts),
        batch=_batch(config),
        equals="=" if is_exact(config, length) else "≈",
        steps=length.total_steps,
    )


def held_out_text(number: int) -> str:
    """How many pictures are not in the sum."""
    return tr("1 more is held out.") if number == 1 else tr("{number} more are held out.", number=number)


def time_text(duration: Duration | float | None) -> str:
    """How long that takes, as far as it is known."""
    if duration is None:
        return tr("How long that takes is known after the first steps on this machine.")
    if isinstance(duration, Duration) and duration.is_scaled:
        time = duration_text(duration.seconds)
        return tr("About {time} on this machine, worked out from a run with other settings.", time=time)
    seconds = duration.seconds if isinstance(duration, Duration) else duration
    return tr("About {time} on this machine, going by the last run.", time=duration_text(seconds))
