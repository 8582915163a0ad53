"""A scan finds what is usable in a folder, tells what is not, and touches nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.dataset import scan as scanning
from core.dataset.records import Scan
from core.dataset.scan import natural_key, repeats_of, scan_folder, usable
from core.errors import UserError
from tests import pictures

# pytest shows warnings again that the program has silenced; a test below looks at a process of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


def names(scan: Scan) -> list[str]:
    return [str(record.path.relative_to(scan.folder)) for record in scan.records]


def test_a_flat_folder_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.PNG", "a.Jpeg", "1.webp", "B.bmp", "c.gif", "d.AVIF"):
        pictures.save(tmp_path / name)
    (tmp_path / "2.txt").write_text("1girl, solo", encoding="utf-8")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["1.webp", "2.PNG", "10.png", "a.Jpeg", "B.bmp", "c.gif", "d.AVIF"]
    assert scan.problems == ()
    record = scan.records[1]
    assert (record.caption, record.caption_problem, record.caption_path) == ("1girl, solo", "", tmp_path / "2.txt")
    assert (record.repeats, record.class_tokens, record.size_px) == (0, "", (96, 64))
    assert record.num_bytes == record.path.stat().st_size and record.changed_at == record.path.stat().st_mtime
    assert scan.records[0].caption is None and scan.records[0].caption_path == tmp_path / "1.txt"


def test_named_folders_are_understood_as_they_are(tmp_path: Path) -> None:
    for place in ("top.png", "10_miru fox/b.png", "10_miru fox/a.png", "2_/c.png", "3_style_x/deeper/no.png"):
        pictures.save(tmp_path / place)
    pictures.save(tmp_path / "3_style_x" / "d.png")
    pictures.save(tmp_path / "others" / "no.png")
    pictures.save(tmp_path / "2024_summer" / "no.png")
    before = pictures.contents(tmp_path)
    scan = scan_folder(tmp_path)
    found = [(str(r.path.relative_to(tmp_path)), r.repeats, r.class_tokens) for r in scan.records]
    assert found == [
        ("top.png", 0, ""),
        (str(Path("2_/c.png")), 2, ""),
        (str(Path("3_style_x/d.png")), 3, "style_x"),
        (str(Path("10_miru fox/a.png")), 10, "miru fox"),
        (str(Path("10_miru fox/b.png")), 10, "miru fox"),
    ]
    assert scan.folders == tuple(tmp_path / name for name in (".", "2_", "3_style_x", "10_miru fox"))
    assert pictures.contents(tmp_path) == before


def test_a_named_folder_opened_directly_counts_with_its_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path / "12_miru", 2)
    assert [(record.repeats, record.class_tokens) for record in scan_folder(folder).records] == [(12, "miru")] * 2
    monkeypatch.chdir(folder)
    assert [record.repeats for record in scan_folder(Path()).records] == [12, 12]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("10_a", (10, "a")), ("1_a_b c", (1, "a_b c")), ("7_", (7, "")), ("０１２_全角", (12, "全角"))]
    + [(name, None) for name in ("0_a", "a_10", "10", "10 a", "-3_a", "1001_a", "2024_trip", "99999999999_a", "_a")],
)
def test_repeats_of_a_name(name: str, expected: tuple[int, str] | None) -> None:
    assert repeats_of(name) == expected


def test_natural_order() -> None:
    shuffled = ["b", "a10", "A2", "a1b", "10", "9", "a", "２", "a01"]
    assert sorted(shuffled, key=natural_key) == ["２", "9", "10", "a", "a01", "a1b", "A2", "a10", "b"]


def test_hidden_files_caches_and_others_are_ignored(tmp_path: Path) -> None:
    pictures.save(tmp_path / "a.png")
    for name in (".hidden.png", "._a.png", "a.npz", "a_0096x0064_sd.npz", "notes.md", "Thumbs.db", "a.safetensors"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")  # Opening it would wait for ever.
    scan = scan_folder(tmp_path)
    assert names(scan) == ["a.png"] and scan.problems == ()


@pytest.mark.parametrize("name", pictures.BAD_HEADER)
def test_a_hostile_file_is_a_problem_and_the_others_stay(tmp_path: Path, name: str) -> None:
    pictures.save(tmp_path / "good.png")
    pictures.BAD_HEADER[name](tmp_path / name)
    scan = scan_folder(tmp_path)
    assert names(scan) == ["good.png"]
    (problem,) = scan.problems
    assert problem.path == tmp_path / name and problem.excludes
    assert name in problem.message and problem.remedy


def test_kinds_that_kiln_does_not_read_are_named(tmp_path: Path) -> None:
    pictures.save(tmp_path / "good.png")
    for name in ("phone.HEIC", "paint.psd"):
        (tmp_path / name).write_bytes(b"x" * 100)
    messages = [problem.message for problem in scan_folder(tmp_path).problems]
    assert messages == [
        "paint.psd is in PSD format, which Kiln does not read.",
        "phone.HEIC is in HEIC format, which Kiln does not read.",
    ]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_dangling_or_in_a_loop(tmp_path: Path) -> None:
    pictures.save(tmp_path / "good.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "5_loop").symlink_to(tmp_path, target_is_directory=True)
    scan = scan_folder(tmp_path)
    assert "good.png" in names(scan)
    assert {problem.path.name for problem in scan.problems} == {"gone.png", "loop.png"}


def test_two_pictures_with_one_caption_are_told_but_kept(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        pictures.save(tmp_path / name)
    scan = scan_folder(tmp_path)
    assert names(scan) == ["a.jpg", "a.png", "b.png"]
    (problem,) = scan.problems
    assert not problem.excludes
    assert problem.message == "a.png and a.jpg share one caption, a.txt."


def test_captions_with_another_ending_and_of_every_kind(tmp_path: Path) -> None:
    for name in "abcde":
        pictures.save(tmp_path / f"{name}.v1.png")
    (tmp_path / "a.v1.caption").write_text("plain", encoding="utf-8")
    (tmp_path / "a.v1.txt").write_text("not this", encoding="utf-8")
    (tmp_path / "b.v1.caption").write_bytes(pictures.GBK_CAPTION.encode("gbk"))
    (tmp_path / "c.v1.caption").write_bytes(b"")
    (tmp_path / "d.v1.caption").write_bytes(b"\xff\x00\x80\x81broken\xfe")
    (tmp_path / "e.v1.CAPTION").write_text("loud", encoding="utf-8")
    records = {record.path.name[0]: record for record in scan_folder(tmp_path, caption_extension=".caption").records}
    assert [records[name].caption for name in "abcde"] == ["plain", pictures.GBK_CAPTION, "", None, "loud"]
    assert [bool(records[name].caption_problem) for name in "abcde"] == [False, True, True, True, False]
    assert records["e"].caption_path.name == "e.v1.CAPTION"


def test_unusual_names_and_long_paths(tmp_path: Path) -> None:
    deep = tmp_path / "很长的路径 with spaces 🦊" / ("d" * 120) / ("e" * 120)
    for name in ("图 1.png", "emoji 🦊🔥.jpg", "x" * 200 + ".png", "braces {name}.png", "50%.png"):
        pictures.save(deep / name)
        (deep / name).with_suffix(".txt").write_text("标签", encoding="utf-8")
    (deep / "bad {0}.png").write_bytes(b"")
    scan = scan_folder(deep)
    assert len(scan.records) == 5 and {record.caption for record in scan.records} == {"标签"}
    assert scan.problems[0].message == "bad {0}.png is empty: it has 0 bytes."


def message_of(folder: Path) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        scan_folder(folder)
    return caught.value.message, caught.value.remedy


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "does not exist" in message_of(tmp_path / "gone")[0]
    file = tmp_path / "file.txt"
    file.write_text("x", encoding="utf-8")
    assert "is a file, not a folder" in message_of(file)[0]


def test_no_picture_says_where_there_are_some(tmp_path: Path) -> None:
    assert message_of(tmp_path)[0] == f"There is no picture in {tmp_path}."
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert message_of(tmp_path)[0] == f"There is no picture in {tmp_path}."
    pictures.save(tmp_path / "miru" / "a.png")
    message, remedy = message_of(tmp_path)
    assert "miru" in message and "10_miru" in remedy
    (tmp_path / "a.heic").write_bytes(b"x")
    assert "a.heic is of another kind" in message_of(tmp_path)[0]


def test_only_broken_pictures_are_shown_but_not_usable(tmp_path: Path) -> None:
    pictures.write_all(tmp_path, {"a.png": pictures.zero_bytes, "b.png": pictures.garbage})
    scan = scan_folder(tmp_path)
    assert scan.records == () and len(scan.problems) == 2
    with pytest.raises(UserError, match="can be used; 2 were found"):
        usable(scan)


@pytest.mark.parametrize(("number", "words"), [(13, "may not be read"), (5, "could not be read")])
def test_a_folder_that_the_system_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(scanning.os, "scandir", refuse)
    assert words in message_of(tmp_path)[0]


def test_a_scan_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.write_all(tmp_path, pictures.ODD)
    from PIL import ImageFile

    def decode(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert len(scan_folder(tmp_path).records) == len(pictures.ODD)
