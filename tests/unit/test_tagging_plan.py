"""The plan of a tagging run: every picture once, and what becomes of its caption."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from core.dataset.records import ImageRecord
from core.events import CaptionsPlanned
from core.tagging.base import ScoredTag, Seen
from core.tagging.options import TagOptions
from core.tagging.plan import CaptionPlan, plan_captions, summary, texts_of

SEEN = Seen((ScoredTag("a", 0.9, "general"), ScoredTag("b", 0.5, "general")))


def record(name: str, caption: str | None = None, **values: object) -> ImageRecord:
    path = Path("/图 片") / f"{name}.png"
    known = ImageRecord(path=path, size_px=(8, 8), caption_path=path.with_suffix(".txt"), caption=caption)
    return dataclasses.replace(known, **values)  # type: ignore[arg-type]


NEW, EMPTY, OLD, SAME = record("new"), record("empty", ""), record("old", "x"), record("same", "a, b")
UNREADABLE = record("unreadable", None, caption_problem="It is no text.")
CUT = record("cut", "y")
ALL = (NEW, EMPTY, OLD, SAME, UNREADABLE, CUT)
KNOWN = {picture.path: SEEN for picture in ALL if picture is not CUT}
PROBLEMS = {CUT.path: "It is cut off."}


def outcomes(**options: object) -> dict[str, tuple[str, str]]:
    plans = plan_captions(ALL, KNOWN, TagOptions.model_validate(options), problems=PROBLEMS)
    return {plan.record.path.stem: (plan.outcome, plan.caption) for plan in plans}


def test_what_becomes_of_each_caption() -> None:
    assert outcomes(on_existing="replace") == {
        "new": ("new", "a, b"),
        "empty": ("new", "a, b"),
        "old": ("changed", "a, b"),
        "same": ("unchanged", "a, b"),
        "unreadable": ("changed", "a, b"),
        "cut": ("failed", "y"),
    }
    assert outcomes(on_existing="append") == {
        "new": ("new", "a, b"),
        "empty": ("new", "a, b"),
        "old": ("changed", "x, a, b"),
        "same": ("unchanged", "a, b"),
        "unreadable": ("kept", ""),
        "cut": ("failed", "y"),
    }
    kept = outcomes(on_existing="keep")
    assert {name for name, (outcome, _) in kept.items() if outcome == "kept"} == {"old", "same", "unreadable", "cut"}


def test_problems_are_told() -> None:
    plans = {
        plan.record: plan for plan in plan_captions(ALL, KNOWN, TagOptions(on_existing="append"), problems=PROBLEMS)
    }
    assert plans[CUT] == CaptionPlan(CUT, "failed", "y", "It is cut off.")
    assert plans[UNREADABLE].problem == "It is no text. It was left as it is."
    (nothing,) = plan_captions((OLD,), KNOWN, TagOptions(on_existing="replace", threshold=1))
    assert (nothing.outcome, nothing.caption) == ("kept", "x") and "reached the threshold" in nothing.problem


def test_only_captions_that_change_are_written_and_all_are_counted() -> None:
    plans = plan_captions(ALL, KNOWN, TagOptions(on_existing="replace"), problems=PROBLEMS)
    assert texts_of(plans) == {picture.path: "a, b" for picture in (NEW, EMPTY, OLD, UNREADABLE)}
    assert summary(plans, num_unreadable=3) == CaptionsPlanned(new=2, changed=2, unchanged=1, kept=0, failed=4)


def test_pictures_that_nobody_looked_at_are_left_out() -> None:
    assert [plan.record for plan in plan_captions(ALL, {NEW.path: SEEN}, TagOptions(on_existing="append"))] == [
        NEW,
        UNREADABLE,
    ]


def test_two_pictures_with_one_caption_have_one_plan() -> None:
    other = record("new", path=NEW.path.with_suffix(".jpg"))
    (plan,) = plan_captions((NEW, other), {NEW.path: SEEN, other.path: SEEN}, TagOptions())
    assert plan.record is NEW


def test_trigger_words_of_folders_and_regularization_pictures() -> None:
    options = TagOptions(trigger_word="miru", prune=("b",), add=("best",), on_existing="append")
    pictures = (
        record("one", "b"),
        record("two", "b", trigger_word="kara"),
        record("three", "b", trigger_word="kara", is_regularization=True),
    )
    plans = plan_captions(pictures, {picture.path: SEEN for picture in pictures}, options)
    assert [plan.caption for plan in plans] == ["miru, best, a", "kara, best, a", "best, b, a"]


@pytest.mark.parametrize("on_existing", ["replace", "merge"])
def test_thousands_of_pictures_are_planned_in_no_time(on_existing: str) -> None:
    tags = [ScoredTag(f"tag_{index}", 0.99 - index / 70, "general") for index in range(60)]
    found = Seen(tuple(tags))
    captions = "miru, " + ", ".join(f"tag {index}" for index in range(10, 30))
    pictures = [record(f"p{index}", captions) for index in range(2_000)]
    seen = {picture.path: found for picture in pictures}
    options = TagOptions.model_validate(
        {"on_existing": on_existing, "trigger_word": "miru", "prune": ("tag_1*",), "exclude": ("*_2", "no such tag")}
    )
    started = time.thread_time()
    plans = plan_captions(pictures, seen, options)
    assert time.thread_time() - started < 2, "about 0.2 s, unless something grows with the number"
    assert len(texts_of(plans)) == 2_000
