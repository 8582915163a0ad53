"""What models saw in pictures, remembered between runs for as long as picture and model are the same.

A database in the user's data folder keeps it, so that moving a threshold needs no model and a run that was cut off goes
on where it was. It is a convenience: when it is damaged, locked or cannot be written, pictures are looked at again, and
nothing else happens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from core.dataset.records import ImageRecord
from core.locks import try_lock
from core.paths import STARTER_TAGGER, user_data_folder
from core.tagging.base import ScoredTag, Seen
from core.text import tr

if TYPE_CHECKING:
    from core.tagging.options import TagOptions

MAX_BYTES = 300_000_000
"""About 250,000 pictures."""

_VERSION = 1  # To be raised when models are shown pictures in another way.
_DAY_S = 86_400
_AT_ONCE = 500  # Older versions of SQLite take no more than 999 values in a statement.
_WAIT_S = 3.0  # For another process that is writing.
# In the words of SQLite; Python 3.10 does not tell its codes.
_DAMAGED, _LOCKED = ("not a database", "malformed"), ("is locked",)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    model TEXT, path BLOB, changed_at REAL, num_bytes INTEGER, used_day INTEGER, seen BLOB, PRIMARY KEY (model, path)
)
"""


def store_file() -> Path:
    """Where it is kept."""
    return user_data_folder() / "seen.sqlite3"


class ScoreStore:
    """What one model saw. To be opened, used and closed in one thread.

    `problem` is a sentence when something could not be kept. While another process has the database locked, what was
    put waits for the next time; when it cannot be used at all, nothing is known and nothing is kept.
    """

    def __init__(self, model: str) -> None:
        self.problem = ""
        self._model = model
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._is_useless = not model
        self._is_locked = False
        self._waiting: list[tuple[str, bytes, float, int, int, bytes]] = []
        self._do(lambda _database: None)

    @classmethod
    def open(cls, model_folder: Path) -> ScoreStore:
        """The store of the model in a folder, `Path()` for the starter tagger. Of no model nothing is known."""
        return cls(fingerprint(STARTER_TAGGER if model_folder == Path() else model_folder))

    def __enter__(self) -> ScoreStore:
        """It is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self._close()

    def get(self, records: Iterable[ImageRecord]) -> dict[Path, Seen]:
        """What is known of pictures as they are now."""
        found: dict[Path, Seen] = {}
        rest = iter(records)
        while batch := {os.fsencode(record.path): record for record in islice(rest, _AT_ONCE)}:
            self._do(partial(self._read, batch=batch, found=found))
        return found

    def put(self, items: Iterable[tuple[ImageRecord, Seen]]) -> None:
        """Keep what was seen in pictures, now or the next time; what was not used for longest goes when it is much."""
        if self._is_useless:
            return
        today = _today()
        self._waiting += [
            (self._model, os.fsencode(record.path), record.changed_at, record.num_bytes, today, packed(seen))
            for record, seen in items
        ]
        # Who waited once in vain does not wait again before the end: the next time is near.
        self._keep(0 if self._is_locked else _WAIT_S)

    def finish(self) -> None:
        """Keep what is still waiting for another process; `problem` tells when that cannot be done."""
        self._keep(_WAIT_S)

    def _keep(self, wait_s: float) -> None:
        if self._waiting and self._do(partial(self._write, wait_s=wait_s)):
            self._waiting.clear()
            self.problem, self._is_locked = "", False

    def _write(self, database: sqlite3.Connection, wait_s: float) -> None:
        _set_patience(database, wait_s)
        with database:
            database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
            if _num_bytes(database) > MAX_BYTES:  # A fifth goes, so that this is not done again at once.
                oldest = "SELECT rowid FROM seen ORDER BY used_day, rowid LIMIT (SELECT COUNT(*) / 5 FROM seen)"
                database.execute(f"DELETE FROM seen WHERE rowid IN ({oldest})")

    def _read(self, database: sqlite3.Connection, batch: dict[bytes, ImageRecord], found: dict[Path, Seen]) -> None:
        places = ",".join("?" * len(batch))
        query = f"SELECT path, changed_at, num_bytes, used_day, seen FROM seen WHERE model = ? AND path IN ({places})"
        today, unused = _today(), []
        for key, changed_at, num_bytes, used_day, data in database.execute(query, (self._model, *batch)).fetchall():
            record = batch[key]
            if (changed_at, num_bytes) != (record.changed_at, record.num_bytes):
                continue
            with contextlib.suppress(ValueError, TypeError, zlib.error):  # Such an entry is as good as none.
                found[record.path] = unpacked(data)
            if used_day != today:
                unused.append((today, self._model, key))
        if unused:
            _set_patience(database, 0)
            with contextlib.suppress(sqlite3.OperationalError), database:  # Another process writes: another time.
                database.executemany("UPDATE seen SET used_day = ? WHERE model = ? AND path = ?", unused)

    def _do(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Work on the database, on a new one where it turns out to be damaged. Returns whether it was done."""
        for is_last in (False, True):
            if self._is_useless:
                return False
            try:
                work(self._connected())
            except (OSError, sqlite3.Error) as error:
                self._is_locked = _says(error, _LOCKED)
                if self._waiting or not self._is_locked:
                    self.problem = tr(
                        "What the tagger saw cannot be kept in {file} ({error}); tagging goes on without it.",
                        file=store_file(),
                        error=error,
                    )
                if self._is_locked:
                    return False
                self._close()
                if _says(error, _DAMAGED) and not is_last:
                    _remove_damaged(self._file)
                else:
                    self._is_useless = True
            else:
                if not self._waiting:
                    self.problem = ""
                return True
        return False

    def _connected(self) -> sqlite3.Connection:
        """The open database; opened again when another process found the old one damaged and removed it."""
        if self._database is not None and self._file != _identity():
            self._close()
        if self._database is None:
            store_file().parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(store_file(), timeout=_WAIT_S)
            self._file = _identity()
            try:
                # Readers and a writer do not wait for each other, and a power cut cannot damage it.
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                with database:
                    database.execute(_SCHEMA)
            except sqlite3.Error:
                database.close()
                raise
            self._database = database
        return self._database

    def _close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def seen_by(options: TagOptions, records: Iterable[ImageRecord]) -> dict[Path, Seen]:
    """What the models of the options saw in pictures as they are now: tags, sentence, or both, as the template asks.

    A picture is in it when all that the template asks for is known.
    """
    records = list(records)
    tags: dict[Path, Seen] = {}
    sentences: dict[Path, Seen] = {}
    if options.wants_tags:
        with ScoreStore.open(options.tagger) as store:
            tags = store.get(records)
    if options.wants_sentence and options.captioner != Path():
        with ScoreStore.open(options.captioner) as store:
            sentences = store.get(records)
    if not options.wants_sentence:
        return tags
    if not options.wants_tags:
        return sentences
    return {path: joined(seen, sentences[path]) for path, seen in tags.items() if path in sentences}


