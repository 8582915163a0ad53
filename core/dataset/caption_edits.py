"""Writing many captions at once, and taking that back, without touching what another program wrote meanwhile."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from queue import Queue
from threading import Thread

from core.dataset.caption_ending import refuse_pictures
from core.dataset.caption_journal import (
    DamagedJournalError,
    Journal,
    OpenJournal,
    begin_journal,
    open_journal,
    read_journal,
    unfinished,
)
from core.dataset.captions import CaptionChange, bytes_of, decode_caption, read_whole
from core.dataset.records import ImageRecord
from core.files import place_and_mode, put_in_place, write_bytes

_TOLD_EVERY = 250
_FOR_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV})
"""What keeps all files from being written, not only one."""

_BLOCK_BYTES = 512
_FEW = 20
_NUM_RELEASING = 8
_RELEASED_AT_ONCE = 8
_MAY_BE_OPEN = sys.platform == "linux"
"""Whether a file can be replaced while it is open, and a network drive be told from a disk by its number."""

_IS_A_LINK = frozenset({errno.ELOOP, errno.EMLINK})
"""What systems say of a link that must not be followed."""

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
    `is_stopped` says that it was ended before the last one, as asked.
    """

    changes: tuple[CaptionChange, ...]
    foreign: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()
    error: OSError | None = None
    journal: Path | None = None
    is_stopped: bool = False


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


def intend_turn(changes: Iterable[CaptionChange], *, back: bool, was_cut_off: bool = False) -> Intended:
    """See what bringing back the bytes from before some changes would change, or making them again.

    Args:
        changes: What was changed, or taken back; a file goes when there was none.
        back: Bring them back.
        was_cut_off: The machine may have gone down while they were written: files that were cut off count as ours.
    """
    steps = []
    for change in changes:
        now, then = (change.after, change.before) if back else (change.before, change.after)
        steps.append(_Step(change.path, _is_one_of(now, then) if was_cut_off else _is(now), then))
    return _intended(steps)


def carry_out(
    intended: Intended,
    journal: AbstractContextManager[OpenJournal] | None = None,
    progress: Progress | None = None,
    *,
    ready: Callable[[Intended], object] | None = None,
    is_stopped: Callable[[], bool] | None = None,
) -> Written:
    """Make changes that were intended, if the files still hold what they did then.

    Args:
        intended: What to do.
        journal: Where it is kept, from `begin_journal` or `open_journal`; without one every file waits for the disk.
        progress: Called with the number of captions that are done.
        ready: Called before the first caption is touched, when the journal is on the disk.
        is_stopped: Asked now and then whether to end here. The journal stays open then, as after a power cut.

    Raises:
        UserError: The journal cannot be written; no caption was touched.
    """
    with journal or nullcontext() as followed:
        if ready is not None:
            ready(intended)
        written = _written(intended, progress, is_stopped, durably=followed is None)
        result = Written(
            changes=written.changes,
            foreign=intended.foreign + written.foreign,
            failed=intended.failed + written.failed,
            error=intended.error or written.error,
            is_stopped=written.is_stopped,
        )
        if followed is None:
            return result
        if not result.is_stopped:
            close_journal(followed, result)
    return replace(result, journal=None if followed.is_void else followed.path)


def make_changes(changes: Iterable[CaptionChange]) -> Written:
    """Make some of the changes of a journal that is open; `close_journal` follows after the last ones."""
    return _written(Intended(changes=tuple(changes)))


def close_journal(journal: OpenJournal, written: Written) -> None:
    """Note in a journal how it ended, when what was written is on the disk."""
    _settle(written.changes)
    journal.close(is_whole=not written.failed, num_changes=len(written.changes))


