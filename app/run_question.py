"""The question before a start under a name that is taken, and the offer to go on with the last run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from app.past_runs import PastRun, past_run
from app.run_reminder import unfinished_words
from app.widgets.run_card import Action, RunCard
from core.config import TrainConfig
from core.quick import free_name
from core.run_folder import RunFolder
from core.text import tr


class RunQuestion(QObject):
    """Speaks through a card; what is answered is done by whoever hears the signals."""

    continue_clicked = Signal(object)  # RunFolder
    look_clicked = Signal(object)  # RunFolder
    start_as_clicked = Signal(object, str)  # TrainConfig and name

    def __init__(self, card: RunCard, parent: QObject | None = None) -> None:
        """Say nothing yet.

        Args:
            card: Where it is asked.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._card = card
        self._asked_about: TrainConfig | None = None
        self._put_off: RunFolder | None = None
        self._runs: Sequence[PastRun] = ()

    def ask(self, config: TrainConfig) -> None:
        """Ask what is meant by a start under a name that is taken."""
        self._asked_about = config
        self._show()

    def offer(self, runs: Sequence[PastRun]) -> None:
        """Offer to go on with the newest run, if it was interrupted or paused."""
        self._runs = runs
        self._show()

    def forget(self) -> None:
        """The start is not wanted any more, or it was answered."""
        if self._asked_about is not None:
            self._asked_about = None
            self._card.hide()

    def _show(self) -> None:
        run = self._runs[0] if self._runs else None
        if self._asked_about is not None:
            self._ask_about(self._asked_about)
        elif run and run.folder != self._put_off and (sentence := unfinished_words(run)):
            self._offer_to_continue(run, sentence)
        else:
            self._card.hide()

    def _offer_to_continue(self, run: PastRun, sentence: str) -> None:
        was_paused = run.status == "paused"
        self._card.show_message(
            icon="pause" if was_paused else "clock",
            tone="accent" if was_paused else "warning",
            heading=sentence,
            text=tr("Its last state is on disk; it can go on as if nothing had happened."),
            actions=[
                Action(tr("Continue"), lambda: self.continue_clicked.emit(run.folder), "primary", "play"),
                Action(tr("Look at it"), lambda: self.look_clicked.emit(run.folder)),
                Action(tr("Not now"), lambda: self._put_it_off(run), "quiet"),
            ],
        )

    def _ask_about(self, config: TrainConfig) -> None:
        name, output = config.output.name, config.output.folder
        folder = RunFolder.of(config)
        new = free_name(name, output)
        actions = [
            Action(
                tr("Start a new one as {name}", name=new), lambda: self.start_as_clicked.emit(config, new), icon="plus"
            ),
            Action(tr("Cancel"), self._cancel, "quiet"),
        ]
        run = past_run(folder) if folder.config.exists() else None
        if run is not None and run.can_continue:
            heading = tr(
                "{name} exists already and stopped at step {step} of {total}.",
                name=run.name,
                step=run.step,
                total=run.total_steps,
            )
            text = tr("Continue it with its own settings, or start a new run; nothing is overwritten.")
            actions.insert(0, Action(tr("Continue"), lambda: self.continue_clicked.emit(folder), "primary", "play"))
        else:
            heading = tr("There is already a LoRA named {name}.", name=name)
            text = tr("Start a new run under another name; nothing is overwritten.")
            actions[0] = Action(actions[0].text, actions[0].do, "primary", "plus")
        self._card.show_message(icon="info", tone="accent", heading=heading, text=text, actions=actions)

    def _cancel(self) -> None:
        self.forget()
        self._show()

    def _put_it_off(self, run: PastRun) -> None:
        self._put_off = run.folder
        self._card.hide()
