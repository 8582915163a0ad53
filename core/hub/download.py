"""One file from the web to its place: resumed where it broke off, checked by size and hash, renamed when whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.control import Control
from core.errors import UserError
from core.files import put_in_place
from core.hub.listing import ask
from core.hub.manifest import Entry
from core.hub.sources import Refusal, RemoteFile, SourceError, title_of
from core.hub.waiting import Body, Cancelled, Silence, patiently, pause

if TYPE_CHECKING:
    import requests

PART = ".kiln-{}.part"
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient a download is. Times are in seconds.

    `answer_s` is how long a source may take to list its files while there is another one to try, `last_answer_s` that
    of the last one. `stall_s` without a byte count as a broken connection. After `attempts` in a row that brought
    nothing, the source is given up; between them it waits `first_wait_s`, then twice as long each time, or what the
    server asks for, but never longer than `longest_wait_s`.
    """

    answer_s: float = 5.0
    last_answer_s: float = 20.0
    stall_s: float = 20.0
    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0

    def wait_s(self, attempt: int, wish_s: float | None = None) -> float:
        """How long to wait after an attempt, the first being 1."""
        wait_s = self.first_wait_s * 2 ** (attempt - 1) if wish_s is None else wish_s
        return min(wait_s, self.longest_wait_s)


class Got(NamedTuple):
    """So many bytes of a file are known to be here; `is_new` when they came from the web just now."""

    num_bytes: int
    is_new: bool


@dataclass(slots=True)
class _Digests:
    """The hashes of what is in a file, or in a part of it."""

    file: RemoteFile | Entry
    num_bytes: int = 0
    _sha256: Any = field(default_factory=hashlib.sha256)
    _git: Any = None

    def __post_init__(self) -> None:
        self._git = hashlib.sha1(b"blob %d\0" % self.file.size_bytes, usedforsecurity=False)

    def add(self, data: bytes) -> None:
        self.num_bytes += len(data)
        self._sha256.update(data)
        if not self.file.sha256:
            self._git.update(data)

    @property
    def sha256(self) -> str:
        return str(self._sha256.hexdigest())

    @property
    def is_right(self) -> bool:
        if self.num_bytes != self.file.size_bytes:
            return False
        if self.file.sha256:
            return self.sha256 == self.file.sha256
        return isinstance(self.file, RemoteFile) and bool(self._git.hexdigest() == self.file.git_sha1)


def part_of(target: Path, file: RemoteFile) -> Path:
    """The partial file of a download. Its name is that of the content, so that another source can complete it."""
    return target.parent / PART.format((file.sha256 or file.git_sha1)[:16])


def bytes_waiting(folder: Path) -> int:
    """How many bytes of a model came before its download was stopped or broke off."""
    if not folder.is_dir():
        return 0
    num_bytes = 0
    for part in folder.rglob(PART.format("*")):
        with contextlib.suppress(FileNotFoundError):  # It was completed and renamed just now.
            num_bytes += part.stat().st_size
    return num_bytes


def hash_of(path: Path, file: RemoteFile | Entry, control: Control) -> Generator[Got, None, str]:
    """Compare a file on disk with what is listed; yields what was read.

    Returns:
        Its SHA-256, or nothing when it is another one.

    Raises:
        Cancelled: The user asked to stop.
    """
    digests = _Digests(file)
    yield from _add_file(path, digests, control)
    return digests.sha256 if digests.is_right else ""


def fetch(
    file: RemoteFile, target: Path, control: Control, limits: Limits, aside: Path | None = None
) -> Generator[Got, None, str]:
    """Download a file, or the rest of it, and put it in its place.

    Args:
        file: What to download.
        target: Where it goes; its folder exists.
        control: Asked all the time whether to stop.
        limits: How patient to be.
        aside: What what is at `target` so far is called from then on; replaced when not given.

    Yields:
        How many bytes of the file are here, many times a second, also while nothing comes.

    Returns:
        The SHA-256 of the file.

    Raises:
        Cancelled: The user asked to stop; what came stays for the next time.
        SourceError: The connection broke again and again, or the source sends something else.
        Refusal: The source does not give the file.
        OSError: The file cannot be written.
    """
    part = part_of(target, file)
    is_full = part.is_file() and part.stat().st_size == file.size_bytes
    for _ in range(3 if is_full else 2):  # A full part from before that is damaged says nothing about this source.
        digests = yield from _fill(part, file, control, limits)
        if digests.is_right:
            with part.open("rb+") as whole:
                os.fsync(whole.fileno())  # Before the rename: a power cut leaves the old state or the new one.
            if aside is not None:
                put_in_place(target, aside)
            put_in_place(part, target)
            return digests.sha256
        part.unlink(missing_ok=True)
    raise SourceError(
        UserError(
            "{file} came damaged from {source}, twice.",
            remedy="Nothing of it was kept; try again later, or choose another source.",
            file=file.name,
            source=title_of(file.source),
        )
    )


