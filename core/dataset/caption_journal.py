"""Changes to many captions, kept on disk before the first one is made, so that they can be completed and taken back.

A journal is a text file with one JSON object per line. The head names what is done and to which folder; one line per
caption holds its path and its bytes before and after (base64, null for no file); what follows are marks: that this is
all and the changes are about to be made, that they are about to be taken back or made again, and how that ended: wholly
done, or told to the user that some captions could not be written. The captions are touched only when the first mark is
on the disk, so that a killed process or a power cut leaves either no trace or a journal that says all.
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
from pathlib import Path
from typing import IO, Any, Literal

from core.dataset.captions import CaptionChange
from core.errors import UserError, explain
from core.locks import try_lock
from core.paths import user_data_folder

_VERSION = 1
_MOST_KEPT = 200
_MOST_BYTES = 512 << 20
_TAIL_BYTES = 4096
_FORWARD, _BACK = b'{"mark": "forward"}', b'{"mark": "back"}'
_DONE, _ENDED = b'{"mark": "done"}', b'{"mark": "ended"}'


def journal_folder() -> Path:
    """Where the journals are."""
    return user_data_folder() / "caption-journals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a journal says but for the captions themselves.

    `name` is what the user did, in the language of that time; `num_files` counts the captions. `is_back` says that the
    changes were taken back, or were about to be. `state` is what became of the last thing wanted of them: it is "open"
    while it is being done, and when the process died then; "ended" when some captions could not be written.
    """

    path: Path
    name: str
    folder: Path
    num_files: int
    is_back: bool = False
    state: Literal["open", "done", "ended"] = "open"

    @property
    def can_be_taken_back(self) -> bool:
        """Whether there is something left to take back."""
        return self.state == "ended" or (self.state == "done" and not self.is_back)


class DamagedJournalError(UserError):
    """The changes of a journal cannot be read."""


class OpenJournal:
    """A journal that is being followed. While it is open no other process completes it."""

    def __init__(self, path: Path, file: IO[bytes], *, is_new: bool = False) -> None:
        self.path = path
        self.is_void = False
        self._file = file
        self._is_new = is_new

    def close(self, *, is_whole: bool, num_changes: int) -> None:
        """Note how it ended. A new journal of which nothing was done vanishes.

        A full disk may keep the note from being written: then what was done is looked at again when the dataset is
        opened, and noted.

        Args:
            is_whole: Nothing failed.
            num_changes: Captions that hold something else now.
        """
        self.is_void = self._is_new and not num_changes
        if not self.is_void:
            with contextlib.suppress(OSError):
                self._mark(_DONE if is_whole else _ENDED)

    def turn(self, *, back: bool) -> None:
        """Note that the changes are about to be taken back, or made again.

        Raises:
            UserError: The note cannot be written; the captions must be left alone then.
        """
        try:
            self._mark(_BACK if back else _FORWARD)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(error) from error

    def _mark(self, mark: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(b"\n" + mark + b"\n")  # The last mark may have been cut off in the middle.
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
        remove_old_journals()
        path, file = _create(folder)
    except OSError as error:
        raise _unwritable(error) from error
    journal = OpenJournal(path, file, is_new=True)
    with file:
        try:
            head = {"kiln": "caption-journal", "version": _VERSION, "name": name, "folder": str(_place(folder))}
            lines = [_line({**head, "files": len(changes)})]
            lines += [_entry(change) for change in changes]
            file.write(b"".join([*lines, _FORWARD, b"\n"]))
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise _unwritable(error) from error
        yield journal
    if journal.is_void:
        path.unlink(missing_ok=True)


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
        DamagedJournalError: The journal is missing or damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
        number = int(_head(lines[0])["files"])
        entries = [json.loads(line) for line in lines[1 : number + 1]]
        return tuple(
            CaptionChange(Path(entry["caption"]), _bytes(entry["before"]), _bytes(entry["after"])) for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedJournalError(
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
    """The last change to many captions of a dataset of which something is left to take back."""
    return next((journal for journal in journals(folder) if journal.can_be_taken_back), None)


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[list[tuple[Journal, OpenJournal]]]:
    """The journals of a dataset that a process which died was at work on, the oldest first, held for the caller."""
    with contextlib.ExitStack() as held:
        left = []
        for seen in reversed(journals(folder)):
            if seen.state != "open":
                continue
            try:
                followed = held.enter_context(open_journal(seen.path))
            except UserError:
                continue  # It is being written by a process that is alive.
            journal = _glance(seen.path)  # That process may have gone on until just now.
            if journal is not None and journal.state == "open":
                left.append((journal, followed))
        yield left


def remove_old_journals() -> None:
    """Let the oldest journals go when there are very many, or when they take much room; those at work stay."""
    kept = []
    for path in _files(""):
        with contextlib.suppress(OSError):  # Another process may be tidying up as well.
            kept.append((path.stat().st_mtime, path.stat().st_size, path))
    num_bytes = 0
    # Names begin with a folder's key, so the time is what tells their age.
    for number, (_, size, path) in enumerate(sorted(kept, reverse=True), start=1):
        num_bytes += size
        if number > 1 and (number > _MOST_KEPT or num_bytes > _MOST_BYTES):
            journal = _glance(path)
            if journal is None or journal.state != "open":
                with contextlib.suppress(OSError):
                    path.unlink()


# --- files --------------------------------------------------------------------------------------------------------


def _create(folder: Path) -> tuple[Path, IO[bytes]]:
    journal_folder().mkdir(parents=True, exist_ok=True)
    while True:
        path = journal_folder() / f"{_key(folder)}-{time.time_ns():020d}.jsonl"  # Names in the order of time.
        try:
            file = path.open("x+b")
        except FileExistsError:
            continue
        try_lock(file)
        return path, file


def _files(key: str) -> list[Path]:
    return list(journal_folder().glob(f"{key}*.jsonl"))


def _glance(path: Path) -> Journal | None:
    """What the head and the end of a journal say; None when it was never complete, so that no caption was touched."""
    try:
        with path.open("rb") as file:
            head = _head(file.readline())
            file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            marks = [line for line in file.read().split(b"\n") if line in (_FORWARD, _BACK, _DONE, _ENDED)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not marks:
        return None
    directions = [mark for mark in marks if mark in (_FORWARD, _BACK)]
    return Journal(
        path=path,
        name=str(head["name"]),
        folder=Path(head["folder"]),
        num_files=int(head["files"]),
        is_back=bool(directions) and directions[-1] == _BACK,
        state="done" if marks[-1] == _DONE else "ended" if marks[-1] == _ENDED else "open",
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


def _entry(change: CaptionChange) -> bytes:
    # As `_line` would write it, in a fourth of the time: there may be thousands.
    caption = json.dumps(str(change.path.absolute())).encode("ascii")
    return b'{"caption": %b, "before": %b, "after": %b}\n' % (caption, _text(change.before), _text(change.after))


def _text(data: bytes | None) -> bytes:
    return b"null" if data is None else b'"%b"' % base64.b64encode(data)


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
