"""What the search for base models remembers: folders of the user, models, and what was found out about files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.files import write_text
from core.paths import user_data_folder


def _store() -> Path:
    return user_data_folder() / "model_places.json"


def stored(what: str) -> list[tuple[str, str]]:
    """Pairs of a place and a path; nothing when never written or damaged: the next search fills it again."""
    try:
        entries = json.loads(_store().read_text(encoding="utf-8"))[what]
        return [(str(place), str(path)) for place, path in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def stored_files() -> dict[str, list[object]]:
    """What was found out about single files, by path, as `core.model_places` keeps it."""
    try:
        entries = json.loads(_store().read_text(encoding="utf-8"))["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {path: look for path, look in entries if isinstance(look, list)}


def write_store(folders: Iterable[Path], models: Iterable[tuple[str, Path]], files: Mapping[str, list[object]]) -> None:
    """Write down all of it: folders, pairs of a place and a path, and looks at files by path.

    Raises:
        OSError: That is not possible.
    """
    values = {
        "folders": [["", str(folder)] for folder in folders],
        "models": [[place, str(path)] for place, path in models],
        "files": dict(files),
    }
    write_text(_store(), json.dumps(values) + "\n")
