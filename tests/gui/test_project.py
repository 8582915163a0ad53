"""Decisions, captions and folders can be taken back, and what other programs do meanwhile is noticed."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.project import Project
from core.dataset import caption_edits
from core.dataset.caption_edits import Written, intend
from core.dataset.caption_journal import begin_journal, journals
from core.dataset.edits import UNTOUCHED, Concept, Crop, PictureEdits, dataset_file_of, load_dataset
from core.dataset.scan import scan_folder, scan_job
from core.paths import user_data_folder
from tests import pictures as made

OUT = PictureEdits(excluded=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.good_folder(tmp_path / "我的 图片 🦊", 6)


@pytest.fixture
def opened(qtbot: QtBot, project: Project, folder: Path) -> Project:
    open_folder(qtbot, project, folder)
    return project


def open_folder(qtbot: QtBot, project: Project, folder: Path) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)


def images(project: Project) -> list[Path]:
    assert project.scan is not None
    return [record.path for record in project.scan.records]


def captions(project: Project) -> list[str | None]:
    assert project.scan is not None
    return [record.caption for record in project.scan.records]


def reopened(qtbot: QtBot, project: Project) -> Project:
    project.save()
    again = Project()
    with qtbot.waitSignal(again.records_changed):
        again.reopen()
    return again


def test_settings_that_nothing_has_changed_are_not_written_again(project: Project) -> None:
    project.save()
    store = user_data_folder() / "project.json"
    first = store.stat().st_ino, store.stat().st_mtime_ns
    project.save()
    assert (store.stat().st_ino, store.stat().st_mtime_ns) == first
    project.change({"training.epochs": project.config.training.epochs + 1})
    project.save()
    assert (store.stat().st_ino, store.stat().st_mtime_ns) != first
    assert Project().config == project.config


def test_decisions_are_found_again_and_named_for_the_jobs(qtbot: QtBot, opened: Project, folder: Path) -> None:
    first, second = images(opened)[:2]
    assert opened.config.dataset.edits == Path()
    crop = PictureEdits(crops=(Crop(box=(1, 2, 30, 40), name="脸"),), turn=90)
    opened.edit_pictures("Decide", {first: OUT, second: crop})
    opened.set_view({"order": "size"})
    assert opened.config.dataset.edits == dataset_file_of(folder)
    again = reopened(qtbot, opened)
    assert (again.edits(first), again.edits(second), again.view["order"]) == (OUT, crop, "size")
    assert again.config.dataset.edits == dataset_file_of(folder)
    assert scan_job(folder, again.config.dataset.edits).edits(first) == OUT


def test_decisions_are_taken_back_and_made_again_by_name(qtbot: QtBot, opened: Project) -> None:
    first, second = images(opened)[:2]
    opened.edit_pictures("Leave out one", {first: OUT})
    opened.edit_pictures("Leave out two", {first: OUT, second: OUT})
    assert opened.undo_name == "Leave out two"
    with qtbot.waitSignal(opened.edits_changed) as heard:
        opened.undo()
    assert heard.args == [(second,)] and opened.edits(second) == UNTOUCHED and opened.edits(first) == OUT
    assert (opened.undo_name, opened.redo_name) == ("Leave out one", "Leave out two")
    opened.undo()
    assert opened.config.dataset.edits == Path()
    opened.redo()
    opened.redo()
    assert opened.edits(first) == opened.edits(second) == OUT and opened.redo_name == ""


def test_nothing_decided_is_no_step(opened: Project) -> None:
    opened.edit_pictures("Nothing", {images(opened)[0]: UNTOUCHED})
    assert opened.undo_name == ""


def test_captions_and_decisions_return_in_order(opened: Project, folder: Path) -> None:
    before = made.contents(folder)
    first = images(opened)[0]
    assert opened.save_caption(first, "one")
    opened.edit_pictures("Leave out", {first: OUT})
    opened.edit_captions("Add smile", {image: f"{opened.record(image).caption}, smile" for image in images(opened)})
    assert captions(opened)[0] == "one, smile"
    for _ in range(3):
        opened.undo()
    assert made.contents(folder) == before and opened.edits(first) == UNTOUCHED
    for _ in range(3):
        opened.redo()
    assert captions(opened)[0] == "one, smile" and opened.edits(first) == OUT
    assert (folder / "p00.txt").read_bytes() == b"one, smile"


def test_many_captions_are_written_beside_the_window_and_undone(
    qtbot: QtBot, opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 2)
    before = made.contents(folder)
    heard: list[tuple[str, int, int]] = []
    opened.writing_changed.connect(lambda *values: heard.append(values))

    def change(act: Callable[[], None]) -> None:
        with qtbot.waitSignal(opened.captions_changed):
            act()
            assert opened.is_writing and not opened.save_caption(images(opened)[0], "typed meanwhile")
        qtbot.waitUntil(lambda: not opened.is_writing)

    change(lambda: opened.edit_captions("All", dict.fromkeys(images(opened), "x")))
    assert captions(opened) == ["x"] * 6 and heard[0] == ("All", 0, 6) and heard[-1] == ("", 0, 0)
    change(opened.undo)
    assert made.contents(folder) == before
    change(opened.redo)
    assert captions(opened) == ["x"] * 6


def test_what_another_program_wrote_survives_a_bulk_edit_and_its_undo(
    qtbot: QtBot, opened: Project, folder: Path
) -> None:
    (folder / "p01.txt").write_text("theirs", encoding="utf-8")
    with qtbot.waitSignal(opened.problem) as told:
        opened.edit_captions("All", dict.fromkeys(images(opened), "mine"))
    assert "p01.txt" in told.args[0]
    assert captions(opened)[:3] == ["mine", "theirs", "mine"]
    (folder / "p02.txt").write_text("theirs, too", encoding="utf-8")
    with qtbot.waitSignal(opened.problem):
        opened.undo()
    assert captions(opened)[:3] == ["1girl, number 0", "theirs", "theirs, too"]
    assert opened.redo_name == "All"
    opened.redo()
    assert captions(opened)[:3] == ["mine", "theirs", "theirs, too"]


def test_further_folders_are_read_kept_and_taken_back(
    qtbot: QtBot, opened: Project, folder: Path, tmp_path: Path
) -> None:
    other = made.good_folder(tmp_path / "other", 2)
    with qtbot.waitSignal(opened.records_changed):
        opened.set_concepts("Add other", (*opened.concepts, Concept(folder=other, repeats=4, trigger_word="kara")))
    assert len(images(opened)) == 8 and opened.record(other / "p00.png").repeats == 4
    assert opened.config.dataset.folder == folder and opened.config.dataset.edits == dataset_file_of(folder)
    opened.edit_pictures("Leave out", {other / "p00.png": OUT})
    again = reopened(qtbot, opened)
    assert len(images(again)) == 8 and again.edits(other / "p00.png") == OUT
    opened.undo()
    with qtbot.waitSignal(opened.records_changed):
        opened.undo()
    assert len(images(opened)) == 6 and opened.redo_name == "Add other"


def test_another_folder_has_decisions_of_its_own(qtbot: QtBot, opened: Project, folder: Path, tmp_path: Path) -> None:
    opened.edit_pictures("Leave out", {images(opened)[0]: OUT})
    other = made.good_folder(tmp_path / "other", 2)
    open_folder(qtbot, opened, other)
    assert opened.config.dataset.folder == other and opened.config.dataset.edits == Path()
    assert opened.undo_name == ""
    open_folder(qtbot, opened, folder)
    assert opened.edits(folder / "p00.png") == OUT and opened.config.dataset.edits == dataset_file_of(folder)


def test_a_damaged_dataset_file_is_told_and_its_backup_used(qtbot: QtBot, opened: Project, folder: Path) -> None:
    opened.edit_pictures("Leave out", {images(opened)[0]: OUT})
    opened.save()
    opened.edit_pictures("Leave out", {images(opened)[1]: OUT})
    opened.save()
    dataset_file_of(folder).write_bytes(b"\0\0")
    again = Project()
    with qtbot.waitSignals([again.records_changed, again.problem]):
        again.reopen()
    assert again.edits(images(again)[0]) == OUT and again.edits(images(again)[1]) == UNTOUCHED


def test_a_dataset_file_of_a_newer_version_is_left_alone(qtbot: QtBot, opened: Project, folder: Path) -> None:
    opened.edit_pictures("Leave out", {images(opened)[0]: OUT})
    opened.save()
    path = dataset_file_of(folder)
    newer = path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2')
    path.write_text(newer, encoding="utf-8")
    again = Project()
    with qtbot.waitSignals([again.records_changed, again.problem]):
        again.reopen()
    with qtbot.waitSignal(again.problem) as told:
        again.edit_pictures("Leave out", {images(again)[1]: OUT})
    assert "newer" in told.args[0] and again.edits(images(again)[1]) == UNTOUCHED and again.undo_name == ""
    again.save()
    assert path.read_text(encoding="utf-8") == newer and again.edits_file == Path()


def test_pictures_added_and_removed_by_another_program_are_noticed(qtbot: QtBot, opened: Project, folder: Path) -> None:
    with qtbot.waitSignal(opened.records_changed):
        made.save(folder / "新的.png")
    assert (folder / "新的.png") in images(opened)
    opened.edit_pictures("Leave out", {folder / "p00.png": OUT})
    with qtbot.waitSignal(opened.records_changed):
        (folder / "p01.png").unlink()
    assert (folder / "p01.png") not in images(opened) and opened.edits(folder / "p00.png") == OUT


def test_a_caption_written_by_another_program_is_taken_up(qtbot: QtBot, opened: Project, folder: Path) -> None:
    with qtbot.waitSignal(opened.captions_changed) as heard:
        temporary = folder / "p03.new"
        temporary.write_text("theirs", encoding="utf-8")
        temporary.replace(folder / "p03.txt")
    assert heard.args == [(folder / "p03.png",)] and captions(opened)[3] == "theirs"


def test_writing_a_caption_is_no_news_from_another_program(qtbot: QtBot, opened: Project) -> None:
    heard: list[object] = []
    assert opened.save_caption(images(opened)[0], "mine")
    opened.captions_changed.connect(heard.append)
    opened.records_changed.connect(lambda: heard.append("records"))
    with qtbot.waitSignal(opened.looked):
        opened.look_again()
    assert heard == []


def test_a_folder_that_vanishes_is_told_once(qtbot: QtBot, opened: Project, folder: Path) -> None:
    told: list[str] = []
    opened.problem.connect(lambda message, _remedy: told.append(message))
    with qtbot.waitSignal(opened.problem):
        shutil.rmtree(folder)
    with qtbot.waitSignal(opened.looked):
        opened.look_again()
    assert len(told) == 1 and folder.name in told[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_read_only_folder_is_said(opened: Project, folder: Path) -> None:
    told: list[str] = []
    opened.problem.connect(lambda message, _remedy: told.append(message))
    folder.chmod(0o500)
    try:
        opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    finally:
        folder.chmod(0o700)
    assert told and opened.undo_name == ""


def test_a_full_disk_in_the_middle_is_told_and_the_written_part_can_be_undone(
    opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.contents(folder)
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "p02.txt":
            raise OSError(28, os.strerror(28), str(target))
        real(source, target)

    told: list[str] = []
    opened.problem.connect(lambda message, _remedy: told.append(message))
    monkeypatch.setattr(os, "replace", refuse)
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    monkeypatch.undo()
    assert len(told) == 1 and captions(opened)[:3] == ["x", "x", "1girl, number 2"]
    opened.undo()
    assert made.contents(folder) == before


def test_the_dataset_file_is_written_beside_nothing_of_the_users(opened: Project, folder: Path) -> None:
    before = made.contents(folder)
    opened.edit_pictures("Leave out", dict.fromkeys(images(opened), OUT))
    opened.save()
    assert made.contents(folder) == before
    assert len(load_dataset(dataset_file_of(folder))[0].pictures) == 6


# Changes to many captions are kept on the disk


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a few captions are written beside the window."""
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 0)


