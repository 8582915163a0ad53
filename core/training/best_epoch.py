"""Which epoch to use: where the held-out pictures were understood best, before the LoRA only moved further away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.events import BestEpoch
from core.text import tr
from core.training.state import Measure

CLEARLY = 0.05
"""A later measurement has to be better by this share of the whole fall to be worth the longer way."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A LoRA file that is there, and the step that it was saved after."""

    path: Path
    step: int


def smoothed(losses: Sequence[float]) -> list[float]:
    """Each value together with its neighbours, itself counting half; the ends with their one neighbour."""
    found = []
    for index, loss in enumerate(losses):
        around = [losses[other] for other in (index - 1, index + 1) if 0 <= other < len(losses)]
        found.append((2 * loss + sum(around)) / (2 + len(around)))
    return found


def best_index(curve: Sequence[Measure]) -> int | None:
    """The place in the curve, behind its start, that later ones do not clearly beat; None when there is no such curve.

    The first low point within a small margin of the lowest: what comes later moves the LoRA further from the base
    model for nothing.
    """
    if len(curve) < 3:
        return None
    # The start is measured once and is no part of what is chosen from; smoothing over it would lift the first epoch.
    levels = smoothed([measure.loss for measure in curve[1:]])
    fall = max(curve[0].loss - min(levels), max(levels) - min(levels))
    limit = min(levels) + CLEARLY * fall
    return 1 + next(index for index, level in enumerate(levels) if level <= limit)


def has_stopped_improving(curve: Sequence[Measure], patience: int) -> bool:
    """Whether so many measurements in a row were not better than the best one before them."""
    if patience < 1 or len(curve) <= patience:
        return False
    best = min(measure.loss for measure in curve[:-patience])
    return all(measure.loss >= best for measure in curve[-patience:])


def propose(curve: Sequence[Measure], saved: Mapping[int, Saved]) -> BestEpoch | None:
    """The epoch to use, and why, in the user's language.

    Args:
        curve: All measurements; the first one before the first step.
        saved: The LoRA files that are there, by epoch.

    Returns:
        None when too little was measured to say anything.
    """
    index = best_index(curve)
    if index is None:
        return None
    start, best, last = curve[0], curve[index], curve[-1]
    if best.loss >= start.loss:
        reason = tr(
            "The held-out pictures were never understood better than before training ({start}); epoch {epoch} comes "
            "nearest with {loss}. More or more varied pictures, or a lower learning rate, may help.",
            start=f"{start.loss:.4f}",
            epoch=best.epoch,
            loss=f"{best.loss:.4f}",
        )
    elif best is last:
        reason = tr(
            "The loss of the held-out pictures was still falling at the end, from {start} to {loss}: more epochs may "
            "bring more.",
            start=f"{start.loss:.4f}",
            loss=f"{best.loss:.4f}",
        )
    elif last.drift > best.drift > 0:
        reason = tr(
            "The loss of the held-out pictures fell from {start} to {loss} by epoch {epoch}. Later epochs are not "
            "clearly better, but move the LoRA {percent} % further from the base model.",
            start=f"{start.loss:.4f}",
            loss=f"{best.loss:.4f}",
            epoch=best.epoch,
            percent=round(100 * (last.drift / best.drift - 1)),
        )
    else:
        reason = tr(
            "The loss of the held-out pictures fell from {start} to {loss} by epoch {epoch}; later epochs are not "
            "clearly better.",
            start=f"{start.loss:.4f}",
            loss=f"{best.loss:.4f}",
            epoch=best.epoch,
        )
    if best.epoch in saved:
        file = saved[best.epoch]
        return BestEpoch(epoch=best.epoch, step=file.step, path=file.path, reason=reason)
    if not saved:
        unsaved = tr("No file of that epoch was saved.")
        return BestEpoch(epoch=best.epoch, step=best.step, reason=f"{reason} {unsaved}")
    # Of two that are as near, the earlier one: it has moved less.
    near = min(saved, key=lambda epoch: (abs(epoch - best.epoch), epoch))
    nearest = tr(
        "Epoch {epoch} measured best but has no file; epoch {near} is the nearest that was saved.",
        epoch=best.epoch,
        near=near,
    )
    return BestEpoch(epoch=near, step=saved[near].step, path=saved[near].path, reason=f"{reason} {nearest}")
