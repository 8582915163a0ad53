"""What keeps a run going: less memory when it runs out, back to good numbers when they go wrong, a word when it crawls.

Nothing here touches events or files; `core.training.course` does, with what this decides.
"""

from __future__ import annotations

import dataclasses
import gc
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.config.fields import with_values
from core.errors import UserError
from core.events import Notice
from core.text import tr
from core.training.state import Learned

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from core.config.model import TrainConfig
    from core.machine import Card

Changes = tuple[tuple[str, str], ...]
"""(`section.name`, new value as text) of what a run does from now on."""

_MEMORY_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "cudaerrormemoryallocation",
)
LEAST_RESOLUTION_PX = 256

SLOWER = 0.5
"""Factor on the learning rate after numbers went wrong for the first time; the second time ends the run."""

SICK_STEPS = 10
"""Weights of so few steps before the first wrong number are likely on their way to it; an older state is safer."""

LOSSES_KEPT = 50
LEAST_LOSSES = 20
EXPLODING_TIMES = 10.0
EXPLODING_STEPS = 5
"""This many steps in a row whose loss is so many times that of nearly all before."""

STEPS_TIMED = 20
SLOW_TIMES = 4.0
SLOW_STEPS = 5
FULL_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a step did not work out. `saving` is what to try when it was memory; `from_step` the first bad step."""

    cause: Literal["memory", "not_a_number", "exploding"]
    from_step: int
    saving: Learned | None = None
    error: UserError | None = None


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that memory was not enough: the card's or the machine's, in the words of any library."""
    if isinstance(error, UserError):
        return False
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _MEMORY_WORDS)


def free_memory() -> None:
    """Give back what is not used any more. Call it after the error is let go of: it holds on to what it interrupted."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def next_saving(learned: Learned, batch_size: int, *, frozen_text_encoder_on_card: bool) -> Learned | None:
    """The next way to do the same step with less memory, or None when there is none left.

    Args:
        learned: What is done already.
        batch_size: Pictures in a micro-batch of one device; they can be computed one after the other.
        frozen_text_encoder_on_card: Whether a text encoder that is not trained takes up room there.
    """
    if frozen_text_encoder_on_card and not learned.text_on_cpu:
        return dataclasses.replace(learned, text_on_cpu=True)
    if not learned.checkpointing:
        return dataclasses.replace(learned, checkpointing=True)
    if learned.chunks < batch_size:
        return dataclasses.replace(learned, chunks=min(2 * learned.chunks, batch_size))
    return None


def saving_told(before: Learned, after: Learned, config: TrainConfig, step: int) -> tuple[Changes, str]:
    """What a saving changes: as options with their new values, and as a sentence."""
    training = config.training
    if after.text_on_cpu and not before.text_on_cpu:
        return (), tr(
            "The memory was not enough in step {step}. Kiln goes on with the text encoder in main memory; the result "
            "stays the same.",
            step=step,
        )
    if after.checkpointing and not before.checkpointing:
        return (("training.gradient_checkpointing", "true"),), tr(
            "The memory was not enough in step {step}. Kiln goes on with gradient checkpointing, which takes about a "
            "third longer; the result stays the same.",
            step=step,
        )
    size = -(-training.batch_size // after.chunks)
    changes = (
        ("training.batch_size", str(size)),
        ("training.gradient_accumulation", str(training.gradient_accumulation * after.chunks)),
    )
    return changes, tr(
        "The memory was not enough in step {step}. Kiln goes on with {size} pictures at a time instead of "
        "{batch_size}, and as many in each step as before; the result stays the same.",
        step=step,
        size=size,
        batch_size=training.batch_size,
    )


def in_parts(config: TrainConfig, settings: Mapping[str, Mapping[str, Any]]) -> tuple[TrainConfig, int]:
    """Take a wish for smaller batches, as many more of which make a step, as one to compute the same ones in parts.

    Args:
        config: The settings that a run is to go on with.
        settings: Those of its state.

    Returns:
        The settings with the batches of the state, and the parts of each; unchanged and 1 for any other wish.
    """
    now, before = config.training, settings.get("training", {})
    size, accumulation = int(before.get("batch_size", 1)), int(before.get("gradient_accumulation", 1))
    if now.batch_size >= size or now.batch_size * now.gradient_accumulation != size * accumulation:
        return config, 1
    kept = with_values(config, {"training.batch_size": size, "training.gradient_accumulation": accumulation})
    return kept, -(-size // now.batch_size)


def no_memory_left(config: TrainConfig, *, adapted: bool = True) -> UserError:
    """The end of all savings: only smaller pictures would help, and that is for the user to decide.

    Args:
        config: The settings of the run.
        adapted: Whether savings were tried at all; else they are what to try.
    """
    if not adapted:
        return UserError(
            "The memory is not enough for these settings.",
            remedy="Let Kiln save memory by itself, turn gradient checkpointing on, or lower the resolution. Then "
            "continue the run.",
            failure="out_of_memory",
        )
    now = config.dataset.resolution
    lower = max(LEAST_RESOLUTION_PX, round(now * 0.75 / 64) * 64)
    if lower >= now:
        return UserError(
            "The memory is not enough to train on this device, even with every way to save it.",
            remedy="Close other programs and continue the run, or train on another device.",
            failure="out_of_memory",
        )
    return UserError(
        "The memory is not enough to train at {resolution} px, even with every way to save it.",
        remedy="Close other programs and continue the run, or let it go on at {lower} px.",
        failure="out_of_memory",
        resolution=now,
        lower=lower,
    )


def exploded_again(step: int) -> UserError:
    """The end of a run whose loss left its range a second time; `step`, from 1, is the first of those."""
    return UserError(
        "The loss grew far beyond what is usual from step {step} on, a second time.",
        remedy="Start a new run with a lower learning rate; what was saved before is still good.",
        failure="not_a_number",
        step=step,
    )


def slower_told(cause: str, from_step: int, position: int, config: TrainConfig) -> tuple[Changes, str]:
    """What half the learning rate changes: as options with their new values, and as a sentence.

    Args:
        cause: `not_a_number` or `exploding`.
        from_step: The first bad step, from 0.
        position: The steps that stay done.
        config: The settings of the run.
    """
    rates = (
        ("optimizer.learning_rate", config.optimizer.learning_rate),
        ("optimizer.text_encoder_learning_rate", config.optimizer.text_encoder_learning_rate),
    )
    if cause == "not_a_number":
        message = tr(
            "The loss was no longer a number in step {step}. Kiln went back to step {position} and goes on with half "
            "the learning rate.",
            step=from_step + 1,
            position=position,
        )
    else:
        message = tr(
            "The loss grew far beyond what is usual from step {step} on. Kiln went back to step {position} and goes on "
            "with half the learning rate.",
            step=from_step + 1,
            position=position,
        )
    return tuple((key, f"{rate * SLOWER:g}") for key, rate in rates if rate > 0), message


class UpdateWatch:
    """Knows whether an update of the weights was begun and not finished, so that they are neither old nor new."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.is_torn = False
        optimizer.register_step_pre_hook(self._begin)

    def _begin(self, *_: Any) -> None:
        self.is_torn = True

    def finished(self) -> None:
        """The step is done in full."""
        self.is_torn = False


