"""How fast this machine trains: remembered from earlier runs, to say beforehand how long the next one takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from app.settings import Settings
from core.config import TrainConfig

_KNOWN = "speed/known"
_MOST = 24
_SAME = 0.02
"""Works that differ by less than this are the same: the time needs no scaling."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds that a run should take. `is_scaled` says that they come from a run of another size."""

    seconds: float
    is_scaled: bool


def remember_speed(settings: Settings, config: TrainConfig, seconds_per_step: float) -> None:
    """Keep the measured time of a step; a newer one of the same work replaces the older."""
    if not seconds_per_step > 0:
        return
    kind, work = _kind(config), _work(config)
    kept = [old for old in _known(settings) if old["kind"] != kind or not _alike(old["work"], work)]
    newest = {"kind": kind, "work": work, "step_s": seconds_per_step}
    settings.set_value(_KNOWN, json.dumps([newest, *kept][:_MOST]))


def remembered_duration(settings: Settings, config: TrainConfig, steps: int) -> Duration | None:
    """The time of so many steps, or None when this base model was never trained here in this way.

    The run whose work was nearest counts, the latest of equals.
    """
    kind, work = _kind(config), _work(config)
    fitting = [entry for entry in _known(settings) if entry["kind"] == kind]
    if not fitting:
        return None
    nearest = min(fitting, key=lambda entry: max(entry["work"] / work, work / entry["work"]))
    seconds = steps * nearest["step_s"] * work / nearest["work"]
    return Duration(seconds, is_scaled=not _alike(nearest["work"], work))


def _known(settings: Settings) -> list[dict[str, Any]]:
    """What is remembered, the newest first; what is damaged is forgotten."""
    try:
        entries = json.loads(settings.value(_KNOWN, "[]"))
        return [
            {"kind": str(entry["kind"]), "work": float(entry["work"]), "step_s": float(entry["step_s"])}
            for entry in entries
            if float(entry["work"]) > 0 and float(entry["step_s"]) > 0
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _kind(config: TrainConfig) -> str:
    """What times can be compared within: one base model and kind of network, on one device, computed in one way."""
    training, network = config.training, config.network
    words = [str(config.model.base), training.device, training.precision]
    words += [training.base_weights] if training.base_weights != "full" else []
    words += ["compile"] if training.compile else []
    words += [network.kind] if network.kind != "lora" else []
    words += ["dora"] if network.dora else []
    return "|".join(words)


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * max(one, other)


def _work(config: TrainConfig) -> float:
    """Pixels of a step; checkpointing computes a third more. Times of one base model go with it closely enough."""
    training = config.training
    pixels = config.dataset.resolution**2 * training.batch_size * training.gradient_accumulation
    return float(pixels) * (4 / 3 if training.gradient_checkpointing else 1)
