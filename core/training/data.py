"""What the trainer shows in which step: a pure function of pictures, settings, seed and step."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.config.model import DatasetConfig
from core.dataset.fitting import FitOptions, FitPlan, plans_of
from core.dataset.geometry import Box
from core.dataset.records import ImageRecord, Scan
from core.dataset.statistics import repeats_per_epoch
from core.training.captions import caption_now, caption_text, full_caption

JITTER = 0.1
"""How far brightness, contrast and colour of a showing may be from those of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One picture, or one crop of it, as it is trained: shown `repeats` times per epoch, its loss times `weight`.

    `caption` is what it is shown with where chance has no part; `written` what was written for it, with the lines and
    marks that chance goes by, where that is something else.
    """

    record: ImageRecord
    plan: FitPlan
    repeats: int
    caption: str
    weight: float = 1.0
    written: str | None = None

    @property
    def text(self) -> str:
        """What captions of showings are made from."""
        return self.caption if self.written is None else self.written

    @property
    def size_px(self) -> tuple[int, int]:
        """The size it is trained at."""
        return self.plan.target_px


@dataclass(frozen=True, slots=True)
class Shown:
    """One showing of an example in a batch: which, whether mirrored, and the caption of this time.

    `place` is where a crop is cut in what there is, (across, along) from 0 to 1; None for where its plan says.
    `colours` are factors on brightness, contrast and colour; None leaves them.
    """

    example: int
    mirrored: bool
    caption: str
    place: tuple[float, float] | None = None
    colours: tuple[float, float, float] | None = None


def examples_of(
    scan: Scan, config: DatasetConfig, subjects: Mapping[Path, Box | None] | None = None, *, prior_weight: float = 1.0
) -> list[Example]:
    """All pictures that are not left out, as training examples.

    Args:
        scan: The pictures and what was decided about them.
        config: How they are shown.
        subjects: What smart crops keep whole. Without it they are made from the middle; their sizes are the same.
        prior_weight: Weight of the pictures of regularization folders.
    """
    options = FitOptions.of(config)
    subjects = subjects or {}
    used = [(record, edits) for record in scan.records if not (edits := scan.edits(record.path)).excluded]
    repeats = repeats_per_epoch(used, config.repeats)
    return [
        Example(
            record=record,
            plan=plan,
            repeats=number,
            caption=full_caption(record, config),
            written=caption_text(record, config),
            weight=prior_weight if record.is_regularization else 1.0,
        )
        for (record, edits), number in zip(used, repeats, strict=True)
        for plan in plans_of(record.size_px, options, edits, subjects.get(record.path))
    ]


@dataclass(frozen=True, slots=True)
class Plan:
    """The batches of a run.

    Every batch holds pictures of one size. A bucket's last batch is filled up from the bucket itself, so that all
    batches are full and a run on n devices sees what a run with n times the batch sees.
    """

    examples: list[Example]
    batch_size: int
    accumulation: int
    seed: int
    steps_per_epoch: int = field(init=False)
    """Optimizer steps in an epoch."""

    def __post_init__(self) -> None:
        shown: Counter[tuple[int, int]] = Counter()
        for example in self.examples:
            shown[example.size_px] += example.repeats
        batches = sum(-(-number // self.batch_size) for number in shown.values())
        object.__setattr__(self, "steps_per_epoch", -(-batches // self.accumulation))

    def batches(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch (from 0) as indices of examples, in an order of its own."""
        order = random.Random(f"{self.seed}/{epoch}")
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, example in enumerate(self.examples):
            buckets.setdefault(example.size_px, []).extend([index] * example.repeats)
        found: list[list[int]] = []
        for size in sorted(buckets):
            shown = buckets[size]
            order.shuffle(shown)
            missing = -len(shown) % self.batch_size
            shown += [shown[position % len(shown)] for position in range(missing)]
            found += [shown[start : start + self.batch_size] for start in range(0, len(shown), self.batch_size)]
        order.shuffle(found)
        return found

    def num_steps(self, epochs: int, max_steps: int) -> int:
        """Length of a run of so many epochs, cut off at `max_steps` unless that is 0."""
        steps = self.steps_per_epoch * epochs
        return min(steps, max_steps) if max_steps else steps

    def steps(self, first_step: int) -> Iterator[tuple[int, int, list[list[int]]]]:
        """From `first_step` (0 for a new run) on without end: (step, epoch from 0, micro-batches of the step)."""
        per_epoch = self.steps_per_epoch
        epoch = first_step // per_epoch
        skip = first_step % per_epoch
        step = first_step
        while True:
            batches = self.batches(epoch)
            for index in range(skip, per_epoch):
                yield step, epoch, batches[index * self.accumulation : (index + 1) * self.accumulation]
                step += 1
            skip = 0
            epoch += 1

    def fingerprint(self) -> str:
        """A hash of what is shown in which order: names, sizes, repeats and captions."""
        digest = hashlib.sha256()
        for example in self.examples:
            line = (example.record.path.name, example.plan, example.repeats, example.caption, example.weight)
            digest.update(repr(line).encode())
        return digest.hexdigest()[:16]


def show(plan: Plan, config: DatasetConfig, step: int, micro_batch: int, indices: list[int]) -> list[Shown]:
    """How the pictures of a micro-batch are shown this time: mirrored, cut and coloured or not, and their captions."""
    chance = random.Random(f"{plan.seed}/{step}/{micro_batch}")
    epoch = step // plan.steps_per_epoch
    return [_shown(plan.examples[index], index, config, chance, step, epoch) for index in indices]


def _shown(example: Example, index: int, config: DatasetConfig, chance: random.Random, step: int, epoch: int) -> Shown:
    mirrored = config.flip and chance.random() < 0.5
    caption = caption_now(example, config, chance, step, epoch)
    moves = config.random_crop and config.fit != "smart"  # A smart crop is where it is to keep its subject whole.
    place = (chance.random(), chance.random()) if moves else None
    colours = (_factor(chance), _factor(chance), _factor(chance)) if config.colour_jitter else None
    return Shown(index, mirrored, caption, place, colours)


def _factor(chance: random.Random) -> float:
    return chance.uniform(1 - JITTER, 1 + JITTER)
