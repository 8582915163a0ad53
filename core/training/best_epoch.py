"""Which epoch to use: where the held-out pictures were understood best, before the LoRA only moved further away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.events import BestEpoch
from core.text import sentences, tr
from core.training.state import Measure

CLEARLY = 0.01
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


@dataclass(frozen=True, slots=True)
class _Levels:
    """The smoothed losses behind the start of a curve, and by how much a later one has to be lower to be worth it."""

    values: list[float]
    margin: float

    @classmethod
    def of(cls, curve: Sequence[Measure]) -> _Levels:
        # The start is measured once and is no part of what is chosen from; smoothing over it would lift the first one.
        values = smoothed([measure.loss for measure in curve[1:]])
        return cls(values, CLEARLY * max(curve[0].loss - min(values), max(values) - min(values)))

    def are_low(self, places: Iterable[int]) -> list[int]:
        """Those of some places that none of the others clearly beats."""
        among = list(places)
        limit = min((self.values[place] for place in among), default=0.0) + self.margin
        return [place for place in among if self.values[place] <= limit]


def best_index(curve: Sequence[Measure], epochs: Collection[int] | None = None) -> int | None:
    """The place in the curve, behind its start, that later ones do not clearly beat; None when there is no such curve.

    The first low point within a small margin of the lowest: what comes later moves the LoRA further from the base
    model for nothing.

    Args:
        curve: All measurements; the first one before the first step.
        epochs: Those to choose from; None for all that were measured.
    """
    if len(curve) < 3:
        return None
    places = [place for place, measure in enumerate(curve[1:]) if epochs is None or measure.epoch in epochs]
    return next((1 + place for place in _Levels.of(curve).are_low(places)), None)


def has_stopped_improving(curve: Sequence[Measure], patience: int) -> bool:
    """Whether so many measurements in a row were not better than the best one before them."""
    if patience < 1 or len(curve) <= patience:
        return False
    best = min(measure.loss for measure in curve[:-patience])
    return all(measure.loss >= best for measure in curve[-patience:])


def propose(curve: Sequence[Measure], saved: Mapping[int, Saved]) -> BestEpoch | None:
    """The epoch to use, and why, in the user's language.

    It is one that has a file; that another measured better is said only where it clearly did.

    Args:
        curve: All measurements; the first one before the first step.
        saved: The LoRA files that are there, by epoch.

    Returns:
        None when too little was measured to say anything.
    """
    best = best_index(curve)
    if best is None:
        return None
    chosen = best_index(curve, saved)
    if chosen is None:
        return _unmeasured(curve, best, saved)
    epoch = curve[chosen].epoch
    if chosen - 1 in _Levels.of(curve).are_low(range(len(curve) - 1)):
        reason = _reason(curve, best, chosen)
    else:
        other = tr(
            "Epoch {epoch} measured best but has no file; of those that were saved, epoch {near} did.",
            epoch=curve[best].epoch,
            near=epoch,
        )
        reason = sentences(_reason(curve, best, best), other)
    return BestEpoch(epoch=epoch, step=saved[epoch].step, path=saved[epoch].path, reason=reason)


def _unmeasured(curve: Sequence[Measure], best: int, saved: Mapping[int, Saved]) -> BestEpoch:
    """The proposal where no epoch was both measured and saved."""
    reason, epoch = _reason(curve, best, best), curve[best].epoch
    if not saved:
        unsaved = tr("No file of that epoch was saved.")
        return BestEpoch(epoch=epoch, step=curve[best].step, reason=sentences(reason, unsaved))
    # Of two that are as near, the earlier one: it has moved less.
    near = min(saved, key=lambda other: (abs(other - epoch), other))
    nearest = tr(
        "Epoch {epoch} measured best but has no file; epoch {near} is the nearest that was saved.",
        epoch=epoch,
        near=near,
    )
    return BestEpoch(epoch=near, step=saved[near].step, path=saved[near].path, reason=sentences(reason, nearest))


def _reason(curve: Sequence[Measure], best: int, index: int) -> str:
    """Why an epoch that none clearly beats is proposed; `best` is the first of those."""
    start, chosen, last = curve[0], curve[index], curve[-1]
    if chosen.loss >= start.loss:
        return tr(
            "The held-out pictures were never understood better than before training ({start}); epoch {epoch} comes "
            "nearest with {loss}. More or more varied pictures, or a lower learning rate, may help.",
            start=f"{start.loss:.4f}",
            epoch=chosen.epoch,
            loss=f"{chosen.loss:.4f}",
        )
    if curve[best] is last:
        return tr(
            "The loss of the held-out pictures was still falling at the end, from {start} to {loss}: more epochs may "
            "bring more.",
            start=f"{start.loss:.4f}",
            loss=f"{chosen.loss:.4f}",
        )
    if chosen is last:
        return tr(
            "The loss of the held-out pictures fell from {start} to {loss}, and hardly any more after epoch {epoch}.",
            start=f"{start.loss:.4f}",
            loss=f"{chosen.loss:.4f}",
            epoch=curve[best].epoch,
        )
    if last.drift > chosen.drift > 0:
        return tr(
            "The loss of the held-out pictures fell from {start} to {loss} by epoch {epoch}. Later epochs are not "
            "clearly better, but move the LoRA {percent} % further from the base model.",
            start=f"{start.loss:.4f}",
            loss=f"{chosen.loss:.4f}",
            epoch=chosen.epoch,
            percent=round(100 * (last.drift / chosen.drift - 1)),
        )
    return tr(
        "The loss of the held-out pictures fell from {start} to {loss} by epoch {epoch}; later epochs are not "
        "clearly better.",
        start=f"{start.loss:.4f}",
        loss=f"{chosen.loss:.4f}",
        epoch=chosen.epoch,
    )
