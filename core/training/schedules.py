"""The course of the learning rate: pure functions of the step, so that a resumed run needs no memory of it."""

from __future__ import annotations

import math

from core.config.model import ScheduleConfig

_INVERSE_SQRT_STEPS = 10_000
"""Where the inverse square root counts from when there is no warm-up to tell."""


def rate_factor(step: int, total_steps: int, config: ScheduleConfig, *, falls: bool = True) -> float:
    """The factor on the base learning rate for one step.

    Args:
        step: Steps done before this one: 0 for the first step.
        total_steps: Length of the run.
        config: Which schedule; `warmup_steps` is ignored by `constant`.
        falls: Whether the rate falls at all after the warm-up. Schedule-free optimizers average in its place.

    Returns:
        A factor between 0 and 1; after the warm-up never below `min_factor`.
    """
    if config.name == "constant":
        return 1.0
    warmup = min(config.warmup_steps, total_steps)
    if step < warmup:
        # The first step already learns: a rate of exactly zero would waste it.
        return (step + 1) / (warmup + 1)
    if config.name == "constant_with_warmup" or not falls:
        return 1.0
    return config.min_factor + (1 - config.min_factor) * _course(step - warmup, total_steps - warmup, warmup, config)


def _course(step: int, total_steps: int, warmup: int, config: ScheduleConfig) -> float:
    """The factor so many steps after the warm-up, from 1 down to 0 at the end."""
    progress = min(1.0, step / max(1, total_steps))
    if config.name == "linear":
        return 1.0 - progress
    if config.name == "polynomial":
        return float((1.0 - progress) ** config.power)
    if config.name == "rex":  # Chen et al. 2021, arXiv:2107.04197
        return (1.0 - progress) / (1.0 - progress / 2)
    if config.name == "inverse_sqrt":
        scale = warmup or _INVERSE_SQRT_STEPS
        return math.sqrt(scale / (scale + step))
    if config.name == "warmup_stable_decay":
        decay = min(config.decay_steps or -(-total_steps // 5), total_steps)
        return _half_wave(max(0, step - (total_steps - decay)) / max(1, decay))
    cycles = config.cycles if config.name == "cosine_with_restarts" else 1
    return _half_wave((progress * cycles) % 1.0 if progress < 1.0 else 1.0)


def _half_wave(place: float) -> float:
    """From 1 at 0 down to 0 at 1, along half a cosine wave."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, place)))
