"""Writing many captions at once, and taking that back, without touching what another program wrote meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from core.dataset.caption_ending import refuse_pictures
from core.dataset.caption_journal import Journal, OpenJournal, begin_journal, open_journal, read_journal, unfinished
from core.dataset.captions import CaptionChange, bytes_of, decode_caption
from core.dataset.records import ImageRecord
from core.files import put_in_place, write_bytes

_TOLD_EVERY = 250
_FOR_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV})
"""What keeps all files from being written, not only one."""

Progress = Callable[[int], None]
_NUMBERS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """What is about to become of some caption files; nothing is written yet.

    `changes` are to be made. `foreign` are those that another program changed, which are left alone. `failed` could not
    be read; the first reason is `error`.
    """

    changes: tuple[CaptionChange, ...]
    foreign: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()
    error: OSError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of an attempt to write captions.

    `changes` are the files that hold something else now. `foreign` are those that another program changed, which were
    left alone. `failed` are those that could not be written, or were not begun because the disk is full or gone; the
    first reason is `error`. `journal` takes the changes back, also after a restart; None when there is none.
    """

    changes: tuple[CaptionChange, ...]
    foreign: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()
    error: OSError | None = None
    journal: Path | None = None


def intend(records: Iterable[ImageRecord], texts: Mapping[Path, str]) -> Intended:
    """See what writing new captions would change.

    Args:
        records: What is known of the pictures; a caption that is not the known one any more is left alone.
        texts: New caption of each picture, by its path.
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
    return _intended(steps)


def intend_back(changes: Iterable[CaptionChange]) -> Intended:
    """See what bringing back the bytes from before some changes would change; a file goes when there was none."""
    return _intended([_Step(change.path, _is(change.after), change.before) for change in changes])


def intend_again(changes: Iterable[CaptionChange]) -> Intended:
    """See what making changes again that were taken back would change."""
    return _intended([_Step(change.path, _is(change.before), change.after) for change in changes])


def carry_out(
    intended: Intended,
    journal: AbstractContextManager[OpenJournal] | None = None,
    progress: Progress | None = None,
    ready: Callable[[Intended], object] | None = None,
) -> Written:
    """Make changes that were intended, if the files still hold what they did then.

    Args:
        intended: What to do.
        journal: Where it is kept, from `begin_journal` or `open_journal`; without one every file waits for the disk.
        progress: Called with the number of captions that are done.
        ready: Called before the first caption is touched, when the journal is on the disk.

    Raises:
        UserError: The journal cannot be written; no caption was touched.
    """
    with journal or nullcontext() as followed:
        if ready is not None:
            ready(intended)
        written = _written(intended, _put_durably if followed is None else _put, progress)
        if followed is not None:
            followed.done()
    return Written(
        changes=written.changes,
        foreign=intended.foreign + written.foreign,
        failed=intended.failed + written.failed,
        error=intended.error or written.error,
        journal=None if followed is None else followed.path,
    )


def write_captions(
    records: Iterable[ImageRecord],
    texts: Mapping[Path, str],
    progress: Progress | None = None,
    *,
    name: str = "",
    folder: Path | None = None,
) -> Written:
    """Write the captions of some pictures; see `intend` and `carry_out`.

    Args:
        records: What is known of the pictures.
        texts: New caption of each picture, by its path.
        progress: Called with the number of captions that are done.
        name: What the user does, for the journal.
        folder: The dataset; with it and more than one change a journal is kept.

    Raises:
        UserError: The journal cannot be written; no caption was touched.
    """
    intended = intend(records, texts)
    journal = None
    if folder is not None and len(intended.changes) > 1:
        journal = begin_journal(name, folder, intended.changes)
    return carry_out(intended, journal, progress)


def take_back(changes: Iterable[CaptionChange], progress: Progress | None = None) -> Written:
    """Bring back the bytes from before some changes; a file goes when there was none."""
    return carry_out(intend_back(changes), None, progress)


def repeat(changes: Iterable[CaptionChange], progress: Progress | None = None) -> Written:
    """Make changes again that were taken back."""
    return carry_out(intend_again(changes), None, progress)


def turn_journal(
    path: Path,
    progress: Progress | None = None,
    *,
    back: bool,
    ready: Callable[[Intended], object] | None = None,
) -> Written:
    """Take back all changes of a journal, or make them again; what somebody edited since is left alone.

    Args:
        path: The journal.
        progress: Called with the number of captions that are done.
        back: Take them back.
        ready: As in `carry_out`.

    Raises:
        UserError: The journal is missing, damaged, or in use by another process.
    """
    changes = read_journal(path)
    with open_journal(path) as journal:
        journal.turn(back=back)
        intended = intend_back(changes) if back else intend_again(changes)
        return carry_out(intended, nullcontext(journal), progress, ready)


def finish_journals(folder: Path) -> tuple[Journal, ...]:
    """Complete what processes that died were writing to the captions of a dataset; returns what was completed.

    Captions that somebody edited since are left alone.

    Raises:
        OSError: A caption cannot be written.
        UserError: A journal is damaged.
    """
    finished = []
    with unfinished(folder) as left:
        for journal, followed in left:
            changes = read_journal(journal.path)
            intended = intend_back(changes) if journal.is_back else intend_again(changes)
            written = carry_out(intended, nullcontext(followed))
            if written.error is not None:
                raise written.error
            finished.append(journal)
    return tuple(finished)


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


def _intended(steps: list[_Step]) -> Intended:
    for step in steps:
        refuse_pictures(step.path)
    changes: list[CaptionChange] = []
    foreign: list[Path] = []
    failed: list[Path] = []
    error: OSError | None = None
    for step in steps:
        try:
            before = bytes_of(step.path)
        except OSError as reason:
            failed.append(step.path)
            error = error or reason
            continue
        if before == step.after:
            continue
        if step.may_replace(before):
            changes.append(CaptionChange(step.path, before, step.after))
        else:
            foreign.append(step.path)
    return Intended(changes=tuple(changes), foreign=tuple(foreign), failed=tuple(failed), error=error)


def _written(intended: Intended, put: Callable[[Path, bytes | None], None], progress: Progress | None) -> Written:
    """Make the changes one after the other. One file that fails is left out; what would fail for all ends it.

    More threads do not help: the system takes its time for each new name in a folder, one name after the other.
    """
    changes: list[CaptionChange] = []
    foreign: list[Path] = []
    failed: list[Path] = []
    error: OSError | None = None
    for number, change in enumerate(intended.changes, start=1):
        try:
            if bytes_of(change.path) != change.before:
                foreign.append(change.path)
            else:
                put(change.path, change.after)
                changes.append(change)
        except OSError as reason:
            failed.append(change.path)
            error = error or reason
            if reason.errno in _FOR_ALL:
                failed += [rest.path for rest in intended.changes[number:]]
                break
        if progress is not None and number % _TOLD_EVERY == 0:
            progress(number)
    return Written(changes=tuple(changes), foreign=tuple(foreign), failed=tuple(failed), error=error)


def _put_durably(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes(path, data)


def _put(path: Path, data: bytes | None) -> None:
    """As `core.files.write_bytes`, but without waiting for the disk after every file: the journal is there already.

    Waiting would take minutes for thousands of captions on some disks. A killed process leaves each file old or new.
    """
    if data is None:
        path.unlink(missing_ok=True)
        return
    # Names as text: making a `Path` takes as long as writing the file. Always new names: large folders find room for
    # a name that they had before only after a long search.
    temporary = os.path.join(os.path.dirname(path), f".kiln-{os.getpid()}-{next(_NUMBERS)}.tmp")  # noqa: PTH118, PTH120
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
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
