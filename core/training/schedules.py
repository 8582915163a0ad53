"""The course of the learning rate: pure functions of the step, so that a resumed run needs no memory of it."""

from __future__ import annotations

import math

from core.config.model import ScheduleConfig


def rate_factor(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """The factor on the base learning rate for one step.

    Args:
        step: Steps done before this one: 0 for the first step.
        total_steps: Length of the run.
        config: Which schedule; `warmup_steps` is ignored by `constant`.

    Returns:
        A factor between 0 and 1.
    """
    if config.name == "constant":
        return 1.0
    warmup = min(config.warmup_steps, total_steps)
    if step < warmup:
        # The first step already learns: a rate of exactly zero would waste it.
        return (step + 1) / (warmup + 1)
    if config.name == "constant_with_warmup":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    if config.name == "linear":
        return max(0.0, 1.0 - progress)
    if config.name == "polynomial":
        return float(max(0.0, 1.0 - progress) ** config.power)
    cycles = config.cycles if config.name == "cosine_with_restarts" else 1
    within = (progress * cycles) % 1.0 if progress < 1.0 else 1.0
    return 0.5 * (1.0 + math.cos(math.pi * within))
