"""How a run ended, what it came to, and all that can be done with it now."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.fixes import FixDoer, failure_text, fix_actions
from app.past_runs import can_resume
from app.run_places import is_at_home, lora_file
from app.run_record import RunRecord
from app.widgets.run_card import Action, RunCard
from app.widgets.run_change_dialog import state_words
from app.wording import duration_text, size_text
from core.config import TrainConfig
from core.events import Event, Failed, Finished, LoraSaved
from core.run_folder import RunFolder, StateFile, state_files
from core.text import tr


class RunOutcome(RunCard):
    """The card over a run that does not go on. What is clicked is done by whoever hears the signals."""

    continue_clicked = Signal()
    change_clicked = Signal()
    back_to_clicked = Signal(object)  # StateFile
    again_clicked = Signal()  # the same settings under a free name
    open_clicked = Signal()
    report_clicked = Signal()
    force_stop_clicked = Signal()
    copied = Signal(str)  # what is on the clipboard now, in words

    def __init__(self, doer: FixDoer, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            doer: Does what the buttons of a failure say.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._doer = doer

    def show_end(self, folder: RunFolder, record: RunRecord, config: TrainConfig | None) -> None:
        """Say how a run ended.

        Args:
            folder: Where it lies.
            record: What it has said.
            config: The settings it was started with in this window, if it was.
        """
        outcome = record.outcome
        if isinstance(outcome, Failed) and not record.ended_by_force:
            self._show_failure(folder, outcome, config)
        elif isinstance(outcome, Finished) and not outcome.stopped:
            self._show_result(folder, record, outcome)
        else:
            self._show_stopped(folder, record, outcome)

    def show_silence(self, silent_s: float) -> None:
        """Say that a run that should go on has said nothing for so many seconds."""
        self.show_message(
            icon="clock",
            tone="warning",
            heading=tr("The run has said nothing for {time}.", time=duration_text(silent_s)),
            text=tr(
                "Loading and preparing can take long, and a machine that was asleep needs a moment. If it does not go "
                "on, end it at once and continue from its last state."
            ),
            actions=[Action(tr("Force stop"), self.force_stop_clicked.emit, icon="stop")],
        )

    def _show_result(self, folder: RunFolder, record: RunRecord, outcome: Finished) -> None:
        facts = [tr("{steps} steps", steps=record.step)]
        if outcome.elapsed_s:
            facts.append(duration_text(outcome.elapsed_s))
        lines = [_file_text(record), " · ".join(facts)]
        actions = [Action(tr("Open folder"), self.open_clicked.emit, "primary", "folder-open")]
        best = record.best
        if best is not None:
            lines.insert(0, best.reason)
            path = best.path or next((saved.path for saved in record.loras if saved.step == best.step), None)
            if path is not None:
                file = lora_file(path, record.folder)
                words = tr("Use epoch {epoch}", epoch=best.epoch)
                tip = tr("Copies the path of {name}", name=file.name)
                actions.append(Action(words, lambda: self.copy_path(file), icon="copy", tooltip=tip))
            heading = tr("The LoRA is ready. Epoch {epoch} is proposed.", epoch=best.epoch)
        else:
            heading = tr("The LoRA is ready.")
        actions += self._going_on(folder, is_whole=True)
        actions.append(Action(tr("Train again"), self.again_clicked.emit, icon="refresh"))
        path = newest_file(record)
        saved = _saved(record, path) if path else None
        is_sound = saved is None or not saved.problems
        self.show_message(
            icon="check-circle" if is_sound else "warning",
            tone="success" if is_sound else "warning",
            heading=heading,
            text="\n".join(filter(None, lines)),
            actions=actions,
        )

    def _show_stopped(self, folder: RunFolder, record: RunRecord, outcome: Event | None) -> None:
        facts = {"step": record.step, "total": record.total_steps}
        text = _file_text(record)
        icon = "clock"
        if isinstance(outcome, Finished) and outcome.paused:
            icon = "pause"
            heading = tr("Paused at step {step} of {total}.", **facts)
            text = tr("Its memory is free for other programs. The run goes on whenever you like, also after a restart.")
        elif outcome is None:
            heading = tr("This run was interrupted at step {step} of {total}.", **facts)
        elif not record.step:
            heading = tr("Stopped before the first step.")
        else:
            heading = tr("Stopped at step {step} of {total}.", **facts)
        actions = self._going_on(folder)
        if not actions:
            actions.append(Action(tr("Train again"), self.again_clicked.emit, icon="refresh"))
            if not is_at_home(folder) and state_files(folder.state):
                text += "\n" + tr("To continue it, move its folder into a folder named runs.")
        if not record.ended_by_force or newest_file(record) is not None:
            actions.append(Action(tr("Open folder"), self.open_clicked.emit, icon="folder-open"))
        self.show_message(icon=icon, tone="warning", heading=heading, text=text.strip(), actions=actions)

    def _show_failure(self, folder: RunFolder, outcome: Failed, config: TrainConfig | None) -> None:
        actions = fix_actions(outcome, config, self._doer)
        offered = {action.text for action in actions}
        if can_resume(folder):
            going_on = [action for action in self._going_on(folder, changes=False) if action.text not in offered]
            actions += [_plain(action) for action in going_on] if actions else going_on
        elif config is not None and not actions:
            actions.append(Action(tr("Try again"), lambda: self._doer.do("retry"), "primary", "refresh"))
        actions.append(Action(tr("Copy details"), lambda: self._copy_failure(outcome), icon="copy"))
        actions.append(Action(tr("Report a problem…"), self.report_clicked.emit, "quiet", "upload"))
        self.show_message(
            icon="error",
            tone="danger",
            heading=outcome.message,
            text=failure_text(outcome),
            actions=actions,
            detail=outcome.detail,
        )

    def _going_on(self, folder: RunFolder, *, is_whole: bool = False, changes: bool = True) -> list[Action]:
        """The buttons for a run that can go on: from its last state, with changes, from an earlier state."""
        states = state_files(folder.state) if can_resume(folder) else []
        if not states:
            return []
        actions = []
        if not is_whole:
            text = tr("Continue from step {step}", step=states[0].step)
            actions.append(Action(text, self.continue_clicked.emit, "primary", "play"))
        if changes:
            more = tr("More epochs…") if is_whole else tr("Continue with changes…")
            actions.append(Action(more, self.change_clicked.emit, icon="plus" if is_whole else "edit"))
        if earlier := self._earlier(states):
            menu = tuple(Action(state_words(state), partial(self.back_to_clicked.emit, state)) for state in earlier)
            tip = tr("Goes on from an earlier state; what came later is put aside")
            actions.append(Action(tr("Back to"), lambda: None, icon="rewind", tooltip=tip, menu=menu))
        return actions

    @staticmethod
    def _earlier(states: list[StateFile]) -> list[StateFile]:
        """One state for each earlier step, named by its epoch where it has one."""
        by_step: dict[int, StateFile] = {}
        for state in states:
            if state.step < states[0].step and (state.step not in by_step or state.epoch is not None):
                by_step[state.step] = state
        return list(by_step.values())

    def copy_path(self, path: Path) -> None:
        """Put a path on the clipboard."""
        QGuiApplication.clipboard().setText(str(path))
        self.copied.emit(tr("The path of {name} is copied.", name=path.name))

    def _copy_failure(self, outcome: Failed) -> None:
        text = "\n".join([outcome.message, outcome.remedy, "", outcome.detail])
        QGuiApplication.clipboard().setText(text)
        self.copied.emit(tr("The details are copied."))


def newest_file(record: RunRecord) -> Path | None:
    """The newest LoRA file, where it lies now. After a forced end only one that is there: the last save may be cut."""
    if isinstance(record.outcome, Finished) and record.outcome.output is not None:
        return lora_file(record.outcome.output, record.folder)
    paths = [lora_file(saved.path, record.folder) for saved in reversed(record.loras)]
    if record.ended_by_force:
        paths = [path for path in paths if path.is_file()]
    return paths[0] if paths else None


def _file_text(record: RunRecord) -> str:
    """The newest file of the run, with its size, and what was found when it was read again."""
    path = newest_file(record)
    if path is None:
        return ""
    saved = _saved(record, path)
    try:
        size = path.stat().st_size
    except OSError:
        size = saved.size_bytes if saved else 0
    facts = [str(path)]
    if size:
        facts.append(size_text(size))
    if saved and saved.num_modules and not saved.problems:
        facts.append(tr("{number} modules checked", number=saved.num_modules))
    return "\n".join([" · ".join(facts), *(saved.problems if saved else ())])


def _saved(record: RunRecord, path: Path) -> LoraSaved | None:
    """What the run said of a file when it saved it last."""
    return next((saved for saved in reversed(record.loras) if saved.path.name == path.name), None)


def _plain(action: Action) -> Action:
    return Action(action.text, action.do, "secondary", action.icon, action.tooltip, action.menu)
