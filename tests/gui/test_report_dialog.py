"""Report a problem: shown before it is saved, saved where the user says, and without names unless allowed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from app.widgets import report_dialog
from app.widgets.report_dialog import WORDS_FILE, ReportDialog
from core.config import TrainConfig, with_values
from core.config.toml import save_config
from core.run_folder import RunFolder
from core.text import set_language


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    values = {"output.folder": tmp_path / "out", "output.name": "anna_lora", "dataset.trigger_word": "annaface"}
    config = with_values(TrainConfig(), values)
    made = RunFolder.of(config)
    made.path.mkdir(parents=True)
    save_config(config, made.config)
    made.log.write_text("annaface did not appear\n", encoding="utf-8")
    return made


@pytest.fixture
def dialog(run: RunFolder, qtbot: QtBot) -> ReportDialog:
    made = ReportDialog(run)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(made.save_button.isEnabled, timeout=20_000)
    return made


def names_shown(dialog: ReportDialog) -> list[str]:
    return [dialog.list.item(row).text().split()[0] for row in range(dialog.list.count())]


def test_what_it_holds_is_shown_first(dialog: ReportDialog) -> None:
    assert names_shown(dialog) == ["environment.txt", "config.toml", "log.txt", "files.txt"]
    assert dialog.preview.toPlainText().startswith("Kiln: ")
    dialog.list.setCurrentRow(2)
    assert dialog.preview.toPlainText() == "<trigger word> did not appear\n"


def test_names_are_left_in_when_that_is_allowed(dialog: ReportDialog, qtbot: QtBot) -> None:
    dialog.list.setCurrentRow(2)
    dialog.names.click()
    assert not dialog.save_button.isEnabled()
    qtbot.waitUntil(dialog.save_button.isEnabled, timeout=20_000)
    assert dialog.list.currentRow() == 2
    assert dialog.preview.toPlainText() == "annaface did not appear\n"


def test_an_answer_that_came_too_late_is_not_shown(dialog: ReportDialog, qtbot: QtBot) -> None:
    dialog.names.click()
    dialog.names.click()
    qtbot.waitUntil(dialog.save_button.isEnabled, timeout=20_000)
    dialog.list.setCurrentRow(2)
    assert "annaface" not in dialog.preview.toPlainText()


def test_it_is_saved_with_the_user_s_words(
    dialog: ReportDialog, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(_parent: QWidget, _title: str, start: str, _kinds: str) -> tuple[str, str]:
        asked.append(start)
        return str(tmp_path / "报告"), ""

    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda _: str(tmp_path / "no such folder"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    dialog.words.setPlainText("It stopped after lunch.")
    dialog.save_button.click()
    qtbot.waitUntil(dialog.show_button.isVisible)
    assert asked[0].endswith(".zip")
    assert Path(asked[0]).parent.is_dir()  # Else the dialog opens in the folder of the program.
    with zipfile.ZipFile(tmp_path / "报告.zip") as archive:
        assert archive.read(WORDS_FILE).decode() == "It stopped after lunch.\n"
        assert archive.namelist()[1:] == names_shown(dialog)
        assert b"annaface" not in b"".join(archive.read(name) for name in archive.namelist())
    assert str(tmp_path / "报告.zip") in dialog.outcome.text()
    opened: list[str] = []
    monkeypatch.setattr(report_dialog.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    dialog.show_button.click()
    assert opened == [str(tmp_path)]


def test_a_place_that_cannot_be_written_is_told(dialog: ReportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    dialog.save_to(tmp_path / "file" / "report.zip")
    qtbot.waitUntil(lambda: bool(dialog.outcome.text()))
    assert "is a file where a folder is needed" in dialog.outcome.text()
    assert dialog.outcome.property("role") == "danger"
    assert not dialog.show_button.isVisible()
    assert dialog.save_button.isEnabled()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_is_cut_off(language: str, dialog: ReportDialog, clipped: Callable[[QWidget], list[str]]) -> None:
    set_language("zh" if language == "zh" else "en")
    dialog.retranslate()
    dialog.repaint()
    assert clipped(dialog) == []
