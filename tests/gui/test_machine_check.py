"""The check of the installation in a window."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.widgets import machine_check
from app.widgets.machine_check import InstallationCheck
from core import installation


def test_it_shows_what_the_doctor_says_and_copies_it(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["torch: broken", "torch: well"])
    monkeypatch.setattr(machine_check, "check", lambda: next(answers))
    dialog = InstallationCheck()
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.copy_button.isEnabled()
    qtbot.waitUntil(lambda: dialog.findings.toPlainText() == "torch: broken")
    assert not dialog.bar.isVisible()
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == "torch: broken"
    dialog.again_button.click()
    qtbot.waitUntil(lambda: dialog.findings.toPlainText() == "torch: well")


def test_a_check_that_cannot_be_made_says_so(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise OSError("no such program")

    monkeypatch.setattr(machine_check, "check", refuse)
    dialog = InstallationCheck()
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: "no such program" in dialog.findings.toPlainText())
    assert dialog.again_button.isEnabled()


@pytest.mark.parametrize(("language", "locale"), [("en", "en_US.UTF-8"), ("zh", "zh_CN.UTF-8")])
def test_the_launcher_is_asked_in_the_language_in_use(
    language: str, locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packaging").mkdir()
    launcher = tmp_path / "packaging" / "launch.py"
    launcher.write_text(
        "import os, sys\nprint(sys.argv[1], os.environ['LC_ALL'], '✓', flush=True)\nprint('worse', file=sys.stderr)\n"
    )
    monkeypatch.setattr(installation, "RESOURCES", tmp_path / "resources")
    monkeypatch.setattr(installation, "language", lambda: language)
    assert installation.check().splitlines() == [f"doctor {locale} ✓", "worse"]


def test_without_a_launcher_the_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "RESOURCES", tmp_path / "resources")
    assert f"Python: {sys.version_info[0]}." in installation.check()
