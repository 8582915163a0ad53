"""How the pictures of the open dataset will be trained, for everything that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.project import Project
from core.dataset.fitting import FitOptions, FitPlan, plans_of
from core.dataset.geometry import Box
from core.dataset.records import ImageRecord


class FitPlans(QObject):
    """Plans of single pictures on demand, by the settings and decisions of now."""

    changed = Signal()
    """All plans may be others now. Those of single pictures follow `Project.edits_changed`."""

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._subjects: Mapping[Path, Box | None] = {}
        self._options = FitOptions.of(project.config.dataset)
        project.config_changed.connect(self._on_config_changed)

    @property
    def options(self) -> FitOptions:
        """The fit where nothing else was decided."""
        return self._options

    def subject(self, image: Path) -> Box | None:
        """What a smart crop keeps whole, if it is known by now."""
        return self._subjects.get(image)

    def plans_of(self, record: ImageRecord) -> tuple[FitPlan, ...]:
        """What the trainer makes of a picture: one plan, or one for each crop."""
        return plans_of(record.size_px, self._options, self._project.edits(record.path), self.subject(record.path))

    def set_subjects(self, subjects: Mapping[Path, Box | None]) -> None:
        """Take what smart crops keep whole, as far as it is known."""
        self._subjects = subjects
        self.changed.emit()

    def _on_config_changed(self) -> None:
        options = FitOptions.of(self._project.config.dataset)
        if options != self._options:
            self._options = options
            self.changed.emit()