def test_many_captions_are_taken_back_after_a_restart(qtbot: QtBot, opened: Project, folder: Path) -> None:
    before = made.contents(folder)
    opened.edit_captions("First", dict.fromkeys(images(opened), "x"))
    opened.edit_captions("Second", dict.fromkeys(images(opened), "y"))
    again = reopened(qtbot, opened)
    assert again.undo_name == "Second"
    again.undo()
    assert captions(again) == ["x"] * 6 and (again.undo_name, again.redo_name) == ("First", "Second")
    again.undo()
    assert made.contents(folder) == before
    assert reopened(qtbot, again).undo_name == ""


def test_what_was_being_written_when_the_program_ended_is_complete_after_opening(
    qtbot: QtBot, project: Project, folder: Path
) -> None:
    before = made.contents(folder)
    records = scan_folder(folder).records
    intended = intend(records, {record.path: "x" for record in records})
    with begin_journal("Tag 6 pictures", folder, intended.changes):
        records[0].caption_path.write_bytes(b"x")  # The program ends here.
    told = []
    project.problem.connect(lambda message, _remedy: told.append(message))
    open_folder(qtbot, project, folder)
    assert captions(project) == ["x"] * 6 and "Tag 6 pictures" in told[0]
    project.undo()
    assert made.contents(folder) == before


