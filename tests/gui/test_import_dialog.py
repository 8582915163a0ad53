"""Settings of other trainers: what maps is shown, folders that moved are asked for, applying can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.project import Project
from app.settings import Settings
from app.tabs.params import ParamsTab
from app.widgets.import_dialog import ImportDialog

SETTINGS = """
pretrained_model_name_or_path = "D:/train/base/model.safetensors"
train_data_dir = "D:/train/aki"
network_dim = 24
network_alpha = 12
unet_lr = 2e-4
wandb_api_key = "secret"
cache_latents = true
max_train_epochs = 12
"""


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings) -> ParamsTab:
    made = ParamsTab(project, settings)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "设置.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


def opened(qtbot: QtBot, tab: ParamsTab, file: Path) -> ImportDialog:
    tab.files.open_import()
    dialog = tab.files.dialog
    assert dialog is not None
    assert not dialog.apply_button.isEnabled()
    dialog.read(file)
    qtbot.waitUntil(lambda: dialog.imported is not None)
    return dialog


def test_what_maps_what_is_left_out_and_why(qtbot: QtBot, tab: ParamsTab, file: Path) -> None:
    dialog = opened(qtbot, tab, file)
    lines = {line[0]: line for line in dialog.table.lines() if line[0]}
    assert lines["network_dim"][1:4] == ["24", "Rank", "24"]
    assert lines["wandb_api_key"][4]
    assert "secret" not in str(dialog.table.lines())
    assert lines["cache_latents"][4]
    assert dialog.status.text().endswith("1 are left out.")  # what Kiln does anyway is not lost
    heads = [dialog.table.topLevelItem(row).text(0) for row in range(dialog.table.topLevelItemCount())]  # type: ignore[union-attr]
    assert "Left out (1)" in heads
    assert "Not needed here (1)" in heads
    assert dialog.apply_button.isEnabled()


def test_applying_changes_the_settings_and_can_be_taken_back(
    qtbot: QtBot, project: Project, tab: ParamsTab, file: Path
) -> None:
    before = project.config
    opened(qtbot, tab, file).apply()
    assert (project.config.network.rank, project.config.training.epochs) == (24, 12)
    assert project.config.model.base != before.model.base  # It is missing here, and named as missing.
    assert tab.reset_button.text() == "Undo import"
    tab.reset_button.click()
    assert project.config == before


def test_a_folder_that_moved_is_asked_for(
    qtbot: QtBot, project: Project, tab: ParamsTab, file: Path, tmp_path: Path
) -> None:
    here = tmp_path / "my train"
    (here / "aki" / "3_aki").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(here / "aki" / "3_aki" / "a.png")
    (here / "base").mkdir()
    (here / "base" / "model.safetensors").write_bytes(b"x")
    dialog = opened(qtbot, tab, file)
    assert "D:/train" in dialog.moved_words.text()
    assert dialog.moved_button.isVisibleTo(dialog)
    dialog.use_root(here)
    qtbot.waitUntil(lambda: dialog.imported is not None and dialog.imported.missing_root is None)
    assert not dialog.moved_button.isVisibleTo(dialog)
    dialog.apply()
    assert project.config.dataset.folder.is_relative_to(here)


@pytest.mark.parametrize(("name", "content"), [("a.toml", "x = ["), ("b.json", "[1, 2]"), ("c.toml", "")])
def test_a_file_without_settings_is_told(
    qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    before = project.config
    tab.files.open_import()
    dialog = tab.files.dialog
    assert dialog is not None
    dialog.read(tmp_path / name)
    qtbot.waitUntil(lambda: dialog.status.property("role") == "danger")
    assert dialog.status.text()
    assert not dialog.apply_button.isEnabled()
    dialog.apply()
    assert project.config == before


def test_export_for_kohya_can_be_imported_again(qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path) -> None:
    project.change({"network.rank": 24, "optimizer.learning_rate": 3e-4})
    assert tab.files.export(tmp_path / "kohya.toml")
    project.change({"network.rank": 4, "optimizer.learning_rate": 1e-5})
    opened(qtbot, tab, tmp_path / "kohya.toml").apply()
    assert (project.config.network.rank, project.config.optimizer.learning_rate) == (24, 3e-4)
    with qtbot.waitSignal(project.problem):
        assert not tab.files.export(tmp_path / "kohya.toml" / "no.toml")


def test_a_dropped_file_is_read(qtbot: QtBot, tab: ParamsTab, file: Path) -> None:
    tab.files.open_import()
    dialog = tab.files.dialog
    assert dialog is not None
    assert dialog.empty.isVisibleTo(dialog)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    dialog.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, none))
    qtbot.waitUntil(lambda: dialog.imported is not None)
    assert dialog.file.line.text() == str(file)
    assert not dialog.empty.isVisibleTo(dialog)


def test_several_folders_of_an_import_are_opened_together(
    qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path
) -> None:
    for name in ("3_aki", "1_girl"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 64)).save(tmp_path / name / "a.png")
    file = tmp_path / "dataset.toml"
    file.write_text(
        "[[datasets]]\nresolution = 512\n"
        f"[[datasets.subsets]]\nimage_dir = {str(tmp_path / '3_aki')!r}\nnum_repeats = 3\n"
        f"[[datasets.subsets]]\nimage_dir = {str(tmp_path / '1_girl')!r}\nis_reg = true\n",
        encoding="utf-8",
    )
    opened(qtbot, tab, file).apply()
    qtbot.waitUntil(lambda: len(project.concepts) == 2)
    assert [concept.folder.name for concept in project.concepts] == ["3_aki", "1_girl"]
    qtbot.waitUntil(lambda: not project.is_scanning)


def test_enter_in_the_path_reads_the_file_and_opens_no_other_dialog(
    qtbot: QtBot, tab: ParamsTab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browsed: list[int] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: browsed.append(1) or ("", ""))
    tab.files.open_import()
    dialog = tab.files.dialog
    assert dialog is not None
    dialog.file.line.setFocus()
    dialog.file.line.setText(str(file))
    QTest.keyClick(dialog.file.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dialog.imported is not None)
    assert not browsed