def _settle(changes: Sequence[CaptionChange]) -> None:
    """Wait for the disk; else a power cut could leave files empty that their journal calls done.

    For a few files only theirs: the window may be waiting, and other programs' data can take seconds.
    """
    if len(changes) > _FEW:
        if sys.platform != "win32":
            os.sync()
        return
    for change in changes:
        with suppress(OSError):  # Taken away or held by another program by now, which is that one's business.
            handle = os.open(change.path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def write_captions(
    records: Iterable[ImageRecord],
    texts: Mapping[Path, str],
    progress: Progress | None = None,
    *,
    name: str = "",
    folder: Path | None = None,
    ready: Callable[[Intended], object] | None = None,
) -> Written:
    """Write the captions of some pictures; see `intend` and `carry_out`.

    Args:
        records: What is known of the pictures.
        texts: New caption of each picture, by its path.
        progress: Called with the number of captions that are done.
        name: What the user does, for the journal.
        folder: The dataset; with it and more than one change a journal is kept.
        ready: As in `carry_out`; not called without a journal.

    Raises:
        UserError: The journal cannot be written; no caption was touched.
    """
    intended = intend(records, texts)
    if folder is None or len(intended.changes) <= 1:
        return carry_out(intended)
    return carry_out(intended, begin_journal(name, folder, intended.changes), progress, ready=ready)


def turn_journal(
    path: Path,
    progress: Progress | None = None,
    *,
    back: bool,
    ready: Callable[[Intended], object] | None = None,
    is_stopped: Callable[[], bool] | None = None,
) -> Written:
    """Take back all changes of a journal, or make them again; what somebody edited since is left alone.

    Args:
        path: The journal.
        progress: Called with the number of captions that are done.
        back: Take them back.
        ready: As in `carry_out`.
        is_stopped: As in `carry_out`.

    Raises:
        DamagedJournalError: The journal is missing or damaged.
        UserError: It is in use by another process, or cannot be written.
    """
    changes = read_journal(path)
    with open_journal(path) as journal:
        journal.turn(back=back)
        intended = intend_turn(changes, back=back)
        return carry_out(intended, nullcontext(journal), progress, ready=ready, is_stopped=is_stopped)


def finish_journals(folder: Path) -> Iterator[Journal]:
    """Complete what processes that died were doing to the captions of a dataset; gives what was completed.

    Captions that somebody edited since are left alone. A damaged journal is set aside. What cannot be written is tried
    again the next time.

    Raises:
        OSError: Captions could not be written; raised after all others.
        UserError: A journal is damaged; raised after all others.
    """
    trouble: Exception | None = None
    with unfinished(folder) as left:
        for journal, followed in left:
            try:
                changes = read_journal(journal.path)
            except DamagedJournalError as error:
                trouble = trouble or error
                with suppress(OSError):  # Windows does not rename what is open: then it is told again.
                    journal.path.rename(journal.path.with_suffix(".damaged"))
                continue
            intended = intend_turn(changes, back=journal.is_back, was_cut_off=True)
            written = _written(intended)
            reason = intended.error or written.error
            if reason is not None:
                trouble = trouble or reason
                continue
            close_journal(followed, written)
            yield journal
    if trouble is not None:
        raise trouble


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


def _is_one_of(before: bytes | None, after: bytes | None) -> Callable[[bytes | None], bool]:
    """Also true of a file that was on its way to `after`: not filled in yet, or filled in to the end of a block."""

    def check(data: bytes | None) -> bool:
        if data == before or data is None or after is None:
            return data == before
        return not data.strip(b"\0") or (len(data) % _BLOCK_BYTES == 0 and after.startswith(data))

    return check


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


def _written(
    intended: Intended,
    progress: Progress | None = None,
    is_stopped: Callable[[], bool] | None = None,
    *,
    durably: bool = False,
) -> Written:
    """Make the changes one after the other. One file that fails is left out; what would fail for all ends it.

    More threads do not help with the names: the system changes those of a folder one after the other.
    """
    changes: list[CaptionChange] = []
    foreign: list[Path] = []
    failed: list[Path] = []
    error: OSError | None = None
    stopped = False
    with _Releasing() as releasing:
        for number, change in enumerate(intended.changes, start=1):
            try:
                if _make_durably(change) if durably else _make(change, releasing):
                    changes.append(change)
                else:
                    foreign.append(change.path)
            except OSError as reason:
                failed.append(change.path)
                error = error or reason
                if reason.errno in _FOR_ALL:
                    failed += [rest.path for rest in intended.changes[number:]]
                    break
            if number % _TOLD_EVERY == 0:
                if progress is not None:
                    progress(number)
                if is_stopped is not None and is_stopped():
                    stopped = number < len(intended.changes)
                    break
    return Written(
        changes=tuple(changes), foreign=tuple(foreign), failed=tuple(failed), error=error, is_stopped=stopped
    )


class _Releasing:
    """Closes files that something else has taken the place of, beside the writing.

    Closing the last handle of such a file gives its room back, and a disk that is told of free room at once may take
    longer for that than for all the rest. Several files at a time share that wait.
    """

    def __init__(self) -> None:
        self._handles: list[int] = []
        # Few, because systems bound the number of open files, some to 256.
        self._waiting: Queue[list[int]] = Queue(_NUM_RELEASING)
        self._threads: list[Thread] = []

    def __enter__(self) -> _Releasing:
        return self

    def __exit__(self, *_reason: object) -> None:
        _close(self._handles)
        for _ in self._threads:
            self._waiting.put([])
        for thread in self._threads:
            thread.join()

    def close(self, handle: int) -> None:
        """Close a file soon, at the latest when this ends."""
        self._handles.append(handle)
        if len(self._handles) == _RELEASED_AT_ONCE:
            if len(self._threads) < _NUM_RELEASING:
                self._threads.append(Thread(target=self._run, name="releasing", daemon=True))
                self._threads[-1].start()
            self._waiting.put(self._handles)
            self._handles = []

    def _run(self) -> None:
        while handles := self._waiting.get():
            _close(handles)


def _close(handles: Iterable[int]) -> None:
    for handle in handles:
        with suppress(OSError):  # It was only read, and that has gone well.
            os.close(handle)


def _make_durably(change: CaptionChange) -> bool:
    """As `_make`, and wait for the disk: there is no journal."""
    if bytes_of(change.path) != change.before:
        return False
    if change.after is None:
        change.path.unlink(missing_ok=True)
    else:
        write_bytes(change.path, change.after)
    return True


def _make(change: CaptionChange, releasing: _Releasing) -> bool:
    """Make a change if the file still holds what it did when that was intended; returns whether it does.

    As `core.files.write_bytes`, but without waiting for the disk after every file: the journal is there already, and
    waiting would take minutes for thousands of captions on some disks. A killed process leaves each file old or new.
    """
    name = str(change.path)  # Making a `Path` takes as long as writing the file.
    if _MAY_BE_OPEN:
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            if change.before is None and change.after is not None:
                _put(name, change.after, None)
            return change.before is None
        except OSError as error:
            if error.errno not in _IS_A_LINK:
                raise
        else:
            return _replace_open(handle, name, change, releasing)
    if bytes_of(change.path) != change.before:
        return False
    if change.after is None:
        change.path.unlink(missing_ok=True)
    else:
        place, mode = place_and_mode(change.path)
        _put(str(place), change.after, mode)
    return True


def _replace_open(handle: int, name: str, change: CaptionChange, releasing: _Releasing) -> bool:
    """As `_make`, for a file that is open for reading, and is closed here or soon."""
    held: int | None = handle
    try:
        status = os.fstat(handle)
        if change.before is None or read_whole(handle, status.st_size) != change.before:
            return False
        if not os.major(status.st_dev):  # No disk of this machine: network drives rename what is open to hide it.
            held = None
            os.close(handle)
        if change.after is None:
            change.path.unlink(missing_ok=True)
        else:
            _put(name, change.after, stat.S_IMODE(status.st_mode))
        return True
    finally:
        if held is not None:
            releasing.close(held)


def _put(place: str, data: bytes, mode: int | None) -> None:
    """Let a new file take the place of one, or of none, with its rights; None for the usual ones."""
    # Always new names: large folders find room for a name that they had before only after a long search.
    temporary = os.path.join(os.path.dirname(place), f".kiln-{os.getpid()}-{next(_NUMBERS)}.tmp")  # noqa: PTH118, PTH120
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            if mode is not None and mode != stat.S_IMODE(os.fstat(handle).st_mode):
                os.fchmod(handle, mode)
        finally:
            os.close(handle)
        put_in_place(temporary, place)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
