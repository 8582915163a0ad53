"""What a tagging run is going to write: the caption of each picture, and whether that is new, changed or the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.dataset.records import ImageRecord
from core.events import CaptionsPlanned, Outcome
from core.tagging.base import Seen
from core.tagging.choice import caption_of
from core.tagging.options import TagOptions
from core.text import sentences, tr


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """What becomes of the caption of one picture.

    `caption` is the text that it has then; of a picture that failed the one it has now. `problem` is a sentence where
    the picture failed, or where its caption is kept against the wish.
    """

    record: ImageRecord
    outcome: Outcome | Literal["failed"]
    caption: str
    problem: str = ""


def plan_captions(
    records: Iterable[ImageRecord],
    seen: Mapping[Path, Seen],
    options: TagOptions,
    *,
    problems: Mapping[Path, str] | None = None,
) -> tuple[CaptionPlan, ...]:
    """The captions of pictures, in their order. Pure, and quick enough for ten thousand of them in a second.

    Args:
        records: The pictures; of several with one caption file only the first counts.
        seen: What models saw in them. A picture that is neither here nor in `problems`, and whose caption is not to be
            kept, is left out.
        options: All choices. A trigger word of the picture's folder goes before that of the options.
        problems: Sentences about the pictures that could not be read.
    """
    planner = Planner(options)
    plans = []
    for record in one_per_caption(records):
        problem = problems.get(record.path) if problems else None
        if planner.keeps(record):
            plans.append(planner.kept(record))
        elif problem is not None:
            plans.append(planner.failed(record, problem))
        elif (found := seen.get(record.path)) is not None:
            plans.append(planner.plan(record, found))
    return tuple(plans)


def texts_of(plans: Iterable[CaptionPlan]) -> dict[Path, str]:
    """The captions to be written, by the path of their pictures."""
    return {plan.record.path: plan.caption for plan in plans if plan.outcome in ("new", "changed")}


def summary(plans: Iterable[CaptionPlan], num_unreadable: int = 0) -> CaptionsPlanned:
    """How many captions are new, changed and so on.

    Args:
        plans: All of them.
        num_unreadable: Pictures that failed before there was a plan for them.
    """
    counts = Counter(plan.outcome for plan in plans)
    return CaptionsPlanned(
        new=counts["new"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        kept=counts["kept"],
        failed=counts["failed"] + num_unreadable,
    )


def one_per_caption(records: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
    """Without the pictures whose caption belongs to another one too, which the scan has told."""
    taken: set[Path] = set()
    for record in records:
        if record.caption_path not in taken:
            taken.add(record.caption_path)
            yield record


class Planner:
    """Plans one picture after the other with the same options."""

    def __init__(self, options: TagOptions) -> None:
        self._options = options
        self._of_folder: dict[tuple[str, bool], TagOptions] = {}

    def keeps(self, record: ImageRecord) -> bool:
        """Whether the caption of a picture stays whatever is in the picture; an empty one counts as none."""
        if self._options.on_existing == "replace":
            return False
        return bool(record.caption and self._options.on_existing == "keep") or _is_unreadable(record)

    def kept(self, record: ImageRecord, problem: str = "") -> CaptionPlan:
        """The plan for a caption that is left alone."""
        if _is_unreadable(record):
            problem = sentences(record.caption_problem, tr("It was left as it is."))
        return CaptionPlan(record, "kept", record.caption or "", problem)

    def failed(self, record: ImageRecord, problem: str) -> CaptionPlan:
        """The plan for a picture that could not be read."""
        return CaptionPlan(record, "failed", record.caption or "", problem)

    def plan(self, record: ImageRecord, seen: Seen) -> CaptionPlan:
        """The plan for a picture that was looked at."""
        if self.keeps(record):
            return self.kept(record)
        old = record.caption or ""
        caption = caption_of(seen, old, self.options_for(record))
        if not caption:
            problem = tr("No tag of {name} reached the threshold; nothing is written for it.", name=record.path.name)
            return self.kept(record, problem)
        if old:
            return CaptionPlan(record, "unchanged" if caption == old else "changed", caption)
        # An empty or unreadable file that is replaced is no caption.
        return CaptionPlan(record, "changed" if _is_unreadable(record) else "new", caption)

    def options_for(self, record: ImageRecord) -> TagOptions:
        """The options with the trigger word of the picture's folder.

        Regularization pictures show what the words meant before: they get no trigger word and keep all tags, which is
        what `core.training.captions.full_caption` trains them as.
        """
        key = record.trigger_word, record.is_regularization
        options = self._of_folder.get(key)
        if options is None:
            changes: dict[str, object] = {}
            if record.is_regularization:
                changes = {"trigger_word": "", "prune": ()}
            elif record.trigger_word:
                changes = {"trigger_word": record.trigger_word}
            options = self._of_folder[key] = self._options.model_copy(update=changes)
        return options


def _is_unreadable(record: ImageRecord) -> bool:
    return record.caption is None and bool(record.caption_problem)
