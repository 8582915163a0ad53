"""The panel of the trigger word: proposals, turning tags on and off by mouse and keys, the example, and big folders."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app import theme
from app.project import Project
from app.widgets.trait_list import TraitList
from app.widgets.trait_panel import TraitPanel
from core.text import set_language

LEFT = Qt.MouseButton.LeftButton
FOLDER = Path("/data/10_miru")
TAGS = {
    FOLDER / f"{number}.png": (
        "1girl", "aqua_hair", "yellow eyes", *(("mole",) if number < 3 else ()), *(("choker",) if number else ()),
        *(("sketch",) if number < 8 else ()),
    )
    for number in range(10)
}  # fmt: skip


@pytest.fixture
def panel(qtbot: QtBot, project: Project) -> TraitPanel:
    made = TraitPanel(project)
    qtbot.addWidget(made)
    made.resize(348, 640)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def filled(qtbot: QtBot, panel: TraitPanel) -> TraitPanel:
    panel.set_tags(TAGS)
    qtbot.waitUntil(lambda: bool(panel.list.rows))
    return panel


def shown(panel: TraitPanel) -> list[str]:
    return [row.tag for row in panel.list.rows]


def click(list_: TraitList, tag: str) -> None:
    number = [row.tag for row in list_.rows].index(tag)
    QTest.mouseClick(list_, LEFT, pos=list_.place_of(number).center())


def heard(panel: TraitPanel) -> list[tuple[str, ...]]:
    said: list[tuple[str, ...]] = []
    panel.pruned_changed.connect(said.append)
    return said


def test_before_anything_is_tagged_it_says_what_to_do(panel: TraitPanel) -> None:
    assert panel._empty.isVisible() and "Tag the pictures first" in panel._empty.text()
    assert not panel.list.isVisible() and not panel.use_button.isVisible()
    assert panel.pruned == ()


def test_traits_are_listed_and_nothing_is_pruned_by_itself(filled: TraitPanel) -> None:
    said = heard(filled)
    assert shown(filled) == ["aqua_hair", "yellow eyes", "mole", "choker"]
    assert [row.text for row in filled.list.rows] == ["10 of 10", "10 of 10", "3 of 10", "9 of 10"]
    assert filled.pruned == () and not filled.list.on and said == []
    assert not filled._empty.isVisible()


def test_proposed_all_and_none(filled: TraitPanel) -> None:
    said = heard(filled)
    for made in (filled.proposed_button, filled.all_button, filled.none_button):
        QTest.mouseClick(made, LEFT)
    assert said == [("aqua_hair", "yellow eyes", "choker"), ("aqua_hair", "yellow eyes", "mole", "choker"), ()]
    assert filled.pruned == () and not filled.none_button.isEnabled()


def test_a_click_turns_a_tag_on_and_off(filled: TraitPanel) -> None:
    said = heard(filled)
    click(filled.list, "mole")
    assert filled.pruned == ("mole",) and filled.list.on == {"mole"}
    click(filled.list, "aqua_hair")
    click(filled.list, "mole")
    assert said == [("mole",), ("aqua_hair", "mole"), ("aqua_hair",)]


def test_a_click_on_a_title_does_nothing(filled: TraitPanel) -> None:
    said = heard(filled)
    title = filled.list.place_of(0).center()
    title.setY(filled.list.place_of(0).top() - 6)
    QTest.mouseClick(filled.list, LEFT, pos=title)
    assert said == []


def test_a_press_that_ends_elsewhere_does_nothing(filled: TraitPanel) -> None:
    said = heard(filled)
    for first, last in ((0, 2), (2, 0)):
        QTest.mousePress(filled.list, LEFT, pos=filled.list.place_of(first).center())
        QTest.mouseRelease(filled.list, LEFT, pos=filled.list.place_of(last).center())
    assert said == []


def test_keys_walk_and_turn_on_and_off(filled: TraitPanel) -> None:
    filled.list.setFocus(Qt.FocusReason.TabFocusReason)
    assert filled.list.current == 0 and "aqua_hair" in filled.list.accessibleDescription()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Space, Qt.Key.Key_End, Qt.Key.Key_Return):
        QTest.keyClick(filled.list, key)
    assert filled.pruned == ("yellow eyes", "choker")
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_Up, Qt.Key.Key_Enter):
        QTest.keyClick(filled.list, key)
    assert filled.pruned == ("aqua_hair", "yellow eyes", "choker")


def test_walking_by_keys_keeps_the_row_in_sight(qtbot: QtBot, filled: TraitPanel) -> None:
    filled.resize(348, 380)
    filled.list.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(filled.list, Qt.Key.Key_End)
    row = filled.list.place_of(3)
    top = filled.list.mapTo(filled.area.viewport(), row.topLeft()).y()
    assert top >= 0 and top + row.height() <= filled.area.viewport().height() + 1


def test_the_word_of_the_pictures_folder_is_proposed_until_one_is_in_use(filled: TraitPanel) -> None:
    said: list[str] = []
    filled.trigger_chosen.connect(said.append)
    assert filled._trigger_word.text() == "miru" and filled.use_button.isVisible()
    QTest.mouseClick(filled.use_button, LEFT)
    assert said == ["miru"]
    filled.set_trigger("miru")
    assert not filled.use_button.isVisible() and filled._trigger_word.text() == "miru"
    filled.set_trigger("")
    assert filled.use_button.isVisible()


def test_pictures_of_several_folders_have_the_word_of_the_open_one(
    qtbot: QtBot, project: Project, pictures: Path, panel: TraitPanel
) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    panel.set_tags({pictures / "a" / "1.png": ("long hair",), pictures / "b" / "2.png": ("long hair",)})
    qtbot.waitUntil(lambda: shown(panel) == ["long hair"])
    assert panel._trigger_word.text() == "mylora"  # "pictures" says nothing.


def test_what_is_trained_decides_what_is_listed(qtbot: QtBot, filled: TraitPanel) -> None:
    QTest.mouseClick(filled.target_buttons["style"], LEFT)
    qtbot.waitUntil(lambda: shown(filled) == ["sketch"])
    assert filled.target_buttons["style"].isChecked() and "style" in filled._about.text()
    assert filled.pruned == ()
    QTest.mouseClick(filled.target_buttons["object"], LEFT)
    qtbot.waitUntil(lambda: shown(filled) == ["choker"])
    assert filled.pruned == ()


def test_who_pruned_the_proposed_gets_those_of_the_other_kind(qtbot: QtBot, filled: TraitPanel) -> None:
    QTest.mouseClick(filled.proposed_button, LEFT)
    said = heard(filled)
    QTest.mouseClick(filled.target_buttons["style"], LEFT)
    qtbot.waitUntil(lambda: filled.pruned == ("sketch",))
    assert said == [("sketch",)]


def test_who_pruned_something_else_keeps_it(qtbot: QtBot, filled: TraitPanel) -> None:
    click(filled.list, "mole")
    said = heard(filled)
    QTest.mouseClick(filled.target_buttons["style"], LEFT)
    qtbot.waitUntil(lambda: "sketch" in shown(filled))
    assert filled.pruned == ("mole",) and said == []


def test_what_is_trained_can_be_said_before_anything_is_tagged(qtbot: QtBot, panel: TraitPanel) -> None:
    panel.set_pruned(("smile",))
    said = heard(panel)
    QTest.mouseClick(panel.target_buttons["style"], LEFT)
    panel.set_tags(TAGS)
    qtbot.waitUntil(lambda: "sketch" in shown(panel))
    assert panel.pruned == ("smile",) and said == []


def test_a_count_that_came_to_nothing_prunes_nothing_later(qtbot: QtBot, filled: TraitPanel) -> None:
    QTest.mouseClick(filled.proposed_button, LEFT)
    said = heard(filled)
    QTest.mouseClick(filled.target_buttons["style"], LEFT)
    filled.set_tags({})  # Another folder, before the count ends.
    filled.set_tags(TAGS)
    qtbot.waitUntil(lambda: "sketch" in shown(filled))
    assert said == [] and filled.pruned == ("aqua_hair", "yellow eyes", "choker")


def test_a_click_while_counting_keeps_what_is_not_listed_yet(qtbot: QtBot, filled: TraitPanel) -> None:
    said = heard(filled)
    filled.set_pruned(("aqua hair", "rare_thing"))
    click(filled.list, "mole")
    assert said == [("aqua_hair", "mole", "rare_thing")]
    qtbot.waitUntil(lambda: "rare_thing" in shown(filled))
    assert filled.list.on == {"aqua_hair", "mole", "rare_thing"}


def test_the_trigger_word_itself_is_no_trait(qtbot: QtBot, filled: TraitPanel) -> None:
    filled.set_trigger("aqua hair")
    qtbot.waitUntil(lambda: "aqua_hair" not in shown(filled))
    filled.set_trigger("miru")
    qtbot.waitUntil(lambda: "aqua_hair" in shown(filled))


def test_nothing_of_this_kind(qtbot: QtBot, panel: TraitPanel) -> None:
    panel.set_tags({FOLDER / "1.png": ("1girl", "smile")})
    qtbot.waitUntil(lambda: panel._trigger_word.text() == "miru")
    assert "No tag of this kind" in panel._list_note.text()
    assert not panel.list.isVisible() and not panel.proposed_button.isVisible()


def test_the_options_are_shown_without_a_signal(qtbot: QtBot, filled: TraitPanel) -> None:
    said = heard(filled)
    filled.set_pruned(("Aqua Hair", "rare_thing"))
    assert filled.list.on == {"aqua_hair"}
    qtbot.waitUntil(lambda: "rare_thing" in shown(filled))  # Listed, so that it can be taken back.
    assert filled.list.on == {"aqua_hair", "rare_thing"} and said == []
    click(filled.list, "rare_thing")
    assert said == [("aqua_hair",)]


def test_new_tags_keep_what_was_chosen(qtbot: QtBot, filled: TraitPanel) -> None:
    click(filled.list, "mole")
    said = heard(filled)
    filled.set_tags({path: (*tags, "fang") for path, tags in TAGS.items() if "mole" not in tags})
    qtbot.waitUntil(lambda: "fang" in shown(filled))
    assert filled.pruned == ("mole",) and "mole" in filled.list.on and said == []
    filled.set_tags({})
    assert filled._empty.isVisible() and not filled.list.isVisible()


def test_the_example_shows_what_goes(filled: TraitPanel) -> None:
    assert not filled._diff.isVisible()
    filled.set_example("1girl, aqua hair, <b>", "miru, 1girl, <b>")
    assert filled._diff.isVisible() and "<s " in filled._diff.text() and "aqua hair" in filled._diff.text()
    assert "&lt;b&gt;" in filled._diff.text()
    filled.set_example("x" * 999, "x" * 999)
    assert not filled._diff.isVisible()
    filled.set_example("", "")
    assert not filled._diff.isVisible()


def test_chinese(filled: TraitPanel) -> None:
    set_language("zh")
    filled.retranslate()
    assert filled.target_buttons["character"].text() == "角色" and filled.list.rows[0].group == "头发"
    assert filled.list.rows[0].second == "水蓝色头发" and filled.list.rows[0].text == "10 / 10"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [300, 348, 520])
def test_every_text_fits(
    filled: TraitPanel, clipped: Callable[[QWidget], list[str]], language: str, width: int
) -> None:
    set_language("zh" if language == "zh" else "en")
    filled.retranslate()
    filled.resize(width, 700)
    filled.set_example("1girl, aqua hair", "miru, 1girl")
    QTest.qWait(1)
    assert clipped(filled) == []
    assert filled._inside.width() <= filled.area.viewport().width()


def test_light_and_dark_differ(qapp: object, filled: TraitPanel) -> None:
    def picture() -> QImage:
        return filled.list.grab().toImage()

    light = picture()
    theme.apply(qapp, "dark")  # type: ignore[arg-type]
    assert picture() != light
    theme.apply(qapp, "light")  # type: ignore[arg-type]
    assert picture() == light


def test_ten_thousand_pictures_do_not_hold_up_the_window(qtbot: QtBot, panel: TraitPanel) -> None:
    tags = {
        FOLDER / f"{number}.png": ("aqua hair", *(f"tag {(number * 7 + each * each) % 900}" for each in range(29)))
        for number in range(10_000)
    }
    beats: list[float] = []
    timer = QTimer(interval=1)
    timer.timeout.connect(lambda: beats.append(time.thread_time()))
    timer.start()
    start = time.thread_time()
    panel.set_tags(tags)
    called = time.thread_time() - start
    qtbot.waitUntil(lambda: bool(panel.list.rows), timeout=20_000)
    QTest.qWait(1)
    timer.stop()
    longest = max(after - before for before, after in pairwise(beats))
    assert len(beats) > 2 and called < 0.05 and longest < 0.05  # Work of this thread; the other one counts.
    assert panel.list.rows[0].text == "10,000 of 10,000"
