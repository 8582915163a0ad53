"""Runs the queue: the next one when one has ended, and after the last one what was asked for."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.background import Background
from app.past_runs import can_resume, has_state
from app.project import Project
from app.queue import Queue
from app.run_starter import RunStarter
from app.widgets.queue_countdown import Countdown
from core.config import TrainConfig, with_values
from core.errors import explain
from core.power import PowerAction, perform
from core.quick import free_name
from core.run_folder import RunFolder, lora_path

Launch = Callable[[TrainConfig, bool], None]
"""Starts a run with these settings; whether it goes on from its last state."""


class QueueDriver(QObject):
    """A run that fails makes way for the next one; a run that the user ends holds the queue."""

    problem = Signal(str, str)  # message and remedy

    def __init__(
        self,
        queue: Queue,
        starter: RunStarter,
        project: Project,
        launch: Launch,
        window: QWidget,
        power: Callable[[PowerAction], None] = perform,
    ) -> None:
        """Wait for `start`.

        Args:
            queue: What is to be run.
            starter: Tells how a run ended.
            project: Knows whether captions are still being written.
            launch: Starts a run and shows it.
            window: Where the countdown appears.
            power: Lets the machine sleep, or shuts it down.
        """
        super().__init__(window)
        self._queue = queue
        self._starter = starter
        self._project = project
        self._launch = launch
        self._window = window
        self._power = power
        self._background = Background(self)
        self._key: str | None = None
        self._is_last_elsewhere = False
        self.countdown: Countdown | None = None
        starter.ended.connect(self._on_ended)
        queue.changed.connect(self._look_again)

    def start(self) -> None:
        """Begin with the first waiting run, or after the run that is going on."""
        self._queue.set_going(True)
        self._next()

    def hold(self) -> None:
        """Begin no other run after this one."""
        self._queue.set_going(False)

    def _next(self) -> None:
        if not self._queue.is_going or self._starter.is_running or self._project.waits_for_captions(self._next):
            return
        self._queue.refresh()
        # One that another window began or took out in the meantime is passed over.
        entry = next((entry for entry in self._queue.waiting if self._queue.set_state(entry.key, "running")), None)
        if entry is None:
            self._queue.set_going(False)
            self._after_last()
            return
        folder = RunFolder.of(entry.config)
        resume = entry.state == "paused" and can_resume(folder)
        config = entry.config
        if not resume and (has_state(folder) or lora_path(config).exists()):
            # Another run has taken the name since; nothing is overwritten.
            config = with_values(config, {"output.name": free_name(entry.name, config.output.folder)})
            self._queue.set_config(entry.key, config)
        self._key = entry.key
        # A run that failed before there was anything to keep left its name free, but not its folder.
        self._launch(config, resume or RunFolder.of(config).config.exists())

    def _on_ended(self) -> None:
        key, self._key = self._key, None
        record = self._starter.record
        was_ended_by_user = record.status in ("stopped", "paused")
        if key is not None:
            if record.status == "finished":
                self._queue.set_state(key, "done")
            elif was_ended_by_user or record.outcome is None:
                folder = self._starter.folder
                has_begun = folder is not None and can_resume(folder)
                self._queue.set_state(key, "paused" if has_begun else "waiting")
            else:
                self._queue.set_state(key, "failed", getattr(record.outcome, "message", ""))
        if was_ended_by_user:
            self._queue.set_going(False)
        elif self._queue.is_going:
            QTimer.singleShot(0, self, self._next)

    def _after_last(self) -> None:
        action = self._queue.after_last
        self._is_last_elsewhere = self._is_running_elsewhere
        if self._is_last_elsewhere or action == "nothing" or self.countdown is not None:
            return
        self.countdown = countdown = Countdown(action, self._window)
        countdown.elapsed.connect(lambda: self._turn_off(action))
        countdown.answered.connect(self._forget_countdown)
        countdown.open()

    @property
    def _is_running_elsewhere(self) -> bool:
        """Whether another window is at work on the queue. Asked only while this one is not."""
        return any(entry.state == "running" for entry in self._queue.entries)

    def _look_again(self) -> None:
        """Do what was asked for when the run of another window, which was waited for, was the last one."""
        if not self._is_last_elsewhere or self._is_running_elsewhere:
            return
        self._is_last_elsewhere = False
        if not (self._queue.is_going or self._queue.waiting or self._starter.is_running):
            self._after_last()

    def _forget_countdown(self) -> None:
        self.countdown = None

    def _turn_off(self, action: PowerAction) -> None:
        self._project.save()
        power = self._power
        self._background.start(lambda: power(action), self._tell)

    def _tell(self, result: object) -> None:
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                raise result
            self.problem.emit(known.message, known.remedy)
