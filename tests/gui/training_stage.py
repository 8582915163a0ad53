"""The training page with recorded runs instead of real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pytestqt.qtbot import QtBot

from app.project import Project
from app.settings import Settings
from app.tabs.training import TrainingTab
from core.config import with_values
from core.events import Event, StateSaved, to_line
from core.jobs import Job
from core.run_folder import RunFolder, state_path
from tests.gui.replay import ReplayRun


class Stage:
    """The page, and the run that its next start gets."""

    def __init__(self, qtbot: QtBot, project: Project, settings: Settings, output: Path) -> None:
        self.qtbot = qtbot
        self.project = project
        self.settings = settings
        self.output = output
        self.folder = RunFolder(output / "runs" / "mika")
        self.jobs: list[Job] = []
        self.runs: list[ReplayRun] = []  # those of the next starts; then `run` again
        self.run = ReplayRun(run_folder=self.folder.path)
        project.change({"output.folder": output, "output.name": "mika", "sampling.prompts": ("mika", "mika, night")})
        self.tab = TrainingTab(project, settings, self._make_run)
        qtbot.addWidget(self.tab, before_close_func=self._end)
        self.tab.resize(1104, 776)
        with qtbot.waitExposed(self.tab):
            self.tab.show()

    def _make_run(self, job: Job) -> ReplayRun:
        self.jobs.append(job)
        return self.runs.pop(0) if self.runs else self.run

    def _end(self, tab: TrainingTab) -> None:
        if tab.is_running:
            self.wait_for_end(tab.force_stop)
        tab.shut_down()

    def start_and_finish(self) -> None:
        with self.qtbot.waitSignal(self.tab.running_changed, check_params_cb=lambda running: not running):
            self.tab.start()

    def start_and_hold(self, step: int) -> None:
        self.run = ReplayRun(hold_after=step, run_folder=self.folder.path)
        self.tab.start()
        self.qtbot.waitUntil(lambda: self.tab.view.record.step == step)

    def wait_for_end(self, act: Callable[[], object]) -> None:
        with self.qtbot.waitSignal(self.tab.running_changed, check_params_cb=lambda running: not running):
            act()

    def keep(
        self,
        events: list[Event],
        *,
        name: str = "mika",
        state: bool = False,
        lora: bool = False,
        values: Mapping[str, object] | None = None,
    ) -> RunFolder:
        """Put a run of before on disk; with a state after the last step that said so, or step 38."""
        config = with_values(self.project.config, {"output.name": name, **(values or {})})
        folder = RunFolder.of(config)
        folder.create(config)
        folder.events.write_text("".join(to_line(event) + "\n" for event in events), encoding="utf-8")
        if state:
            folder.state.mkdir()
            last = max((event.step for event in events if isinstance(event, StateSaved)), default=38)
            state_path(folder.state, last).write_bytes(b"x")
        if lora:
            (self.output / f"{name}.safetensors").write_bytes(b"x" * 2048)
        return folder
