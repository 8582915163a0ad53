"""Lists of tags are read in all their forms, and what is wrong with them is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.tagging.base import LEAST_SCORE
from core.tagging.tag_files import read_csv, read_mapping, seen_in, tag_list
from tests.taggers import CL_TAGS, TAGS, write_mapping, write_tags

CATEGORIES = {0: "general", 3: "copyright", 4: "character", 9: "rating"}


def test_a_list_of_the_wd_family(tmp_path: Path) -> None:
    write_tags(tmp_path / "selected_tags.csv")
    assert read_csv(tmp_path / "selected_tags.csv") == [(name, CATEGORIES[number]) for name, number in TAGS]


def test_lists_of_other_makers_have_more_categories(tmp_path: Path) -> None:
    rows = [
        ("a", "1", "artist"),
        ("b", "5", "meta"),
        ("c", "7", "other"),
        ("d", "General", "general"),
        ("e", " quality ", "quality"),
        ("f", "MODEL", "model"),
        ("g", "species", "other"),
    ]
    path = tmp_path / "selected_tags.csv"
    path.write_text("id,name,category,ips\n" + "".join(f"1,{name},{word},[]\n" for name, word, _ in rows))
    assert read_csv(path) == [(name, category) for name, _, category in rows]


def test_a_csv_with_a_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "selected_tags.csv"
    path.write_bytes(b'\xef\xbb\xbfname,category,tag_id\r\na,0,1\r\n"red_dress,_torn",0,0\r\n')
    assert read_csv(path) == [("a", "general"), ("red_dress,_torn", "general")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"tag_id,name,category,count\n",
        b"id,label\n1,a\n",
        b"name,category\na,\n",
        b"name,category\na\n",
        b"\xff\xfe\0\0",
        b"name,category\n,0\n",
    ],
)
def test_a_damaged_csv_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "selected_tags.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"selected_tags\.csv in .* is damaged") as caught:
        read_csv(path)
    assert caught.value.remedy


@pytest.mark.parametrize("old", [False, True], ids=["entries", "two tables"])
def test_both_forms_of_a_mapping(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "tag_mapping.json"
    write_mapping(path, old=old)
    labels = read_mapping(path)
    assert len(labels) == 12 and labels[4] == ("", "other")
    assert labels[11] == ("新しい_tag", "other")
    known = {index: (name, category.lower()) for index, (name, category) in CL_TAGS.items() if index != 11}
    assert {index: labels[index] for index in known} == known


def test_the_order_of_a_mapping_is_that_of_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "tag_mapping.json"
    write_mapping(path, dict(reversed(CL_TAGS.items())))
    assert [name for name, _ in read_mapping(path)][:4] == ["general", "explicit", "1girl", "long_hair"]


def test_a_tag_without_category_is_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "tag_mapping.json"
    path.write_text(json.dumps({"idx_to_tag": {"0": "a"}, "tag_to_category": {}}))
    assert read_mapping(path) == [("a", "other")]


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        [],
        ["a", "b"],
        3,
        {"a": {"tag": "a", "category": "General"}},
        {"0": "a"},
        {"0": {"tag": "a"}},
        {"0": {"tag": "", "category": "General"}},
        {"0": {"tag": 7, "category": "General"}},
        {"-1": {"tag": "a", "category": "General"}},
        {"99999999999": {"tag": "a", "category": "General"}},
        {"idx_to_tag": {"0": "a"}},
        {"idx_to_tag": None, "tag_to_category": {}},
    ],
)
def test_a_mapping_of_another_form_is_named(tmp_path: Path, mapping: object) -> None:
    path = tmp_path / "tag_mapping.json"
    path.write_text(json.dumps(mapping))
    with pytest.raises(UserError, match=r"tag_mapping\.json in .* is damaged"):
        read_mapping(path)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\0\0", b"<!DOCTYPE html>"])
def test_a_damaged_mapping_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tag_mapping.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"tag_mapping\.json in .* is damaged"):
        read_mapping(path)


def test_the_tags_that_a_tagger_knows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no selected_tags\.csv"):
        tag_list(tmp_path)
    write_mapping(tmp_path / "tag_mapping.json")
    assert tag_list(tmp_path) == tuple(name for name, category in CL_TAGS.values() if category != "Rating")
    write_tags(tmp_path / "selected_tags.csv")
    assert tag_list(tmp_path) == tuple(name for name, number in TAGS if number != 9)


def test_scores_become_tags_in_the_order_of_certainty() -> None:
    labels = [("a", "general"), ("b", "rating"), ("", "other"), ("c", "character"), ("d", "general"), ("e", "general")]
    scores = np.array([0.35, 0.9, 1.0, 0.35, LEAST_SCORE, 0.0499], np.float32)
    seen = seen_in(scores, labels)
    assert seen.sentence == ""
    assert seen.tags == (("b", 0.9, "rating"), ("a", 0.35, "general"), ("c", 0.35, "character"), ("d", 0.05, "general"))


def test_scores_that_cannot_be_are_brought_into_their_range() -> None:
    labels = [(name, "general") for name in "abcd"]
    seen = seen_in(np.array([3.0, np.nan, np.inf, -1.0], np.float32), labels)
    assert seen.tags == (("a", 1.0, "general"), ("c", 1.0, "general"))
