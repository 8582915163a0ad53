"""Several folders are one dataset: each with its own settings, nothing read twice or without being asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from core.dataset import scan as scanning
from core.dataset.edits import Concept, Crop, Dataset, DatasetFile, PictureEdits, save_dataset
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import DatasetReading, scan_dataset, scan_folder, scan_job, usable
from core.errors import UserError
from tests import pictures


def dataset(*concepts: Concept) -> Dataset:
    return Dataset(concepts, {})


def names(scan: Scan) -> list[str]:
    return [str(record.path.relative_to(scan.folder)) for record in scan.records]


def test_each_folder_has_its_own_settings(tmp_path: Path) -> None:
    one, two = pictures.good_folder(tmp_path / "one", 2), pictures.good_folder(tmp_path / "10_two", 1)
    (two / "p00.caption").write_text("from caption", encoding="utf-8")
    scan = scan_dataset(
        dataset(
            Concept(folder=one, repeats=4, trigger_word="miru", class_word="girl"),
            Concept(folder=two, caption_extension=".caption", is_regularization=True),
        )
    )
    first, _, last = scan.records
    assert (first.concept, first.repeats, first.trigger_word, first.class_tokens) == (0, 4, "miru", "girl")
    assert (last.concept, last.repeats, last.class_tokens, last.caption) == (1, 10, "two", "from caption")
    assert last.is_regularization and not first.is_regularization


def test_sub_folders_on_request_each_picture_once(tmp_path: Path) -> None:
    for place in ("a.png", "x/b.png", "x/y/c.png", "5_z/d.png", "own/e.png", ".hidden/f.png"):
        pictures.save(tmp_path / place)
    assert names(scan_dataset(dataset(Concept(folder=tmp_path)))) == ["a.png", str(Path("5_z/d.png"))]
    deep = scan_dataset(
        dataset(Concept(folder=tmp_path, include_subfolders=True), Concept(folder=tmp_path / "own", repeats=2))
    )
    found = {str(record.path.relative_to(tmp_path)): record.repeats for record in deep.records}
    assert found == {
        "a.png": 0,
        str(Path("5_z/d.png")): 5,
        str(Path("x/b.png")): 0,
        str(Path("x/y/c.png")): 0,
        str(Path("own/e.png")): 2,
    }
    assert len(deep.records) == len(found)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    pictures.save(tmp_path / "x" / "a.png")
    (tmp_path / "x" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "5_round").symlink_to(tmp_path, target_is_directory=True)
    scan = scan_dataset(dataset(Concept(folder=tmp_path, include_subfolders=True)))
    assert names(scan) == [str(Path("x/a.png"))]


@pytest.mark.parametrize("name", ["x/..", "link"])
def test_a_folder_under_two_names_is_read_once(tmp_path: Path, name: str) -> None:
    folder = pictures.good_folder(tmp_path / "in", 2)
    (folder / "x").mkdir()
    pictures.save(folder / "10_x" / "a.png")
    if name == "link":
        if sys.platform == "win32":
            pytest.skip("links need a right of their own there")
        (folder / "link").symlink_to(folder, target_is_directory=True)
    scan = scan_dataset(dataset(Concept(folder=folder), Concept(folder=folder / name, repeats=9)))
    assert names(scan) == ["p00.png", "p01.png", str(Path("10_x/a.png"))]
    assert [(problem.path, problem.excludes) for problem in scan.problems] == [(folder / name, False)]
    assert "twice" in scan.problems[0].message
    deep = dataset(Concept(folder=folder, include_subfolders=True), Concept(folder=folder / "x" / ".." / "10_x"))
    assert [record.concept for record in scan_dataset(deep).records] == [0, 0, 1]


def test_a_further_folder_that_vanished_is_told_and_the_rest_used(tmp_path: Path) -> None:
    one = pictures.good_folder(tmp_path / "one", 2)
    scan = scan_dataset(dataset(Concept(folder=one), Concept(folder=tmp_path / "gone")))
    assert len(scan.records) == 2 and [problem.path.name for problem in scan.problems] == ["gone"]
    assert "does not exist" in scan.problems[0].message
    with pytest.raises(UserError, match="does not exist"):
        scan_dataset(dataset(Concept(folder=tmp_path / "gone"), Concept(folder=one)))


def test_unchanged_pictures_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.good_folder(tmp_path, 4)
    first = scan_folder(tmp_path)
    opened: list[str] = []
    real = scanning.images.picture_size

    def noted(path: str, **others: bool) -> tuple[int, int]:
        opened.append(Path(path).name)
        return real(path, **others)

    monkeypatch.setattr(scanning.images, "picture_size", noted)
    known = {record.path: record for record in first.records}
    assert scan_dataset(Dataset.of_folder(tmp_path), known=known) == first and opened == []
    pictures.save(tmp_path / "p01.png", pictures.scene((48, 32)))
    os.utime(tmp_path / "p01.png", (1, 1))
    (tmp_path / "p02.txt").write_text("changed", encoding="utf-8")
    os.utime(tmp_path / "p02.txt", (1, 1))
    again = scan_dataset(Dataset.of_folder(tmp_path), known=known)
    assert opened == ["p01.png"]
    assert (again.records[1].size_px, again.records[2].caption) == ((48, 32), "changed")


def test_a_caption_of_another_size_is_read_again_whatever_its_time(tmp_path: Path) -> None:
    pictures.good_folder(tmp_path, 2)
    caption = tmp_path / "p01.txt"
    os.utime(caption, (1, 1))
    known = {record.path: record for record in scan_folder(tmp_path).records}
    caption.write_text("something longer than before", encoding="utf-8")
    os.utime(caption, (1, 1))
    again = scan_dataset(Dataset.of_folder(tmp_path), known=known)
    assert again.records[1].caption == "something longer than before"


def written(tmp_path: Path, folder: Path, edits: dict[str, PictureEdits]) -> Path:
    path = tmp_path / "edits.json"
    content = DatasetFile(
        concepts=(Concept(folder=folder),), pictures={str(folder / name): edit for name, edit in edits.items()}
    )
    save_dataset(path, content)
    return path


def test_a_job_leaves_out_what_was_left_out(tmp_path: Path) -> None:
    folder = pictures.good_folder(tmp_path / "in", 3)
    edits = {"p01.png": PictureEdits(excluded=True), "p02.png": PictureEdits(crops=(Crop(box=(0, 0, 20, 20)),))}
    scan = scan_job(folder, written(tmp_path, folder, edits))
    assert [record.path.name for record in scan.records] == ["p00.png", "p01.png", "p02.png"]
    assert [record.path.name for record in usable(scan)] == ["p00.png", "p02.png"]
    assert scan.edits(folder / "p02.png").crops[0].box == (0, 0, 20, 20)


@pytest.mark.parametrize(("number", "said"), [(1, "The only picture of"), (2, "All 2 pictures of")])
def test_nothing_left_is_said(tmp_path: Path, number: int, said: str) -> None:
    folder = pictures.good_folder(tmp_path / "in", number)
    out = {f"p{place:02}.png": PictureEdits(excluded=True) for place in range(number)}
    with pytest.raises(UserError, match=said):
        usable(scan_job(folder, written(tmp_path, folder, out)))


def test_the_dataset_file_of_another_folder_is_refused(tmp_path: Path) -> None:
    folder, other = pictures.good_folder(tmp_path / "in", 1), pictures.good_folder(tmp_path / "other", 1)
    with pytest.raises(UserError, match="is about"):
        scan_job(other, written(tmp_path, folder, {}))


def test_a_damaged_dataset_file_is_told_among_the_problems(tmp_path: Path) -> None:
    folder = pictures.good_folder(tmp_path / "in", 1)
    path = written(tmp_path, folder, {"p00.png": PictureEdits(repeats=3)})
    written(tmp_path, folder, {"p00.png": PictureEdits(repeats=4)})
    path.write_bytes(b"{")
    scan = scan_job(folder, path)
    assert scan.edits(folder / "p00.png").repeats == 3
    assert ["backup" in problem.message for problem in scan.problems] == [True]


def test_the_order_is_the_same_every_time(tmp_path: Path) -> None:
    one, two = pictures.good_folder(tmp_path / "b", 3), pictures.good_folder(tmp_path / "a", 3)
    scans = [scan_dataset(dataset(Concept(folder=one), Concept(folder=two))) for _ in range(2)]
    assert scans[0] == scans[1]
    assert [record.path.parent.name for record in scans[0].records] == ["b"] * 3 + ["a"] * 3
    assert all(isinstance(record, ImageRecord) for record in scans[0].records)


# Ahead of the rest


def two_folders(tmp_path: Path) -> Dataset:
    """Twelve pictures: 0 to 3, 3 to 6 of a named sub-folder, and 7 to 9 of a second folder; two files are damaged."""
    for place in ("0", "1", "2", "10", "3_girl/3", "3_girl/4", "3_girl/5", "3_girl/6"):
        pictures.save(tmp_path / "one" / f"{place}.png")
    for number in (7, 8, 9):
        pictures.save(tmp_path / "two" / f"{number}.png")
    (tmp_path / "one" / "1.png").write_bytes(b"no picture")
    (tmp_path / "two" / "75.png").write_bytes(b"")
    return dataset(Concept(folder=tmp_path / "one"), Concept(folder=tmp_path / "two", trigger_word="miru"))


@pytest.mark.parametrize(
    ("around", "first", "expected"),
    [
        ("", 0, ["0", "2", "10"]),
        ("one/0.png", 0, ["0", "2", "10"]),
        ("one/10.png", 1, ["2", "10", "3"]),
        ("one/3_girl/5.png", 4, ["3", "4", "5", "6"]),
        ("two/7.png", 6, ["5", "6", "7", "8"]),
        ("two/9.png", 8, ["7", "8", "9"]),
        ("gone/9.png", 0, ["0", "2", "10"]),
    ],
)
def test_a_few_pictures_are_read_ahead_in_their_order(
    tmp_path: Path, around: str, first: int, expected: list[str]
) -> None:
    reading = DatasetReading(two_folders(tmp_path))
    glimpse = reading.glimpse(4, tmp_path / around if around else None)
    assert [record.path.stem for record in glimpse.records] == expected
    assert (glimpse.first, glimpse.num_pictures) == (first, 12)
    scan = reading.read()
    start = scan.records.index(glimpse.records[0])
    assert scan.records[start : start + len(expected)] == glimpse.records


def test_what_is_read_ahead_leaves_no_trace(tmp_path: Path) -> None:
    data = two_folders(tmp_path)
    (tmp_path / "one" / "2.jpg").write_bytes((tmp_path / "one" / "2.png").read_bytes())  # They share a caption.
    expected = scan_dataset(data)
    reading = DatasetReading(data)
    reading.glimpse(20)
    reading.glimpse(3, tmp_path / "one" / "2.png")
    assert reading.read() == expected and len(expected.problems) == 3


def test_how_far_the_reading_is_goes_up_to_the_end(tmp_path: Path) -> None:
    reading = DatasetReading(two_folders(tmp_path))
    told: list[int] = []
    reading.read(told.append)
    assert told == [4, 8, 12] and reading.num_pictures == 12


def test_while_many_pictures_of_a_folder_are_read_it_is_told_now_and_then(tmp_path: Path) -> None:
    for number in range(40):
        pictures.save(tmp_path / f"{number}.png")
    told: list[int] = []
    DatasetReading(dataset(Concept(folder=tmp_path))).read(told.append)
    assert told == [16, 32, 40]
