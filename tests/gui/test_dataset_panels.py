"""Folders, numbers and keys of the Dataset page, and the way to the system's trash."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.dataset_numbers import numbers_of
from app.project import Project
from app.settings import Settings
from app.trash import move_to_trash
from app.widgets.charts import BarList
from app.widgets.cheat_sheet import CheatSheet, KeyCaps, dataset_keys
from app.widgets.folders_panel import FoldersPanel
from app.widgets.statistics_panel import StatisticsPanel
from core.dataset.edits import Concept, Crop, PictureEdits
from core.dataset.query import Item, parse_query
from core.dataset.scan import scan_folder
from core.text import Language, set_language
from tests.pictures import contents

LEFT = Qt.MouseButton.LeftButton


def pictures_in(folder: Path, number: int, size: tuple[int, int] = (64, 96), caption: str = "1girl") -> Path:
    folder.mkdir(parents=True)
    for index in range(number):
        Image.new("L", size, 10 * index).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(caption, encoding="utf-8")
    return folder


def show(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.addWidget(widget)
    widget.resize(360, 640)
    with qtbot.waitExposed(widget):
        widget.show()


@pytest.fixture
def open_project(qtbot: QtBot, project: Project, pictures: Path) -> Project:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    return project


# Folders


@pytest.fixture
def folders(qtbot: QtBot, open_project: Project) -> FoldersPanel:
    panel = FoldersPanel(open_project)
    show(qtbot, panel)
    qtbot.waitUntil(lambda: len(panel.cards) == 1)
    return panel


@pytest.fixture
def two(qtbot: QtBot, folders: FoldersPanel, open_project: Project, tmp_path: Path) -> FoldersPanel:
    """A second folder with four pictures, `10_full body`, was added."""
    with qtbot.waitSignal(open_project.records_changed):
        folders.add_folder(pictures_in(tmp_path / "10_full body", 4))
    qtbot.waitUntil(lambda: len(folders.cards) == 2 and folders.cards[1]._count.text() == "4 pictures")
    return folders


def test_a_folder_shows_what_is_in_it_and_what_automatic_means(folders: FoldersPanel, pictures: Path) -> None:
    card = folders.cards[0]
    assert card._name.text() == "pictures" and card._path.text() == str(pictures.parent)
    assert card._count.text() == "6 pictures"
    assert card.repeats.text() == "Automatic"
    assert card._repeats_note.text() == "Now 7×, chosen by the number of pictures."
    assert not card.remove_button.isVisible()


def test_repeats_of_the_run_and_of_the_name_are_told(qtbot: QtBot, two: FoldersPanel, open_project: Project) -> None:
    assert two.cards[1]._repeats_note.text() == "10 repeats from the folder's name."
    assert two.cards[1].class_word.placeholderText() == "full body"
    open_project.change({"dataset.repeats": 2, "dataset.trigger_word": "kira_v1"})
    qtbot.waitUntil(lambda: two.cards[0]._repeats_note.text() == "Now 2×, as set for the run.")
    assert two.cards[0].trigger_word.placeholderText() == "kira_v1"


def test_add_folder_asks_for_one_and_can_be_taken_back(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pictures_in(tmp_path / "other 图片 🦊", 3)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(other))
    qtbot.mouseClick(folders.add_button, LEFT)
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 9)
    assert open_project.undo_name == "Add the folder other 图片 🦊"
    open_project.undo()
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 6 and len(folders.cards) == 1)


def test_a_folder_that_is_there_already_is_told(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, pictures: Path
) -> None:
    with qtbot.waitSignal(open_project.problem) as told:
        folders.add_folder(pictures)
    assert told.args[0] == "pictures is one of the folders already."
    assert len(open_project.concepts) == 1


def test_a_dropped_folder_is_added(qtbot: QtBot, folders: FoldersPanel, open_project: Project, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(pictures_in(tmp_path / "dropped", 2)))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    folders.dropEvent(event)
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 8)


def test_remove_takes_a_folder_out_and_undo_brings_it_back(
    qtbot: QtBot, two: FoldersPanel, open_project: Project, tmp_path: Path
) -> None:
    before = contents(tmp_path / "10_full body")
    qtbot.mouseClick(two.cards[1].remove_button, LEFT)
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 6 and len(two.cards) == 1)
    assert open_project.undo_name == "Remove the folder 10_full body"
    assert contents(tmp_path / "10_full body") == before
    open_project.undo()
    qtbot.waitUntil(lambda: len(two.cards) == 2)


def test_steps_of_a_number_are_one_change(qtbot: QtBot, folders: FoldersPanel, open_project: Project) -> None:
    card = folders.cards[0]
    card.repeats.setFocus()
    for _ in range(3):
        qtbot.keyClick(card.repeats, Qt.Key.Key_Up)
    assert open_project.concepts[0].repeats == 0
    qtbot.waitUntil(lambda: open_project.concepts[0].repeats == 3)
    qtbot.waitUntil(lambda: card._repeats_note.text() == "Each picture 3× per epoch.")
    assert open_project.undo_name == "Change the repeats of pictures"
    open_project.undo()
    assert open_project.concepts[0].repeats == 0 and open_project.undo_name == ""
    qtbot.waitUntil(lambda: card.repeats.text() == "Automatic")


def test_words_are_taken_when_the_line_is_left(qtbot: QtBot, folders: FoldersPanel, open_project: Project) -> None:
    card = folders.cards[0]
    card.folds.set_open("more", True)
    for line, text in ((card.trigger_word, " kira_v1 "), (card.class_word, "girl")):
        line.setFocus()
        qtbot.keyClicks(line, text)
        qtbot.keyClick(line, Qt.Key.Key_Return)
    concept = open_project.concepts[0]
    assert (concept.trigger_word, concept.class_word) == ("kira_v1", "girl")
    qtbot.waitUntil(lambda: open_project.scan.records[0].trigger_word == "kira_v1")
    assert open_project.undo_name == "Change the class word of pictures"


def test_an_ending_gets_its_dot_and_a_wrong_one_is_not_taken(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, pictures: Path
) -> None:
    (pictures / "picture_5.caption").write_text("from the other file", encoding="utf-8")
    card = folders.cards[0]
    card.folds.set_open("more", True)
    qtbot.keyClicks(card.caption_extension, "t x")
    qtbot.keyClick(card.caption_extension, Qt.Key.Key_Return)
    assert card._extension_note.isVisible() and open_project.concepts[0].caption_extension == ""
    card.caption_extension.selectAll()
    qtbot.keyClicks(card.caption_extension, "caption")
    qtbot.keyClick(card.caption_extension, Qt.Key.Key_Return)
    assert not card._extension_note.isVisible() and open_project.concepts[0].caption_extension == ".caption"
    qtbot.waitUntil(lambda: open_project.record(pictures / "picture_5.png").caption == "from the other file")


def test_sub_folders_and_regularization_are_switches(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, pictures: Path
) -> None:
    pictures_in(pictures / "deep", 2)
    card = folders.cards[0]
    card.folds.set_open("more", True)
    qtbot.mouseClick(card.subfolders, LEFT)
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 8)
    assert open_project.undo_name == "Include the sub-folders of pictures"
    qtbot.mouseClick(card.regularization, LEFT)
    assert open_project.concepts[0].is_regularization
    open_project.undo()
    open_project.undo()
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 6 and not card.subfolders.isChecked())


def test_a_missing_folder_says_so_and_can_be_chosen_again(
    qtbot: QtBot, two: FoldersPanel, open_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "10_full body").rename(tmp_path / "moved")
    open_project.rescan()
    card = two.cards[1]
    qtbot.waitUntil(lambda: card.locate_button.isVisible())
    assert "not there now" in card._missing_text.text() and not card._fields.isVisible()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "moved"))
    qtbot.mouseClick(card.locate_button, LEFT)
    qtbot.waitUntil(lambda: len(open_project.scan.records) == 10 and not two.cards[1]._missing.isVisible())
    assert open_project.undo_name == "Choose 10_full body again"


def test_when_the_first_folder_is_missing_another_one_can_be_opened(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = pictures.parent / "moved"
    pictures.rename(moved)
    with qtbot.waitSignal(open_project.problem):
        open_project.rescan()
    card = folders.cards[0]
    qtbot.waitUntil(lambda: card.locate_button.isVisible())
    assert card.locate_button.text() == "Open another folder"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(moved))
    qtbot.mouseClick(card.locate_button, LEFT)
    qtbot.waitUntil(lambda: open_project.folder == moved)


def test_what_is_being_typed_survives_a_look(
    qtbot: QtBot, folders: FoldersPanel, open_project: Project, pictures: Path
) -> None:
    card = folders.cards[0]
    card.trigger_word.setFocus()
    qtbot.keyClicks(card.trigger_word, "kir")
    Image.new("L", (64, 64)).save(pictures / "new.png")
    open_project.look_again()
    qtbot.waitUntil(lambda: card._count.text() == "7 pictures")
    assert card.trigger_word.text() == "kir"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_folders_fit_a_narrow_column(
    qtbot: QtBot, two: FoldersPanel, clipped: Callable[[QWidget], list[str]], language: str
) -> None:
    set_language(language)  # type: ignore[arg-type]
    two.retranslate()
    two.resize(320, 640)
    for card in two.cards:
        card.folds.set_open("more", True)
    qtbot.waitUntil(lambda: clipped(two) == [])


# Numbers


@pytest.fixture
def statistics(qtbot: QtBot, open_project: Project) -> StatisticsPanel:
    panel = StatisticsPanel(open_project)
    show(qtbot, panel)
    qtbot.waitUntil(lambda: panel._numbers is not None)
    return panel


def click_bar(qtbot: QtBot, chart: QWidget, number: int) -> None:
    qtbot.mouseClick(chart, LEFT, pos=chart.rect_of(number).center().toPoint())


def found(project: Project, query: str) -> list[str]:
    """What the grid would show."""
    records = project.scan.records
    items = [Item(record=record, edits=project.edits(record.path)) for record in records]
    return [item.record.path.name for item in parse_query(query).filter(items)]


def test_tags_are_counted_and_found_by_a_click(
    qtbot: QtBot, statistics: StatisticsPanel, open_project: Project
) -> None:
    bars = statistics.tags.bars
    assert [(bar.name, bar.text) for bar in bars[:2]] == [("1girl", "4"), ("red hair", "4")]
    assert statistics._notes[1].text() == "Different tags in all: 6"
    with qtbot.waitSignal(statistics.filter_requested) as asked:
        click_bar(qtbot, statistics.tags, 1)
    assert asked.args == ['tag:"red hair"']
    assert found(open_project, asked.args[0]) == [f"picture_{number}.png" for number in range(4)]


def test_company_of_the_trigger_word_and_of_another_tag(
    qtbot: QtBot, statistics: StatisticsPanel, open_project: Project
) -> None:
    open_project.change({"dataset.trigger_word": "red hair"})
    qtbot.waitUntil(lambda: statistics._numbers.beside == "red hair")
    bars = statistics.companions.bars
    assert (bars[0].name, bars[0].text) == ("1girl", "100%") and bars[1].text == "25%"
    place = statistics.beside.findData("number 2")
    statistics.beside.setCurrentIndex(place)
    statistics.beside.activated.emit(place)
    qtbot.waitUntil(lambda: statistics._numbers.beside == "number 2")
    with qtbot.waitSignal(statistics.filter_requested) as asked:
        click_bar(qtbot, statistics.companions, 0)
    assert found(open_project, asked.args[0]) == ["picture_2.png"]


def test_every_bar_finds_as_many_pictures_as_it_says(
    qtbot: QtBot, statistics: StatisticsPanel, open_project: Project, tmp_path: Path, pictures: Path
) -> None:
    pictures_in(tmp_path / "10_squares", 3, (80, 80), caption='long hair, :d, a_(b), "quoted"')
    open_project.set_concepts("two", [Concept(folder=pictures), Concept(folder=tmp_path / "10_squares")])
    qtbot.waitUntil(lambda: statistics._numbers.num_images == 9)
    open_project.edit_pictures("one out", {pictures / "picture_0.png": PictureEdits(excluded=True)})
    qtbot.waitUntil(lambda: statistics._numbers.num_images == 8)
    assert statistics._notes[0].text() == "Left out and not counted here: 1"
    charts = (statistics.tags, statistics.shapes, statistics.tag_lengths)
    bars = [bar for chart in charts for bar in chart.bars if bar.value]
    assert len(bars) > 10
    assert {bar.name: len(found(open_project, bar.query)) for bar in bars} == {bar.name: bar.value for bar in bars}
    assert [(bar.name, bar.second, bar.text) for bar in statistics.folders.bars] == [
        ("pictures", "5 × 7", "35"),
        ("10_squares", "3 × 10", "30"),
    ]
    assert len(found(open_project, statistics.folders.bars[1].query)) == 3


def test_training_sizes_count_crops_and_turns(open_project: Project, pictures: Path) -> None:
    crops = (Crop(box=(0, 0, 64, 64)), Crop(box=(0, 0, 60, 60)))
    changes = {pictures / "picture_0.png": PictureEdits(crops=crops), pictures / "picture_2.png": PictureEdits(turn=90)}
    open_project.edit_pictures("some", changes)
    numbers = numbers_of(open_project.scan, open_project.concepts, open_project.config)
    assert sum(bucket.count for bucket in numbers.buckets) == 7
    assert next(bucket.count for bucket in numbers.buckets if bucket.bucket == (512, 512)) == 2
    assert (numbers.shapes.portrait, numbers.shapes.landscape) == (2, 4)


def test_more_tags_are_shown_on_demand(
    qtbot: QtBot, statistics: StatisticsPanel, open_project: Project, pictures: Path
) -> None:
    open_project.save_caption(pictures / "picture_5.png", ", ".join(f"tag {n}" for n in range(40)))
    qtbot.waitUntil(lambda: statistics._numbers.num_tags == 46)
    assert len(statistics.tags.bars) == 10
    assert statistics.more_button.text() == "Show 20 more"
    qtbot.mouseClick(statistics.more_button, LEFT)
    assert len(statistics.tags.bars) == 30 and statistics.more_button.text() == "Show fewer"


def test_nothing_is_counted_while_nobody_looks(qtbot: QtBot, open_project: Project, pictures: Path) -> None:
    panel = StatisticsPanel(open_project)
    qtbot.addWidget(panel)
    open_project.save_caption(pictures / "picture_5.png", "smile")
    assert not panel._waiting.isActive() and not panel._is_counting and panel._numbers is None
    show(qtbot, panel)
    qtbot.waitUntil(lambda: panel._numbers is not None)
    assert panel._numbers.num_captions == 5


def test_bars_are_reached_by_the_keyboard(qtbot: QtBot, statistics: StatisticsPanel) -> None:
    statistics.tags.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(statistics.tags, Qt.Key.Key_Down)
    with qtbot.waitSignal(statistics.filter_requested) as asked:
        qtbot.keyClick(statistics.tags, Qt.Key.Key_Return)
    assert asked.args == ['tag:"red hair"']
    assert statistics.tags.accessibleDescription().startswith("1girl: 4, red hair: 4")


def test_tags_have_their_chinese_names_for_those_who_read_them(qtbot: QtBot, statistics: StatisticsPanel) -> None:
    assert not statistics.tags.bars[1].second
    set_language("zh")
    statistics.retranslate()
    assert "红" in statistics.tags.bars[1].second


def test_a_bar_without_a_filter_cannot_be_chosen(qtbot: QtBot, statistics: StatisticsPanel) -> None:
    assert isinstance(statistics.shapes, BarList) and statistics.shapes.bars[1].value == 0
    with qtbot.assertNotEmitted(statistics.filter_requested):
        click_bar(qtbot, statistics.shapes, 1)


# Keys


def test_the_sheet_lists_all_keys_and_closes_by_the_key_that_opened_it(qtbot: QtBot) -> None:
    window = QWidget()
    window.resize(960, 600)
    show(qtbot, window)
    for key in (Qt.Key.Key_F1, Qt.Key.Key_Escape):
        sheet = CheatSheet(dataset_keys(), window)
        sheet.open()
        said = {line.text() for line in sheet.findChildren(QLabel)}
        for heading, keys in dataset_keys():
            assert heading in said and {what for _, what in keys} <= said
        assert len(sheet.findChildren(KeyCaps)) == sum(len(keys) for _, keys in dataset_keys())
        assert sheet.height() <= window.height()
        with qtbot.waitSignal(sheet.finished):
            qtbot.keyClick(sheet, key)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_keys_are_drawn_one_by_one(settings: Settings, language: Language) -> None:
    settings.set_language(language)
    assert KeyCaps("Shift+Delete / F1").accessibleName().count("+") == 1
    assert KeyCaps("Left / Shift+Up").accessibleName() == "← / Shift+↑"
    assert KeyCaps("Ctrl+Shift+Z").sizeHint().width() > KeyCaps("Ctrl+Z").sizeHint().width()


# The trash of the system

trash_of_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into the trash as Linux keeps it")


@pytest.fixture
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that thrown away files land in, for a home of its own."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "Trash" / "files"


@trash_of_linux
def test_a_picture_goes_to_the_trash_with_its_caption(trash: Path, pictures: Path) -> None:
    before = contents(pictures)
    assert move_to_trash([pictures / "picture_0.png", pictures / "picture_5.png"], scan_folder(pictures)) == []
    names = {"picture_0.png", "picture_0.txt", "picture_5.png"}
    assert contents(trash) == {name: before[name] for name in names}
    assert contents(pictures) == {name: data for name, data in before.items() if name not in names}


@trash_of_linux
def test_names_in_any_script_go_to_the_trash(trash: Path, tmp_path: Path) -> None:
    folder = pictures_in(tmp_path / "图片 🦊", 1)
    (folder / "0.png").rename(folder / "角色 a b.png")
    assert move_to_trash([folder / "角色 a b.png"], scan_folder(folder)) == []
    assert [path.name for path in trash.iterdir()] == ["角色 a b.png"]


@trash_of_linux
def test_a_caption_stays_with_the_picture_that_shares_it(trash: Path, pictures: Path) -> None:
    Image.new("L", (64, 64)).save(pictures / "picture_0.jpg")
    scan = scan_folder(pictures)
    assert move_to_trash([pictures / "picture_0.png"], scan) == []
    assert (pictures / "picture_0.txt").exists()
    assert move_to_trash([pictures / "picture_0.jpg"], scan_folder(pictures)) == []
    assert not (pictures / "picture_0.txt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_stays_and_hits_no_other_file(trash: Path, pictures: Path) -> None:
    odd = pictures / os.fsdecode(b"odd\xff.png")
    odd.write_bytes((pictures / "picture_0.png").read_bytes())
    (pictures / "odd\ufffd.png").write_bytes(b"another file")
    failures = move_to_trash([odd], scan_folder(pictures))
    assert len(failures) == 1 and "letters that the trash cannot take" in failures[0].message
    assert odd.exists() and (pictures / "odd\ufffd.png").exists()


def test_what_the_trash_does_not_take_stays_where_it_is(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.trash.QFile.moveToTrash", lambda _name: False)
    before = contents(pictures)
    failures = move_to_trash([pictures / "picture_0.png", pictures / "gone.png"], scan_folder(pictures))
    assert [failure.message for failure in failures] == [
        "picture_0.png could not be moved to the trash.",
        "gone.png is not there any more.",
    ]
    assert all(failure.remedy for failure in failures)
    assert contents(pictures) == before
