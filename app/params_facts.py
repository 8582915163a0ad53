"""What the rules want to know beyond the settings: how many pictures there are, how long the run is, for what model."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from app.latest import Latest
from app.project import Project
from core.config import TrainConfig
from core.config.rules import Facts
from core.dataset.records import Scan
from core.errors import UserError
from core.models import FamilyName, describe_base
from core.quick import run_length

COUNT_MS = 50
"""Pictures that have just been read are shown before they are counted."""


class ParamsFacts(QObject):
    """Follows the project; counting goes on in the background, because there may be very many pictures."""

    changed = Signal()

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._latest = Latest(self)
        self._basis: object = None
        self._scan: Scan | None = None
        self.facts = Facts()
        self._counting = QTimer(self, singleShot=True, interval=COUNT_MS)
        self._counting.timeout.connect(self._count)
        project.config_changed.connect(self.look)
        project.records_changed.connect(self.look)
        project.edits_changed.connect(lambda _images: self.look(again=True))
        self.look()

    def look(self, *, again: bool = False) -> None:
        """Count again if something that counts is another one now."""
        config, scan = self._project.config, self._project.scan
        if scan is not None and scan.folder != config.dataset.folder:
            scan = None
        basis = (config.model.base, config.dataset, config.training, config.validation)
        if scan is self._scan and basis == self._basis and not again:
            return
        self._scan, self._basis = scan, basis
        self._latest.drop()
        if scan is None:
            self._take(Facts(family=self.facts.family))
        self._counting.start()

    def _count(self) -> None:
        config, scan = self._project.config, self._scan
        self._latest.start(lambda: facts_of(config, scan), self._take)

    def _take(self, result: Facts | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        if result != self.facts:
            self.facts = result
            self.changed.emit()


def facts_of(config: TrainConfig, scan: Scan | None) -> Facts:
    """The facts of the base model, and of the pictures once they are read."""
    family = _family_of(config)
    if scan is None:
        return Facts(family=family)
    learned = sum(not record.is_regularization and not scan.edits(record.path).excluded for record in scan.records)
    if not learned:
        return Facts(family=family)
    return Facts(num_pictures=learned, total_steps=run_length(config, scan).total_steps, family=family)


def _family_of(config: TrainConfig) -> FamilyName | None:
    try:
        return describe_base(config.model.base).family
    except (UserError, OSError):  # What is wrong with it is told where it is chosen.
        return None
