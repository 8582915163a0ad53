"""Captions as they were before a run, so that the whole run can be taken back, also after a restart.

A backup is a text file with one JSON object per line: a head, then for every caption, written *before* the caption
itself, its path, its bytes until then (base64, null when there was no file) and a digest of the new ones.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TextIO

from core.dataset.captions import CaptionChange, bytes_of
from core.errors import UserError, explain
from core.files import write_bytes
from core.paths import user_data_folder

_VERSION = 1


def backup_folder() -> Path:
    """Where the backups of all runs are."""
    return user_data_folder() / "caption-backups"


class CaptionBackup:
    """The backup of one run; the file is made when the first caption is about to be written."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._file: TextIO | None = None

    def __enter__(self) -> CaptionBackup:
        """Nothing yet: a run that changes nothing leaves no file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()

    def keep(self, caption: Path, before: bytes | None, after: bytes) -> None:
        """Note what a caption file holds, right before it is replaced.

        Raises:
            UserError: The backup cannot be written; the caption must be left alone then.
        """
        entry = {
            "caption": str(caption.absolute()),
            "before": None if before is None else base64.b64encode(before).decode(),
            "after": _digest(after),
        }
        try:
            file = self._file or self._create()
            file.write(json.dumps(entry, ensure_ascii=True) + "\n")
            file.flush()
            if before is not None:
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise explain(error) or error from error
            raise UserError(
                "The captions cannot be backed up to {folder}, so {name} was left as it is.",
                remedy="Make that folder writable, or set KILN_HOME to a folder of your own and start Kiln again.",
                folder=backup_folder(),
                name=caption.name,
            ) from error

    def _create(self) -> TextIO:
        folder = backup_folder()
        folder.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in count(1):
            path = folder / (f"{stamp}.json" if number == 1 else f"{stamp}-{number}.json")
            try:
                file = path.open("x", encoding="utf-8", newline="\n")
            except FileExistsError:
                continue
            break
        self.path, self._file = path, file
        file.write(json.dumps({"kiln": "caption-backup", "version": _VERSION}) + "\n")
        return file


@dataclass(frozen=True, slots=True)
class Undone:
    """What `undo_tagging` did: captions brought back, new ones removed, and those left alone."""

    restored: tuple[Path, ...]
    removed: tuple[Path, ...]
    changed_since: tuple[Path, ...]
    """Captions that somebody edited after the run; they were not touched."""


def undo_tagging(backup: Path) -> Undone:
    """Take a run back: every caption it wrote holds the bytes from before again, or is gone if it was new.

    Doing it twice does nothing the second time.

    Raises:
        UserError: The backup is missing or damaged, or a caption cannot be written.
    """
    restored, removed, changed = [], [], []
    try:
        for caption, before, after in _entries(backup):
            now = bytes_of(caption)
            if now == before:
                continue
            if now is not None and _digest(now) != after:
                changed.append(caption)
            elif before is None:
                caption.unlink()
                removed.append(caption)
            else:
                write_bytes(caption, before)
                restored.append(caption)
    except OSError as error:
        raise explain(error) or error from error
    return Undone(tuple(restored), tuple(removed), tuple(changed))


def changes_of(backup: Path) -> tuple[CaptionChange, ...]:
    """What a run changed, as far as nobody has edited it since.

    Raises:
        UserError: The backup is missing or damaged.
        OSError: A caption cannot be read.
    """
    current = ((caption, before, after, bytes_of(caption)) for caption, before, after in _entries(backup))
    return tuple(
        CaptionChange(caption, before, now)
        for caption, before, after, now in current
        if now is not None and _digest(now) == after
    )


def _entries(backup: Path) -> list[tuple[Path, bytes | None, str]]:
    """(caption, bytes before, digest of the bytes after), the last written first."""
    entries: list[tuple[Path, bytes | None, str]] = []
    try:
        head, *lines = backup.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != {"kiln": "caption-backup", "version": _VERSION}:
            raise ValueError("not a backup of this version")
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                if number == len(lines):  # The machine went down here, before this caption was touched.
                    break
                raise
            before = entry["before"]
            entries.append(
                (Path(entry["caption"]), None if before is None else base64.b64decode(before), entry["after"])
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "The backup {file} is missing or damaged, so the tagging cannot be undone.",
            remedy="The captions stay as they are now; edit them, or tag the folder again.",
            file=backup,
        ) from error
    return entries[::-1]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
