"""Runs that wait for their turn, kept on the disk so that they survive the window."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from core.config import TrainConfig
from core.config.migrations import migrated
from core.errors import UserError
from core.files import put_in_place, write_text
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


def load_queue(path: Path | None = None) -> tuple[list[QueueEntry], UserError | None]:
    """The queue as it was left, and what was wrong with its file if anything was.

    A damaged file, or one with entries that this version does not understand, is set aside beside it; what can be read
    of it is kept. An entry that was running when the window ended is paused: its run can go on.

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
            entries.append(_entry(values))
        except (ValueError, KeyError, TypeError):
            continue
    return entries, None if len(entries) == len(listed) else _set_aside(path, len(entries))


def _entry(values: Any) -> QueueEntry:
    """One entry of the file.

    Raises:
        ValueError: A value is not allowed.
        KeyError: A value is missing.
        TypeError: A value is of another type.
    """
    state = values["state"]
    if state not in get_args(EntryState) or not isinstance(values["key"], str):
        raise ValueError(state)
    if not isinstance(values["config"], dict):
        raise TypeError(type(values["config"]))
    return QueueEntry(
        config=TrainConfig.model_validate(migrated(values["config"])),
        state="paused" if state == "running" else state,
        message=str(values.get("message", "")),
        key=values["key"],
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