def scale_rates(optimizer: Optimizer, scale: float) -> None:
    """Multiply the full learning rate of every group, from which schedules start; a second call replaces the first."""
    for group in optimizer.param_groups:
        group.setdefault("unscaled_rate", group["base_rate"])
        group["base_rate"] = group["unscaled_rate"] * scale


class LossWatch:
    """Notices a loss that leaves its usual range for good."""

    def __init__(self, recent: Iterable[float] = ()) -> None:
        self.recent: deque[float] = deque(recent, maxlen=LOSSES_KEPT)

    def is_exploding(self, loss: float) -> bool:
        """Take up the loss of a step; True when the last few are all far above the usual one."""
        self.recent.append(loss)
        if len(self.recent) < LEAST_LOSSES:
            return False
        losses = list(self.recent)
        before, latest = sorted(losses[:-EXPLODING_STEPS]), losses[-EXPLODING_STEPS:]
        # Not the middle one: where most batches are regularization of little weight, it says nothing of the others.
        usual = before[int(0.9 * len(before))]
        return usual > 0 and all(late > EXPLODING_TIMES * usual for late in latest)


class SlownessWatch:
    """Notices steps that are suddenly many times slower while the card's memory is full, and says so once.

    Drivers then keep a part of the data in main memory instead of failing; every step waits for it.
    """

    def __init__(self, cards: Callable[[], Sequence[Card]]) -> None:
        self._cards = cards
        self._usual: deque[float] = deque(maxlen=STEPS_TIMED)
        self._num_slow = 0
        self._told = False

    def step(self, seconds: float) -> Notice | None:
        """Take up the time of a step; a notice when there is something to say."""
        if self._told:
            return None
        if len(self._usual) < STEPS_TIMED // 2:
            self._usual.append(seconds)
            return None
        usual = statistics.median(self._usual)
        if seconds < SLOW_TIMES * usual:
            self._num_slow = 0
            self._usual.append(seconds)
            return None
        self._num_slow += 1
        if self._num_slow < SLOW_STEPS:
            return None
        self._num_slow = 0  # Asked again only after as many slow steps: a card that is not full is slow for others.
        full = [card for card in self._cards() if _is_full(card)]
        if not full:
            return None
        self._told = True
        return Notice(
            level="warning",
            message=tr(
                "Steps take {times} times as long as before, and the memory of {card} is full: its driver seems to "
                "keep a part in main memory. Close other programs that use the card, or pause and continue with "
                "gradient checkpointing or a smaller batch.",
                times=round(seconds / usual),
                card=full[0].name,
            ),
        )


def _is_full(card: Card) -> bool:
    return bool(card.total_bytes and card.used_bytes and card.used_bytes >= FULL_SHARE * card.total_bytes)
