"""Does what the buttons of a failed run say: changed settings and another start, or the way to the right page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from app.past_runs import can_resume
from app.project import Project
from core.config import TrainConfig, with_values
from core.dataset.edits import load_dataset, moved_to, save_dataset
from core.errors import UserError
from core.failures import FixAction
from core.run_folder import RunFolder
from core.training.state import changed_options

_PAGES: dict[FixAction, str] = {
    "open_doctor": "doctor",
    "check_pictures": "dataset",
    "choose_pictures": "dataset",
    "choose_model": "params",
    "choose_output": "params",
    "download_model": "models",
}
"""Actions that are done on another page of the window."""
_PLACES: dict[FixAction, str] = {"choose_model": "model.base", "choose_pictures": "dataset.folder"}
"""Actions that a run with a state does not need another page for: it goes on once it knows where something is now."""


class Shown(Protocol):
    """What the fixes need to know of the run that is shown."""

    @property
    def shown_folder(self) -> RunFolder | None:
        """Where it lies."""

    @property
    def shown_config(self) -> TrainConfig | None:
        """The settings it ran with, if they can be read."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """What the page can do for a fix."""

    start_anew: Callable[[TrainConfig], object]
    go_on: Callable[[TrainConfig], object]
    ask_place: Callable[[TrainConfig, str], object]  # where is what the option `section.name` names?


class RunFixes(QObject):
    """`page_requested` names the page of the window where the user has to do something."""

    page_requested = Signal(str)
    told = Signal(str)

    def __init__(self, shown: Shown, project: Project, deeds: Deeds, parent: QObject | None = None) -> None:
        """Do nothing yet.

        Args:
            shown: The run that failed.
            project: Its settings are changed along with those of the run.
            deeds: Starts and continues runs.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._shown = shown
        self._project = project
        self._deeds = deeds

    def can_do(self, action: FixAction) -> bool:
        """Whether an action is possible now."""
        folder, config = self._shown.shown_folder, self._shown.shown_config
        if action == "continue":
            return folder is not None and can_resume(folder)
        if action in ("retry", "other_name"):
            return config is not None
        return True

    def apply(self, changes: Mapping[str, object], said: str) -> None:
        """Change the settings and go on from the last state where that is possible, else start again."""
        folder, config = self._shown.shown_folder, self._shown.shown_config
        if config is None:
            return
        changed = with_values(config, changes)
        self._project.set_config(with_values(self._project.config, changes))
        self.told.emit(said)
        goes_on = (
            folder is not None and can_resume(folder) and not changed_options(config.model_dump(mode="json"), changed)
        )
        if goes_on:
            self._deeds.go_on(changed)
        else:
            self._deeds.start_anew(changed)

    def take_place(self, config: TrainConfig, key: str, path: Path) -> None:
        """Go on with the shown run now that it is known where its base model or its pictures are.

        Args:
            config: The settings that it was to go on with.
            key: The option that names the place.
            path: The new place.
        """
        changes: dict[str, object] = {key: path}
        if key == "model.base" and self._project.config.model.base == config.model.base:
            self._project.change(changes)  # The next run would miss it too.
        if key == "dataset.folder" and config.dataset.edits != Path():
            edits = RunFolder.of(config).edits
            try:
                content, _ = load_dataset(config.dataset.edits)
                save_dataset(edits, moved_to(content, path))
            except (UserError, OSError) as error:
                self._project.tell(error)
                return
            changes["dataset.edits"] = edits
        self._deeds.go_on(with_values(config, changes))

    def do(self, action: FixAction) -> None:
        """Do what a button says."""
        config = self._shown.shown_config
        if action in _PLACES and config is not None and self.can_do("continue"):
            self._deeds.ask_place(config, _PLACES[action])
        elif action in _PAGES:
            self.page_requested.emit(_PAGES[action])
        elif action == "continue" and config is not None:
            self._deeds.go_on(config)
        elif action == "retry" and config is not None:
            now = self._project.config  # It may have been mended since the run failed.
            is_same = RunFolder.of(now) == RunFolder.of(config)
            self._deeds.start_anew(now if is_same else config)
        elif action == "other_name" and config is not None:
            self._deeds.start_anew(config)
        elif action in ("free_space", "open_folder") and self._shown.shown_folder is not None:
            open_folder(self._shown.shown_folder.path)


def open_folder(path: Path) -> None:
    """Show a folder in the system's file manager; of one that is gone, the nearest that is there."""
    place = next((place for place in (path, *path.parents) if place.is_dir()), path)
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(place)))
