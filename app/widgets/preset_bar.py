"""The preset that the settings go by, and how many options differ from it: the head of the settings page."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app import theme
from app.params_presets import ParamsPresets
from app.project import Project
from app.widgets.card import button
from app.widgets.preset_changes import ChangesPopup
from app.widgets.preset_dialog import PresetDialog
from core.config import TrainConfig
from core.config.labels import value_of
from core.errors import UserError
from core.models import describe_base
from core.text import tr

_LONGEST = 28


class PresetBar(QWidget):
    """Two buttons: one opens all presets, the other what differs. `applied` follows a preset that was taken."""

    applied = Signal()

    def __init__(self, project: Project, presets: ParamsPresets, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._presets = presets
        self._reference = TrainConfig()
        self.dialog: PresetDialog | None = None
        self.preset_button = button(icon="params")
        self.preset_button.clicked.connect(self.open_presets)
        self.changes_button = button()
        self.changes_button.setProperty("small", True)
        self.changes_button.clicked.connect(self.open_changes)
        self.popup = ChangesPopup(self)
        self.popup.reset.connect(self._reset)
        self.popup.reset_all.connect(self._reset_all)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.changes_button)
        row.addWidget(self.preset_button)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    @property
    def _title(self) -> str:
        preset = self._presets.preset
        return preset.title if preset else tr("Kiln's choice")

    def refresh(self, reference: TrainConfig) -> None:
        """Say the preset and how much differs from it.

        Args:
            reference: What the preset says.
        """
        self._reference = reference
        title = self._title
        short = title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…"
        self.preset_button.setText(tr("Preset: {title}", title=short))
        keys = self._presets.differing(reference)
        self.changes_button.setVisible(bool(keys))
        self.changes_button.setText(tr("1 change") if len(keys) == 1 else tr("{number} changes", number=len(keys)))
        if self.popup.isVisible():
            if keys:
                self._fill()
            else:
                self.popup.close()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.preset_button.setToolTip(tr("Choose, save and share presets"))
        self.changes_button.setToolTip(tr("What differs from the preset"))

    def open_presets(self) -> None:
        """Open the list of all presets."""
        if self.dialog is not None:
            return
        self.dialog = PresetDialog(self._project, self._presets, is_starter=self._is_starter(), parent=self.window())
        self.dialog.applied.connect(self.applied.emit)
        self.dialog.finished.connect(self._on_closed)
        self.dialog.open()

    def _on_closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def _is_starter(self) -> bool:
        try:
            return describe_base(self._project.config.model.base).is_starter
        except (UserError, OSError):
            return False

    def open_changes(self) -> None:
        """Show what differs from the preset, below the button."""
        self._fill()
        corner = self.mapToGlobal(QPoint(self.width() - self.popup.width(), self.height() + theme.SPACE_XS))
        self.popup.move(corner)
        self.popup.show()

    def _fill(self) -> None:
        keys = self._presets.differing(self._reference)
        self.popup.show_changes(self._title, self._reference, self._project.config, keys)

    def _reset(self, key: str) -> None:
        self._project.change({key: value_of(self._reference, key)})

    def _reset_all(self) -> None:
        self.popup.close()
        self._presets.apply(self._presets.preset)
        self.applied.emit()
