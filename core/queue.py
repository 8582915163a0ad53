"""Runs that wait for their turn, kept on the disk so that they survive the window."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, get_args

from core.config import TrainConfig
from core.config.migrations import migrated
from core.errors import UserError
from core.files import put_in_place, write_text
from core.locks import one_at_a_time, try_lock
from core.paths import user_data_folder
from core.text import tr

EntryState = Literal["waiting", "running", "paused", "done", "failed"]
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """A run in the queue. `message` says why it failed."""

    config: TrainConfig
    state: EntryState = "waiting"
    message: str = ""
    key: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.config.output.name


def queue_file() -> Path:
    """Where the queue is kept."""
    return user_data_folder() / "queue.json"


@contextlib.contextmanager
def queue_held(path: Path | None = None) -> Iterator[None]:
    """Keep the other windows from the queue for a moment.

    Raises:
        UserError: Another window holds it for longer than a moment.
        OSError: The user's data folder cannot be written.
    """
    with one_at_a_time((path or queue_file()).with_suffix(".lock")):
        yield


def change_queue(
    change: Callable[[list[QueueEntry]], list[QueueEntry]],
    known: Sequence[QueueEntry] = (),
    path: Path | None = None,
    *,
    own: Collection[str] = (),
) -> tuple[list[QueueEntry], UserError | None]:
    """Change the queue as it is on the disk now; no other window comes between reading and writing.

    What changes nothing is not written, but where there is no file, one is made: a window can then look at it.

    Args:
        change: Makes the new entries of the old ones, in a new list.
        known: The entries as this window has last read them, for a file that is gone or damaged.
        path: Where the queue is kept.
        own: The keys of the entries that this window runs.

    Returns:
        The queue as it is now, and what was wrong with its file if anything was.

    Raises:
        UserError: Another window holds the queue for longer than a moment.
        OSError: The file cannot be read or written.
    """
    path = path or queue_file()
    with queue_held(path):
        entries, damage = load_queue(path, own)
        is_there = path.exists()  # A damaged one was set aside.
        if not is_there:
            keys = {entry.key for entry in entries}
            entries = [*entries, *(entry for entry in known if entry.key not in keys)]
        changed = change(entries)
        if not is_there or changed != entries:
            save_queue(changed, path)
    return changed, damage


def claim(key: str, path: Path | None = None) -> IO[bytes] | None:
    """Take an entry to run it, while the queue is held. Returns its lock; None when another window runs it.

    The lock falls with its window, so that a run that died with it is nobody's.

    Raises:
        OSError: The user's data folder cannot be written.
    """
    file = _claim_file(path or queue_file(), key).open("ab")
    if try_lock(file):
        return file
    file.close()
    return None


def give_up(lock: IO[bytes]) -> None:
    """Let go of an entry, while the queue is held."""
    lock.close()
    with contextlib.suppress(OSError):  # Nobody holds it any more; that is enough.
        Path(lock.name).unlink(missing_ok=True)


def _claim_file(path: Path, key: str) -> Path:
    return path.with_name(f"{path.stem}-{key}.lock")


def _is_claimed(path: Path, key: str) -> bool:
    place = _claim_file(path, key)
    if not place.is_file():
        return False
    with place.open("ab") as file:
        if not try_lock(file):
            return True
    with contextlib.suppress(OSError):  # Left by a window that died; without a lock it says nothing.
        place.unlink(missing_ok=True)
    return False


def save_queue(entries: Sequence[QueueEntry], path: Path | None = None) -> None:
    """Write the queue, atomically.

    Raises:
        OSError: The user's data folder cannot be written.
    """
    content = {
        "version": VERSION,
        "entries": [
            {
                "key": entry.key,
                "state": entry.state,
                "message": entry.message,
                "config": entry.config.model_dump(),
            }
            for entry in entries
        ],
    }
    # ASCII, so that paths may hold any bytes that the system allows.
    write_text(path or queue_file(), json.dumps(content, indent=1, default=str) + "\n")


def load_queue(path: Path | None = None, own: Collection[str] = ()) -> tuple[list[QueueEntry], UserError | None]:
    """The queue as it was left, and what was wrong with its file if anything was.

    A damaged file, or one with entries that this version does not understand, is set aside beside it; what can be read
    of it is kept. An entry that was running when its window ended is paused: its run can go on. Those whose keys are in
    `own` are run by this window, also on a disk that knows no locks.

    Raises:
        OSError: The file is there and cannot be read.
    """
    path = path or queue_file()
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return [], None
    except UnicodeDecodeError:
        return [], _set_aside(path, 0)
    try:
        content = json.loads(text)
        listed = content["entries"]
        if content["version"] != VERSION or not isinstance(listed, list):
            raise ValueError(content["version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], _set_aside(path, 0)
    entries: list[QueueEntry] = []
    for values in listed:
        try:
            entries.append(_entry(values, path, own))
        except (ValueError, KeyError, TypeError):
            continue
    return entries, None if len(entries) == len(listed) else _set_aside(path, len(entries))


def _entry(values: Any, path: Path, own: Collection[str]) -> QueueEntry:
    """One entry of the file at `path`.

    Raises:
        ValueError: A value is not allowed.
        KeyError: A value is missing.
        TypeError: A value is of another type.
    """
    state, key = values["state"], values["key"]
    # The name of its lock is made of the key.
    if state not in get_args(EntryState) or not isinstance(key, str) or not key.isalnum():
        raise ValueError(state)
    if not isinstance(values["config"], dict):
        raise TypeError(type(values["config"]))
    return QueueEntry(
        config=TrainConfig.model_validate(migrated(values["config"])),
        state="paused" if state == "running" and key not in own and not _is_claimed(path, key) else state,
        message=str(values.get("message", "")),
        key=key,
    )


def _set_aside(path: Path, num_kept: int) -> UserError:
    """Keep the damaged file under another name, so that the next save does not replace it."""
    number = 1
    while (backup := path.with_name(f"{path.stem}-damaged-{number}{path.suffix}")).exists():
        number += 1
    put_in_place(path, backup)
    kept = tr("{number} runs of it could be read.", number=num_kept) if num_kept else tr("It is empty now.")
    return UserError(
        "The file of the queue was damaged. {kept}",
        remedy="The damaged file is kept as {backup}; add the missing runs again.",
        kept=kept,
        backup=backup,
    )
