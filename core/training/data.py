"""What the trainer shows in which step: a pure function of pictures, settings, seed and step."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config.model import DatasetConfig
from core.dataset.captions import join_tags, split_tags, tag_key
from core.dataset.fitting import FitOptions, FitPlan, plans_of
from core.dataset.geometry import Box
from core.dataset.records import ImageRecord, Scan
from core.dataset.statistics import repeats_per_epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One picture, or one crop of it, as it is trained: shown `repeats` times per epoch, its loss times `weight`."""

    record: ImageRecord
    plan: FitPlan
    repeats: int
    caption: str
    weight: float = 1.0

    @property
    def size_px(self) -> tuple[int, int]:
        """The size it is trained at."""
        return self.plan.target_px


@dataclass(frozen=True, slots=True)
class Shown:
    """One showing of an example in a batch: which, whether mirrored, and the caption of this time."""

    example: int
    mirrored: bool
    caption: str


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
            weight=prior_weight if record.is_regularization else 1.0,
        )
        for (record, edits), number in zip(used, repeats, strict=True)
        for plan in plans_of(record.size_px, options, edits, subjects.get(record.path))
    ]


def full_caption(record: ImageRecord, config: DatasetConfig) -> str:
    """The caption as it is trained: the trigger word in front, absorbed tags left out.

    The class word of a folder, or the words of one named like `10_name`, stand in for a missing caption.
    Regularization pictures get neither trigger word nor absorption: they show what the words meant before. A trigger
    word in their captions is left out.
    """
    text = record.caption if record.caption else record.class_tokens
    if record.is_regularization:
        return _without(config.trigger_word, text)
    if config.absorbed_tags:
        absorbed = {tag_key(tag) for tag in config.absorbed_tags}
        text = join_tags(tag for tag in split_tags(text) if tag_key(tag) not in absorbed)
    trigger = (record.trigger_word or config.trigger_word).strip()
    if not trigger or trigger in split_tags(text):
        return text
    return f"{trigger}, {text}" if text else trigger


def _without(trigger_word: str, text: str) -> str:
    """A caption without the tags of a trigger word; one that has none of them stays as it is spelled."""
    unwanted = {tag_key(tag) for tag in split_tags(trigger_word)}
    tags = split_tags(text)
    left = [tag for tag in tags if tag_key(tag) not in unwanted]
    return text if len(left) == len(tags) else join_tags(left)


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

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return -(-len(self.batches(0)) // self.accumulation)

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
    """How the pictures of a micro-batch are shown this time: mirrored or not, and the caption after all chances."""
    chance = random.Random(f"{plan.seed}/{step}/{micro_batch}")
    return [
        Shown(index, config.flip and chance.random() < 0.5, caption_now(plan.examples[index].caption, config, chance))
        for index in indices
    ]


def caption_now(caption: str, config: DatasetConfig, chance: random.Random) -> str:
    """The caption after dropout and shuffling. Tags at the front that are kept take part in neither."""
    if config.caption_dropout and chance.random() < config.caption_dropout:
        return ""
    if not (config.shuffle_tags or config.tag_dropout):
        return caption
    tags = split_tags(caption)
    kept, loose = tags[: config.keep_tags], tags[config.keep_tags :]
    if config.tag_dropout:
        loose = [tag for tag in loose if chance.random() >= config.tag_dropout]
    if config.shuffle_tags:
        chance.shuffle(loose)
    return join_tags(kept + loose)