def test_captions_are_completed_beside_other_news_of_the_folder(qtbot: QtBot, project: Project, folder: Path) -> None:
    dataset_file_of(folder).parent.mkdir(parents=True, exist_ok=True)
    dataset_file_of(folder).write_text("{damaged", encoding="utf-8")
    records = scan_folder(folder).records
    with begin_journal("Tag 6 pictures", folder, intend(records, {record.path: "x" for record in records}).changes):
        pass  # The program ends here.
    told = []
    project.problem.connect(lambda message, _remedy: told.append(message))
    open_folder(qtbot, project, folder)
    assert captions(project) == ["x"] * 6 and "Tag 6 pictures" in told[0] and "damaged" in told[0]


def test_captions_are_shown_as_soon_as_they_are_safe(
    qtbot: QtBot, opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 0)
    may_go_on = threading.Event()
    real = caption_edits._put

    def put(place: str, data: bytes, mode: int | None) -> None:
        assert may_go_on.wait(10)
        real(place, data, mode)

    monkeypatch.setattr(caption_edits, "_put", put)
    with qtbot.waitSignal(opened.captions_changed):
        opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    assert captions(opened) == ["x"] * 6 and opened.is_writing
    assert {image.with_suffix(".txt").read_bytes() for image in images(opened)}.isdisjoint({b"x"})
    may_go_on.set()
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert {image.with_suffix(".txt").read_bytes() for image in images(opened)} == {b"x"}


