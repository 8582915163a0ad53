"""All runs that the window knows of: those of the output folders used so far, and folders that were opened."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.latest import Latest
from app.past_runs import PastRun, past_run, past_runs
from app.project import Project
from app.settings import Settings
from core.paths import default_output_folder
from core.run_folder import RunFolder

_PLACES = "runs/places"
_MOST_PLACES = 40


class RunHistory(QObject):
    """Reads the runs beside the window; `changed` says that `runs` are other ones now."""

    changed = Signal()

    def __init__(self, project: Project, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._latest = Latest(self)
        self.runs: list[PastRun] = []
        self.was_read = False

    @property
    def output(self) -> Path:
        """The output folder of the settings now; the usual one when none is chosen."""
        chosen = self._project.config.output.folder
        return chosen if chosen != Path() else default_output_folder()

    def remember(self, place: Path) -> None:
        """Know an output folder, or the folder of a run, from now on."""
        places = [place, *(known for known in self._remembered() if known != place)]
        self._settings.set_value(_PLACES, json.dumps([str(known) for known in places[:_MOST_PLACES]]))

    def refresh(self) -> None:
        """Look again."""
        places = list(dict.fromkeys([self.output, *self._remembered()]))
        self._latest.start(lambda: runs_of(places), self._take)

    def _take(self, result: list[PastRun] | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        self.was_read = True
        self.runs = result
        self.changed.emit()

    def _remembered(self) -> list[Path]:
        try:
            values = json.loads(self._settings.value(_PLACES, "[]"))
        except ValueError:
            return []
        return [Path(value) for value in values if isinstance(value, str)] if isinstance(values, list) else []


def runs_of(places: list[Path]) -> list[PastRun]:
    """The runs of some output folders and run folders, the newest first; each once."""
    found = {run.folder.path: run for run in past_runs(place for place in places if not _is_run(place))}
    found |= {place: past_run(RunFolder(place)) for place in places if place not in found and _is_run(place)}
    return sorted(found.values(), key=lambda run: run.changed_at, reverse=True)


def _is_run(place: Path) -> bool:
    try:
        return (place / "config.toml").is_file() and (place / "events.jsonl").is_file()
    except OSError:
        return False
