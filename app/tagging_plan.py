"""What the tagger's choice would make of every caption, worked out beside the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from app.tagging_seen import SeenPictures
from core.dataset.records import ImageRecord, Problem, Scan
from core.events import CaptionsPlanned, Outcome
from core.tagging.choice import choose_tags, least_score, spelled
from core.tagging.options import TagOptions
from core.tagging.plan import CaptionPlan, one_per_caption, plan_captions, summary
from core.text import sentences

Shares = Mapping[Path, tuple[str | None, str]]
"""Captions that this window's tagger wrote, by picture: before, and after."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of each picture that was looked at or needs no look, and how many there are of each kind.

    It is complete when no picture is left to be looked at.
    """

    plans: Mapping[Path, CaptionPlan]
    counts: CaptionsPlanned
    is_complete: bool

    @property
    def num_changes(self) -> int:
        """How many captions would be written."""
        return self.counts.new + self.counts.changed


@dataclass(frozen=True, slots=True)
class PicturesToTag:
    """The pictures of a folder that are not left out, each caption file once, in their order.

    `unusable` are files that the scan could not use, as pictures that failed.
    """

    records: tuple[ImageRecord, ...] = ()
    unusable: Mapping[Path, CaptionPlan] = field(default_factory=dict)
    num_captioned: int = 0

    @classmethod
    def of(cls, scan: Scan) -> PicturesToTag:
        """Those of a scan; a caption that cannot be read as text is one, too."""
        decided = scan.pictures
        wanted = (record for record in scan.records if record.path not in decided or not decided[record.path].excluded)
        records = tuple(one_per_caption(wanted))
        unusable = {
            problem.path: _unusable(problem)
            for problem in scan.problems
            if problem.excludes and not scan.edits(problem.path).excluded
        }
        return cls(records, unusable, sum(bool(record.caption) or _is_unreadable(record) for record in records))


def make_plan(
    records: Sequence[ImageRecord],
    seen: SeenPictures,
    options: TagOptions,
    problems: Mapping[Path, str],
    written: Shares,
    num_unusable: int = 0,
) -> Planned:
    """Plan all captions as if the tagger had not written any yet, then see what that changes in those of now.

    A second choice thus replaces the first one, instead of being added to it or kept out by it.

    Args:
        records: The pictures as they are now.
        seen: What models saw in them.
        options: The choice.
        problems: Why pictures could not be looked at.
        written: What the tagger wrote before; captions that are something else by now count as they are.
        num_unusable: Files that failed before they became records.
    """
    before = [_as_before(record, written) for record in records]
    least = 0.0 if options.ratings else least_score(options)
    now = {record.path: record for record in records}
    plans = [
        _against(plan, now[plan.record.path])
        for plan in plan_captions(before, seen.above(least), options, problems=problems)
    ]
    return Planned({plan.record.path: plan for plan in plans}, summary(plans, num_unusable), len(plans) == len(records))


def tags_by_picture(
    records: Sequence[ImageRecord], seen: SeenPictures, options: TagOptions
) -> dict[Path, tuple[str, ...]]:
    """The tags that the choice takes of each picture as they are written, also those left to the trigger word."""
    options = options.model_copy(update={"ratings": False})
    view = seen.above(least_score(options))
    spell = cache(partial(spelled, replace_underscores=options.replace_underscores))
    found = ((record.path, view.get(record.path)) for record in records if not record.is_regularization)
    return {image: tuple(spell(tag.name) for tag in choose_tags(one.tags, options)) for image, one in found if one}


def caption_without(record: ImageRecord, seen: SeenPictures, options: TagOptions, written: Shares) -> str:
    """The caption that a picture would have if nothing was left to the trigger word."""
    plain = options.model_copy(update={"prune": ()})
    plans = make_plan((record,), seen, plain, {}, written).plans
    return plans[record.path].caption if record.path in plans else record.caption or ""


def _as_before(record: ImageRecord, written: Shares) -> ImageRecord:
    """The record with the caption from before the tagger wrote, where it still is what the tagger wrote."""
    share = written.get(record.path)
    if share is None or record.caption != share[1]:
        return record
    return dataclasses.replace(record, caption=share[0], caption_problem="")


def _against(plan: CaptionPlan, now: ImageRecord) -> CaptionPlan:
    """The plan for a caption of before, said of the caption of now."""
    if plan.record is now or plan.outcome == "failed":
        return plan
    caption = plan.caption or now.caption or ""  # Nothing is taken away from a picture that had no caption before.
    outcome: Outcome = "unchanged" if caption == now.caption else "changed"
    return dataclasses.replace(plan, record=now, caption=caption, outcome=outcome)


def _unusable(problem: Problem) -> CaptionPlan:
    record = ImageRecord(path=problem.path, size_px=(0, 0), caption_path=problem.path.with_suffix(".txt"))
    return CaptionPlan(record, "failed", "", sentences(problem.message, problem.remedy))


def _is_unreadable(record: ImageRecord) -> bool:
    return record.caption is None and bool(record.caption_problem)
