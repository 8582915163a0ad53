"""Which preset the settings go by, what differs from it, and the way back from a preset or a reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

from app.project import Project
from app.quick_choices import QuickChoices
from app.settings import Settings
from core.config import TrainConfig, with_values
from core.config.labels import differing
from core.errors import UserError
from core.models import describe_base
from core.presets import PERSONAL, Preset, applied, own_presets, shipped_presets

_CHOSEN = "params/preset"

Kind = Literal["reset", "preset", "import"]


@dataclass(frozen=True, slots=True)
class _Step:
    """The settings around a reset, a preset or an import; it can be taken back until something else is changed."""

    kind: Kind
    before: TrainConfig
    after: TrainConfig
    preset: Preset | None


class ParamsPresets(QObject):
    """The chosen preset is a point of reference, nothing more: every option can be changed from there.

    No preset stands for what Kiln chooses. `changed` follows a change of the preset or of the way back.
    """

    changed = Signal()

    def __init__(
        self, project: Project, settings: Settings, choices: QuickChoices, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._choices = choices
        self._step: _Step | None = None
        self.preset = self._remembered()

    def _remembered(self) -> Preset | None:
        key = self._settings.value(_CHOSEN, "")
        return next((preset for preset in self.offered() if preset.key == key), None) if key else None

    def offered(self) -> list[Preset]:
        """All presets that can be chosen for the base model, Kiln's own first."""
        return [*shipped_presets(self._family), *own_presets()]

    @property
    def _family(self) -> str:
        """The family of the base model; the usual one while none is chosen."""
        try:
            return describe_base(self._project.config.model.base).family
        except (UserError, OSError):  # What is wrong with it is told where it is chosen.
            return "sd1"

    @property
    def basis(self) -> TrainConfig:
        """What Kiln chooses for the present answers."""
        return self._choices.defaults()

    @property
    def reference(self) -> TrainConfig:
        """What the preset says: what *back to the default* brings back."""
        changes = self.preset.changes if self.preset else {}
        return with_values(self.basis, changes) if changes else self.basis

    def outcome(self, preset: Preset | None) -> TrainConfig:
        """The settings that applying a preset would give."""
        return applied(preset, self.basis, self._project.config)

    def differing(self, reference: TrainConfig) -> tuple[str, ...]:
        """The options that differ from what the preset says (`reference`); what is personal does not count."""
        return tuple(key for key in differing(reference, self._project.config) if key not in PERSONAL)

    def apply(self, preset: Preset | None) -> None:
        """Take the settings of a preset; what is personal stays."""
        self._go("preset", self.outcome(preset), preset, self._choices.now() or self._project.chosen)

    def use(self, preset: Preset | None) -> None:
        """Go by a preset from now on, without changing a setting."""
        self.preset = preset
        self._settings.set_value(_CHOSEN, preset.key if preset else "")
        self.changed.emit()

    def reset(self) -> None:
        """Everything back to what Kiln chooses, but for the three answers, the name and the place."""
        self._go("reset", self.basis, None, self._choices.now() or self._project.chosen)

    def take(self, config: TrainConfig) -> None:
        """Take the settings of another program's file."""
        self._go("import", config, self.preset, None)

    def _go(self, kind: Kind, after: TrainConfig, preset: Preset | None, chosen: TrainConfig | None) -> None:
        before, old = self._project.config, self.preset
        self.use(preset)
        self._project.set_config(after, chosen=chosen)
        after = self._project.config  # It may name the dataset file of the folder by now.
        self._step = _Step(kind, before, after, old) if before != after else None
        self.changed.emit()

    @property
    def way_back(self) -> Kind | None:
        """What can be taken back: the last big change, while nothing was changed since."""
        if self._step is not None and self._project.config != self._step.after:
            self._step = None
        return self._step.kind if self._step is not None else None

    def go_back(self) -> None:
        """Take back the last reset, preset or import."""
        if self._step is not None:
            step, self._step = self._step, None
            self.use(step.preset)
            self._project.set_config(step.before, chosen=self._project.chosen)
            self.changed.emit()
