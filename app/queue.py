"""The queue of runs as the window knows it: its entries, their order, and what was removed last."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from PySide6.QtCore import QObject, Signal

from core.config import TrainConfig, with_values
from core.errors import explain
from core.queue import EntryState, QueueEntry, load_queue, save_queue
from core.quick import free_name

AfterLast = Literal["nothing", "sleep", "shutdown"]


class Queue(QObject):
    """Every change is on the disk at once. `is_going` says that the next run begins when one has ended.

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

    def load(self) -> None:
        """Take up the queue as it was left; a damaged file is told of."""
        try:
            self.entries, damage = load_queue()
        except OSError as error:
            self._tell(error)
            return
        if damage is not None:
            self._save()
            self.problem.emit(damage.message, damage.remedy)
        self.changed.emit()

    @property
    def waiting(self) -> list[QueueEntry]:
        """The entries that are still to be run, in order."""
        return [entry for entry in self.entries if entry.state in ("waiting", "paused")]

    @property
    def running(self) -> QueueEntry | None:
        """The entry that is running."""
        return next((entry for entry in self.entries if entry.state == "running"), None)

    @property
    def can_undo(self) -> bool:
        """Whether a removed entry can be brought back."""
        return bool(self._removed)

    def entry(self, key: str) -> QueueEntry | None:
        """The entry with this key, if it is still there."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def add(self, config: TrainConfig) -> QueueEntry:
        """Put a run at the end, under a name that no other run has."""
        added = QueueEntry(config=self._with_free_name(config))
        self.entries.append(added)
        self._changed()
        return added

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
        entry = self.entry(key) if key else None
        if entry is None or entry.state == "running":
            self.changed.emit()
            return None
        if entry.state == "paused":
            changed = replace(entry, config=config)
        else:
            changed = replace(entry, config=self._with_free_name(config, but=entry), state="waiting", message="")
        self._replace(changed)
        return changed

    def cancel_edit(self) -> None:
        """Leave the entry as it is."""
        self.editing = None
        self.changed.emit()

    def move(self, key: str, place: int) -> None:
        """Move an entry to a place in the list, counted without it."""
        entry = self.entry(key)
        if entry is None:
            return
        self.entries.remove(entry)
        self.entries.insert(min(max(place, 0), len(self.entries)), entry)
        self._changed()

    def remove(self, *keys: str) -> None:
        """Take entries out; their runs and files stay. `undo` brings them back together."""
        leaving = [
            (place, entry) for place, entry in enumerate(self.entries) if entry.key in keys and entry.state != "running"
        ]
        if not leaving:
            return
        self._removed.append(leaving)
        gone = {entry.key for _, entry in leaving}
        self.entries = [entry for entry in self.entries if entry.key not in gone]
        if self.editing in gone:
            self.editing = None
        self._changed()

    def remove_ended(self) -> None:
        """Take out all that is done or failed."""
        self.remove(*(entry.key for entry in self.entries if entry.state in ("done", "failed")))

    def undo(self) -> None:
        """Bring back what was removed last."""
        if self._removed:
            for place, entry in self._removed.pop():
                self.entries.insert(min(place, len(self.entries)), entry)
            self._changed()

    def set_state(self, key: str, state: EntryState, message: str = "") -> None:
        """Note how an entry stands. One that begins to run is not being changed any more."""
        entry = self.entry(key)
        if entry is not None:
            if state == "running" and self.editing == key:
                self.editing = None
            self._replace(replace(entry, state=state, message=message))

    def set_config(self, key: str, config: TrainConfig) -> None:
        """Note the settings that an entry is really run with."""
        entry = self.entry(key)
        if entry is not None:
            self._replace(replace(entry, config=config))

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

    def _with_free_name(self, config: TrainConfig, but: QueueEntry | None = None) -> TrainConfig:
        """The settings under the first name that neither the disk nor another entry has."""
        taken = {
            (entry.config.output.folder, entry.name)
            for entry in self.entries
            if entry is not but and entry.state != "done"
        }
        name = free_name(config.output.name, config.output.folder)
        number = 2
        while (config.output.folder, name) in taken:
            name = free_name(f"{config.output.name}-{number}", config.output.folder)
            number += 1
        return with_values(config, {"output.name": name})

    def _replace(self, entry: QueueEntry) -> None:
        self.entries = [entry if known.key == entry.key else known for known in self.entries]
        self._changed()

    def _changed(self) -> None:
        self._save()
        self.changed.emit()

    def _save(self) -> None:
        try:
            save_queue(self.entries)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self.problem.emit(known.message, known.remedy)
