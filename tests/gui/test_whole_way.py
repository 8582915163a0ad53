"""The newcomer's way through the real window with real child processes: open, tag, train, stop, continue, reopen."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file

from app.main_window import PARAMS, TAGGER, MainWindow
from app.project import Project
from app.settings import Settings
from core.events import Finished, StepDone
from core.run_folder import RunFolder, lora_path

WAIT_MS = 120_000


@pytest.mark.slow
def test_from_a_folder_to_a_lora_and_on(
    qtbot: QtBot, tiny_sd1: Path, pictures: Path, tmp_path: Path, project: Project, settings: Settings
) -> None:
    for caption in pictures.glob("*.txt"):
        caption.unlink()
    window = MainWindow(project, settings)
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    with qtbot.waitSignal(project.folder_changed, timeout=WAIT_MS):
        project.open_folder(pictures)

    window.show_page(TAGGER)
    assert window.tagger is not None
    qtbot.waitUntil(window.tagger.start_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(window.tagger.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(list(pictures.glob("*.txt"))) == 6, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not window.tagger.is_running, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: project.scan is not None and all(r.caption for r in project.scan.records), timeout=WAIT_MS)

    window.show_page(PARAMS)
    assert window.params is not None
    project.change(
        {
            "model.base": tiny_sd1,
            "dataset.resolution": 64,
            "dataset.bucket_step": 16,
            "dataset.repeats": 1,
            "training.epochs": 200,
            "sampling.prompts": ("1girl",),
            "sampling.width": 64,
            "sampling.height": 64,
            "sampling.denoising_steps": 2,
            "sampling.every_n_steps": 1000,
            "output.folder": tmp_path / "输出 out",
            "output.name": "第一个 lora",
        }
    )
    qtbot.waitUntil(window.params.start_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(window.params.start_button, Qt.MouseButton.LeftButton)
    training = window.training
    assert training is not None
    assert training.is_running
    assert training.worker is not None
    steps: list[StepDone] = []
    training.worker.step_done.connect(steps.append)
    qtbot.waitUntil(lambda: len(steps) >= 3, timeout=WAIT_MS)
    training.request_stop()
    qtbot.waitUntil(lambda: not training.is_running, timeout=WAIT_MS)

    config = project.config
    assert load_file(lora_path(config))
    run = RunFolder.of(config)
    stopped = run.recorded()[-1]
    assert isinstance(stopped, Finished)
    assert stopped.stopped
    assert list(run.samples.glob("*.png"))
    window.close()

    again = MainWindow(Project(), settings)
    qtbot.addWidget(again)
    with qtbot.waitExposed(again):
        again.show()
    again.show_page(3)
    assert again.training is not None
    again.training.open_run(run)
    assert again.training.shows_run
    assert again.training.view.plot.num_points == len(steps)
