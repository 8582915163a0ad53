"""Measured facts that are remembered between sessions, for as long as the file is the same.

A database in the user's data folder keeps them. It is a convenience: when it is damaged, locked or cannot be written,
everything is measured again, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from core.dataset.facts import ImageFacts, facts_version
from core.paths import user_data_folder

Stamp = tuple[int, int]
"""When a file was changed, in nanoseconds, and its bytes: equal as long as the file is."""

MAX_BYTES = 200_000_000
"""About 230,000 pictures."""

_DAY_S = 86_400
_AT_ONCE = 500  # Older versions of SQLite take no more than 999 values in a statement.
_WAIT_S = 2.0  # For another process that is writing.
_DAMAGED = ("not a database", "malformed")  # In the words of SQLite; Python 3.10 does not tell its codes.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
    path BLOB PRIMARY KEY, changed_ns INTEGER, num_bytes INTEGER, version INTEGER, used_day INTEGER, facts TEXT
) WITHOUT ROWID
"""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file, to be taken before it is measured; None when there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def cache_file() -> Path:
    """Where the facts are kept."""
    return user_data_folder() / "facts.sqlite3"


def get_many(stamps: Mapping[Path, Stamp]) -> dict[Path, ImageFacts]:
    """The facts that are known for files as they are now.

    Args:
        stamps: The files, each with its present stamp.
    """
    found: dict[Path, ImageFacts] = {}
    with _quietly(), _database() as database:
        today, version = int(time.time() / _DAY_S), facts_version()
        old: list[tuple[int, bytes]] = []
        paths = {os.fsencode(path): path for path in stamps}
        for keys in _batches(paths):
            places = ",".join("?" * len(keys))
            columns = "path, changed_ns, num_bytes, used_day, facts"
            query = f"SELECT {columns} FROM facts WHERE version = ? AND path IN ({places})"
            for key, changed_ns, num_bytes, used_day, text in database.execute(query, (version, *keys)):
                path = paths[key]
                if stamps[path] != (changed_ns, num_bytes):
                    continue
                with contextlib.suppress(ValueError):  # An entry that is no facts is as good as none.
                    found[path] = ImageFacts.from_json(json.loads(text))
                if used_day != today:
                    old.append((today, key))
        if old:
            database.executemany("UPDATE facts SET used_day = ? WHERE path = ?", old)
    return found


def put_many(entries: Iterable[tuple[Path, Stamp, ImageFacts]]) -> None:
    """Remember facts; what was not used for longest goes when there are too many.

    Facts with an error are not remembered: a file that could not be read may be there again the next time.
    """
    today, version = int(time.time() / _DAY_S), facts_version()
    rows = [
        (os.fsencode(path), *stamp, version, today, json.dumps(facts.to_json()))
        for path, stamp, facts in entries
        if not facts.error
    ]
    if not rows:
        return
    with _quietly(), _database() as database:
        database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)
        if _num_bytes(database) > MAX_BYTES:  # A fifth goes, so that this is not done again at once.
            oldest = "SELECT path FROM facts ORDER BY used_day, version LIMIT (SELECT COUNT(*) / 5 FROM facts)"
            database.execute(f"DELETE FROM facts WHERE path IN ({oldest})")


def _num_bytes(database: sqlite3.Connection) -> int:
    """What the entries take; counting them would read the whole file."""
    pages, free, page_bytes = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes


@contextlib.contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """The open database; what was written is kept when the body ends well."""
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=_WAIT_S)
    try:
        with database:
            database.execute("PRAGMA synchronous = OFF")  # A power cut may cost the cache, which only costs time.
            database.execute(_SCHEMA)
            yield database
    finally:
        database.close()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let no trouble with the database out; a damaged one is removed, so that the next one is sound."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if any(words in str(error) for words in _DAMAGED):
            with contextlib.suppress(OSError):  # Another process may hold it, or the folder be read-only.
                cache_file().unlink()


def _batches(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(keys)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch
