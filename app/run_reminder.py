"""Reminds at the start of the window of a run that was interrupted or paused."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.past_runs import PastRun
from app.project import Project
from app.run_history import RunHistory
from app.settings import Settings
from core.text import tr


class RunReminder(QObject):
    """Looks once, beside the window. `found` says it in a sentence, and where the run can go on."""

    found = Signal(str, str)

    def __init__(self, project: Project, settings: Settings, parent: QObject | None = None) -> None:
        """Begin to look.

        Args:
            project: Names the output folder.
            settings: Knows the other folders of runs.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._history = RunHistory(project, settings, self)
        self._history.changed.connect(self._tell)
        self._history.refresh()

    def _tell(self) -> None:
        runs = self._history.runs
        if runs and (sentence := unfinished_words(runs[0])):
            self.found.emit(sentence, tr("Continue it on the Training page."))


def unfinished_words(run: PastRun) -> str:
    """What is said of a run that waits to go on; nothing of one that does not."""
    if run.status not in ("unfinished", "paused") or not run.can_continue:
        return ""
    facts = {"name": run.name, "step": run.step, "total": run.total_steps}
    if run.status == "paused":
        return tr("{name} is paused at step {step} of {total}.", **facts)
    return tr("{name} was interrupted at step {step} of {total}.", **facts)
