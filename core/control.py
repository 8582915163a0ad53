"""What may be asked of a running job: stop, pause, sample now, save now."""

from __future__ import annotations

import threading
from typing import Literal, get_args

Command = Literal["stop", "pause", "sample", "save"]
COMMANDS: tuple[Command, ...] = get_args(Command)


class Control:
    """The wishes of whoever started the job. Written from any thread, read by the job between two steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._pause = threading.Event()
        self._sample = threading.Event()
        self._save = threading.Event()

    def ask(self, command: Command) -> None:
        """Note a wish; the job sees it at its next safe place."""
        {"stop": self._stop, "pause": self._pause, "sample": self._sample, "save": self._save}[command].set()

    @property
    def stop_requested(self) -> bool:
        """Whether the job should finish its step, save and end."""
        return self._stop.is_set()

    @property
    def pause_requested(self) -> bool:
        """Whether the job should finish its step, keep its state and end, to go on later."""
        return self._pause.is_set()

    def take_sample_request(self) -> bool:
        """Whether previews were asked for since the last call; asking once gives one set."""
        return _take(self._sample)

    def take_save_request(self) -> bool:
        """Whether a save was asked for since the last call."""
        return _take(self._save)


def _take(flag: threading.Event) -> bool:
    if flag.is_set():
        flag.clear()
        return True
    return False