def joined(tagger: Seen, captioner: Seen) -> Seen:
    """What two models saw in one picture."""
    return Seen(tagger.tags, captioner.sentence)


def fingerprint(folder: Path) -> str:
    """What tells the model of a folder from others: its files' names, sizes and times; "" when there is none."""
    digest = hashlib.blake2b(f"{_VERSION}".encode(), digest_size=16)
    is_empty = True
    try:
        for file in sorted(folder.iterdir()):
            status = file.stat()
            if stat.S_ISREG(status.st_mode) and not file.name.startswith("."):
                digest.update(os.fsencode(file.name) + f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
                is_empty = False
    except OSError:  # Whoever loads the model says what is wrong.
        return ""
    return "" if is_empty else digest.hexdigest()


def packed(seen: Seen) -> bytes:
    """What was seen in a picture, in about a kilobyte."""
    text = json.dumps([seen.sentence, *((tag.name, tag.score, tag.category) for tag in seen.tags)])
    return zlib.compress(text.encode("ascii"), 1)


def unpacked(data: bytes) -> Seen:
    """What `packed` was given."""
    sentence, *tags = json.loads(zlib.decompress(data))
    # Names are shared: thousands of pictures have the same ones.
    return Seen(tuple(ScoredTag(sys.intern(name), score, category) for name, score, category in tags), sentence)


def _set_patience(database: sqlite3.Connection, wait_s: float) -> None:
    """How long to wait for another process that has it locked."""
    database.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")


def _identity() -> tuple[int, int] | None:
    """What tells the file of the database from another one of the same name; None when there is none."""
    try:
        status = store_file().stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove_damaged(identity: tuple[int, int] | None) -> None:
    """Remove the database that was found to be damaged, unless another process has put a sound one in its place."""
    file = store_file()
    # Another process may hold it, or the folder be read-only.
    with contextlib.suppress(OSError), file.with_name(file.name + ".lock").open("ab") as lock:
        if try_lock(lock) and _identity() == identity:
            # The database itself goes last: a new one drops a log that was left over, and keeps its own.
            for ending in ("-wal", "-shm", ""):
                file.with_name(file.name + ending).unlink(missing_ok=True)


def _num_bytes(database: sqlite3.Connection) -> int:
    """What the entries take; counting them would read the whole file."""
    pages, free, page_bytes = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    return any(word in str(error) for word in words)


def _today() -> int:
    return int(time.time() / _DAY_S)
