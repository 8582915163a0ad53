"""Runs that the user throws away: asked about, then moved to the trash of the system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.background import Background
from app.past_runs import PastRun, runs_now
from app.trash import move_to_trash_as_is
from app.widgets.message_dialog import MessageDialog
from core.errors import UserError
from core.run_folder import RunFolder
from core.text import sentences, tr


class RunDeletion(QObject):
    """Asks whether the LoRA files go along. What the trash does not take stays where it is."""

    done = Signal()
    problem = Signal(str, str)  # message and remedy

    def __init__(self, window: QWidget) -> None:
        """Ask nothing yet.

        Args:
            window: Where it is asked.
        """
        super().__init__(window)
        self._window = window
        self._background = Background(self)
        self.question: MessageDialog | None = None

    def ask(self, runs: Sequence[PastRun]) -> None:
        """Ask whether these runs are meant."""
        files = [path for run in runs for path in run.files]
        heading = (
            tr("Delete {name}?", name=runs[0].name) if len(runs) == 1 else tr("Delete {number} runs?", number=len(runs))
        )
        text = tr("Settings, curves, previews and states go to the trash of the system.")
        if files:
            names = ", ".join(path.name for path in files)
            text = sentences(text, tr("Its LoRA files can stay: {names}.", names=names))
        self.question = question = MessageDialog("trash", "danger", heading, text, self._window)
        if files:
            question.add_button("all", tr("Delete with LoRA files"), "danger")
            question.add_button("run", tr("Delete the run only"))
        else:
            question.add_button("run", tr("Delete"), "danger")
        question.add_button("cancel", tr("Cancel"), "primary", default=True)
        question.answered.connect(lambda answer: self._answer(answer, [run.folder.path for run in runs], files))
        question.open()

    def _answer(self, answer: str, folders: list[Path], files: list[Path]) -> None:
        self.question = None
        if answer == "cancel":
            return
        for folder in folders:
            if runs_now(RunFolder(folder)):  # It may have gone on while it was asked.
                remedy = tr("Wait for its end, or stop it where it was started.")
                self.problem.emit(tr("{name} is being trained.", name=folder.name), remedy)
                return
        paths = [*folders, *files] if answer == "all" else folders
        self._background.start(lambda: move_to_trash_as_is(paths), self._take)

    def _take(self, result: list[UserError] | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        for failed in result[:1]:
            self.problem.emit(failed.message, failed.remedy)
        self.done.emit()
