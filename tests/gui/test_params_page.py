"""The settings page around its forms: going to an option, the bar that stays in view, what refuses a start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app import theme
from app.params_facts import ParamsFacts
from app.project import Project
from app.settings import Settings
from app.tabs.params import ParamsTab
from app.widgets.params_notice import IdleNotice
from app.widgets.params_row import FieldRow
from core.config.rules import Facts


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings) -> ParamsTab:
    made = ParamsTab(project, settings)
    qtbot.addWidget(made)
    made.resize(1080, 760)
    with qtbot.waitExposed(made):
        made.show()
    return made


def is_in_view(tab: ParamsTab, widget: QWidget) -> bool:
    """Whether a widget lies below the bar and above the end of the view."""
    top = widget.mapTo(tab.area.viewport(), QPoint(0, 0)).y()
    return tab.tools.height() <= top <= tab.area.viewport().height() - 40


@pytest.fixture
def pictures_of_30(tmp_path: Path) -> Path:
    folder = tmp_path / "5_mika"
    folder.mkdir()
    for number in range(30):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("key", ["optimizer.beta2", "network.rank", "output.comment"])
def test_an_option_is_brought_into_view_whatever_is_hidden(qtbot: QtBot, tab: ParamsTab, key: str) -> None:
    tab.activateWindow()
    qtbot.waitUntil(tab.isActiveWindow)
    tab.search.setText("no such thing")
    tab.show_option(key)
    assert tab.all_switch.isChecked()
    assert tab.search.text() == ""
    row = tab.form.row(key)
    qtbot.waitUntil(lambda: row.isVisible() and is_in_view(tab, row))
    qtbot.waitUntil(lambda: row.editor.isAncestorOf(tab.focusWidget()) or row.editor.input().hasFocus())


@pytest.mark.parametrize("key", ["network.rank", "network.alpha"])
def test_an_option_near_the_top_of_its_card_is_shown_with_the_whole_title(
    qtbot: QtBot, tab: ParamsTab, key: str
) -> None:
    tab.show_option(key)
    tab.form.settle()
    row, card = tab.form.row(key), tab.form.cards["network"]
    card_y = tab.tools.height() + theme.SPACE_S
    qtbot.waitUntil(lambda: is_in_view(tab, row) and card.mapTo(tab.area.viewport(), QPoint(0, 0)).y() == card_y)


@pytest.mark.parametrize("key", ["network.alpha", "network.rank"])
def test_an_option_with_notices_is_shown_whole_in_a_small_window(
    qtbot: QtBot, project: Project, tab: ParamsTab, key: str
) -> None:
    tab.resize(784, 576)
    project.change({"network.alpha": 512.0})
    tab.show_option(key)
    tab.form.settle()
    qtbot.waitUntil(lambda: tab._aim is None)  # From then on nothing moves any more.
    row = tab.form.row(key)
    assert is_in_view(tab, row)
    assert row.mapTo(tab.area.viewport(), QPoint(0, row.height())).y() <= tab.area.viewport().height()


def test_tab_goes_through_the_page_as_it_is_seen(qtbot: QtBot, project: Project, tab: ParamsTab) -> None:
    def row_of(widget: QWidget | None) -> str:
        while widget is not None and not isinstance(widget, FieldRow):
            widget = widget.parentWidget()
        return widget.spec.key if isinstance(widget, FieldRow) else ""

    tab.activateWindow()
    qtbot.waitUntil(tab.isActiveWindow)
    tab.show_option("schedule.name")  # made before the others
    qtbot.waitUntil(lambda: set(tab.form.shown_keys()) <= set(tab.form.rows))
    tab.form.settle()
    project.change({"sampling.prompts": ("mika",), "sampling.every_n_epochs": 0, "training.epochs": 3})
    project.change({"sampling.prompts": ()})  # Now the rhythm of the previews has no effect, which is told in its row.
    tab.form.settle()
    tab.search.setFocus()
    told: list[str] = []
    is_told = False
    while tab.focusWidget() is not tab.footer.name:
        tab.focusNextChild()
        is_told |= isinstance(tab.focusWidget(), IdleNotice)
        told.append(row_of(tab.focusWidget()))
    assert list(dict.fromkeys(filter(None, told))) == [key for key in tab.form.specs if key in tab.form.shown_keys()]
    assert is_told


def test_the_bar_stays_in_view_and_marks_the_section(qtbot: QtBot, tab: ParamsTab) -> None:
    tab.all_switch.click()
    tab.form.settle()
    qtbot.mouseClick(tab.tools.chips.buttons["output"], Qt.MouseButton.LeftButton)
    card = tab.form.cards["output"]
    qtbot.waitUntil(lambda: card.visibleRegion().boundingRect().height() > 50)
    assert tab.tools.mapTo(tab.area.viewport(), QPoint(0, 0)).y() == 0
    assert tab.tools.chips.key == "output"
    tab._end_aim()
    tab.area.verticalScrollBar().setValue(0)
    assert tab.tools.mapTo(tab.area.viewport(), QPoint(0, 0)).y() > 100


def test_only_sections_with_something_found_can_be_jumped_to(tab: ParamsTab) -> None:
    tab.all_switch.click()
    tab.search.setText("learning rate")
    buttons = tab.tools.chips.buttons
    assert buttons["optimizer"].isEnabled()
    assert not buttons["output"].isEnabled()
    tab.search.clear()
    assert buttons["output"].isEnabled()


def test_a_contradiction_keeps_the_run_from_starting(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path
) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    assert tab.start_button.isEnabled()
    project.change({"training.precision": "fp16", "training.device": "cpu"})
    assert not tab.start_button.isEnabled()
    assert tab.reason.text() == "A processor cannot train in fp16."
    assert tab.tools.conflicts_button.text() == "1 thing to look at"
    project.change({"training.precision": "bf16"})
    assert tab.start_button.isEnabled()
    project.change({"network.alpha": 512.0})
    assert tab.start_button.isEnabled()


def test_the_button_of_contradictions_goes_from_one_to_the_next(qtbot: QtBot, project: Project, tab: ParamsTab) -> None:
    tab.all_switch.click()
    project.change({"network.alpha": 512.0, "loss.noise_offset": 0.5})
    assert tab.tools.conflicts_button.text() == "2 things to look at"
    asked: list[str] = []
    tab.tools.asked.connect(asked.append)
    for _ in range(3):
        tab.tools.conflicts_button.click()
    assert asked == ["network.alpha", "loss.noise_offset", "network.alpha"]


def test_rules_know_the_number_of_pictures_and_steps(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures_of_30: Path
) -> None:
    assert tab._facts.facts.num_pictures is None
    project.open_folder(pictures_of_30)
    qtbot.waitUntil(lambda: tab._facts.facts.num_pictures == 30)
    assert tab._facts.facts.total_steps is not None
    assert tab._facts.facts.family == "sd1"
    project.change({"validation.pictures": 30})
    assert tab.form.row("validation.pictures").conflicts[0].sentence.text().startswith("15 of 30 pictures are held out")
    project.change({"validation.pictures": -1, "training.epochs": 1})
    with qtbot.waitSignal(tab._facts.changed):
        project.change({"dataset.repeats": 1, "schedule.warmup_steps": 5000})
    assert "warm-up is as long" in tab.form.row("schedule.warmup_steps").conflicts[0].sentence.text()


def test_facts_of_no_pictures_are_unknown(project: Project) -> None:
    assert ParamsFacts(project).facts == Facts()


@pytest.mark.parametrize(("language", "size"), [("en", (784, 576)), ("zh", (1104, 776))])
def test_nothing_is_cut_off_with_contradictions_and_a_search(
    qtbot: QtBot,
    project: Project,
    settings: Settings,
    tab: ParamsTab,
    clipped: Callable[[QWidget], list[str]],
    language: str,
    size: tuple[int, int],
) -> None:
    settings.set_language(language)  # type: ignore[arg-type]
    tab.resize(*size)
    tab.all_switch.click()
    tab.advanced_switch.setChecked(True)
    project.change({"network.alpha": 512.0, "loss.min_timestep": 1000, "optimizer.name": "prodigy"})
    tab.form.settle()
    qtbot.waitUntil(lambda: clipped(tab) == [])
    tab.search.setText("rate")
    tab.form.settle()
    qtbot.waitUntil(lambda: clipped(tab) == [])


def test_the_output_folder_has_the_room_that_no_reason_needs(tab: ParamsTab) -> None:
    tab.footer.show_reason("There is no picture in this folder.")
    narrow = tab.footer.output_label.width()
    tab.footer.show_reason("")
    tab.footer.layout().activate()  # type: ignore[union-attr]
    assert tab.footer.output_label.width() > narrow + 60


def test_the_length_of_the_run_follows_what_is_held_out(qtbot: QtBot, project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    project.change({"dataset.repeats": 1, "training.epochs": 1, "training.batch_size": 1, "validation.pictures": 0})
    facts = ParamsFacts(project)
    qtbot.waitUntil(lambda: facts.facts.total_steps == 4)
    project.change({"validation.pictures": 1})
    qtbot.waitUntil(lambda: facts.facts.total_steps == 3)
