"""Settings as files: Kiln's own, those of other trainers, and kohya's."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QWidget

from app.editors import browse_start, remember_place
from app.params_presets import ParamsPresets
from app.project import Project
from app.widgets.card import button
from app.widgets.import_dialog import ImportDialog
from core.config import TrainConfig, load_config, save_config
from core.errors import UserError, explain
from core.text import tr


class ParamsFiles(QWidget):
    """One button with a menu. `loaded` comes before other settings are taken."""

    loaded = Signal()

    def __init__(self, project: Project, presets: ParamsPresets, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._presets = presets
        self.dialog: ImportDialog | None = None
        self.menu_button = button(icon="save")
        self.setFocusProxy(self.menu_button)
        menu = QMenu(self)
        self.load_action = self._action(menu, self._ask_load)
        self.save_action = self._action(menu, self._ask_save)
        menu.addSeparator()
        self.import_action = self._action(menu, self.open_import)
        self.export_action = self._action(menu, self._ask_export)
        self.menu_button.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.menu_button)

    @staticmethod
    def _action(menu: QMenu, act: object) -> QAction:
        made = menu.addAction("")
        made.triggered.connect(act)
        return made

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.menu_button.setText(tr("Settings file"))
        self.load_action.setText(tr("Load settings…"))
        self.save_action.setText(tr("Save settings…"))
        self.import_action.setText(tr("Import settings…"))
        self.export_action.setText(tr("Export for kohya…"))

    def load(self, path: Path) -> bool:
        """Take the settings of a TOML file. Returns whether they could be read; if not, the window says why."""
        try:
            config = load_config(path)
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        self.loaded.emit()
        self._project.set_config(config)
        return True

    def save(self, path: Path) -> bool:
        """Write the settings as TOML. Returns whether they are on disk; if not, the window says why."""
        try:
            save_config(self._project.config, path)
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        return True

    def export(self, path: Path) -> bool:
        """Write the settings for kohya's scripts. Returns whether they are on disk; if not, the window says why."""
        from core.imports import save_kohya

        try:
            save_kohya(self._project.config, path)
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        return True

    def open_import(self) -> None:
        """Ask for the settings of another program."""
        if self.dialog is not None:
            return
        self.dialog = ImportDialog(self._project, self.window())
        self.dialog.applied.connect(self._take)
        self.dialog.finished.connect(self._on_closed)
        self.dialog.open()

    def _on_closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def _take(self, config: TrainConfig) -> None:
        self.loaded.emit()
        self._presets.take(config)

    def _ask_load(self) -> None:
        start = str(browse_start(self._project.config.output.folder))
        filters = tr("Settings") + " (*.toml);;* (*)"
        if text := QFileDialog.getOpenFileName(self, tr("Load settings"), start, filters)[0]:
            remember_place(Path(text))
            self.load(Path(text))

    def _ask_save(self) -> None:
        output = self._project.config.output
        start = str(browse_start(output.folder) / f"{output.name}.toml")
        if text := QFileDialog.getSaveFileName(self, tr("Save settings"), start, tr("Settings") + " (*.toml)")[0]:
            self.save(Path(text))

    def _ask_export(self) -> None:
        output = self._project.config.output
        start = str(browse_start(output.folder) / f"{output.name}-kohya.toml")
        if text := QFileDialog.getSaveFileName(self, tr("Export for kohya"), start, tr("Settings") + " (*.toml)")[0]:
            self.export(Path(text))

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self._project.problem.emit(known.message, known.remedy)
