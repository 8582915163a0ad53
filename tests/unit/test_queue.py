from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import locks
from core.config import TrainConfig, with_values
from core.errors import UserError
from core.queue import QueueEntry, change_queue, claim, give_up, load_queue, queue_file, queue_held, save_queue


def entry(name: str, **values: object) -> QueueEntry:
    return QueueEntry(config=with_values(TrainConfig(), {"output.name": name}), **values)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.json"


def test_without_a_file_the_queue_is_empty(path: Path) -> None:
    assert load_queue(path) == ([], None)


def test_the_queue_survives_with_order_states_and_settings(path: Path) -> None:
    entries = [
        entry("first", state="done"),
        entry("青花瓷 🎨", state="failed", message="显存不足"),
        entry("third", state="paused"),
        entry("fourth"),
    ]
    save_queue(entries, path)
    assert load_queue(path) == (entries, None)
    assert path.read_bytes().isascii()


def test_it_lies_in_the_user_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    save_queue([entry("a")])
    assert queue_file() == tmp_path / "home" / "queue.json"
    assert [found.name for found in load_queue()[0]] == ["a"]


def test_a_run_that_died_with_the_window_is_paused(path: Path) -> None:
    save_queue([entry("a", state="running"), entry("b")], path)
    assert [found.state for found in load_queue(path)[0]] == ["paused", "waiting"]


@pytest.mark.skipif(os.name == "nt", reason="paths are text there")
def test_paths_of_any_bytes_survive(path: Path) -> None:
    folder = Path(os.fsdecode(b"/out/\xff\xfe"))
    config = with_values(TrainConfig(), {"output.folder": folder})
    save_queue([QueueEntry(config=config)], path)
    (found,), damage = load_queue(path)
    assert damage is None
    assert found.config.output.folder == folder


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"entries": []}',
        b'{"version": 1, "entries": {}}',
        b'{"version": 99, "entries": []}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_set_aside_and_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    entries, damage = load_queue(path)
    assert entries == []
    assert damage is not None
    assert "It is empty now." in damage.message
    backup = path.with_name("queue-damaged-1.json")
    assert str(backup) in damage.remedy
    assert backup.read_bytes() == content
    assert not path.exists()


def test_what_can_be_read_of_a_damaged_file_is_kept(path: Path) -> None:
    save_queue([entry("a"), entry("b"), entry("c"), entry("d"), entry("e")], path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["entries"][1]["config"]["training"]["epochs"] = "many"
    content["entries"][2] = None
    content["entries"][3]["state"] = "dreaming"
    path.write_text(json.dumps(content), encoding="utf-8")
    path.with_name("queue-damaged-1.json").write_text("an older one", encoding="utf-8")
    entries, damage = load_queue(path)
    assert [found.name for found in entries] == ["a", "e"]
    assert damage is not None
    assert "2 runs of it could be read." in damage.message
    assert path.with_name("queue-damaged-1.json").read_text(encoding="utf-8") == "an older one"
    assert path.with_name("queue-damaged-2.json").exists()


def test_settings_of_an_older_version_are_taken_up(path: Path) -> None:
    save_queue([entry("a")], path)
    content = json.loads(path.read_text(encoding="utf-8"))
    values = content["entries"][0]["config"]
    del values["loss"]["noise_offset"]
    values["training"]["noise_offset"] = 0.05
    path.write_text(json.dumps(content), encoding="utf-8")
    (found,), damage = load_queue(path)
    assert damage is None
    assert found.config.loss.noise_offset == 0.05


def test_a_failed_write_leaves_the_file_of_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_queue([entry("a")], path)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="space"):
        save_queue([entry("a"), entry("b")], path)
    assert [found.name for found in load_queue(path)[0]] == ["a"]
    assert [found.name for found in path.parent.iterdir()] == ["queue.json"]


# Several windows


def test_what_several_windows_add_at_once_is_all_there(path: Path) -> None:
    def add(name: str) -> None:
        change_queue(lambda entries: [*entries, entry(name)], path=path)

    wanted = [str(number) for number in range(16)]
    with ThreadPoolExecutor(4) as windows:
        list(windows.map(add, wanted))
    assert sorted(found.name for found in load_queue(path)[0]) == sorted(wanted)


def test_a_window_that_holds_the_queue_too_long_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_ATTEMPTS", 2)
    save_queue([entry("a")], path)
    with queue_held(path), pytest.raises(UserError, match="Another window"):
        change_queue(lambda _entries: [], path=path)
    assert [found.name for found in load_queue(path)[0]] == ["a"]


def test_what_a_window_knows_stands_in_for_a_file_that_is_gone_or_damaged(path: Path) -> None:
    a, b, c = entry("a"), entry("b"), entry("c")
    assert change_queue(lambda entries: [*entries, b], known=[a], path=path)[0] == [a, b]
    path.write_bytes(b"{")
    entries, damage = change_queue(lambda entries: [*entries, c], known=[a], path=path)
    assert entries == [a, c] and damage is not None
    save_queue([b, c], path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["entries"][1] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    entries, damage = change_queue(lambda entries: entries, known=[a, entry("old", key=b.key)], path=path)
    assert entries == [b, a] and damage is not None
    assert load_queue(path) == ([b, a], None)


def test_what_changes_nothing_is_not_written_but_makes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert change_queue(lambda entries: entries, path=path) == ([], None)
    assert load_queue(path) == ([], None) and path.exists()
    monkeypatch.setattr(os, "replace", None)
    assert change_queue(lambda entries: list(entries), path=path) == ([], None)


def test_an_entry_is_run_by_one_window_until_it_lets_go_or_dies(path: Path) -> None:
    running = entry("a", state="running")
    save_queue([running], path)
    lock = claim(running.key, path)
    assert lock is not None and claim(running.key, path) is None
    assert load_queue(path)[0] == [running]
    lock.close()  # As the system does when a process dies.
    assert [found.state for found in load_queue(path)[0]] == ["paused"]
    again = claim(running.key, path)
    assert again is not None
    give_up(again)
    assert [found.name for found in path.parent.iterdir()] == ["queue.json"]


def test_the_own_run_goes_on_where_the_disk_knows_no_locks(path: Path) -> None:
    own, other = entry("own", state="running"), entry("other", state="running")
    save_queue([own, other], path)
    assert [found.state for found in load_queue(path, {own.key})[0]] == ["running", "paused"]
    assert [found.state for found in change_queue(list, path=path, own={own.key})[0]] == ["running", "paused"]


def test_a_left_over_lock_that_cannot_be_removed_is_nobody_s(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = entry("a", state="running")
    save_queue([running], path)
    lock = claim(running.key, path)
    assert lock is not None
    lock.close()

    def refuse(*_args: object, **_values: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert [found.state for found in load_queue(path)[0]] == ["paused"]


def test_a_key_that_is_no_name_of_a_file_is_damage(path: Path) -> None:
    save_queue([entry("a", state="running", key="../a"), entry("b")], path)
    entries, damage = load_queue(path)
    assert [found.name for found in entries] == ["b"] and damage is not None
