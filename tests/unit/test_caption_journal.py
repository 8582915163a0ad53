"""A journal is on the disk before the first caption is touched, and takes them back after whatever happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.dataset import caption_edits, caption_journal
from core.dataset.caption_edits import carry_out, finish_journals, intend, turn_journal, write_captions
from core.dataset.caption_journal import (
    begin_journal,
    journal_folder,
    journals,
    latest_journal,
    read_journal,
    remove_old_journals,
)
from core.dataset.captions import CaptionChange
from core.dataset.records import ImageRecord
from core.dataset.scan import scan_folder
from core.errors import UserError
from tests import pictures

NAMES = ("a", "图 片", "🦊", "ü" * 60)
OLD = (b"a, b\r\n", "长发".encode("gbk"), None, b"")


@pytest.fixture
def records(tmp_path: Path) -> tuple[ImageRecord, ...]:
    folder = tmp_path / "我的 图片 🎨"
    folder.mkdir()
    for name, data in zip(NAMES, OLD, strict=True):
        pictures.save(folder / f"{name}.png")
        if data is not None:
            (folder / f"{name}.txt").write_bytes(data)
    return scan_folder(folder).records


@pytest.fixture
def folder(records: tuple[ImageRecord, ...]) -> Path:
    return records[0].path.parent


def texts(records: tuple[ImageRecord, ...]) -> dict[Path, str]:
    return {record.path: f"new {number}" for number, record in enumerate(records)}


def test_a_journal_brings_back_every_byte_and_makes_the_changes_again(
    records: tuple[ImageRecord, ...], folder: Path
) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    after = pictures.contents(folder)
    latest = latest_journal(folder)
    assert latest is not None and latest.path == written.journal
    assert (latest.name, latest.num_files, latest.state, latest.is_back) == ("Tag", 4, "done", False)
    assert len(turn_journal(latest.path, back=True).changes) == 4 and pictures.contents(folder) == before
    assert latest_journal(folder) is None and journals(folder)[0].is_back
    assert len(turn_journal(latest.path, back=False).changes) == 4 and pictures.contents(folder) == after
    assert latest_journal(folder) == latest


def test_a_caption_that_was_edited_since_is_left_alone(records: tuple[ImageRecord, ...], folder: Path) -> None:
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    records[1].caption_path.write_bytes(b"mine")
    undone = turn_journal(written.journal, back=True)
    assert undone.foreign == (records[1].caption_path,) and len(undone.changes) == 3
    assert records[1].caption_path.read_bytes() == b"mine"


def test_the_journal_is_whole_before_the_first_caption_is_touched(
    records: tuple[ImageRecord, ...], folder: Path
) -> None:
    before = pictures.contents(folder)
    intended = intend(records, texts(records))
    seen = []

    def look(_intended: object) -> None:
        (path,) = journal_folder().glob("*.jsonl")
        seen.append((read_journal(path), pictures.contents(folder)))

    carry_out(intended, begin_journal("Tag", folder, intended.changes), ready=look)
    assert seen == [(intended.changes, before)]


def die_while_writing(folder: Path, after: int) -> None:
    """Run a process that is killed when it has written so many captions."""
    code = f"""
