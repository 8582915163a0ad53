"""Which pictures an action is about: the selected ones, those that the filter shows, or all."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from app.project import Project

Scope = Literal["selected", "shown", "all"]


class Scopes(QObject):
    """Kept up to date by the Dataset page; tools ask it when they show a count and when they act."""

    changed = Signal()

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._selected: tuple[Path, ...] = ()
        self._shown: tuple[Path, ...] = ()

    def images(self, scope: Scope) -> tuple[Path, ...]:
        """The pictures of a scope, in the order of the grid."""
        if scope == "selected":
            return self._selected
        if scope == "shown":
            return self._shown
        scan = self._project.scan
        return tuple(record.path for record in scan.records) if scan else ()

    def set_selected(self, images: tuple[Path, ...]) -> None:
        """Other pictures are selected."""
        if images != self._selected:
            self._selected = images
            self.changed.emit()

    def set_shown(self, images: tuple[Path, ...]) -> None:
        """The filter shows other pictures."""
        if images != self._shown:
            self._shown = images
            self.changed.emit()
