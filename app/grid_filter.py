"""From the text of the filter box to the test that the grid asks of every picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from app.caption_tokens import CaptionTokens
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.item_models import is_captioned
from core.dataset.doctor.findings import PROBLEMS
from core.dataset.edits import PictureEdits
from core.dataset.fitting import FitOptions, plans_of
from core.dataset.geometry import Size
from core.dataset.query import Item, Query
from core.dataset.records import ImageRecord

Only = Literal["all", "uncaptioned", "problems", "excluded"]
"""The usual questions, one press each."""
_GRAVE = frozenset(code for code, kind in PROBLEMS.items() if kind.severity != "info")
"""What the check asks to look at; the rest is good to know."""


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
    sizes_of = _sizes(plans.options) if "bucket" in query.text else None
    tokens = CaptionTokens.of(project.config) if "tokens" in query.text else None

    def passes(record: ImageRecord) -> bool:
        edits = project.edits(record.path)
        if only == "uncaptioned" and is_captioned(record):
            return False
        if only == "excluded" and not edits.excluded:
            return False
        problems = problems_of(record.path)
        if only == "problems" and not (problems & _GRAVE or (record.caption_problem and not edits.excluded)):
            return False
        item = Item(
            record=record,
            edits=edits,
            problems=problems,
            num_tokens=partial(tokens.count, record) if tokens else None,
        )
        if sizes_of is None:
            return query.matches(item)
        return any(query.matches(replace(item, bucket=size)) for size in sizes_of(record, edits))

    return passes


def _sizes(options: FitOptions) -> Callable[[ImageRecord, PictureEdits], tuple[Size, ...]]:
    """The training sizes of a picture and its crops; equal pictures have equal ones, and there are few that differ."""
    known: dict[tuple[object, ...], tuple[Size, ...]] = {}

    def sizes(record: ImageRecord, edits: PictureEdits) -> tuple[Size, ...]:
        key = (record.size_px, edits.fit, edits.turn, edits.crops)
        if key not in known:
            known[key] = tuple(dict.fromkeys(plan.target_px for plan in plans_of(record.size_px, options, edits)))
        return known[key]

    return sizes
