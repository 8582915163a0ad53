"""Work in the background of which only the newest result counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject

from app.background import Background

T = TypeVar("T")


class Latest(QObject):
    """One piece of work at a time. While it runs, new wishes replace each other, and its own result is dropped."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self)
        self._wish: tuple[Callable[[], Any], Callable[[Any], None]] | None = None
        self._is_running = False
        self._is_wanted = False

    @property
    def is_busy(self) -> bool:
        """Whether a result is on its way that somebody waits for."""
        return self._is_running and (self._is_wanted or self._wish is not None)

    def start(self, work: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """As `Background.start`; nothing that was asked for before is delivered any more."""
        self._wish = work, then
        if not self._is_running:
            self._run()

    def drop(self) -> None:
        """Nobody waits for a result any more."""
        self._wish = None
        self._is_wanted = False

    def _run(self) -> None:
        assert self._wish is not None
        work, then = self._wish
        self._wish = None
        self._is_running = self._is_wanted = True
        self._background.start(work, lambda result: self._take(then, result))

    def _take(self, then: Callable[[Any], None], result: object) -> None:
        self._is_running = False
        if self._wish is not None:
            self._run()
        elif self._is_wanted:
            self._is_wanted = False
            then(result)
