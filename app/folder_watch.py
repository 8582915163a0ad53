"""Notices that other programs added, removed or wrote files in the open folders."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

QUIET_MS = 500
"""A program that writes a hundred captions is waited for; while it goes on, there is a look every so often."""

EXPECTED_S = 0.5
EXPECTED_MS = 5000
"""After Kiln's own writing there is a look every so often, for what others may have done in the same moment."""

MOST_FOLDERS = 200
"""Systems bound the number of watches; with more sub-folders the first ones are watched."""


class FolderWatch(QObject):
    """Watches folders, not each file in them, and tells of changes once things are quiet again.

    What cannot be watched, as some network drives, is not: the window looks again when it is activated.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(self._on_changed)
        self._wanted: list[str] = []
        self._is_paused = False
        self._expected_until = 0.0
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.changed)

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders and no others."""
        wanted = [str(folder) for folder in folders][:MOST_FOLDERS]
        self._wanted = wanted
        if self._is_paused:
            return
        watched = set(self._watcher.directories())
        if gone := sorted(watched.difference(wanted)):
            self._watcher.removePaths(gone)
        if new := [folder for folder in wanted if folder not in watched]:
            self._watcher.addPaths(new)

    @property
    def is_paused(self) -> bool:
        """Whether nothing is looked for just now."""
        return self._is_paused

    def pause(self) -> None:
        """Do not look for a while: Kiln itself is about to write thousands of files."""
        self._is_paused = True
        if watched := self._watcher.directories():
            self._watcher.removePaths(watched)

    def resume(self) -> None:
        """Look again, and tell that something may have changed meanwhile."""
        self._is_paused = False
        if self._wanted:
            self._watcher.addPaths(self._wanted)
        self._on_changed()

    def expect(self) -> None:
        """Kiln is about to write a file itself: what follows is no news, and can wait."""
        self._expected_until = time.monotonic() + EXPECTED_S

    def _on_changed(self) -> None:
        # Not started anew by every change: a folder that never rests is looked at all the same.
        if not self._later.isActive():
            self._later.start(EXPECTED_MS if time.monotonic() < self._expected_until else QUIET_MS)
