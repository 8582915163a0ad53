"""Captions are written as a whole, taken back byte for byte, and never over what another program wrote."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from core.dataset import caption_edits
from core.dataset.caption_edits import Written, carry_out, intend_turn, make_changes, write_captions
from core.dataset.captions import CaptionChange
from core.dataset.records import ImageRecord
from core.dataset.scan import scan_folder
from tests import pictures

CHINESE = "长发, 红色的眼睛"
Edit = Callable[[tuple[ImageRecord, ...], Callable[[str], str]], Written]


def folder_of(tmp_path: Path, captions: list[bytes | None]) -> tuple[ImageRecord, ...]:
    for index, data in enumerate(captions):
        pictures.save(tmp_path / f"p{index:03d}.png")
        if data is not None:
            (tmp_path / f"p{index:03d}.txt").write_bytes(data)
    return scan_folder(tmp_path).records


@pytest.fixture(params=[True, False], ids=["journal", "no journal"])
def edit(request: pytest.FixtureRequest, tmp_path: Path) -> Edit:
    """Captions are written with a journal or, one of them, without; both keep the same promises."""

    def write(records: tuple[ImageRecord, ...], change: Callable[[str], str]) -> Written:
        texts = {record.path: change(record.caption or "") for record in records}
        return write_captions(records, texts, name="Edit", folder=tmp_path if request.param else None)

    return write


def test_undo_and_redo_return_every_byte(edit: Edit, tmp_path: Path) -> None:
    odd = [CHINESE.encode("gbk") + b"\r\n", b"\xef\xbb\xbfa,b", b"", None, b"one\ntwo", "a, 🦊".encode()]
    records = folder_of(tmp_path, odd)
    before = pictures.contents(tmp_path)
    written = edit(records, lambda text: f"{text}, smile".strip(", "))
    after = pictures.contents(tmp_path)
    assert len(written.changes) == len(odd) and not written.foreign and written.error is None
    assert (tmp_path / "p000.txt").read_text(encoding="utf-8") == f"{CHINESE}, smile"
    assert (tmp_path / "p003.txt").read_bytes() == b"smile"
    assert len(carry_out(intend_turn(written.changes, back=True)).changes) == len(odd)
    assert pictures.contents(tmp_path) == before
    assert len(carry_out(intend_turn(written.changes, back=False)).changes) == len(odd)
    assert pictures.contents(tmp_path) == after


def test_a_picture_is_never_written_over(tmp_path: Path) -> None:
    picture = pictures.save(tmp_path / "a.png")
    before = pictures.contents(tmp_path)
    record = ImageRecord(path=picture, size_px=(96, 64), caption_path=picture, caption_problem="not a text file")
    with pytest.raises(ValueError, match="written over the picture"):
        write_captions([record], {picture: "1girl"})
    assert pictures.contents(tmp_path) == before


def test_what_another_program_wrote_is_left_alone(edit: Edit, tmp_path: Path) -> None:
    records = folder_of(tmp_path, [b"a", b"b", None])
    (tmp_path / "p001.txt").write_bytes(b"theirs")
    (tmp_path / "p002.txt").write_bytes(b"theirs, too")
    written = edit(records, lambda text: f"{text}, mine".strip(", "))
    assert [change.path.name for change in written.changes] == ["p000.txt"]
    assert [path.name for path in written.foreign] == ["p001.txt", "p002.txt"]
    (tmp_path / "p000.txt").write_bytes(b"theirs now")
    undone = carry_out(intend_turn(written.changes, back=True))
    assert undone.changes == () and [path.name for path in undone.foreign] == ["p000.txt"]
    assert [(tmp_path / f"p00{n}.txt").read_bytes() for n in range(3)] == [b"theirs now", b"theirs", b"theirs, too"]


def test_a_caption_that_stays_the_same_is_not_written(edit: Edit, tmp_path: Path) -> None:
    records = folder_of(tmp_path, [b" a,  b \r\n", None])
    written = edit(records, lambda text: text)
    assert written == Written(changes=()) and (tmp_path / "p000.txt").read_bytes() == b" a,  b \r\n"
    assert not (tmp_path / "p001.txt").exists()


def test_the_same_text_in_another_encoding_is_written_as_utf8(edit: Edit, tmp_path: Path) -> None:
    records = folder_of(tmp_path, [CHINESE.encode("gbk")])
    assert len(edit(records, lambda text: text).changes) == 1
    assert (tmp_path / "p000.txt").read_bytes() == CHINESE.encode()


def test_two_pictures_with_one_caption_write_it_once(edit: Edit, tmp_path: Path) -> None:
    pictures.save(tmp_path / "a.png")
    pictures.save(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_bytes(b"x")
    written = edit(scan_folder(tmp_path).records, lambda text: f"{text}, y")
    assert len(written.changes) == 1 and (tmp_path / "a.txt").read_bytes() == b"x, y"


def test_a_failure_in_the_middle_says_what_was_written(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = folder_of(tmp_path, [b"a", b"b", b"c"])
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "p001.txt":
            raise OSError(28, os.strerror(28), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    written = edit(records, lambda text: text.upper())
    monkeypatch.undo()
    assert [change.path.name for change in written.changes] == ["p000.txt"]
    assert written.error is not None and written.error.errno == 28
    assert [path.name for path in written.failed] == ["p001.txt", "p002.txt"]
    assert sorted(pictures.contents(tmp_path)) == sorted(
        str(path) for path in ("p000.png", "p000.txt", "p001.png", "p001.txt", "p002.png", "p002.txt")
    )
    assert [(tmp_path / f"p00{n}.txt").read_bytes() for n in range(3)] == [b"A", b"b", b"c"]


def test_one_file_that_is_held_by_another_program_does_not_stop_the_others(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = folder_of(tmp_path, [b"a", b"b", b"c"])
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "p001.txt":
            raise PermissionError(13, os.strerror(13), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    written = edit(records, lambda text: text.upper())
    monkeypatch.undo()
    assert [change.path.name for change in written.changes] == ["p000.txt", "p002.txt"]
    assert [path.name for path in written.failed] == ["p001.txt"] and isinstance(written.error, PermissionError)
    assert (tmp_path / "p001.txt").read_bytes() == b"b"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_progress_counts_up(tmp_path: Path) -> None:
    records = folder_of(tmp_path, [b"a"] * 550)
    heard: list[int] = []
    write_captions(records, {record.path: "b" for record in records}, heard.append, name="Edit", folder=tmp_path)
    assert heard == [250, 500]


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files as Linux tells them")
@pytest.mark.parametrize(("device", "most"), [(8, 180), (0, 1)], ids=["disk", "network"])
def test_replaced_captions_are_closed_a_little_later_but_at_once_on_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: int, most: int
) -> None:
    number = 300
    changes = [CaptionChange(tmp_path / f"{n}.txt", b"a", b"b" if n % 2 else None) for n in range(number)]
    for change in changes:
        change.path.write_bytes(b"a")
    real_put, real_close, told, held = caption_edits._put, caption_edits._close, threading.Event(), []
    before = num_open_files()

    def put(place: str, data: bytes, mode: int | None) -> None:
        held.append(num_open_files() - before)
        told.set()
        real_put(place, data, mode)

    def close(handles: Iterable[int]) -> None:
        assert told.wait(10)
        real_close(handles)

    monkeypatch.setattr(os, "major", lambda _device: device)
    monkeypatch.setattr(caption_edits, "_put", put)
    monkeypatch.setattr(caption_edits, "_close", close)
    written = make_changes(changes)
    assert len(written.changes) == number and num_open_files() == before
    # `num_open_files` opens one file itself, both times.
    assert (max(held) >= 1 if device else max(held) == 0) and max(held) <= most
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"b"}


def test_a_caption_that_changed_after_the_plan_was_made_is_left_alone(tmp_path: Path) -> None:
    changes = [CaptionChange(tmp_path / f"{n}.txt", before, b"mine") for n, before in enumerate([b"a", b"a", None])]
    (tmp_path / "0.txt").write_bytes(b"a")
    (tmp_path / "1.txt").write_bytes(b"A")
    (tmp_path / "2.txt").write_bytes(b"theirs")
    written = make_changes(changes)
    assert [path.name for path in written.foreign] == ["1.txt", "2.txt"]
    assert [(tmp_path / f"{n}.txt").read_bytes() for n in range(3)] == [b"mine", b"A", b"theirs"]
