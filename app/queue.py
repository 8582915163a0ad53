"""The queue of runs as the window knows it: its entries, their order, and what was removed last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import IO, Literal

from PySide6.QtCore import QFileSystemWatcher, QObject, Signal

from core.config import TrainConfig, with_values
from core.errors import UserError, explain
from core.queue import (
    EntryState,
    QueueEntry,
    change_queue,
    claim,
    give_up,
    queue_file,
    queue_held,
)
from core.quick import free_name

AfterLast = Literal["nothing", "sleep", "shutdown"]
Entries = list[QueueEntry]
Change = Callable[[Entries], Entries]


class Queue(QObject):
    """Every change is on the disk at once. `is_going` says that the next run begins when one has ended.

    Several windows share one file: each change is made to what is in it by then, and what others change is shown here.

    What happens after the last run is asked anew in every session: nobody wants a machine that turns off because of a
    choice of last month.
    """

    changed = Signal()
    problem = Signal(str, str)  # message and remedy

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[QueueEntry] = []
        self.is_going = False
        self.after_last: AfterLast = "nothing"
        self.editing: str | None = None
        self._removed: list[list[tuple[int, QueueEntry]]] = []
        self._claims: dict[str, IO[bytes] | None] = {}  # None: its lock could not be made
        self._saved: Entries = []  # as last read from the disk, or written to it
        self._unsaved: list[Change] = []  # made since then, in order; the disk lacks them
        self._watcher = QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(self.refresh)

    def load(self) -> None:
        """Take up the queue as it was left; a damaged file is told of."""
        try:
            self._save()
        except (OSError, UserError) as error:
            self._tell(error)
        self._watch()
        self.changed.emit()

    def refresh(self) -> None:
        """Show what other windows have changed, and write what could not be written before."""
        before = self.entries
        if self._unsaved or queue_file().exists():
            try:
                self._save()
            except (OSError, UserError):  # The next change tells of it, if it still is so then.
                self.entries = _changed(self._saved, self._unsaved)
        self._watch()
        if self.entries != before:
            self.changed.emit()

    @property
    def waiting(self) -> list[QueueEntry]:
        """The entries that are still to be run, in order."""
        return [entry for entry in self.entries if entry.state in ("waiting", "paused")]

    @property
    def running(self) -> QueueEntry | None:
        """The entry that this window is running."""
        return next((entry for entry in self.entries if entry.state == "running" and entry.key in self._claims), None)

    @property
    def can_undo(self) -> bool:
        """Whether a removed entry can be brought back."""
        return bool(self._removed)

    def entry(self, key: str) -> QueueEntry | None:
        """The entry with this key, if it is still there."""
        return _with_key(self.entries, key)

    def add(self, config: TrainConfig) -> QueueEntry:
        """Put a run at the end, under a name that no other run has."""
        entry = QueueEntry(config=config)

        def added(entries: Entries) -> Entries:
            others = [other for other in entries if other.key != entry.key]
            return [*others, replace(entry, config=_with_free_name(config, others))]

        self._change(added)
        return _with_key(self.entries, entry.key) or entry

    def edit(self, key: str) -> TrainConfig | None:
        """Begin to change an entry: `finish_edit` puts the changed settings back in its place. Returns its settings."""
        entry = self.entry(key)
        if entry is None or entry.state == "running":
            return None
        self.editing = key
        self.changed.emit()
        return entry.config

    def finish_edit(self, config: TrainConfig) -> QueueEntry | None:
        """Put the changed settings in the place of the entry that is being changed. Returns it, if it is there."""
        key, self.editing = self.editing, None
        if key is None:
            self.changed.emit()
            return None
        changed: Entries = []

        def put_back(entries: Entries) -> Entries:
            changed.clear()
            entry = _with_key(entries, key)
            if entry is None or entry.state == "running":
                return entries
            if entry.state == "paused":
                changed.append(replace(entry, config=config))
            else:
                free = _with_free_name(config, [other for other in entries if other is not entry])
                changed.append(replace(entry, config=free, state="waiting", message=""))
            return _replaced(entries, changed[0])

        self._change(put_back)
        return changed[0] if changed else None

    def cancel_edit(self) -> None:
        """Leave the entry as it is."""
        self.editing = None
        self.changed.emit()

    def move(self, key: str, place: int) -> None:
        """Move an entry to a place in the list, counted without it."""

        def moved(entries: Entries) -> Entries:
            entry = _with_key(entries, key)
            rest = [other for other in entries if other is not entry]
            return entries if entry is None else [*rest[: max(place, 0)], entry, *rest[max(place, 0) :]]

        if self.entry(key) is not None:
            self._change(moved)

    def remove(self, *keys: str) -> None:
        """Take entries out; their runs and files stay. `undo` brings them back together."""
        leaving: list[tuple[int, QueueEntry]] = []

        def without(entries: Entries) -> Entries:
            numbered = list(enumerate(entries))
            leaving[:] = [(place, entry) for place, entry in numbered if entry.key in keys and entry.state != "running"]
            gone = {entry.key for _, entry in leaving}
            if self.editing in gone:
                self.editing = None
            return [entry for entry in entries if entry.key not in gone]

        if any(entry.key in keys and entry.state != "running" for entry in self.entries):
            self._change(without)
        if leaving:
            self._removed.append(leaving)
            self.changed.emit()

    def remove_ended(self) -> None:
        """Take out all that is done or failed."""
        self.remove(*(entry.key for entry in self.entries if entry.state in ("done", "failed")))

    def undo(self) -> None:
        """Bring back what was removed last."""
        if self._removed:
            removed = self._removed.pop()

            def brought_back(entries: Entries) -> Entries:
                found = list(entries)
                for place, entry in removed:
                    if _with_key(entries, entry.key) is None:
                        found.insert(place, entry)
                return found

            self._change(brought_back)

    def set_state(self, key: str, state: EntryState, message: str = "") -> bool:
        """Note how an entry stands. One that begins to run is not being changed any more.

        Returns:
            Whether it stands so now: it may be gone, or another window may run it or have run it.
        """
        was_set = False

        def noted(entries: Entries) -> Entries:
            nonlocal was_set
            entry = _with_key(entries, key)
            if entry is None:
                was_set = False
            elif state == "running":
                was_set = entry.state in ("waiting", "paused") and self._claim(key)
            else:
                was_set = key in self._claims or entry.state != "running"
            return _replaced(entries, replace(entry, state=state, message=message)) if entry and was_set else entries

        self._change(noted)
        if was_set and state == "running" and self.editing == key:
            self.editing = None
            self.changed.emit()
        return was_set

    def set_config(self, key: str, config: TrainConfig) -> None:
        """Note the settings that an entry is really run with."""

        def noted(entries: Entries) -> Entries:
            entry = _with_key(entries, key)
            return entries if entry is None else _replaced(entries, replace(entry, config=config))

        self._change(noted)

    def try_again(self, key: str) -> None:
        """Let a run that failed wait for another attempt."""
        self.set_state(key, "waiting")

    def set_going(self, going: bool) -> None:
        """Say whether the next run begins when one has ended."""
        self.is_going = going
        self.changed.emit()

    def set_after_last(self, action: AfterLast) -> None:
        """Say what the machine does after the last run."""
        self.after_last = action
        self.changed.emit()

    def _claim(self, key: str) -> bool:
        """Take an entry for this window. Returns whether it is this window's.

        Where its lock cannot be made, the other windows do not see who runs it; that is no reason not to run it.
        """
        if key in self._claims:
            return True
        try:
            lock = claim(key)
        except OSError as error:
            self._claims[key] = None
            self._tell(error)
            return True
        if lock is None:
            return False
        self._claims[key] = lock
        return True

    def _give_up(self, key: str) -> None:
        """Let go of an entry, if this window ran it."""
        if (lock := self._claims.pop(key, None)) is not None:
            try:
                with queue_held():
                    give_up(lock)
            except (OSError, UserError):
                lock.close()  # The file stays; without a lock it says nothing.

    def _change(self, change: Change) -> None:
        """Change what is on the disk; where that fails, what is shown, and the disk with the next change."""
        try:
            self._save(change)
        except (OSError, UserError) as error:
            before = _changed(self._saved, self._unsaved)
            self.entries = change(before)
            if self.entries != before:  # What was refused now is not done later.
                self._unsaved.append(change)
            self._tell(error)
        self._watch()
        self.changed.emit()

    def _save(self, *changes: Change) -> None:
        """Make the changes that the disk lacks, then these, to what it holds now, and take that up.

        Raises:
            UserError: Another window holds the queue for longer than a moment.
            OSError: The file cannot be read or written. What could be read of it is in `_saved`.
        """

        def all_changed(entries: Entries) -> Entries:
            self._saved = entries
            return _changed(entries, (*self._unsaved, *changes))

        self.entries, damage = change_queue(all_changed, self._saved, own=self._claims)
        self._saved = self.entries
        self._unsaved.clear()
        # Only now: until the disk says how a run ended, no other window may begin it again.
        running = {entry.key for entry in self.entries if entry.state == "running"}
        for key in self._claims.keys() - running:
            self._give_up(key)
        if damage is not None:
            self.problem.emit(damage.message, damage.remedy)

    def _watch(self) -> None:
        """Look at the file: each change puts another one in its place, which ends the look at the old one."""
        path = str(queue_file())
        if path not in self._watcher.files() and queue_file().exists():
            self._watcher.addPath(path)

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self.problem.emit(known.message, known.remedy)


def _with_key(entries: Sequence[QueueEntry], key: str) -> QueueEntry | None:
    return next((entry for entry in entries if entry.key == key), None)


def _changed(entries: Entries, changes: Iterable[Change]) -> Entries:
    for change in changes:
        entries = change(entries)
    return entries


def _replaced(entries: Sequence[QueueEntry], entry: QueueEntry) -> Entries:
    return [entry if known.key == entry.key else known for known in entries]


def _with_free_name(config: TrainConfig, others: Sequence[QueueEntry]) -> TrainConfig:
    """The settings under the first name that neither the disk nor another entry has."""
    taken = {(entry.config.output.folder, entry.name) for entry in others if entry.state != "done"}
    name = free_name(config.output.name, config.output.folder)
    number = 2
    while (config.output.folder, name) in taken:
        name = free_name(f"{config.output.name}-{number}", config.output.folder)
        number += 1
    return with_values(config, {"output.name": name})
