"""How many steps a run will have; with very many pictures counted beside the window."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.latest import Latest
from app.project import Project
from core.dataset.records import Scan
from core.quick import RunLength, run_length

MANY = 1000
"""More pictures than this are not counted while the window waits."""


class RunSum(QObject):
    """Counts anew only when the sum may be another one. `counted` says that one has come that was waited for."""

    counted = Signal()

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._latest = Latest(self)
        self._pictures: tuple[Scan, object] | None = None
        self._known: tuple[object, RunLength] | None = None
        self._counting: object = None

    def now(self) -> RunLength | None:
        """The sum for the project; while a new one is being counted the last one, or None. None without pictures."""
        config, scan = self._project.config, self._project.scan
        if scan is None or scan.folder != config.dataset.folder:
            return None
        basis = (self._counted_of(scan), scan.pictures, config.dataset, config.training, config.validation)
        known = self._known
        if known is not None and known[0] == basis:
            return known[1]
        if len(scan.records) <= MANY:
            self._latest.drop()
            self._counting = None
            self._known = basis, run_length(config, scan)
            return self._known[1]
        if self._counting != basis:
            self._counting = basis
            self._latest.start(lambda: run_length(config, scan), lambda result: self._take(basis, result))
        return known[1] if known is not None else None

    def _counted_of(self, scan: Scan) -> object:
        """What counts of the pictures: captions, which change often, do not."""
        if self._pictures is None or self._pictures[0] is not scan:
            self._pictures = scan, tuple((record.path, record.repeats, record.size_px) for record in scan.records)
        return self._pictures[1]

    def _take(self, basis: object, result: RunLength | Exception) -> None:
        self._counting = None
        if isinstance(result, Exception):
            raise result
        self._known = basis, result
        self.counted.emit()
