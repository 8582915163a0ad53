"""A journal is on the disk before the first caption is touched, and takes them back after whatever happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.dataset import caption_journal
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
    assert (latest.name, latest.num_files, latest.is_done, latest.is_back) == ("Tag", 4, True, False)
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
def put(path, data):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    real(path, data)
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
    assert [journal.is_done for journal in journals(folder)] == [False]
    assert [journal.name for journal in finish_journals(folder)] == ["Tag"]
    assert [record.caption_path.read_bytes() for record in records] == [b"new 0", b"new 1", b"new 2", b"new 3"]
    latest = latest_journal(folder)
    assert latest is not None and latest.is_done and finish_journals(folder) == ()
    turn_journal(latest.path, back=True)
    assert pictures.contents(folder) == before


def test_an_undo_that_was_cut_off_is_completed_as_an_undo(records: tuple[ImageRecord, ...], folder: Path) -> None:
    before = pictures.contents(folder)
    written = write_captions(records, texts(records), name="Tag", folder=folder)
    assert written.journal is not None
    with caption_journal.open_journal(written.journal) as journal:
        journal.turn(back=True)
    assert len(finish_journals(folder)) == 1 and pictures.contents(folder) == before


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
        assert journals(folder) == [] and finish_journals(folder) == ()
    assert pictures.contents(folder) == before


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
        assert finish_journals(folder) == () and pictures.contents(folder) == before
    assert len(finish_journals(folder)) == 1 and pictures.contents(folder) != before


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


def test_old_journals_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_journal, "_MOST_KEPT", 3)
    change = CaptionChange(tmp_path / "a.txt", None, b"a")
    for number in range(5):
        with begin_journal(str(number), tmp_path, [change]) as journal:
            journal.done()
        os.utime(journal.path, (number, number))
    remove_old_journals()
    assert [journal.name for journal in journals(tmp_path)] == ["4", "3", "2"]
