"""Writing many captions at once, and taking that back, without touching what another program wrote meanwhile."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from core.dataset.caption_ending import refuse_pictures
from core.dataset.captions import CaptionChange, bytes_of, decode_caption
from core.dataset.records import ImageRecord
from core.files import put_in_place, write_bytes

_MOST_ONE_BY_ONE = 50
_TOLD_EVERY = 250
_FOR_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV})
"""What keeps all files from being written, not only one."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of an attempt to write captions.

    `changes` are the files that hold something else now. `foreign` are those that another program changed, which were
    left alone. `failed` are those that could not be written, or were not begun because the disk is full or gone; the
    first reason is `error`.
    """

    changes: tuple[CaptionChange, ...]
    foreign: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()
    error: OSError | None = None


def write_captions(
    records: Iterable[ImageRecord], texts: Mapping[Path, str], progress: Progress | None = None
) -> Written:
    """Write the captions of some pictures.

    Args:
        records: What is known of the pictures; a caption that is not the known one any more is left alone.
        texts: New caption of each picture, by its path.
        progress: Called with the number of captions that are done.
    """
    steps = []
    seen: set[Path] = set()
    for record in records:
        text = texts.get(record.path)
        if text is None or record.caption_path in seen:  # Two pictures may share one caption.
            continue
        if text == (record.caption or "") and not record.caption_problem:
            continue
        seen.add(record.caption_path)
        steps.append(_Step(record.caption_path, _is_known(record), text.encode()))
    return _carry_out(steps, progress)


def take_back(changes: Iterable[CaptionChange], progress: Progress | None = None) -> Written:
    """Bring back the bytes from before some changes; a file goes when there was none."""
    return _carry_out([_Step(change.path, _is(change.after), change.before) for change in changes], progress)


def repeat(changes: Iterable[CaptionChange], progress: Progress | None = None) -> Written:
    """Make changes again that were taken back."""
    return _carry_out([_Step(change.path, _is(change.before), change.after) for change in changes], progress)


@dataclass(frozen=True, slots=True)
class _Step:
    """One file: what may be in it, and what it shall hold; None for no file."""

    path: Path
    may_replace: Callable[[bytes | None], bool]
    after: bytes | None


def _is_known(record: ImageRecord) -> Callable[[bytes | None], bool]:
    usual = (record.caption or "").encode()

    def check(data: bytes | None) -> bool:
        if data == usual and not record.caption_problem:
            return True
        caption, problem = (None, "") if data is None else decode_caption(data, record.caption_path.name)
        is_unreadable = caption is None and bool(problem)
        was_unreadable = record.caption is None and bool(record.caption_problem)
        return (caption or "") == (record.caption or "") and is_unreadable == was_unreadable

    return check


def _is(expected: bytes | None) -> Callable[[bytes | None], bool]:
    return lambda data: data == expected


def _carry_out(steps: list[_Step], progress: Progress | None) -> Written:
    """Do the steps, many of them on two threads: the system takes its time for each file, and more do not help."""
    for step in steps:
        refuse_pictures(step.path)
    if len(steps) <= _MOST_ONE_BY_ONE:
        return _part(steps, _put_durably, lambda: None, threading.Event())
    ended, counter = threading.Event(), count(1)  # Counting is one step for Python, so that no lock is needed.

    def tick() -> None:
        done = next(counter)
        if progress is not None and done % _TOLD_EVERY == 0:
            progress(done)

    middle = len(steps) // 2
    with ThreadPoolExecutor(2, thread_name_prefix="captions") as pool:
        futures = [pool.submit(_part, part, _put, tick, ended) for part in (steps[:middle], steps[middle:])]
        first, second = (future.result() for future in futures)
    return Written(
        changes=first.changes + second.changes,
        foreign=first.foreign + second.foreign,
        failed=first.failed + second.failed,
        error=first.error or second.error,
    )


def _part(
    steps: list[_Step],
    put: Callable[[Path, bytes | None], None],
    tick: Callable[[], None],
    ended: threading.Event,
) -> Written:
    """Do steps one after the other. One file that fails is left out; what would fail for all ends both parts."""
    changes: list[CaptionChange] = []
    foreign: list[Path] = []
    failed: list[Path] = []
    error: OSError | None = None
    for step in steps:
        if ended.is_set():
            failed.append(step.path)
            continue
        try:
            before = bytes_of(step.path)
            if before != step.after and not step.may_replace(before):
                foreign.append(step.path)
            elif before != step.after:
                put(step.path, step.after)
                changes.append(CaptionChange(step.path, before, step.after))
        except OSError as reason:
            failed.append(step.path)
            error = error or reason
            if reason.errno in _FOR_ALL:
                ended.set()
        tick()
    return Written(changes=tuple(changes), foreign=tuple(foreign), failed=tuple(failed), error=error)


def _put_durably(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes(path, data)


def _put(path: Path, data: bytes | None) -> None:
    """As `core.files.write_bytes`, but without waiting for the disk after every file.

    That would take minutes for thousands of captions on some disks. A killed process still leaves each file old or new.
    """
    if data is None:
        path.unlink(missing_ok=True)
        return
    # Names as text: making a `Path` takes as long as writing the file.
    temporary = os.path.join(os.path.dirname(path), f".kiln-{os.getpid()}-{threading.get_ident()}.tmp")  # noqa: PTH118, PTH120
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)
        put_in_place(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
