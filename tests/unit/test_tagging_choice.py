"""Which tags are written, how they are spelled, and what becomes of the old caption."""

from __future__ import annotations

import pytest

from core.jobs import TagOptions
from core.tagging.base import ScoredTag
from core.tagging.choice import KAOMOJI, choose_tags, compose, spelled

SCORED = [
    ScoredTag("explicit", 0.99, "rating"),
    ScoredTag("1girl", 0.98, "general"),
    ScoredTag("hatsune_miku", 0.8, "character"),
    ScoredTag("miru_(kiln)", 0.9, "character"),
    ScoredTag("long_hair", 0.6, "general"),
    ScoredTag("^_^", 0.5, "general"),
    ScoredTag("some_series", 0.4, "copyright"),
    ScoredTag("blue_eyes", 0.35, "general"),
    ScoredTag("smile", 0.349, "general"),
]


def chosen(**options: object) -> list[str]:
    return choose_tags(SCORED, TagOptions.model_validate(options))


def test_each_category_has_its_threshold_and_order_is_by_confidence() -> None:
    assert chosen() == ["1girl", "miru (kiln)", "long hair", "^_^", "some series", "blue eyes"]
    assert chosen(character_threshold=0.5)[1:3] == ["miru (kiln)", "hatsune miku"]
    assert chosen(threshold=0.7) == ["1girl", "miru (kiln)"]
    assert chosen(threshold=1, character_threshold=1) == []
    assert choose_tags(SCORED[::-1], TagOptions()) == chosen()


def test_ratings_are_never_written() -> None:
    assert "explicit" not in chosen(threshold=0, character_threshold=0)
    assert len(chosen(threshold=0, character_threshold=0)) == 8


def test_brackets_are_not_escaped() -> None:
    assert "miru (kiln)" in chosen()
    assert not any("\\" in tag for tag in chosen())


def test_underscores_stay_when_asked_and_in_faces() -> None:
    assert chosen(replace_underscores=False)[1:4] == ["miru_(kiln)", "long_hair", "^_^"]
    assert len(KAOMOJI) == 19
    assert all(spelled(face, True) == face for face in KAOMOJI)


@pytest.mark.parametrize(
    "exclude", [("long_hair",), ("long hair",), (" Long Hair ",), ("long_hair", "never predicted")]
)
def test_excluded_tags_in_any_spelling(exclude: tuple[str, ...]) -> None:
    assert chosen(exclude=exclude) == ["1girl", "miru (kiln)", "^_^", "some series", "blue eyes"]


def test_excluded_names_with_brackets() -> None:
    assert "miru (kiln)" not in chosen(exclude=(r"miru \(kiln\)",))


@pytest.mark.parametrize(
    ("on_existing", "old", "expected"),
    [
        ("keep", "", "miru, a, b"),
        ("keep", "old, a", "old, a"),
        ("replace", "old, a", "miru, a, b"),
        ("append", "old, a", "miru, old, a, b"),
        ("prepend", "old, a", "miru, a, b, old"),
        ("append", "", "miru, a, b"),
        ("append", "old, miru, B", "miru, old, B, a"),
        ("prepend", "(x, y:1.1), b", "miru, a, b, (x, y:1.1)"),
    ],
)
def test_what_becomes_of_the_old_caption(on_existing: str, old: str, expected: str) -> None:
    options = TagOptions.model_validate({"on_existing": on_existing, "trigger_word": "miru"})
    assert compose(["a", "b"], old, options) == expected


def test_the_trigger_word_comes_first_and_once() -> None:
    options = TagOptions(trigger_word="Long Hair, my style")
    assert compose(["a", "long hair", "b"], "", options) == "Long Hair, my style, a, b"
    assert compose([], "", TagOptions()) == ""
    assert compose(["a", "a", "A"], "", TagOptions(trigger_word=" , ")) == "a"
