"""The filter language finds what it says, and tells what it does not understand."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from core.dataset.edits import Crop, PictureEdits
from core.dataset.query import Item, QueryError, completions, parse_query
from core.dataset.records import ImageRecord

RECORD = ImageRecord(
    path=Path("/set/10_Miru 狐狸/IMG_0012.png"),
    size_px=(1536, 1024),
    caption_path=Path("/set/10_Miru 狐狸/IMG_0012.txt"),
    caption="1girl, Long Hair, blue_eyes, miru \\(kiln\\), :d, >:), -_-, looking at viewer, 蓝色头发",
    repeats=10,
)
ITEM = Item(
    RECORD,
    edits=PictureEdits(crops=(Crop(box=(0, 0, 10, 10)),)),
    problems=frozenset({"blurry"}),
    bucket=(768, 512),
    num_tokens=lambda: 31,
)
PLAIN = Item(replace(RECORD, caption=None, repeats=0))


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "girl", "GIRL img_0012", "狐狸", "蓝色", "girl, long,", '"long hair"', "“looking at viewer”",
        "「long hair」", "tag:long_hair", 'tag:"LONG HAIR"', "tag:miru_(kiln)", "tag:*hair", "tag:*(kiln)", "tag:蓝*",
        "tag：1girl", "-tag:hair", "NOT tag:hair", "NOT NOT girl", "－hat", "caption:any", "caption:VIEWER",
        "tags:9", "tags:<10", "tags:>=9", "tags：＜１０", "tags:8..9", "tokens:>30", "tokens:31", "chars:>50",
        "name:img_0012", "folder:miru", "bucket:768x512", "bucket:768×512", "width:1536", "height:<=1024",
        "ratio:>1.4", "ratio:1.5", "ratio:3:2", "problem:any", "problem:blurry", "is:cropped", "is:edited",
        "-is:excluded", "repeats:>1", "cat OR girl", "cat OR dog OR tag:1girl", "(cat OR girl) long",
        "（cat OR girl） long", "-(cat OR dog)", "girl AND long", "girl AND NOT cat", "(girl)", "((girl) (long))",
        ":d", ">:)", "-_-", "tag::d", "tag:>:)", "tag:-_-", "(:d OR cat)", "(tag:miru_(kiln) OR cat)",
        "cat long OR girl", "d,",
    ],
)  # fmt: skip
def test_a_picture_is_found(text: str) -> None:
    assert parse_query(text).matches(ITEM), text


@pytest.mark.parametrize(
    "text",
    [
        "cat", "girl cat", '"hair long"', "tag:hair", "tag:long", "tag:*hai", 'tag:"*hair"', "tag:long_hair -girl",
        "-tag:long_hair", "NOT girl", "caption:none", 'caption:"any"', "tags:<9", "tags:>9", "tags:1..8", "tokens:>75",
        "chars:>300", "name:miru", "folder:img", "bucket:512x768", "width:<1536", "ratio:<1", "ratio:2:3",
        "problem:none", "problem:dark", "is:excluded", "is:regularization", "repeats:1", "cat OR dog",
        "girl (cat OR dog)", "-(girl OR dog)", ">:(", "girl AND cat", "cat OR girl dog", "and",
    ],
)  # fmt: skip
def test_a_picture_is_not_found(text: str) -> None:
    assert not parse_query(text).matches(ITEM), text


def test_a_picture_without_caption_decisions_and_counts() -> None:
    for text in ("caption:none", "tags:0", "chars:0", "problem:none", "repeats:0", "-is:edited", "-bucket:768x512"):
        assert parse_query(text).matches(PLAIN), text
    for text in ("caption:any", "tag:*", "tokens:<1000", "tokens:>=0", "is:cropped", "problem:any"):
        assert not parse_query(text).matches(PLAIN), text


def test_small_operators_are_words_to_search_for() -> None:
    item = Item(replace(RECORD, caption="a girl and not a cat"))
    assert parse_query("girl and not cat").matches(item)
    assert not parse_query("girl AND NOT cat").matches(item)


def test_a_turn_exchanges_width_and_height() -> None:
    turned = Item(RECORD, edits=PictureEdits(turn=90))
    assert parse_query("width:1024 height:1536 ratio:<1").matches(turned)


def test_problems_are_found_however_their_code_is_written() -> None:
    item = Item(RECORD, problems=frozenset({"near_duplicate"}))
    for text in ("problem:near_duplicate", "problem:Near-Duplicate", 'problem:"near duplicate"'):
        assert parse_query(text).matches(item), text


def test_names_that_are_no_text() -> None:
    item = Item(replace(RECORD, path=Path(os.fsdecode(b"/set/\xff\xfe 1.png"))))
    assert parse_query('1.png name:"1.PNG" folder:set').matches(item)
    assert not parse_query("name:2").matches(item)


def test_states_of_a_picture() -> None:
    excluded = Item(replace(RECORD, is_regularization=True), edits=PictureEdits(excluded=True, repeats=3))
    assert parse_query("is:excluded is:edited is:regularization -is:cropped repeats:3").matches(excluded)


def test_tokens_are_counted_only_when_they_are_asked_for() -> None:
    asked = []
    item = Item(RECORD, num_tokens=lambda: asked.append(1) or 80)
    assert parse_query("girl tags:>2").matches(item) and not asked
    assert parse_query("tokens:>75").matches(item) and asked == [1]


def test_a_filter_keeps_the_order() -> None:
    other = Item(replace(RECORD, caption="girl"))
    assert parse_query("girl").filter([other, PLAIN, ITEM]) == [other, ITEM]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("girl NOT", 5, "There is nothing after NOT."),
        ("girl OR", 5, "There is nothing after OR."),
        ("girl AND OR cat", 5, "There is nothing after AND."),
        ("(girl OR) cat", 6, "There is nothing after OR."),
        ("OR girl", 0, "There is nothing before OR."),
        ("(AND girl)", 1, "There is nothing before AND."),
        ("girl ()", 5, "There is nothing between these brackets."),
        ("girl (cat", 5, "This bracket is never closed."),
        ("girl (", 5, "This bracket is never closed."),
        ("girl )", 5, "This closing bracket has no opening one."),
        ('girl "long hair', 5, "This quotation mark is never closed."),
        ('tag:"long hair', 4, "This quotation mark is never closed."),
        ("tags:few", 0, "tags: needs a number, as in tags:<5."),
        ("girl tags:", 5, "tags: needs a number, as in tags:<5."),
        ("ratio:wide", 0, "ratio: needs a number, as in ratio:<5."),
        ("tag: long", 0, "tag: needs a text right after it, as in tag:long_hair."),
        ('name:""', 0, "name: needs a text right after it, as in name:IMG_0012."),
        ("bucket:512", 0, "bucket: needs a size, as in bucket:512x768."),
        ("is:big", 0, "is: needs one of these words: excluded, cropped, edited, regularization."),
        ("girl re:zero", 5, "There is no condition called re:"),
        ("(" * 60 + "girl" + ")" * 60, 40, "There are too many brackets inside each other."),
    ],
)
def test_what_is_wrong_and_where(text: str, position: int, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse_query(text)
    assert (raised.value.message, raised.value.position) == (message, position)
    assert raised.value.remedy.endswith(".")


def test_an_unknown_condition_proposes_quotes_that_work() -> None:
    with pytest.raises(QueryError) as raised:
        parse_query("re:zero")
    assert '"re:zero"' in raised.value.remedy and "tag: caption:" in raised.value.remedy
    assert parse_query('"re:zero"').matches(Item(replace(RECORD, caption="1girl, re:zero")))


def test_any_text_gives_a_query_or_a_query_error() -> None:
    chance = random.Random(1)
    pieces = [
        "(",
        ")",
        '"',
        "-",
        "NOT",
        "OR",
        "AND",
        " ",
        " ",
        "a",
        "tag:",
        "tags:<3",
        "*",
        ":",
        "，",
        "（",
        "”",
        "：d",
    ]
    wrong = 0
    for _ in range(3000):
        text = "".join(chance.choice(pieces) for _ in range(chance.randint(0, 12)))
        position = error_position(text)
        wrong += position >= 0
        assert position < max(1, len(text)), text
    assert 0 < wrong < 3000


def error_position(text: str) -> int:
    """Where a filter is wrong, or -1 when it can be used."""
    try:
        parse_query(text).matches(ITEM)
    except QueryError as error:
        return error.position
    return -1


def test_completions() -> None:
    assert completions("ta") == ["tag:", "tags:"]
    assert completions("-pro") == ["-problem:"]
    assert completions("is:e") == ["is:excluded", "is:edited"]
    assert completions("caption：") == ["caption:any", "caption:none"]
    assert completions("problem:b", ["blurry", "black_bars", "dark"]) == ["problem:blurry", "problem:black_bars"]
    assert completions("zzz") == [] and completions("tag:l") == []
    assert "tokens:" in completions("")


def test_an_unknown_problem_is_named_with_those_that_are_known() -> None:
    with pytest.raises(QueryError, match="blury") as caught:
        parse_query("smile problem:blury")
    assert "blurry" in caught.value.message and caught.value.remedy
