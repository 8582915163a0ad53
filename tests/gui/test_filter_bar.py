"""The filter over the grid asks what is typed, explains what it does not understand, and completes its keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.fit_plans import FitPlans
from app.grid_filter import Only, predicate_of
from app.project import Project
from app.widgets.filter_bar import FilterBar
from core.dataset.edits import Crop, PictureEdits
from core.dataset.query import parse_query
from tests import pictures as made


@pytest.fixture
def bar(qtbot: QtBot) -> FilterBar:
    bar = FilterBar()
    bar.retranslate()
    qtbot.addWidget(bar)
    bar.resize(700, 90)
    bar.show()
    qtbot.waitExposed(bar)
    bar.activateWindow()
    return bar


def test_typing_asks_after_a_moment_and_enter_at_once(qtbot: QtBot, bar: FilterBar) -> None:
    with qtbot.waitSignal(bar.changed):
        qtbot.keyClicks(bar.search, "tag:smile")
    assert bar.query.text == "tag:smile"
    heard: list[str] = []
    bar.changed.connect(lambda: heard.append(bar.query.text))
    qtbot.keyClicks(bar.search, " x")
    qtbot.keyClick(bar.search, Qt.Key.Key_Return)
    assert heard[-1] == "tag:smile x"


def test_what_is_not_understood_is_explained_and_the_last_question_stays(qtbot: QtBot, bar: FilterBar) -> None:
    bar.ask("smile")
    heard: list[str] = []
    bar.changed.connect(lambda: heard.append(bar.query.text))
    bar.ask("tags:many")
    assert heard == [] and bar.query.text == "smile"
    assert bar.problem.isVisible() and "tags:<5" in bar.problem.text()
    bar.ask("tags:<5")
    assert not bar.problem.isVisible() and heard == ["tags:<5"]


def test_keys_and_problems_are_completed_with_tab(qtbot: QtBot, bar: FilterBar) -> None:
    bar.search.setFocus()
    qtbot.keyClicks(bar.search, "smile prob")
    qtbot.waitUntil(lambda: bar.search.completions_shown == ["problem:"])
    bar.search.focusNextPrevChild(True)
    qtbot.keyClicks(bar.search, "blu")
    qtbot.waitUntil(lambda: bar.search.completions_shown == ["problem:blurry"])
    bar.search.focusNextPrevChild(True)
    assert bar.search.text() == "smile problem:blurry "


def test_usual_questions_show_their_counts_and_hide_when_they_find_nothing(qtbot: QtBot, bar: FilterBar) -> None:
    bar.set_counts({"all": 30, "uncaptioned": 0, "problems": 0, "excluded": 2})
    shown = {only: made.text() for only, made in bar.only_buttons.items() if made.isVisible()}
    assert shown == {"all": "All 30", "uncaptioned": "No caption 0", "excluded": "Left out 2"}
    with qtbot.waitSignal(bar.changed):
        qtbot.mouseClick(bar.only_buttons["excluded"], Qt.MouseButton.LeftButton)
    assert bar.only == "excluded"
    bar.set_counts({"all": 30, "uncaptioned": 0, "problems": 0, "excluded": 0})
    assert bar.only_buttons["excluded"].isVisible()  # It is what is asked.


def test_undo_and_redo_say_what_they_do(bar: FilterBar) -> None:
    bar.set_history("Add smile to 12 captions", "")
    assert bar.undo_button.isEnabled() and "Add smile to 12 captions" in bar.undo_button.toolTip()
    assert not bar.redo_button.isEnabled()


def test_an_unknown_order_is_that_of_the_names(bar: FilterBar) -> None:
    bar.set_order("pixels")
    assert bar.order == "pixels"
    bar.set_order("of a later version")
    assert bar.order == "name"


def test_nothing_is_clipped(bar: FilterBar, clipped: Callable[[QWidget], list[str]]) -> None:
    bar.set_counts({"all": 10000, "uncaptioned": 9999, "problems": 9999, "excluded": 9999})
    bar.resize(520, 90)
    assert clipped(bar) == []


@pytest.mark.parametrize(
    ("text", "only", "names"),
    [
        ("", "all", ["p00", "p01", "p02", "p03"]),
        ("number tags:2", "all", ["p00", "p01", "p02"]),
        ("", "uncaptioned", ["p03"]),
        ("", "excluded", ["p01"]),
        ("is:cropped", "all", ["p02"]),
        ("", "problems", ["p00"]),
        ("problem:transparent", "all", ["p02"]),
        ("problem:blurry OR caption:none", "all", ["p00", "p03"]),
        ("bucket:512x512", "all", ["p02"]),
        ("tokens:>3 is:excluded", "all", ["p01"]),
    ],
)
def test_pictures_that_pass(
    qtbot: QtBot, project: Project, tmp_path: Path, text: str, only: Only, names: list[str]
) -> None:
    folder = made.good_folder(tmp_path / "pictures", 3)
    for path in folder.glob("*.png"):
        made.save(path, made.scene((96, 64)))
    made.save(folder / "p03.png", made.scene((96, 64)))
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    project.edit_pictures("Decide", {folder / "p01.png": PictureEdits(excluded=True)})
    project.edit_pictures("Decide", {folder / "p02.png": PictureEdits(crops=(Crop(box=(0, 0, 60, 60)),))})
    problems = {"p00": frozenset({"blurry", "rotated"}), "p02": frozenset({"transparent"})}
    passes = predicate_of(
        parse_query(text),
        only,
        project,
        FitPlans(project),
        lambda image: problems.get(image.stem, frozenset()),
    )
    assert project.scan is not None
    assert [record.path.stem for record in project.scan.records if passes is None or passes(record)] == names
