"""The list of files of a finished download, written last: what says that a model is whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from core.files import write_text

NAME = "kiln-model.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a model: its name below the model's folder with `/`, its size and its content."""

    name: str
    size_bytes: int
    sha256: str


def write(folder: Path, model: str, origin: str, entries: Iterable[Entry]) -> None:
    """Mark a model as whole.

    Args:
        folder: Where its files are.
        model: Its name in the catalogue.
        origin: Where it came from, for people.
        entries: All of its files.
    """
    values = {"model": model, "origin": origin, "files": [asdict(entry) for entry in entries]}
    write_text(folder / NAME, json.dumps(values, indent=2) + "\n")


def read(folder: Path, model: str) -> dict[str, Entry]:
    """The files of a finished download by name; none where no model of this name was finished."""
    try:
        values = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if values["model"] != model:
            return {}
        entries = [Entry(str(each["name"]), int(each["size_bytes"]), str(each["sha256"])) for each in values["files"]]
    except (OSError, ValueError, KeyError, TypeError):  # Not there, or no list of this form: to be downloaded again.
        return {}
    return {entry.name: entry for entry in entries}
