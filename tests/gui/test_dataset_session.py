"""A whole session on one folder of good and bad files: no original is ever touched, and undo returns every byte."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.project import Project
from app.settings import Settings
from app.tabs.dataset import CHECK, DatasetTab
from core.dataset.bulk import AddTags, ReplaceText, SortTags, apply
from core.dataset.edits import Crop, PictureEdits
from core.dataset.images import EXTENSIONS
from core.runner import LocalRun
from tests.hostile import make_good, make_hostile


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every regular file below a folder."""
    return {
        os.fsencode(path.relative_to(folder)).decode("utf-8", "replace"): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pictures_of(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if Path(name).suffix.lower() in EXTENSIONS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "截图 screenshots 🦊"
    folder.mkdir()
    make_good(folder, 7, 12)
    make_hostile(folder, 7)
    return folder


def test_a_whole_session_touches_no_original_and_can_be_taken_back(
    qtbot: QtBot, project: Project, settings: Settings, folder: Path
) -> None:
    before = hashes(folder)
    tab = DatasetTab(project, settings, LocalRun)
    qtbot.addWidget(tab)
    tab.resize(1080, 780)
    with qtbot.waitExposed(tab):
        tab.show()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    qtbot.waitUntil(lambda: tab.doctor.is_judged and not tab.doctor.is_running, timeout=60000)
    assert len(tab.doctor.findings) > 20

    # Everything that is safe, at one press.
    tab.side.show_panel(CHECK)
    safe = [finding for finding in tab.doctor.findings if finding.fix is not None and finding.fix.is_safe]
    assert safe and tab.doctor.apply(safe)
    qtbot.waitUntil(lambda: not project.is_writing)
    # Matters of taste, too.
    tab.doctor.apply([finding for finding in tab.doctor.findings if finding.fix is not None])
    qtbot.waitUntil(lambda: not project.is_writing)

    # Decisions by hand.
    assert project.scan is not None
    records = project.scan.records
    project.edit_pictures("Crop", {records[0].path: PictureEdits(crops=(Crop(box=(1, 1, 200, 220)),), fit="pad")})
    tab.filter.ask("")
    tab.grid.select_first()
    tab.grid.setFocus()
    qtbot.keyClick(tab.grid, Qt.Key.Key_Delete)
    tab.actions_on.turn(90)

    # Captions: one by hand, many at once, and a pattern.
    captioned = [record.path for record in records if record.caption]
    assert project.save_caption(captioned[0], "typed by hand, 手写")
    for operation in (AddTags(("smile", "微笑")), SortTags("alphabet"), ReplaceText("number", "nr", is_regex=True)):
        now = {image: project.record(image).caption or "" for image in captioned}  # type: ignore[union-attr]
        project.edit_captions("Edit many", apply(operation, now))
        qtbot.waitUntil(lambda: not project.is_writing)

    changed = hashes(folder)
    assert pictures_of(changed) == pictures_of(before)
    assert changed != before

    while project.undo_name:
        project.undo()
        qtbot.waitUntil(lambda: not project.is_writing)
    assert hashes(folder) == before
    assert not project.scan.pictures

    while project.redo_name:
        project.redo()
        qtbot.waitUntil(lambda: not project.is_writing)
    assert hashes(folder) == changed
    tab.shut_down()