def _fill(part: Path, file: RemoteFile, control: Control, limits: Limits) -> Generator[Got, None, _Digests]:
    """Bring a partial file to its full size; returns what is in it. Nothing that is there is thrown away."""
    digests = _Digests(file)
    if part.is_file() and part.stat().st_size <= file.size_bytes:
        yield from _add_file(part, digests, control)
    else:
        part.write_bytes(b"")
    may_continue = True
    failures = 0
    while digests.num_bytes < file.size_bytes:
        before = digests.num_bytes
        wish_s: float | None = None
        try:
            response, first = _open(file, before if may_continue else 0, control, limits)
            yield from _append(part, digests, response, before - first, control)
            trouble: Exception = Silence("the server ended early")
        except Silence as error:
            trouble = error
        except Refusal as error:
            if error.status == 416 and before and may_continue:
                may_continue = False  # It gives no parts: what is here is skipped in the whole.
            elif not error.is_passing:
                raise
            trouble = error
            wish_s = error.wait_s
        if digests.num_bytes >= file.size_bytes:
            break
        failures = 1 if digests.num_bytes > before else failures + 1
        if failures >= limits.attempts:
            if isinstance(trouble, Refusal):
                raise trouble
            raise _broken(file, trouble) from trouble
        for _ in pause(limits.wait_s(failures, wish_s), control):
            yield Got(digests.num_bytes, True)
    return digests


def _open(file: RemoteFile, have: int, control: Control, limits: Limits) -> tuple[requests.Response, int]:
    """Ask for a file from a byte on; the answer and its first byte, which is at most that one."""
    headers = {**file.headers, **({"Range": f"bytes={have}-"} if have else {})}
    response = patiently(
        lambda: ask(file.url, headers, limits.last_answer_s, limits.stall_s),
        control,
        limits.last_answer_s + limits.stall_s,
        discard=lambda late: late.close(),
    )
    first = 0
    total = response.headers.get("Content-Length", "")
    is_page = not total and "html" in response.headers.get("Content-Type", "")
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) > have:
            response.close()
            raise Refusal(416)
        first, total = int(found[1]), found[2].strip("*")
    if is_page or total not in ("", str(file.size_bytes)):
        response.close()
        raise SourceError(
            UserError(
                "{source} answers with something else than {file}.",
                remedy="A login page or a proxy may be in between: open it in a browser, or choose another source.",
                source=title_of(file.source),
                file=file.name,
            )
        )
    return response, first


def _append(
    part: Path, digests: _Digests, response: requests.Response, known_bytes: int, control: Control
) -> Iterator[Got]:
    """Write what comes behind what is there, which the answer begins with for so many bytes."""
    with part.open("ab") as out, closing(Body(response).chunks(control)) as chunks:
        for data in chunks:
            skipped = min(known_bytes, len(data))
            known_bytes -= skipped
            fresh = data[skipped : skipped + digests.file.size_bytes - digests.num_bytes]
            out.write(fresh)
            digests.add(fresh)
            yield Got(digests.num_bytes, True)
            if digests.num_bytes == digests.file.size_bytes:
                return


def _add_file(path: Path, digests: _Digests, control: Control) -> Iterator[Got]:
    with path.open("rb") as stream:
        while data := stream.read(_READ_BYTES):
            if control.stop_requested:
                raise Cancelled
            digests.add(data)
            yield Got(digests.num_bytes, False)


def _broken(file: RemoteFile, trouble: Exception) -> SourceError:
    problem = UserError(
        "The connection to {source} broke again and again.",
        remedy="Try again later; the download goes on from where it is now.",
        source=title_of(file.source),
    )
    problem.__cause__ = trouble
    return SourceError(problem)
