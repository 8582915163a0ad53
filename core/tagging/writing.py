"""Writing planned captions with a journal, and taking the last tagging of a folder back."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.control import Control
from core.dataset.caption_edits import (
    Intended,
    Written,
    close_journal,
    finish_journals,
    intend,
    intend_turn,
    make_changes,
)
from core.dataset.caption_journal import Journal, begin_journal, latest_journal, open_journal, read_journal
from core.errors import UserError, explain
from core.events import Event, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.files import remove_left_overs, write_text
from core.tagging.plan import CaptionPlan, texts_of
from core.text import sentences, tr

_AT_ONCE = 250
"""Captions between two looks at what the user wishes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of writing: the journal that takes it back, and how many captions could not be written."""

    journal: Path | None = None
    num_failed: int = 0
    stopped: bool = False


def complete_earlier_runs(folder: Path) -> Iterator[Event]:
    """Complete what was cut off while it wrote captions of a folder, or took them back; trouble with that is told."""
    try:
        yield from _complete(folder)
    except (OSError, UserError) as error:
        yield _cannot_complete(error)


def _complete(folder: Path) -> Generator[Event, None, list[Journal]]:
    """As `complete_earlier_runs`, but raises what `finish_journals` raises; returns what was completed."""
    completed = []
    for journal in finish_journals(folder):
        completed.append(journal)
        if journal.is_back:
            message = tr("Taking captions back was cut off the last time; it was completed: {name}.", name=journal.name)
        else:
            message = tr(
                "An earlier run was cut off while it wrote captions; it was completed: {name}.", name=journal.name
            )
        yield Notice(message=message)
    return completed


def _cannot_complete(error: OSError | UserError) -> Notice:
    known = explain(error)
    reason = str(known if known is not None else error)
    message = tr("Writing captions was cut off the last time, and cannot be completed. {reason}", reason=reason)
    return Notice(level="warning", message=message)


def check_writable(folders: Iterable[Path]) -> None:
    """Find out before the first picture is looked at whether captions can be written to folders, and tidy them up.

    Raises:
        UserError: They cannot.
    """
    for folder in dict.fromkeys(folders):
        probe = folder / f".kiln-{os.getpid()}-{secrets.token_hex(4)}-probe.tmp"
        try:
            write_text(probe, "")
            probe.unlink()
            remove_left_overs(folder)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise explain(error) or error from error
            raise UserError(
                "Captions cannot be written to {folder}.",
                remedy="Copy the pictures to a folder that you may write to, for example in your documents.",
                folder=folder,
            ) from error


def write_plans(plans: Sequence[CaptionPlan], folder: Path, control: Control) -> Generator[Event, None, Outcome]:
    """Write the captions that are new or changed. A journal with all of them is on the disk before the first one.

    A caption that another program changed since the scan is left alone; one that cannot be written is named in a
    `Notice`. Stopping ends between two captions.

    Raises:
        UserError: The journal cannot be written, or no caption can and there is none that is well as it is.
    """
    records = [plan.record for plan in plans]
    intended = intend(records, texts_of(plans))
    pictures = {record.caption_path: record.path for record in records}
    changes = intended.changes
    if changes and control.stop_requested:
        return Outcome(stopped=True)
    written, journal = _result(intended), None
    if changes:
        yield StageStarted(stage="write", total=len(changes))
        with begin_journal(_name(len(changes)), folder, changes) as whole:
            written = yield from _make(intended, control)
            close_journal(whole, written)
        journal = None if whole.is_void else whole.path
    num_written, error = len(written.changes), written.error
    if error is not None and not num_written and all(plan.outcome in ("new", "changed", "failed") for plan in plans):
        raise explain(error) or error
    yield from _complaints(written, pictures)
    if num_written:
        hint = tr('To take that back: kiln tag "{folder}" --undo', folder=folder)
        yield Notice(message=sentences(tr("Captions written: {number}.", number=num_written), hint))
    return Outcome(journal, len(written.foreign) + len(written.failed), stopped=written.is_stopped)


def undo_tagging(folder: Path, control: Control) -> Iterator[Event]:
    """Take the last change to the captions of a folder back, byte for byte, as a job: ends with `Finished`.

    Captions that somebody edited since are left alone and named. Stopping ends between two captions, and the next time
    goes on there. Where taking back was cut off the last time, it is only completed.

    Raises:
        UserError: There is nothing to take back, the journal is damaged, or no caption can be written.
        OSError: What was cut off cannot be completed.
    """
    started = time.monotonic()
    yield JobStarted(job="tag")
    completed: list[Journal] = []
    try:
        completed = yield from _complete(folder)
    except UserError as error:  # A damaged journal is no reason to leave the others.
        yield _cannot_complete(error)
    if any(journal.is_back for journal in completed):  # That was the step to be taken back, not the one before.
        yield Finished(elapsed_s=time.monotonic() - started)
        return
    journal = latest_journal(folder)
    if journal is None:
        raise UserError(
            "There is nothing to take back in {folder}.",
            remedy="Only captions that Kiln wrote can be taken back, each step once; check the folder.",
            folder=folder,
        )
    if control.stop_requested:
        yield Finished(stopped=True, elapsed_s=time.monotonic() - started)
        return
    changes = read_journal(journal.path)
    with open_journal(journal.path) as followed:
        followed.turn(back=True)
        intended = intend_turn(changes, back=True)
        yield StageStarted(stage="write", total=len(intended.changes))
        written = yield from _make(intended, control)
        if not written.is_stopped:  # Else it stays open, so that the next time goes on.
            close_journal(followed, written)
    if written.error is not None and not written.changes:
        raise explain(written.error) or written.error
    yield from _complaints(written, {})
    yield Notice(message=_taken_back(journal.name, written))
    if written.is_stopped:
        yield Notice(message=tr('To take the rest back: kiln tag "{folder}" --undo', folder=folder))
    num_failed = len(written.foreign) + len(written.failed)
    yield Finished(stopped=written.is_stopped, elapsed_s=time.monotonic() - started, num_failed=num_failed)


def _make(intended: Intended, control: Control) -> Generator[Event, None, Written]:
    """Make changes whose journal is open, and tell how far it is; stopping ends between two captions."""
    begun = time.monotonic()
    changes, num_tried = intended.changes, 0
    written = _result(intended)
    while num_tried < len(changes) and not (num_tried and control.stop_requested):
        part = make_changes(changes[num_tried : num_tried + _AT_ONCE])
        num_tried = min(num_tried + _AT_ONCE, len(changes))
        written = Written(
            changes=written.changes + part.changes,
            foreign=written.foreign + part.foreign,
            failed=written.failed + part.failed,
            error=written.error or part.error,
        )
        elapsed_s = time.monotonic() - begun
        yield StageProgress(stage="write", done=num_tried, total=len(changes), elapsed_s=elapsed_s)
    return replace(written, is_stopped=num_tried < len(changes))


def _result(intended: Intended) -> Written:
    """What became of changes of which none is made yet."""
    return Written(changes=(), foreign=intended.foreign, failed=intended.failed, error=intended.error)


def _taken_back(name: str, written: Written) -> str:
    removed = sum(change.after is None for change in written.changes)
    return (
        tr("Taken back: {name}", name=name)
        + ". "
        + tr(
            "Captions brought back: {number}; removed, because there was none before: {removed}.",
            number=len(written.changes) - removed,
            removed=removed,
        )
    )


def _complaints(written: Written, pictures: dict[Path, Path]) -> Iterator[Event]:
    """A `Notice` about every caption that was left alone or could not be written."""
    for path in written.foreign:
        message = tr("{name} was changed by another program, so it stays as it is.", name=path.name)
        yield Notice(level="warning", message=message, image=pictures.get(path, path))
    reason = (written.error.strerror or str(written.error)) if written.error is not None else ""
    for path in written.failed:
        message = tr("The caption {name} could not be written: {error}.", name=path.name, error=reason)
        yield Notice(level="warning", message=message, image=pictures.get(path, path))


def _name(number: int) -> str:
    """What the journal calls it."""
    return tr("Tag {n} pictures", n=number) if number != 1 else tr("Tag a picture")