import os, signal
from pathlib import Path
from core.dataset import caption_edits
from core.dataset.scan import scan_folder
real, left = caption_edits._put, [{after}]
def put(*given):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    real(*given)
caption_edits._put = put
folder = Path({str(folder)!r})
records = scan_folder(folder).records
texts = {{record.path: f"new {{number}}" for number, record in enumerate(records)}}
caption_edits.write_captions(records, texts, name="Tag", folder=folder)
"""
    died = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2], timeout=60)
    assert died.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("after", [0, 2])
def test_what_a_killed_process_left_is_completed_and_can_be_taken_back(
    records: tuple[ImageRecord, ...], folder: Path, after: int
) -> None:
    before = pictures.contents(folder)
    die_while_writing(folder, after)
    changed = [name for name, data in pictures.contents(folder).items() if before.get(name) != data]
    assert len(changed) == after
    assert [journal.state for journal in journals(folder)] == ["open"]
    assert [journal.name for journal in finish_journals(folder)] == ["Tag"]
    assert [record.caption_path.read_bytes() for record in records] == [b"new 0", b"new 1", b"new 2", b"new 3"]
    latest = latest_journal(folder)
    assert latest is not None and latest.state == "done" and not list(finish_journals(folder))
    turn_journal(latest.path, back=True)
    assert pictures.contents(folder) == before


def test_an_undo_that_was_cut_off_is_completed_as_an_undo(records: tuple[ImageRecord, ...], folder: Path) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    with caption_journal.open_journal(written.journal) as journal:
        journal.turn(back=True)
    assert len(list(finish_journals(folder))) == 1 and pictures.contents(folder) == before


def test_a_journal_that_was_never_whole_is_as_if_it_were_not_there(
    records: tuple[ImageRecord, ...], folder: Path
) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    turn_journal(written.journal, back=True)
    whole = written.journal.read_bytes()
    for size in (0, 10, 200, whole.index(b'{"mark"') - 1):
        written.journal.write_bytes(whole[:size])
        assert journals(folder) == [] and not list(finish_journals(folder))
    assert pictures.contents(folder) == before


def test_files_that_a_power_cut_left_unfinished_are_completed(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pictures.contents(folder)
    long = "long, " * 99 + "caption"
    intended = intend(records, {**texts(records), records[1].path: long})
    with begin_journal("Tag", folder, intended.changes):
        records[0].caption_path.write_bytes(b"")
        records[1].caption_path.write_bytes(long.encode()[:512])
        records[2].caption_path.write_bytes(b"\0\0\0\0\0")
        records[3].caption_path.write_bytes(b"new")  # The user's, though the new caption begins with it.
    assert len(list(finish_journals(folder))) == 1
    assert [record.caption_path.read_bytes() for record in records] == [b"new 0", long.encode(), b"new 2", b"new"]
    latest = latest_journal(folder)
    assert latest is not None
    turn_journal(latest.path, back=True)
    mine = str(records[3].caption_path.relative_to(folder))
    assert pictures.contents(folder) == {**before, mine: b"new"}


@pytest.fixture
def locked(records: tuple[ImageRecord, ...], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Another program holds the second caption from now on; the returned function ends that."""
    real, held = os.replace, [True]

    def refuse(source: Path, target: Path) -> None:
        if held and Path(target) == records[1].caption_path:
            raise PermissionError(13, os.strerror(13), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    return held.clear


def test_an_undo_that_failed_in_part_can_be_tried_again(
    records: tuple[ImageRecord, ...], folder: Path, request: pytest.FixtureRequest
) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    free = request.getfixturevalue("locked")
    undone = turn_journal(written.journal, back=True)
    assert undone.failed == (records[1].caption_path,) and records[1].caption_path.read_bytes() == b"new 1"
    latest = latest_journal(folder)
    assert latest is not None and latest.path == written.journal
    assert not list(finish_journals(folder))  # The user was told; nothing is tried behind their back.
    free()
    turn_journal(latest.path, back=True)
    assert pictures.contents(folder) == before and latest_journal(folder) is None


def test_what_cannot_be_completed_is_tried_again_the_next_time(
    records: tuple[ImageRecord, ...], folder: Path, request: pytest.FixtureRequest
) -> None:
    with begin_journal("Tag", folder, intend(records, texts(records)).changes):
        pass
    free = request.getfixturevalue("locked")
    with pytest.raises(PermissionError):
        list(finish_journals(folder))
    free()
    assert len(list(finish_journals(folder))) == 1
    assert records[1].caption_path.read_bytes() == b"new 1"


def test_a_damaged_journal_does_not_stand_in_the_way_of_others(records: tuple[ImageRecord, ...], folder: Path) -> None:
    changes = intend(records, texts(records)).changes
    with begin_journal("First", folder, changes[:1]) as first:
        pass
    first.path.write_bytes(first.path.read_bytes().replace(b'"caption"', b'"captain"'))
    with begin_journal("Second", folder, changes[1:]):
        pass
    finished = []
    with pytest.raises(UserError, match="damaged"):
        finished.extend(journal.name for journal in finish_journals(folder))
    assert records[1].caption_path.read_bytes() == b"new 1"
    assert not list(finish_journals(folder)) and len(journals(folder)) == 1


def test_a_mark_that_was_cut_off_does_not_hide_the_journal(records: tuple[ImageRecord, ...], folder: Path) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    written.journal.write_bytes(written.journal.read_bytes()[:-6])
    assert [journal.state for journal in journals(folder)] == ["open"]
    assert len(list(finish_journals(folder))) == 1
    assert [journal.state for journal in journals(folder)] == ["done"]
    turn_journal(written.journal, back=True)
    assert pictures.contents(folder) == before


def test_a_journal_of_which_nothing_was_done_vanishes(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda _source, _target: (_ for _ in ()).throw(PermissionError(13, "held")))
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert len(written.failed) == 4 and written.journal is None and journals(folder) == []


def test_a_full_disk_at_the_end_keeps_what_was_written(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_journal: object, _mark: bytes) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(caption_journal.OpenJournal, "_mark", refuse)
        written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert len(written.changes) == 4 and written.journal is not None
    assert [journal.state for journal in journals(folder)] == ["open"]
    assert len(list(finish_journals(folder))) == 1 and latest_journal(folder) is not None


def test_a_journal_that_ended_just_now_is_not_completed_again(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    (was,) = journals(folder)
    turn_journal(written.journal, back=True)
    monkeypatch.setattr(caption_journal, "journals", lambda _folder: [replace(was, state="open")])
    assert not list(finish_journals(folder)) and pictures.contents(folder) == before


@pytest.mark.parametrize(("few", "num_system"), [(20, 0), (2, 1)])
def test_a_few_captions_do_not_wait_for_the_data_of_other_programs(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch, few: int, num_system: int
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such wait")
    waits = {"files": 0, "system": 0}
    real = os.fsync

    def wait(handle: int) -> None:
        waits["files"] += 1
        real(handle)

    monkeypatch.setattr(caption_edits, "_FEW", few)
    monkeypatch.setattr(os, "fsync", wait)
    monkeypatch.setattr(os, "sync", lambda: waits.update(system=waits["system"] + 1))
    write_captions(records, texts(records), name="Tag", folder=folder)
    assert waits == {"files": 1 + (0 if num_system else 4), "system": num_system}  # One is the journal's.


def test_undo_ends_where_it_is_asked_to_and_goes_on_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_edits, "_TOLD_EVERY", 2)
    records = scan_folder(folder).records
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    undone = turn_journal(written.journal, back=True, is_stopped=lambda: True)
    assert undone.is_stopped and len(undone.changes) == 2
    assert len(list(finish_journals(folder))) == 1 and pictures.contents(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights, and links only for some")
def test_links_and_rights_stay(records: tuple[ImageRecord, ...], folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_bytes(b"x")
    link, private = folder / "🦊.txt", folder / "a.txt"
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere)
    private.chmod(0o600)
    records = scan_folder(folder).records
    written = write_captions(records, dict.fromkeys(texts(records), "new"), name="Tag", folder=folder)
    assert link.is_symlink() and elsewhere.read_bytes() == b"new"
    assert private.read_bytes() == b"new" and private.stat().st_mode & 0o777 == 0o600
    assert written.journal is not None
    turn_journal(written.journal, back=True)
    assert elsewhere.read_bytes() == b"x" and link.is_symlink()


def test_a_damaged_journal_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"kiln": "caption-journal", "version": 99, "files": 1}\n{}\n')
    with pytest.raises(UserError, match="damaged"):
        read_journal(tmp_path / "x.jsonl")
    with pytest.raises(UserError, match="missing"):
        read_journal(tmp_path / "none.jsonl")


def test_a_journal_of_a_living_process_is_left_to_it(records: tuple[ImageRecord, ...], folder: Path) -> None:
    before = pictures.contents(folder)
    intended = intend(records, texts(records))
    with begin_journal("Tag", folder, intended.changes):
        assert not list(finish_journals(folder)) and pictures.contents(folder) == before
    assert len(list(finish_journals(folder))) == 1 and pictures.contents(folder) != before


def test_no_caption_is_touched_without_a_journal(
    records: tuple[ImageRecord, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pictures.contents(folder)
    monkeypatch.setattr(os, "fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, os.strerror(28), "journal")))
    with pytest.raises(UserError, match="disk is full"):
        write_captions(records, texts(records), name="Tag", folder=folder)
    assert pictures.contents(folder) == before and not list(journal_folder().glob("*"))


def test_other_datasets_have_their_own_journals(records: tuple[ImageRecord, ...], folder: Path, tmp_path: Path) -> None:
    write_captions(records, texts(records), name="Tag", folder=folder)
    assert len(journals(folder)) == 1 and journals(tmp_path) == []
    assert journals(Path(os.path.relpath(folder))) == journals(folder)


def test_a_journal_at_work_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_journal, "_MOST_KEPT", 1)
    change = CaptionChange(tmp_path / "a.txt", None, b"a")
    with begin_journal("open", tmp_path, [change]) as journal:
        os.utime(journal.path, (0, 0))
        with begin_journal("newer", tmp_path, [change]):
            remove_old_journals()
    assert [journal.name for journal in journals(tmp_path)] == ["newer", "open"]


def test_old_journals_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_journal, "_MOST_KEPT", 3)
    change = CaptionChange(tmp_path / "a.txt", None, b"a")
    for number in range(5):
        with begin_journal(str(number), tmp_path, [change]) as journal:
            journal.close(is_whole=True, num_changes=1)
        os.utime(journal.path, (number, number))
    remove_old_journals()
    assert [journal.name for journal in journals(tmp_path)] == ["4", "3", "2"]
