"""What Kiln chooses by itself: kept in step with base model and pictures, and never over what the user changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from app.project import Project
from core.config import TrainConfig, field_specs, with_values
from core.dataset.records import Scan
from core.errors import UserError
from core.quick import quick_config, suggested_name

_CAPTIONS_MS = 500
_ANSWERS = ("model.base", "dataset.folder", "training.epochs", "output.folder")


class QuickChoices(QObject):
    """Follows the project. A new base model or folder brings its own defaults; loaded settings stay as they are."""

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._config = project.config
        self._scan = project.scan
        self._before: TrainConfig | None = None
        self._known: tuple[object, TrainConfig] | None = None
        # A folder may have been opened before anybody listened.
        self._is_due = not changed_keys(TrainConfig(), project.config) - set(_ANSWERS)
        project.config_changed.connect(self._on_config_changed)
        project.records_changed.connect(self._on_records_changed)
        self._captions = QTimer(self)
        self._captions.setSingleShot(True)
        self._captions.setInterval(_CAPTIONS_MS)
        self._captions.timeout.connect(self._on_captions_changed)
        project.caption_changed.connect(self._captions.start)
        self._chosen = choices(self._config, self._scan)
        if self._is_due:
            self._adapt()

    def defaults(self) -> TrainConfig:
        """What Kiln chooses for the present answers, name and place as they are."""
        config, scan = self._project.config, self._project.scan
        basis = (config.model.base, config.dataset.folder, scan)
        if self._known is None or self._known[0] != basis:
            self._known = basis, choices(config, scan) or TrainConfig()
        return with_values(self._known[1], {key: _value(config, key) for key in (*_ANSWERS, "output.name")})

    def _on_config_changed(self) -> None:
        old, new = self._config, self._project.config
        self._config = new
        changed = changed_keys(old, new)
        opened = self._project.folder == new.dataset.folder
        if changed == {"model.base"} or (changed == {"dataset.folder"} and opened):
            if not self._is_due:
                self._before = choices(old, self._scan)
            self._is_due = True
            self._adapt()
        elif "dataset.folder" in changed and not opened:
            self._is_due = False
            QTimer.singleShot(0, self, self._open_folder_of_config)

    def _on_records_changed(self) -> None:
        self._scan = self._project.scan
        if self._is_due:
            self._adapt()
        else:
            self._chosen = choices(self._config, self._scan)

    def _on_captions_changed(self) -> None:
        """Captions bring preview prompts: a folder is often opened before it is tagged."""
        before, self._scan = self._chosen, self._project.scan
        self._chosen = after = choices(self._config, self._scan)
        if before is not None and after is not None:
            same_name = {"output.name": self._config.output.name}
            self._project.set_config(with_values(merged(self._config, before, after), same_name))

    def _adapt(self) -> None:
        after = choices(self._config, self._project.scan)
        if after is None:
            return  # The other half is still missing; it comes with the next change.
        before = self._before or TrainConfig()
        self._is_due, self._before, self._chosen = False, None, after
        self._config = merged(self._config, before, after)
        self._project.set_config(self._config)

    def _open_folder_of_config(self) -> None:
        folder = self._project.config.dataset.folder
        if folder.is_dir() and folder != self._project.folder and not self._project.is_scanning:
            self._project.open_folder(folder)


def choices(config: TrainConfig, scan: Scan | None) -> TrainConfig | None:
    """What Kiln would choose for the answers in a config, or None while base model or pictures are not there."""
    if scan is None or scan.folder != config.dataset.folder or not scan.records:
        return None
    try:
        return quick_config(
            base=config.model.base,
            pictures=config.dataset.folder,
            epochs=config.training.epochs,
            output=config.output.folder,
            scan=scan,
        )
    except (UserError, OSError):
        return None


def changed_keys(old: TrainConfig, new: TrainConfig) -> set[str]:
    """The options that differ, as `section.name`."""
    return {
        spec.key
        for spec in field_specs()
        if getattr(getattr(old, spec.section), spec.name) != getattr(getattr(new, spec.section), spec.name)
    }


def merged(current: TrainConfig, before: TrainConfig, after: TrainConfig) -> TrainConfig:
    """`current`, with the new choice wherever the old choice still stands.

    Args:
        current: The settings as they are.
        before: What was chosen by itself until now.
        after: What is chosen by itself from now on.
    """
    own = changed_keys(before, current)
    if _is_suggested(current.output.name, before.dataset.folder):
        own.discard("output.name")
    new = {key: _value(after, key) for key in changed_keys(current, after) - own - set(_ANSWERS)}
    return with_values(current, new)


def _value(config: TrainConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def _is_suggested(name: str, pictures: Path) -> bool:
    """Whether a name came from the folder's name; which number it got depends on the runs there were then."""
    return re.fullmatch(re.escape(suggested_name(pictures)) + r"(-\d+)?", name) is not None
