"""What models saw is remembered for as long as picture and model are the same, and never stands in the way."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from core.dataset.records import ImageRecord
from core.dataset.scan import scan_folder
from core.locks import try_lock
from core.tagging import scores
from core.tagging.base import ScoredTag, Seen
from core.tagging.options import BOTH_TEMPLATE, SENTENCE_TEMPLATE, TagOptions
from core.tagging.scores import ScoreStore, fingerprint, packed, seen_by, store_file, unpacked
from tests import pictures

TAGS = Seen((ScoredTag("long_hair", 0.9123456789012345, "general"), ScoredTag("miru_(kiln)", 1 / 3, "character")))
SENTENCE = Seen(sentence="She smiles. 她在笑。")


def model(folder: Path, text: str = "weights") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_text(text, encoding="utf-8")
    return folder


def record(index: int = 0, name: str = "图 🦊") -> ImageRecord:
    path = Path("/somewhere") / f"{name}{index}.png"
    return ImageRecord(
        path=path, size_px=(8, 8), caption_path=path.with_suffix(".txt"), num_bytes=9, changed_at=1e9 + index / 3
    )


def put(folder: Path, *items: tuple[ImageRecord, Seen]) -> None:
    with ScoreStore.open(folder) as store:
        store.put(items)
        assert not store.problem


def get(folder: Path, *records: ImageRecord) -> dict[Path, Seen]:
    with ScoreStore.open(folder) as store:
        return store.get(records)


def test_what_is_kept_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(1), TAGS), (record(2), SENTENCE))
    assert get(folder, record(1), record(2), record(3)) == {record(1).path: TAGS, record(2).path: SENTENCE}
    assert unpacked(packed(TAGS)) == TAGS and isinstance(unpacked(packed(TAGS)).tags[0], ScoredTag)


def test_thousands_at_once(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    records = [record(index) for index in range(2500)]
    put(folder, *((one, TAGS) for one in records))
    assert len(get(folder, *records)) == 2500


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_names_in_any_bytes(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    odd = record(name=os.fsdecode(b"\xff\xfe caf\xe9"))
    put(folder, (odd, TAGS))
    assert get(folder, odd) == {odd.path: TAGS}


@pytest.mark.parametrize("change", [{"num_bytes": 10}, {"changed_at": 5.0}, {"path": Path("/elsewhere/a.png")}])
def test_a_picture_that_changed_is_not_known(tmp_path: Path, change: dict[str, object]) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    assert get(folder, dataclasses.replace(record(), **change)) == {}  # type: ignore[arg-type]


def test_a_picture_on_disk_is_known_until_it_is_written_again(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    pictures.save(tmp_path / "in" / "a.png")
    put(folder, (scan_folder(tmp_path / "in").records[0], TAGS))
    assert get(folder, *scan_folder(tmp_path / "in").records)
    pictures.save(tmp_path / "in" / "a.png", pictures.scene(seed=9))
    assert not get(folder, *scan_folder(tmp_path / "in").records)


def test_models_are_told_apart_by_their_files(tmp_path: Path) -> None:
    one, two = model(tmp_path / "one"), model(tmp_path / "two", "other weights")
    put(one, (record(), TAGS))
    put(two, (record(), SENTENCE))
    assert get(one, record()) == {record().path: TAGS} and get(two, record()) == {record().path: SENTENCE}
    first = fingerprint(one)
    (one / ".DS_Store").touch()
    (one / "folder").mkdir()
    assert fingerprint(one) == first
    (one / "selected_tags.csv").touch()
    assert fingerprint(one) != first
    assert get(one, record()) == {}


def test_without_a_model_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "gone", tmp_path / "empty"):
        put(folder, (record(), TAGS))
        assert get(folder, record()) == {}


def test_the_same_picture_again_takes_the_place_of_the_old_entry(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    put(folder, (record(), SENTENCE))
    assert get(folder, record()) == {record().path: SENTENCE}


def test_tags_and_sentences_are_joined_as_the_template_asks(tmp_path: Path) -> None:
    tagger, captioner = model(tmp_path / "t"), model(tmp_path / "c", "sentences")
    put(tagger, (record(1), TAGS), (record(2), TAGS))
    put(captioner, (record(1), SENTENCE), (record(3), SENTENCE))
    records = [record(index) for index in range(5)]

    def seen(template: str, captioner: Path = captioner) -> dict[Path, Seen]:
        return seen_by(TagOptions(tagger=tagger, captioner=captioner, template=template), records)

    assert seen("{tags}") == {record(1).path: TAGS, record(2).path: TAGS}
    assert seen(SENTENCE_TEMPLATE) == {record(1).path: SENTENCE, record(3).path: SENTENCE}
    assert seen(BOTH_TEMPLATE) == {record(1).path: Seen(TAGS.tags, SENTENCE.sentence)}
    assert seen(BOTH_TEMPLATE, Path()) == {}


# --- when there is trouble with the file ----------------------------------------------------------------------------


def test_a_damaged_store_gives_way_to_a_new_one(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    store_file().write_bytes(b"no database at all" * 100)
    assert get(folder, record()) == {}
    put(folder, (record(), TAGS))
    assert get(folder, record()) == {record().path: TAGS}


def test_damage_that_shows_late_costs_only_what_was_known(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, *((record(index), TAGS) for index in range(3000)))
    data = bytearray(store_file().read_bytes())
    data[4096:] = os.urandom(4096) * (len(data) // 4096 - 1)
    store_file().write_bytes(data)
    with ScoreStore.open(folder) as store:
        found = store.get([record(index) for index in range(3000)])
        store.put([(record(), TAGS)])
        assert len(found) < 3000 and not store.problem
    assert get(folder, record(), record(1)) == {record().path: TAGS}


def test_damage_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    store_file().write_bytes(b"no database at all" * 100)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "used by another process", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with ScoreStore.open(folder) as store:
        assert "not a database" in store.problem and str(store_file()) in store.problem
        store.put([(record(), TAGS)])
        assert store.get([record()]) == {} and store.problem


def test_who_has_it_open_while_another_one_removes_it_goes_on_with_the_new_one(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    with ScoreStore.open(folder) as store:
        store.put([(record(1), TAGS)])
        store_file().unlink()
        for ending in ("-wal", "-shm"):
            store_file().with_name(store_file().name + ending).unlink()
        put(folder, (record(2), TAGS))
        store.put([(record(3), TAGS)])
        assert set(store.get([record(2), record(3)])) == {record(2).path, record(3).path} and not store.problem
    assert set(get(folder, record(1), record(2), record(3))) == {record(2).path, record(3).path}


def test_only_the_database_that_was_damaged_is_removed_and_only_by_one(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    status = store_file().stat()
    scores._remove_damaged((status.st_dev, status.st_ino + 1))  # Another one has taken its place.
    with store_file().with_name(store_file().name + ".lock").open("ab") as lock:
        assert try_lock(lock)
        scores._remove_damaged((status.st_dev, status.st_ino))
        assert get(folder, record()) == {record().path: TAGS}
    scores._remove_damaged((status.st_dev, status.st_ino))
    assert not store_file().exists()


def test_an_entry_that_makes_no_sense_is_as_good_as_none(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(1), TAGS), (record(2), TAGS))
    with sqlite3.connect(store_file()) as database:
        database.execute("UPDATE seen SET seen = x'00' WHERE path = ?", (os.fsencode(record(1).path),))
    database.close()
    assert set(get(folder, record(1), record(2))) == {record(2).path}


def test_what_cannot_be_kept_because_of_a_lock_is_kept_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_WAIT_S", 0.05)
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    other = sqlite3.connect(store_file(), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ScoreStore.open(folder) as store:
        store.put([(record(2), TAGS)])
        assert "locked" in store.problem
        assert store.get([record()]) == {record().path: TAGS}, "reading goes on"
        store.finish()
        assert "locked" in store.problem
        other.rollback()
        store.put([(record(3), TAGS)])
        assert not store.problem
    other.close()
    assert len(get(folder, record(), record(2), record(3))) == 3


def test_a_lock_at_the_beginning_does_not_end_keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_WAIT_S", 0.05)
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    other = sqlite3.connect(store_file(), isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with ScoreStore.open(folder) as store:
        assert store.get([record()]) == {}
        store.put([(record(2), TAGS)])
        other.close()
        store.finish()
        assert not store.problem
    assert len(get(folder, record(), record(2))) == 2


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    put(folder, (record(), TAGS))
    other = sqlite3.connect(store_file(), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM seen")
    assert get(folder, record()) == {record().path: TAGS}
    other.close()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    with ScoreStore.open(model(tmp_path / "m")) as store:
        assert "goes on without it" in store.problem
        store.put([(record(), TAGS)])
        assert store.get([record()]) == {}


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "m")
    noisy = [
        (record(index), Seen(sentence=os.urandom(600).hex()))  # Such a text cannot be packed much.
        for index in range(400)
    ]
    monkeypatch.setattr(scores, "_today", lambda: 1)
    put(folder, *noisy[:200])
    monkeypatch.setattr(scores, "_today", lambda: 2)
    put(folder, *noisy[200:])
    monkeypatch.setattr(scores, "_today", lambda: 3)
    assert len(get(folder, *(one for one, _ in noisy[:50]))) == 50
    monkeypatch.setattr(scores, "MAX_BYTES", 1)
    put(folder, (record(400), TAGS))
    left = get(folder, *(one for one, _ in noisy), record(400))
    assert len(left) == 321 and {record(index).path for index in (*range(50), 400)} <= set(left)
    assert not {record(index).path for index in range(50, 130)} & set(left)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")

    def work(first: int) -> None:
        with ScoreStore.open(folder) as store:
            for index in range(first, first + 20):
                store.put([(record(index), TAGS)])

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 20, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(get(folder, *(record(index) for index in range(60)))) == 60
