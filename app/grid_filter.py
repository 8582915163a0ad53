"""From the text of the filter box to the test that the grid asks of every picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.item_models import is_captioned
from core.dataset.fitting import FitOptions, plans_of
from core.dataset.geometry import Size
from core.dataset.query import Item, Query
from core.dataset.records import ImageRecord
from core.dataset.tokens import counter_for

Only = Literal["all", "uncaptioned", "problems", "excluded"]
"""The usual questions, one press each."""


def predicate_of(
    query: Query, only: Only, project: Project, plans: FitPlans, problems_of: Callable[[Path], frozenset[str]]
) -> Callable[[ImageRecord], bool] | None:
    """What lets a picture pass, or None when all do.

    Args:
        query: What was asked for in words.
        only: What was asked for by a button.
        project: Knows what was decided about pictures.
        plans: Knows how they are trained.
        problems_of: The codes of what is wrong with a picture.
    """
    if only == "all" and not query.text.strip():
        return None
    bucket_of = _buckets(plans.options) if "bucket" in query.text else None
    counts_tokens = "tokens" in query.text

    def passes(record: ImageRecord) -> bool:
        edits = project.edits(record.path)
        if only == "uncaptioned" and is_captioned(record):
            return False
        if only == "excluded" and not edits.excluded:
            return False
        problems = problems_of(record.path)
        if only == "problems" and not (problems or record.caption_problem):
            return False
        item = Item(
            record=record,
            edits=edits,
            problems=problems,
            bucket=bucket_of(record, project) if bucket_of else None,
            num_tokens=partial(_tokens, record) if counts_tokens else None,
        )
        return query.matches(item)

    return passes


def _buckets(options: FitOptions) -> Callable[[ImageRecord, Project], Size]:
    """The training size of pictures; equal pictures have equal ones, and there are few that differ."""
    known: dict[tuple[object, ...], Size] = {}

    def bucket(record: ImageRecord, project: Project) -> Size:
        edits = project.edits(record.path)
        key = (record.size_px, edits.fit, edits.turn, edits.crops)
        if key not in known:
            known[key] = plans_of(record.size_px, options, edits)[0].target_px
        return known[key]

    return bucket


def _tokens(record: ImageRecord) -> int:
    return counter_for(None).count(record.caption or "")
