"""How fast this machine trains: remembered from the last run, to say beforehand how long the next one takes."""

from __future__ import annotations

from app.settings import Settings
from core.config import TrainConfig

_BASE, _WORK, _SECONDS = "speed/base", "speed/work", "speed/step_s"


def remember_speed(settings: Settings, config: TrainConfig, seconds_per_step: float) -> None:
    """Keep the measured time of a step."""
    settings.set_value(_BASE, str(config.model.base))
    settings.set_value(_WORK, _work(config))
    settings.set_value(_SECONDS, seconds_per_step)


def remembered_duration_s(settings: Settings, config: TrainConfig, steps: int) -> float | None:
    """Seconds that so many steps should take, or None when this base model was not trained here last."""
    if settings.value(_BASE, "") != str(config.model.base):
        return None
    work = settings.value(_WORK, 0.0)
    seconds = settings.value(_SECONDS, 0.0)
    return steps * seconds * _work(config) / work if work > 0 and seconds > 0 else None


def _work(config: TrainConfig) -> float:
    """Pixels of a step; checkpointing computes a third more. Times of one base model go with it closely enough."""
    training = config.training
    pixels = config.dataset.resolution**2 * training.batch_size * training.gradient_accumulation
    return float(pixels) * (4 / 3 if training.gradient_checkpointing else 1)
