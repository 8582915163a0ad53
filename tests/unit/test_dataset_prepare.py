"""Preparing writes fitted copies to another folder and never touches a source."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.control import Control
from core.dataset import parallel
from core.dataset.buckets import bucket_sizes
from core.dataset.edits import Concept, Crop, DatasetFile, PictureEdits, save_dataset
from core.dataset.fitting import FitOptions, fit_image, plans_of
from core.dataset.images import open_image
from core.dataset.parallel import in_order
from core.dataset.prepare import prepare_folder
from core.dataset.scan import scan_folder
from core.errors import UserError
from core.events import Event, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.jobs import PrepareJob
from tests import pictures

# pytest shows warnings again that the program has silenced.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


def run(source: Path, target: Path, control: Control | None = None, **options: object) -> list[Event]:
    options = {"resolution": 64, "bucket_step": 16, **options}
    return list(
        prepare_folder(PrepareJob.model_validate({"folder": source, "target": target, **options}), control or Control())
    )


def written(target: Path) -> list[str]:
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())


def test_copies_have_bucket_sizes_and_their_captions(tmp_path: Path) -> None:
    source, target = pictures.good_folder(tmp_path / "图片 with spaces", 6), tmp_path / "out" / "深 🦊"
    before = pictures.contents(source)
    events = run(source, target)
    assert pictures.contents(source) == before
    assert isinstance(events[0], JobStarted) and events[0].job == "prepare" and events[0].num_images == 6
    assert events[1] == StageStarted(stage="prepare", total=6)
    assert [event.done for event in events if isinstance(event, StageProgress)] == [1, 2, 3, 4, 5, 6]
    assert isinstance(events[-1], Finished) and events[-1].output == target and not events[-1].stopped
    scan = scan_folder(target)
    buckets = bucket_sizes(64, 16, 2.0)
    assert len(scan.records) == 6 and scan.problems == ()
    assert all(record.size_px in buckets for record in scan.records)
    assert [record.caption for record in scan.records] == [f"1girl, number {index}" for index in range(6)]


def test_cropping_gives_squares_of_the_middle(tmp_path: Path) -> None:
    pictures.save(tmp_path / "in" / "a.png", pictures.scene((160, 80)))
    run(tmp_path / "in", tmp_path / "out", fit="crop", resolution=80)
    copy = np.asarray(open_image(tmp_path / "out" / "a.png"))
    assert np.array_equal(copy, np.asarray(pictures.scene((160, 80)).crop((40, 0, 120, 80))))


def test_odd_pictures_come_out_as_seen_and_plain(tmp_path: Path) -> None:
    pictures.write_all(tmp_path / "in", pictures.ODD)
    events = run(tmp_path / "in", tmp_path / "out")
    assert len(written(tmp_path / "out")) == len(pictures.ODD)
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as copy:
            assert (copy.format, copy.mode) == ("PNG", "RGB") and "icc_profile" not in copy.info
    assert not [event for event in events if isinstance(event, Notice)]


def test_bad_pictures_are_named_and_the_others_written(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 3)
    pictures.write_all(source, pictures.HOSTILE)
    events = run(source, tmp_path / "out")
    notices = [event for event in events if isinstance(event, Notice)]
    named = {notice.image.name for notice in notices if notice.image}
    assert named == set(pictures.HOSTILE)
    assert all(notice.level == "warning" and notice.message for notice in notices)
    assert [name for name in written(tmp_path / "out") if name.endswith(".png")] == ["p00.png", "p01.png", "p02.png"]
    last = [event for event in events if isinstance(event, StageProgress)][-1]
    assert last.done == last.total and isinstance(events[-1], Finished)


def test_named_folders_keep_their_repeats(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for place in ("top.png", "10_miru/a.png", "2_other x/a.png"):
        pictures.save(source / place)
    run(source, tmp_path / "out")
    assert written(tmp_path / "out") == sorted(["top.png", str(Path("10_miru/a.png")), str(Path("2_other x/a.png"))])
    run(source / "10_miru", tmp_path / "direct")
    assert [record.repeats for record in scan_folder(tmp_path / "direct").records] == [10]


def test_names_that_would_collide(tmp_path: Path) -> None:
    for index, name in enumerate(("a.jpg", "a.png", "a_2.bmp", "A.webp")):
        pictures.save(tmp_path / "in" / name, pictures.scene(seed=index))
    (tmp_path / "in" / "a.txt").write_text("shared", encoding="utf-8")
    run(tmp_path / "in", tmp_path / "out")
    names = written(tmp_path / "out")
    stems = [Path(name).stem.lower() for name in names if name.endswith(".png")]
    assert len(stems) == len(set(stems)) == 4
    assert len([name for name in names if name.endswith(".txt")]) == 2


def test_captions_of_every_kind(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 4, captions=False)
    (source / "p00.txt").write_bytes(pictures.GBK_CAPTION.encode("gbk"))
    (source / "p01.txt").write_bytes(b"")
    (source / "p02.txt").write_bytes(b"\xff\x00\x01")
    run(source, tmp_path / "out")
    assert [name for name in written(tmp_path / "out") if name.endswith(".txt")] == ["p00.txt"]
    assert (tmp_path / "out" / "p00.txt").read_text(encoding="utf-8") == pictures.GBK_CAPTION


def refused(source: Path, target: Path) -> str:
    before = pictures.contents(source)
    with pytest.raises(UserError) as caught:
        run(source, target)
    assert pictures.contents(source) == before
    return str(caught.value)


def test_targets_that_are_refused(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 2)
    assert "folder of the originals" in refused(source, source)
    assert "folder of the originals" in refused(source, tmp_path / "x" / ".." / "in")
    assert "become a part of the pictures" in refused(source, source / "10_prepared")
    other = pictures.good_folder(tmp_path / "other", 1)
    assert "is not empty; it holds p00.png" in refused(source, other)
    assert pictures.contents(other).keys() == {"p00.png", "p00.txt"}
    assert "is not empty" in refused(source, tmp_path)
    assert "is a file, not a folder" in refused(source, source / "p00.png")


def test_a_target_inside_the_source_and_one_with_system_files(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 2)
    run(source, source / "prepared")
    assert len(scan_folder(source).records) == 2
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_bytes(b"x")
    run(source, tmp_path / "out")
    assert len(written(tmp_path / "out")) == 5


def test_stopping_leaves_whole_pictures_only(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 40)
    control = Control()
    events: list[Event] = []
    job = PrepareJob(folder=source, target=tmp_path / "out", resolution=64, bucket_step=16)
    for event in prepare_folder(job, control):
        events.append(event)
        if isinstance(event, StageProgress) and event.done == 3:
            control.ask("stop")
    assert isinstance(events[-1], Finished) and events[-1].stopped
    names = written(tmp_path / "out")
    copies = [name for name in names if name.endswith(".png")]
    assert 3 <= len(copies) < 40
    assert not [name for name in names if name.endswith(".tmp")]
    for name in copies:
        open_image(tmp_path / "out" / name)


@pytest.mark.parametrize(("number", "words"), [(30, "no right to open"), (28, "disk is full")])
def test_a_target_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    source = pictures.good_folder(tmp_path / "in", 3)

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    assert words in refused(source, tmp_path / "out")
    assert written(tmp_path / "out") == []


def test_no_usable_picture(tmp_path: Path) -> None:
    pictures.write_all(tmp_path / "in", {"a.png": pictures.zero_bytes})
    assert "None of the pictures" in refused(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_come_in_order_and_not_too_many_are_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 7:
            raise ValueError("seven")
        return number * number

    results = in_order(work, range(100), workers=2)
    for expected, (number, future) in zip(range(10), results, strict=False):
        assert number == expected and len(begun) <= expected + 6
        if number == 7:
            with pytest.raises(ValueError, match="seven"):
                future.result()
        else:
            assert future.result() == number * number
    results.close()
    assert len(begun) < 20
    assert parallel.num_cores() >= 1


def decided(folder: Path, edits: dict[str, PictureEdits], path: Path) -> Path:
    pictures_of = {str(folder / name): edit for name, edit in edits.items()}
    save_dataset(path, DatasetFile(concepts=(Concept(folder=folder),), pictures=pictures_of))
    return path


def test_crops_are_written_each_and_what_is_left_out_is_not(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 3)
    crops = (Crop(box=(0, 0, 30, 30)), Crop(box=(10, 5, 60, 55)))
    edits = {"p00.png": PictureEdits(excluded=True), "p01.png": PictureEdits(crops=crops)}
    run(source, tmp_path / "out", edits=decided(source, edits, tmp_path / "d.json"))
    assert written(tmp_path / "out") == ["p01.png", "p01.txt", "p01_2.png", "p01_2.txt", "p02.png", "p02.txt"]
    assert (tmp_path / "out" / "p01_2.txt").read_text(encoding="utf-8") == "1girl, number 1"
    first = np.asarray(open_image(tmp_path / "out" / "p01.png"))
    plan = plans_of(open_image(source / "p01.png").size, FitOptions(resolution=64, bucket_step=16), edits["p01.png"])[0]
    assert np.array_equal(first, np.asarray(fit_image(open_image(source / "p01.png"), plan)))


def together(path: Path, *concepts: Concept, **edits: PictureEdits) -> Path:
    pictures_of = {str(concepts[0].folder / f"{name}.png"): edit for name, edit in edits.items()}
    save_dataset(path, DatasetFile(concepts=concepts, pictures=pictures_of))
    return path


def test_several_folders_keep_their_repeats_and_regularization_stays_apart(tmp_path: Path) -> None:
    one, two, prior = (pictures.good_folder(tmp_path / name, 2, captions=False) for name in ("one", "two", "prior"))
    edits = together(
        tmp_path / "d.json",
        Concept(folder=one),
        Concept(folder=two, repeats=4, trigger_word="miru: red/blue"),
        Concept(folder=prior, class_word="girl", is_regularization=True),
    )
    run(one, tmp_path / "out", edits=edits)
    # Four pictures to learn are shown 7 and 4 times by turns: 22 times, as often as the two others 11 times each.
    assert written(tmp_path / "out") == sorted(
        str(Path(folder) / f"p0{index}.png")
        for folder in ("7_one", "4_miru_ red_blue", "reg/11_girl")
        for index in (0, 1)
    )


def test_a_picture_with_repeats_of_its_own_keeps_them(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 2, captions=False)
    edits = together(tmp_path / "d.json", Concept(folder=source), p01=PictureEdits(repeats=3))
    run(source, tmp_path / "out", edits=edits)
    assert written(tmp_path / "out") == sorted([str(Path("3_in/p01.png")), "p00.png"])


def test_a_target_that_would_be_read_with_all_sub_folders_is_refused(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "in", 1)
    other = pictures.good_folder(tmp_path / "other", 1)
    deep = Concept(folder=other, include_subfolders=True)
    edits = together(tmp_path / "d.json", Concept(folder=source), deep)
    with pytest.raises(UserError, match="become a part of the pictures"):
        run(source, other / "a" / "b", edits=edits)
    assert not (other / "a").exists()
    run(source, source / "a" / "b", edits=edits)


def test_padding_and_shapes(tmp_path: Path) -> None:
    pictures.save(tmp_path / "in" / "wide.png", pictures.scene((160, 40)))
    run(tmp_path / "in", tmp_path / "pad", fit="pad", edge="black")
    padded = np.asarray(open_image(tmp_path / "pad" / "wide.png"))
    assert padded.shape == (64, 64, 3) and (padded[:20] == 0).all() and (padded[30:34] > 0).any()
    run(tmp_path / "in", tmp_path / "tall", fit="crop", crop_shape="2:3")
    assert open_image(tmp_path / "tall" / "wide.png").size == (48, 80)


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_copies_have_the_format_that_was_asked_for(tmp_path: Path, ending: str, kind: str) -> None:
    pictures.good_folder(tmp_path / "in", 2)
    run(tmp_path / "in", tmp_path / "out", format=ending, captions=False)
    assert written(tmp_path / "out") == [f"p00.{ending}", f"p01.{ending}"]
    with Image.open(tmp_path / "out" / f"p00.{ending}") as copy:
        assert copy.format == kind


def test_a_smart_export_finds_the_subjects_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    picture = Image.new("RGB", (300, 100), "white")
    picture.paste("red", (240, 20, 280, 90))
    pictures.save(tmp_path / "in" / "a.png", picture)
    events = run(tmp_path / "in", tmp_path / "out", fit="smart")
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ["check", "prepare"]
    copy = np.asarray(open_image(tmp_path / "out" / "a.png")).astype(int)
    red = (copy[..., 0] > 200) & (copy[..., 1] < 60)
    assert red.sum() == pytest.approx(40 * 70 * 0.64**2, rel=0.1)  # All of it, at the scale of the crop.