@pytest.mark.usefixtures("slowly")
def test_a_job_waits_until_all_captions_are_on_the_disk(qtbot: QtBot, opened: Project) -> None:
    seen: list[set[bytes]] = []

    def start() -> None:
        if not opened.waits_for_captions(start):
            seen.append({image.with_suffix(".txt").read_bytes() for image in images(opened)})

    for text in ("x", "y"):
        opened.edit_captions(text, dict.fromkeys(images(opened), text))
    start()
    assert seen == []
    qtbot.waitUntil(lambda: bool(seen))
    assert seen == [{b"y"}]
    start()
    assert len(seen) == 2


@pytest.mark.parametrize("fails", [OSError(28, os.strerror(28)), RuntimeError("a mistake")])
def test_captions_that_did_not_come_to_the_disk_are_not_shown_any_more(
    qtbot: QtBot, opened: Project, monkeypatch: pytest.MonkeyPatch, fails: Exception
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 0)
    before = captions(opened)

    def put(_place: str, _data: bytes, _mode: int | None) -> None:
        raise fails

    monkeypatch.setattr(caption_edits, "_put", put)
    with qtbot.waitSignal(opened.captions_changed):
        opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    qtbot.waitUntil(lambda: not opened.is_writing and not opened.is_scanning)
    assert captions(opened) == before


# What happens at the same time


@pytest.mark.usefixtures("slowly")
def test_what_is_done_while_captions_are_taken_back_stays_in_the_history(qtbot: QtBot, opened: Project) -> None:
    first = images(opened)[0]
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    qtbot.waitUntil(lambda: not opened.is_writing)
    opened.undo()
    assert opened.is_writing
    opened.edit_pictures("Leave out", {first: OUT})
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert (opened.undo_name, opened.redo_name) == ("Leave out", "All")
    opened.undo()
    qtbot.waitUntil(lambda: opened.edits(first) == UNTOUCHED)
    opened.redo()
    opened.edit_pictures("Once more", {first: OUT})
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert opened.undo_name


@pytest.mark.usefixtures("slowly")
def test_another_folder_opened_while_captions_are_taken_back(
    qtbot: QtBot, opened: Project, folder: Path, tmp_path: Path
) -> None:
    before = made.contents(folder)
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    qtbot.waitUntil(lambda: not opened.is_writing)
    other = made.good_folder(tmp_path / "other", 2)
    opened.undo()
    open_folder(qtbot, opened, other)
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert (opened.undo_name, opened.redo_name) == ("", "") and made.contents(folder) == before
    assert len(images(opened)) == 2


