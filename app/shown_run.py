"""The run that the page shows: one that this window has started, one of before, or one that another program runs."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.past_runs import runs_now
from app.run_follower import RunFollower
from app.run_reader import RunReader
from app.run_record import RunRecord
from app.run_starter import RunStarter
from app.widgets.progress_header import Phase
from app.widgets.run_view import RunView
from core.config import TrainConfig
from core.errors import UserError
from core.events import Event
from core.run_folder import RunFolder


class ShownRun(QObject):
    """Puts a run into the view and keeps it up to date. `changed` says that another one is shown, or goes on or not."""

    changed = Signal()

    def __init__(self, view: RunView, starter: RunStarter, parent: QObject | None = None) -> None:
        """Show nothing yet.

        Args:
            view: Where the run is shown.
            starter: The run that this window has started.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._view = view
        self._starter = starter
        self._reader = RunReader(self)
        self._follower: RunFollower | None = None
        self._config: TrainConfig | None = None
        self.folder: RunFolder | None = None
        starter.happened.connect(self._take_own)

    @property
    def is_own(self) -> bool:
        """Whether it is the run that this window has started, and it is going on."""
        return self._starter.worker is not None and self._view.record is self._starter.record

    @property
    def is_live(self) -> bool:
        """Whether it is going on, here or elsewhere."""
        return self.is_own or self._follower is not None

    @property
    def config(self) -> TrainConfig | None:
        """The settings it goes on with; None when they cannot be read."""
        if self._config is None and self.folder is not None:
            self._config = readable_config(self.folder)
        return self._config

    def show_own(self) -> None:
        """Show the run that this window has started."""
        assert self._starter.folder is not None and self._starter.config is not None
        self._leave()
        self.folder, self._config = self._starter.folder, self._starter.config
        can_sample = bool(self._config.sampling.prompts)
        self._view.show_run(self._starter.record, self.folder, "running", can_sample=can_sample)
        self.changed.emit()

    def open(self, folder: RunFolder) -> None:
        """Show a run of before, or watch one that is going on elsewhere."""
        if self._starter.is_running and self._starter.folder == folder:
            self.show_own()
            return
        self._leave()
        self.folder, self._config = folder, None
        empty = RunRecord()
        empty.folder = folder.path
        self._view.show_run(empty, folder, "reading")
        self._reader.read(folder, lambda record, read_bytes: self._show(folder, record, read_bytes))

    def say_end(self) -> None:
        """Show how the run ended, if it has."""
        if self.folder is not None and not self.is_live and not self._reader.is_busy:
            self._view.set_phase("ended")
            self._view.outcome.show_end(self.folder, self._view.record, self.config)

    def _show(self, folder: RunFolder, record: RunRecord, read_bytes: int) -> None:
        phase: Phase = "ended"
        if runs_now(folder):
            phase = "watching"
            self._follow(folder, read_bytes)
        self._view.show_run(record, folder, phase)
        self.say_end()
        self.changed.emit()

    def _follow(self, folder: RunFolder, read_bytes: int) -> None:
        self._follower = follower = RunFollower(folder, read_bytes, self)
        follower.told.connect(self._take_followed)
        follower.restarted.connect(self._start_over)
        follower.ended.connect(self._on_end_of_followed)

    def _take_own(self, event: Event) -> None:
        if self.is_own:
            self._view.take(event)

    def _take_followed(self, events: list[Event]) -> None:
        for event in events:
            self._view.record.add(event)
            self._view.take(event)

    def _start_over(self) -> None:
        assert self.folder is not None
        record = RunRecord()
        record.folder = self.folder.path
        self._view.show_run(record, self.folder, "watching")

    def _on_end_of_followed(self) -> None:
        self._leave()
        self.say_end()
        self.changed.emit()

    def _leave(self) -> None:
        self._reader.drop()
        if self._follower is not None:
            self._follower.stop()
            self._follower.deleteLater()
            self._follower = None


def readable_config(folder: RunFolder) -> TrainConfig | None:
    """The settings that a run goes on with, or None when they cannot be read any more."""
    try:
        return folder.continued_config()
    except (UserError, OSError):
        return None
