"""Operations on many captions change what they name, and nothing else to the last blank."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.dataset import replacing
from core.dataset.bulk import (
    AddTags,
    Deduplicate,
    Operation,
    RemoveTags,
    ReplaceTag,
    ReplaceText,
    SortTags,
    SpacesToUnderscores,
    TriggerToFront,
    UnderscoresToSpaces,
    apply,
    common_tags,
    describe,
    is_prose,
)
from core.dataset.pattern_check import is_explosive
from core.dataset.replacing import check_pattern, count_matches
from core.dataset.statistics import TagCount
from core.errors import UserError
from core.text import set_language

HERE = Path("a.png")
SENTENCE = "A girl with long hair stands in a field."
MIXED = "miru, A girl with a red hat stands in a field, smiling at us, smile"


def after(operation: Operation, caption: str) -> str:
    """The caption after the operation; the same when it is not among the changed ones."""
    changed = apply(operation, {HERE: caption})
    assert changed.get(HERE) != caption
    return changed.get(HERE, caption)


@pytest.mark.parametrize(
    ("operation", "before", "expected"),
    [
        (AddTags(("smile",)), "1girl, solo", "1girl, solo, smile"),
        (AddTags(("smile",), "front"), "1girl, solo", "smile, 1girl, solo"),
        (AddTags(("a, b", "c")), "", "a, b, c"),
        (AddTags(("b", "c"), "front"), "a, b", "c, a, b"),
        (AddTags(("smile",), "after trigger", "Miru"), "solo, miru, hat", "solo, miru, smile, hat"),
        (AddTags(("smile",), "after trigger", "miru"), "solo, hat", "smile, solo, hat"),
        (AddTags(("smile",), "front"), SENTENCE, f"smile, {SENTENCE}"),
        (RemoveTags(("long_hair",)), "1girl, Long Hair, solo", "1girl, solo"),
        (RemoveTags(("hair",)), "long hair, hair", "long hair"),
        (RemoveTags(("miru (kiln)",)), "a, miru \\(kiln\\)", "a"),
        (RemoveTags(("smile",)), "smile", ""),
        (ReplaceTag("smile", "grin"), "a, smile, b", "a, grin, b"),
        (ReplaceTag("smile", "grin"), "grin, smile, b", "grin, b"),
        (ReplaceTag("smile", "grin, teeth"), "a, smile", "a, grin, teeth"),
        (ReplaceTag("long_hair", "long hair"), "a, long_hair", "a, long hair"),
        (ReplaceTag("smile", ""), "a, smile", "a"),
        (ReplaceText("hair", "fur"), "long hair, Hair", "long fur, fur"),
        (ReplaceText("hair", "fur", match_case=True), "long hair, Hair", "long fur, Hair"),
        (ReplaceText("(", "["), "a (b", "a [b"),
        (ReplaceText("a", "\\1"), "a", "\\1"),
        (ReplaceText(r"(\w+) hair", r"hair \1", is_regex=True), "long hair", "hair long"),
        (ReplaceText("^", "miru, ", is_regex=True), "a", "miru, a"),
        (ReplaceText("b, ", ""), "a,  b, c", "a, c"),
        (SortTags("alphabet"), "b, C, a_1", "a_1, b, C"),
        (SortTags("alphabet", keep_first=1), "miru, b, a", "miru, a, b"),
        (SortTags("list", ("hat", "long_hair")), "x, long hair, a, hat", "hat, long hair, x, a"),
        (Deduplicate(), "a, b, A, long hair, long_hair", "a, b, long hair"),
        (TriggerToFront("miru"), "a, Miru, b", "Miru, a, b"),
        (TriggerToFront("miru"), "a, miru (kiln)", "miru, a, miru (kiln)"),
        (TriggerToFront("miru, fox"), "fox, a", "miru, fox, a"),
        (TriggerToFront("miru"), "", "miru"),
        (TriggerToFront("miru"), SENTENCE, f"miru, {SENTENCE}"),
        (UnderscoresToSpaces(), "long_hair, ^_^, o_o, miru_(kiln)", "long hair, ^_^, o_o, miru (kiln)"),
        (SpacesToUnderscores(), "long hair, 1girl", "long_hair, 1girl"),
    ],
)
def test_what_changes(operation: Operation, before: str, expected: str) -> None:
    assert after(operation, before) == expected


ODD_SPACING = "b ,a,,  Long Hair ,"


@pytest.mark.parametrize(
    ("operation", "caption"),
    [
        (AddTags(("long_hair", "A")), ODD_SPACING),
        (AddTags(()), ODD_SPACING),
        (RemoveTags(("hair",)), ODD_SPACING),
        (ReplaceTag("smile", "grin"), ODD_SPACING),
        (ReplaceTag("a", "a"), ODD_SPACING),
        (ReplaceText("smile", "grin"), ODD_SPACING),
        (SortTags("list", ("b", "a")), ODD_SPACING),
        (Deduplicate(), ODD_SPACING),
        (TriggerToFront("B"), ODD_SPACING),
        (TriggerToFront(""), ODD_SPACING),
        (UnderscoresToSpaces(), ODD_SPACING),
        (SpacesToUnderscores(), "b ,a,,  Long_Hair ,"),
        (RemoveTags(("girl", "long hair", "field")), SENTENCE),
        (TriggerToFront("miru"), "A photo of miru in a field."),
        (SortTags("alphabet"), MIXED),
        (Deduplicate(), f"{MIXED}, smile"),
        (SpacesToUnderscores(), SENTENCE),
        (SpacesToUnderscores(), "女孩 站在田野里。"),
    ],
)
def test_what_stays_byte_for_byte(operation: Operation, caption: str) -> None:
    assert apply(operation, {HERE: caption}) == {}


def test_only_the_captions_that_change_are_returned() -> None:
    captions = {Path("a"): "smile", Path("b"): "hat", Path("c"): "smile, hat"}
    assert apply(RemoveTags(("smile",)), captions) == {Path("a"): "", Path("c"): "hat"}


def test_frequency_counts_over_the_whole_set() -> None:
    captions = {HERE: "rare, common"}
    assert apply(SortTags("frequency"), captions) == {}
    assert apply(SortTags("frequency"), captions, ["common", "Common", "rare"]) == {HERE: "common, rare"}


def test_texts_and_tags_are_told_apart() -> None:
    assert is_prose(SENTENCE) and is_prose(MIXED) and is_prose("一个女孩站在田野里。") and is_prose("A red hat.")
    for tags in (
        "1girl, long hair, k-on!, :d",
        "the idol master girls!, love live!, solo, a.i. channel",
        "hair between eyes, looking at viewer",
        "?, !?",
        "",
    ):
        assert not is_prose(tags), tags


def test_matches_are_counted() -> None:
    captions = ["hair, long hair", "hat", "HAIR"]
    assert count_matches(captions, "hair") == (2, 3)
    assert count_matches(captions, "hair", match_case=True) == (1, 2)
    assert count_matches(captions, r"\bha.", is_regex=True) == (3, 4)
    assert count_matches(captions, "h.t") == (0, 0) and count_matches(captions, "") == (0, 0)


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ("", "", "There is no text to look for."),
        ("(", "", "This pattern cannot be read"),
        ("a", "\\1", "The replacement cannot be used"),
        ("a", "\\g<x>", "The replacement cannot be used"),
        ("(a+)+$", "", "could take forever"),
    ],
)
def test_bad_patterns_are_refused_before_anything_is_searched(find: str, replace: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        check_pattern(find, replace)
    with pytest.raises(UserError):
        apply(ReplaceText(find, replace, is_regex=True), {HERE: "a" * 40 + "!"})


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|aa)*b", "(a?){9}", r"(\w+\s*)+x", "((a)+b)*", "(a{2,3})+", "(a|)+", "((a|ab)(c|bc))+",
     "(.|n)*",
     ".*.*x", "(.*)(.*)x", ".*a?.*b", r".*\S+x", ".*a.*b.*c", r"a*a*b", r"\w*\w*x", "a+b+c+d+e+f+g+",
     "(?:x+|y)*", "(a{2,})*", r"(?P<n>\d+)*"],
)  # fmt: skip
def test_explosive_patterns_are_recognised(pattern: str) -> None:
    assert is_explosive(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(a|b)*", "(?:red |blue )*hair", ".*,.*", r"\bsmile\b", r"^(\w+), ", r"[(+]+\)", "(?i:a+)", "((a))+", "(a{2})+",
     "x(?:ab+)?", "(?#(a+)b", r"\(a+\)+", "a{}", "[]+]+", "(?<!a)b", "(?:a+|b)?",
     r"(\w+) (\w+) (\w+)", "^([^,]*), ([^,]*), ([^,]*)", r",\s*.*$", r"\w+\s*,"],
)  # fmt: skip
def test_harmless_patterns_are_allowed(pattern: str) -> None:
    check_pattern(pattern)


def test_a_slow_search_is_given_up_between_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "TIME_LIMIT_S", -1.0)
    with pytest.raises(UserError, match="takes too long"):
        apply(ReplaceText("a", "b", is_regex=True), {HERE: "a"})
    with pytest.raises(UserError, match="takes too long"):
        count_matches(["a"], "a")


def test_very_long_captions_are_left_out_of_patterns_only() -> None:
    long = "a" * (replacing.MOST_CHARACTERS + 1)
    assert apply(ReplaceText("a", "b", is_regex=True), {HERE: long}) == {}
    assert count_matches([long], "a", is_regex=True) == (0, 0)
    assert apply(ReplaceText("a", "b"), {HERE: long}) == {HERE: "b" * len(long)}


def test_tags_of_a_selection_with_how_many_have_them() -> None:
    tags = common_tags(["miru, long_hair", "Long Hair, hat", "long hair"])
    assert tags == [TagCount("miru", 1, 3), TagCount("long_hair", 3, 3), TagCount("hat", 1, 3)]
    assert [tag.is_in_all for tag in tags] == [False, True, False]
    assert common_tags([]) == []


def test_steps_are_named_in_both_languages() -> None:
    assert describe(AddTags(("smile",)), 12) == "Add smile to 12 captions"
    assert describe(AddTags(("a", "b", "c", "d")), 1) == "Add a, b, c … to 1 caption"
    assert describe(ReplaceTag("a", "b"), 2) == "Replace a by b in 2 captions"
    assert describe(ReplaceTag("a", " "), 2) == describe(RemoveTags(("a",)), 2) == "Remove a from 2 captions"
    others = (
        ReplaceText("a", "b"), SortTags("alphabet"), Deduplicate(), TriggerToFront("miru"), UnderscoresToSpaces(),
        SpacesToUnderscores(),
    )  # fmt: skip
    english = [describe(operation, 3) for operation in others]
    assert len(set(english)) == len(others) and all("3 captions" in text for text in english)
    set_language("zh")
    assert describe(AddTags(("smile",)), 12) == "给 12 条标注添加 smile"
    assert all("3 条标注" in describe(operation, 3) for operation in others)