def test_a_file_that_cannot_be_taken_back_keeps_its_step(
    opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "p02.txt":
            raise PermissionError(13, os.strerror(13), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    opened.undo()
    monkeypatch.undo()
    assert captions(opened)[1:4] == ["1girl, number 1", "x", "1girl, number 3"]
    assert (opened.undo_name, opened.redo_name) == ("All", "")
    opened.undo()
    assert captions(opened)[2] == "1girl, number 2" and (opened.undo_name, opened.redo_name) == ("", "All")


def test_a_damaged_journal_does_not_stand_in_the_way_of_earlier_steps(opened: Project, folder: Path) -> None:
    before = made.contents(folder)
    opened.edit_captions("First", dict.fromkeys(images(opened), "x"))
    opened.edit_captions("Second", dict.fromkeys(images(opened)[:2], "y"))
    second = journals(folder)[0]
    second.path.write_bytes(b"")
    opened.undo()
    assert opened.undo_name == "First"
    opened.undo()
    left = {name for name, data in made.contents(folder).items() if data != before.get(name)}
    assert left == {"p00.txt", "p01.txt"}


def test_small_changes_that_wait_for_a_large_one_are_all_made(
    qtbot: QtBot, opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 3)
    first, *_, last = images(opened)
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    ended: list[int] = []
    for number, image in enumerate((first, last, first)):
        opened.edit_captions(
            f"{number}", {image: f"{number}"}, then=lambda _written, number=number: ended.append(number)
        )
    qtbot.waitUntil(lambda: len(ended) == 3)
    assert ended == [0, 1, 2] and not opened.is_writing
    assert first.with_suffix(".txt").read_bytes() == b"2" and last.with_suffix(".txt").read_bytes() == b"1"


def test_what_became_of_captions_is_told_to_whoever_asked(opened: Project) -> None:
    told: list[Written | None] = []
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"), then=told.append)
    assert told[0] is not None and len(told[0].changes) == 6
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"), then=told.append)
    assert told[1] is not None and not told[1].changes


def test_reading_again_does_not_call_off_the_opening_of_another_folder(
    qtbot: QtBot, opened: Project, tmp_path: Path
) -> None:
    other = made.good_folder(tmp_path / "other", 2)
    with qtbot.waitSignal(opened.folder_changed):
        opened.open_folder(other)
        opened.rescan()
    assert opened.folder == other and opened.config.dataset.folder == other


def test_a_caption_saved_while_the_folder_is_read_is_not_forgotten(qtbot: QtBot, opened: Project) -> None:
    with qtbot.waitSignal(opened.records_changed):
        opened.rescan()
        assert opened.save_caption(images(opened)[0], "typed meanwhile")
    assert captions(opened)[0] == "typed meanwhile"


@pytest.mark.usefixtures("slowly")
def test_a_folder_changed_while_captions_are_written_keeps_its_settings(
    qtbot: QtBot, opened: Project, folder: Path
) -> None:
    opened.edit_captions("All", dict.fromkeys(images(opened), "x"))
    with qtbot.waitSignal(opened.records_changed):
        opened.set_concepts("Repeats", (Concept(folder=folder, repeats=9, trigger_word="tw"),))
    qtbot.waitUntil(lambda: not opened.is_writing and not opened.is_scanning)
    assert opened.scan is not None
    assert {(record.repeats, record.trigger_word, record.caption) for record in opened.scan.records} == {(9, "tw", "x")}


def test_captions_and_decisions_can_be_one_step(opened: Project, folder: Path) -> None:
    before = made.contents(folder)
    first, second = images(opened)[:2]
    opened.edit_captions("Mend", {first: "mended"}, {second: OUT})
    assert captions(opened)[0] == "mended" and opened.edits(second) == OUT
    opened.undo()
    assert made.contents(folder) == before and opened.edits(second) == UNTOUCHED and opened.undo_name == ""
    opened.redo()
    assert captions(opened)[0] == "mended" and opened.edits(second) == OUT


def test_what_a_killed_writer_left_behind_is_removed(qtbot: QtBot, project: Project, folder: Path) -> None:
    left = folder / ".kiln-999999999-12345.tmp"
    left.write_text("half", encoding="utf-8")
    mine = folder / f".kiln-{os.getpid()}-12345.tmp"
    mine.write_text("in the making", encoding="utf-8")
    open_folder(qtbot, project, folder)
    assert not left.exists() and mine.exists()


def test_decisions_are_saved_a_moment_after_they_were_made(qtbot: QtBot, opened: Project, folder: Path) -> None:
    opened.edit_pictures("Leave out", {images(opened)[0]: OUT})
    qtbot.waitUntil(dataset_file_of(folder).exists)
    assert len(load_dataset(dataset_file_of(folder))[0].pictures) == 1
