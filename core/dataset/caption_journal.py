"""Changes to many captions, kept on disk before the first one is made, so that they can be completed and taken back.

A journal is a text file with one JSON object per line. The head names what is done and to which folder; one line per
caption holds its path and its bytes before and after (base64, null for no file); what follows are marks: that this is
all and the changes are about to be made, that they are about to be taken back or made again, that this was done. The
captions are touched only when the first mark is on the disk, so that a killed process or a power cut leaves either no
trace or a journal that says all.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from core.dataset.captions import CaptionChange
from core.errors import UserError, explain
from core.locks import try_lock
from core.paths import user_data_folder

_VERSION = 1
_MOST_KEPT = 200
_MOST_BYTES = 512 << 20
_TAIL_BYTES = 4096
_FORWARD, _BACK, _DONE = {"mark": "forward"}, {"mark": "back"}, {"mark": "done"}


def journal_folder() -> Path:
    """Where the journals are."""
    return user_data_folder() / "caption-journals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a journal says but for the captions themselves.

    `name` is what the user did, in the language of that time; `num_files` counts the captions. `is_back` says that the
    changes were taken back, or were about to be; `is_done` that the last thing wanted of them was done to its end.
    """

    path: Path
    name: str
    folder: Path
    num_files: int
    is_back: bool = False
    is_done: bool = False


class OpenJournal:
    """A journal that is being followed. While it is open no other process completes it."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file

    def done(self) -> None:
        """Note that everything was done."""
        self._mark(_DONE)

    def turn(self, *, back: bool) -> None:
        """Note that the changes are about to be taken back, or made again."""
        self._mark(_BACK if back else _FORWARD)
        os.fsync(self._file.fileno())

    def _mark(self, mark: dict[str, str]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(_line(mark))
        self._file.flush()


@contextlib.contextmanager
def begin_journal(name: str, folder: Path, changes: Sequence[CaptionChange]) -> Iterator[OpenJournal]:
    """Put changes on the disk that are about to be made.

    Args:
        name: What the user does.
        folder: The dataset, under which the journal is found again.
        changes: All of them, at least one.

    Raises:
        UserError: The journal cannot be written; the captions must be left alone then.
    """
    try:
        path, file = _create(folder)
    except OSError as error:
        raise _unwritable(error) from error
    with file:
        try:
            head = {"kiln": "caption-journal", "version": _VERSION, "name": name, "folder": str(_place(folder))}
            lines = [_line({**head, "files": len(changes)})]
            lines += [
                _line(
                    {
                        "caption": str(change.path.absolute()),
                        "before": _text(change.before),
                        "after": _text(change.after),
                    }
                )
                for change in changes
            ]
            file.write(b"".join([*lines, _line(_FORWARD)]))
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise _unwritable(error) from error
        yield OpenJournal(path, file)


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[OpenJournal]:
    """Follow a journal once more, to take its changes back or to make them again.

    Raises:
        UserError: Another process is at work on it, or it cannot be written.
    """
    try:
        file = path.open("r+b")
    except OSError as error:
        raise _unwritable(error) from error
    with file:
        if not try_lock(file):
            raise UserError(
                "Another Kiln is writing these captions just now.", remedy="Wait until it has finished, then try again."
            )
        yield OpenJournal(path, file)


def read_journal(path: Path) -> tuple[CaptionChange, ...]:
    """The changes of a journal, in the order in which they were made.

    Raises:
        UserError: The journal is missing or damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
        number = int(_head(lines[0])["files"])
        entries = [json.loads(line) for line in lines[1 : number + 1]]
        return tuple(
            CaptionChange(Path(entry["caption"]), _bytes(entry["before"]), _bytes(entry["after"])) for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "The journal {file} is missing or damaged, so these captions cannot be brought back.",
            remedy="The captions stay as they are now.",
            file=path,
        ) from error


def journals(folder: Path) -> list[Journal]:
    """The journals of a dataset, the newest first; damaged ones and those that were cut off are left out."""
    found = []
    for path in sorted(_files(_key(folder)), reverse=True):
        journal = _glance(path)
        if journal is not None and journal.folder == _place(folder):
            found.append(journal)
    return found


def latest_journal(folder: Path) -> Journal | None:
    """The last change to many captions of a dataset that was not taken back."""
    return next((journal for journal in journals(folder) if not journal.is_back), None)


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[list[tuple[Journal, OpenJournal]]]:
    """The journals of a dataset that a process which died was at work on, the oldest first, held for the caller."""
    with contextlib.ExitStack() as held:
        left = []
        for journal in reversed(journals(folder)):
            if journal.is_done:
                continue
            try:
                left.append((journal, held.enter_context(open_journal(journal.path))))
            except UserError:
                continue  # It is being written by a process that is alive.
        yield left


def remove_old_journals() -> None:
    """Let the oldest journals go when there are very many, or when they take much room."""
    num_bytes = 0
    # Names begin with a folder's key, so the time is what tells their age.
    kept = sorted(((path.stat().st_mtime, path) for path in _files("")), reverse=True)
    for number, (_, path) in enumerate(kept):
        num_bytes += path.stat().st_size
        if number and (number >= _MOST_KEPT or num_bytes > _MOST_BYTES):
            path.unlink(missing_ok=True)


# --- files --------------------------------------------------------------------------------------------------------


def _create(folder: Path) -> tuple[Path, IO[bytes]]:
    journal_folder().mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for number in count():
        path = journal_folder() / f"{_key(folder)}-{stamp}-{number:03d}.jsonl"
        try:
            file = path.open("x+b")
        except FileExistsError:
            continue
        try_lock(file)
        return path, file
    raise AssertionError("numbers do not end")


def _files(key: str) -> list[Path]:
    return list(journal_folder().glob(f"{key}*.jsonl"))


def _glance(path: Path) -> Journal | None:
    """What the head and the end of a journal say; None when it was never complete, so that no caption was touched."""
    try:
        with path.open("rb") as file:
            head = _head(file.readline())
            file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            marks = [json.loads(line) for line in file.read().split(b"\n") if line.startswith(b'{"mark"')]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not marks:
        return None
    directions = [mark for mark in marks if mark != _DONE]
    return Journal(
        path=path,
        name=str(head["name"]),
        folder=Path(head["folder"]),
        num_files=int(head["files"]),
        is_back=bool(directions) and directions[-1] == _BACK,
        is_done=marks[-1] == _DONE,
    )


def _head(line: bytes) -> dict[str, Any]:
    head = json.loads(line)
    if head["kiln"] != "caption-journal" or head["version"] != _VERSION:
        raise ValueError("not a journal of this version")
    return dict(head)


def _key(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.normcase(_place(folder)))).hexdigest()[:16]


def _place(folder: Path) -> Path:
    return Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as the user named them


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _unwritable(error: OSError) -> UserError:
    known = explain(error)
    if known is not None and error.errno in (errno.ENOSPC, errno.EFBIG):
        return known
    return UserError(
        "The captions cannot be kept in {folder} for undo, so they were left as they are.",
        remedy="Make that folder writable, or set KILN_HOME to a folder of your own and start Kiln again.",
        folder=journal_folder(),
    )
