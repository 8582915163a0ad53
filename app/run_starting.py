"""Everything that begins a run: a new one, one that goes on, one with changes, one again, one of the queue."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.past_runs import has_state
from app.project import Project
from app.run_question import RunQuestion
from app.run_record import RunRecord
from app.run_starter import RunStarter
from app.shown_run import readable_config
from app.widgets.run_change_dialog import RunChangeDialog
from core.config import TrainConfig, with_values
from core.errors import UserError, explain
from core.paths import default_output_folder
from core.quick import free_name
from core.run_folder import RunFolder, StateFile, lora_path
from core.text import tr


class RunStarting(QObject):
    """Never overwrites a run: a name that is taken is asked about, or another one is taken.

    `asked` says that a question waits for its answer, `already` that a start was asked for while a run goes on.
    """

    asked = Signal()
    already = Signal()

    def __init__(self, project: Project, starter: RunStarter, question: RunQuestion, window: QWidget) -> None:
        """Start nothing yet.

        Args:
            project: Its settings are what is trained.
            starter: Runs it.
            question: Asks what is meant by a start under a name that is taken.
            window: Where dialogs appear.
        """
        super().__init__(window)
        self._project = project
        self._starter = starter
        self._question = question
        self._window = window
        self.change_dialog: RunChangeDialog | None = None
        question.continue_clicked.connect(self.go_on)
        question.start_as_clicked.connect(self._start_as)

    def config(self) -> TrainConfig:
        """The settings of the project, with an output folder."""
        if self._project.config.output.folder == Path():
            self._project.change({"output.folder": default_output_folder()})
        return self._project.config

    def start(self) -> None:
        """Train with the settings of the project; when a run of that name exists, ask what is meant."""
        if self._starter.is_running:
            self.already.emit()
        elif not self._project.refuses_while_opening() and not self._project.waits_for_captions(self.start):
            self._start_with(self.config())

    def start_anew(self, config: TrainConfig) -> None:
        """Start a run of before again with these settings, under its name if there is nothing to keep of it."""
        if self._refuses():
            return
        if has_state(RunFolder.of(config)) or lora_path(config).exists():
            config = with_values(config, {"output.name": free_name(config.output.name, config.output.folder)})
        self._start_with(config)

    def start_queued(self, config: TrainConfig, resume: bool) -> None:
        """Start a run of the queue, whose name is its own."""
        self._starter.launch(config, resume=resume)

    def go_on(self, folder: RunFolder, config: TrainConfig | None = None, from_step: int = -1) -> None:
        """Go on from a state of a run.

        Args:
            folder: Where it lies.
            config: Its settings, when some were changed.
            from_step: The step whose state is meant; -1 for the last one.
        """
        if self._refuses():
            return
        try:
            config = config or folder.continued_config()
        except (UserError, OSError) as error:
            self._tell(error)
            return
        self._starter.launch(config, resume=True, from_step=from_step)

    def ask_changes(self, folder: RunFolder, record: RunRecord, back_to: StateFile | None = None) -> None:
        """Ask what should be different before a run goes on, from its last state or an earlier one."""
        config = readable_config(folder)
        if config is None:
            self.go_on(folder)  # It says what is wrong with the settings.
            return
        self.change_dialog = dialog = RunChangeDialog(config, record, back_to, self._window)
        from_step = back_to.step if back_to is not None else -1
        dialog.accepted_config.connect(lambda changed: self.go_on(folder, changed, from_step))
        dialog.open()

    def repeat(self, folder: RunFolder, output: Path) -> bool:
        """Take the settings of a run into the parameters, under a name that is free in an output folder.

        Returns:
            Whether they could be read; if not, the window says why.
        """
        try:
            config = folder.continued_config()
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        name = free_name(config.output.name, output)
        self._project.set_config(with_values(config, {"output.name": name, "output.folder": output}))
        return True

    def _refuses(self) -> bool:
        """Whether a run is going on, which is told: there is one at a time."""
        if self._starter.is_running:
            self._project.problem.emit(tr("Another run is going on."), tr("Wait for its end, or pause it first."))
        return self._starter.is_running

    def _start_with(self, config: TrainConfig) -> None:
        folder = RunFolder.of(config)
        if not folder.config.exists() and not lora_path(config).exists():
            self._starter.launch(config)
        elif not lora_path(config).exists() and not has_state(folder):
            # That run failed before there was anything to keep: the name is as good as free.
            self._starter.launch(config, resume=True)
        else:
            self._question.ask(config)
            self.asked.emit()

    def _start_as(self, config: TrainConfig, name: str) -> None:
        self._project.set_config(with_values(config, {"output.name": name}))
        self.start()

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self._project.problem.emit(known.message, known.remedy)
