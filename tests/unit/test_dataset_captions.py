"""Captions in any encoding are read, written as UTF-8, and come back byte for byte."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from core.dataset import captions
from core.dataset.captions import join_tags, read_caption, split_tags, tag_key, tidy

CHINESE = "1girl, 长发, 蓝色眼睛"


@pytest.mark.parametrize(
    ("data", "text", "words"),
    [
        (b"1girl, solo", "1girl, solo", ""),
        (CHINESE.encode(), CHINESE, ""),
        (b"\xef\xbb\xbf1girl, solo\r\n", "1girl, solo", ""),
        (CHINESE.encode("utf-16"), CHINESE, ""),
        (b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE, ""),
        ("1girl, solo".encode("utf-16-le"), "1girl, solo", "UTF-16"),
        ("1girl, solo".encode("utf-16-be"), "1girl, solo", "UTF-16"),
        (CHINESE.encode("gbk"), CHINESE, "GBK"),
        ("长发, 㐀, 🦊".encode("gb18030"), "长发, 㐀, 🦊", "GBK"),
        (b"", "", "empty"),
        (b" \r\n\t \xef\xbb\xbf", "", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe\x80", None, "not a text file"),
        (b"caf\xe9 noir", None, "not a text file"),
        (b"a" * 4_000_001, None, "too long"),
    ],
    ids=range(14),
)
def test_every_encoding(tmp_path: Path, data: bytes, text: str | None, words: str) -> None:
    path = tmp_path / "标签 🦊.txt"
    path.write_bytes(data)
    found, problem = read_caption(path)
    assert found == text
    assert (words in problem and path.name in problem) if words else problem == ""


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert read_caption(tmp_path / "a.txt") == (None, "")
    (tmp_path / "folder.txt").mkdir()
    text, problem = read_caption(tmp_path / "folder.txt")
    assert text is None and "could not be read" in problem


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  a,\t b  c \u3000d\u00a0", "a, b c d"),
        ("1girl\nsolo\n\nlong hair\n", "1girl, solo, long hair"),
        ("1girl,\nsolo,\r\nlong hair", "1girl, solo, long hair"),
        ("A girl stands here.\nShe smiles!\nMiru", "A girl stands here. She smiles! Miru"),
        ("长发，\n蓝眼", "长发， 蓝眼"),
        ("a\u200b\ufeff, b\x00\x07", "a, b"),
        ("👩\u200d🎨, ^_^", "👩\u200d🎨, ^_^"),
        (" \n长发, 1girl\r\n", "长发, 1girl"),
        ("a\u00a0b", "a b"),
        ("\n\u200ba, b\n", "a, b"),
        ("a\x1cb", "a, b"),
        ("\n \n", ""),
    ],
)
def test_whitespace_and_lines(raw: str, clean: str) -> None:
    assert tidy(raw) == clean


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("", []),
        (" , ,, ", []),
        ("a, b,c ,  d e ", ["a", "b", "c", "d e"]),
        ("a, b, a, B, long_hair, long hair", ["a", "b", "long_hair"]),
        ("(red hair, blue eyes:1.2), c", ["(red hair, blue eyes:1.2)", "c"]),
        ("((a, b), (c, d)), e", ["((a, b), (c, d))", "e"]),
        (r"miru \(kiln\), a", [r"miru \(kiln\)", "a"]),
        (r"\(a, b\), c", [r"\(a", r"b\)", "c"]),
        (":(, a, :), b", [":(, a, :)", "b"]),
        (":(, a, b", [":(", "a", "b"]),
        ("^_^, :d, b)", ["^_^", ":d", "b)"]),
        ("长发，蓝眼, miru", ["长发，蓝眼", "miru"]),
    ],
)
def test_splitting(caption: str, tags: list[str]) -> None:
    assert split_tags(caption) == tags


def test_joining_keeps_order_and_spelling() -> None:
    assert join_tags(["b", "a", "", " a ", "Long_Hair", "long hair", "c,"]) == "b, a, Long_Hair, c"
    assert join_tags([]) == ""
    assert join_tags(["_", "__"]) == "_, __"


@pytest.mark.parametrize("caption", ["a, b, (c, d:1.1), \\(e\\)", "one", "🦊, 长发"])
def test_join_undoes_split(caption: str) -> None:
    assert join_tags(split_tags(caption)) == caption


def test_a_very_long_caption_is_no_trouble() -> None:
    caption = ", ".join(f"tag {index} (x" for index in range(20_000))
    assert len(split_tags(caption)) == 20_000


def test_spellings_of_one_tag() -> None:
    assert tag_key("Long_Hair ") == tag_key("long  hair") == "long hair"
    assert tag_key(r"miru \(kiln\)") == tag_key("miru_(kiln)")


def test_the_module_needs_nothing_heavy() -> None:
    assert not hasattr(captions, "np")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among files")
def test_a_pipe_named_like_a_caption_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert read_caption(tmp_path / "a.txt") == (None, "a.txt is not a text file.")
