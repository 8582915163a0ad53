"""Tagging runs that say what a test wants, and what the tagger is then known to have seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.project import Project
from core.events import PictureTagged
from core.tagging.base import ScoredTag, Seen
from core.tagging.scores import ScoreStore

Tags = Iterable[tuple[str, float, str]]


def tags(**scores: float) -> tuple[tuple[str, float, str], ...]:
    """General tags with their scores."""
    return tuple((name, score, "general") for name, score in scores.items())


def tagged(image: Path, found: Tags = (), outcome: str = "new") -> PictureTagged:
    """What the job says of a picture; `found` is above the thresholds, by default `solo` and `smile`."""
    found = tuple(found) or tags(solo=0.9, smile=0.5)
    return PictureTagged(image=image, caption=", ".join(name for name, *_ in found), outcome=outcome, tags=found)


def remember(project: Project, image: Path, found: Tags, model: Path = Path()) -> None:
    """Put what a model saw in a picture into the store, as the job does."""
    record = project.record(image)
    assert record is not None
    with ScoreStore.open(model) as store:
        store.put([(record, Seen(tuple(ScoredTag(*tag) for tag in found)))])
