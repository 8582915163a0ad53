"""Models of every kind are downloaded in one window, and used where they were asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.main_window import PARAMS, TAGGER, MainWindow
from app.project import Project
from app.settings import Settings
from core.hub.catalog import folder_of, model_card


@pytest.fixture
def window(qtbot: QtBot, project: Project, settings: Settings) -> MainWindow:
    window = MainWindow(project, settings)
    qtbot.addWidget(window)
    window.show()
    return window


def test_a_downloaded_tagger_is_used(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.show_page(TAGGER)
    assert window.tagger is not None
    window.tagger.models_requested.emit("tagger")
    assert window.models is not None
    qtbot.waitUntil(window.models.isVisible)
    window.models.cards["tagger"].model_ready.emit("wd-vit-v3", tmp_path)
    assert window.tagger.form.options().tagger == tmp_path
    window.models.cards["tagger"].folder_chosen.emit(tmp_path / "own")
    assert window.tagger.form.options().tagger == tmp_path / "own"
    window.tagger.models_requested.emit("captioner")
    assert window.models.cards["captioner"].isVisible() and not window.models.cards["tagger"].isVisible()


def test_a_downloaded_base_model_is_listed_and_chosen(
    window: MainWindow, tiny_sd1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.show_page(PARAMS)
    assert window.params is not None
    picker = window.params.quick.base
    picker.more_requested.emit()
    assert window.models is not None and window.models.cards["base"].isVisible()
    card = model_card("stable-diffusion-v1-5")
    place = Path(shutil.copytree(tiny_sd1, folder_of(card)))
    monkeypatch.setattr("core.hub.catalog.is_here", lambda found: found.key == card.key)
    window.models.cards["base"].model_ready.emit(card.key, place)
    assert picker.path == place and picker.combo.currentText() == card.title


def test_a_model_that_finds_people_can_be_had_where_crops_are_chosen(
    qtbot: QtBot, window: MainWindow, project: Project, pictures: Path
) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    project.change({"dataset.fit": "smart"})
    window.dataset.side.show_panel("fit")
    panel = window.dataset.side.panel("fit")
    assert "own method" in panel.detector.text()
    qtbot.mouseClick(panel.detector_button, Qt.MouseButton.LeftButton)
    assert window.models is not None and window.models.cards["detector"].isVisible()
    project.change({"dataset.fit": "buckets"})
    assert not panel.detector_button.isVisible()
