"""The caption tools of the dataset page: chips, several captions as one, all tags of the set, many captions at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFont, QFontMetrics, QInputMethodEvent
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from app import theme
from app.caption_changes import CaptionChanges
from app.dataset_reading import positions_of
from app.project import Project
from app.scopes import Scopes
from app.settings import Settings
from app.tag_index import TagIndex
from app.widgets.bulk_edit import BulkEdit
from app.widgets.bulk_forms import SortForm
from app.widgets.caption_diff import caption_diff, diff_html
from app.widgets.caption_editor import CaptionEditor
from app.widgets.tag_chips import TagChips
from app.widgets.tags_panel import TagsPanel
from app.widgets.thumbnails import ThumbnailLoader
from core.dataset.bulk import AddTags, RemoveTags
from core.dataset.captions import split_tags, tag_key
from core.dataset.records import ImageRecord, Scan
from core.dataset.statistics import TagCount

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
NAV_PADDING_PX = 13  # With the border.
CAPTIONS = (
    b"\xef\xbb\xbfmiru,  1girl, smile \r\n",
    b"miru, 1girl, red hair",
    "miru, long_hair, 微笑, smile".encode(),
    b"miru, 1girl, solo, standing, smile",
    b"A girl stands in a garden. She smiles at the viewer.",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures; the last one has no caption."""
    made = tmp_path / "图片 set 🎨"
    made.mkdir()
    for number in range(6):
        Image.new("RGB", (48, 64), (40 * number, 120, 90)).save(made / f"p{number}.png")
    for number, caption in enumerate(CAPTIONS):
        (made / f"p{number}.txt").write_bytes(caption)
    return made


@pytest.fixture
def opened(qtbot: QtBot, project: Project, folder: Path) -> Project:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    return project


@pytest.fixture
def scopes(opened: Project) -> Scopes:
    made = Scopes(opened)
    images = [record.path for record in opened.scan.records]
    made.set_shown(tuple(images[:4]))
    made.set_selected(tuple(images[:2]))
    return made


@pytest.fixture
def chips(qtbot: QtBot, opened: Project) -> TagChips:
    made = TagChips(TagIndex.of(opened))
    qtbot.addWidget(made)
    made.resize(340, 300)
    with qtbot.waitSignal(TagIndex.of(opened).changed), qtbot.waitExposed(made):
        made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    made.set_tags(["miru", "1girl", "red hair", "smile", "hat"])
    return made


@pytest.fixture
def editor(qtbot: QtBot, opened: Project, settings: Settings):
    loader = ThumbnailLoader(num_threads=1)
    made = CaptionEditor(opened, loader, settings)
    qtbot.addWidget(made)
    made.resize(340, 700)
    with qtbot.waitExposed(made):
        made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    opened.captions_changed.connect(
        lambda images: [made.refresh(opened.record(image)) for image in images if image == shown_path(made)]
    )
    yield made
    loader.shut_down()


@pytest.fixture
def panel(qtbot: QtBot, opened: Project, scopes: Scopes) -> TagsPanel:
    made = TagsPanel(opened, scopes)
    qtbot.addWidget(made)
    made.resize(340, 640)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made.model.rowCount() > 0)
    return made


@pytest.fixture
def bulk(qtbot: QtBot, opened: Project, scopes: Scopes) -> BulkEdit:
    made = BulkEdit(opened, scopes)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made


def shown_path(editor: CaptionEditor) -> Path | None:
    return editor.record.path if editor.record else None


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def caption(folder: Path, number: int) -> str:
    return (folder / f"p{number}.txt").read_text(encoding="utf-8")


def record(project: Project, number: int) -> ImageRecord:
    return project.scan.records[number]


def centre(chips: TagChips, place: int) -> QPoint:
    return chips.board.place_of(place).center()


def click(qtbot: QtBot, chips: TagChips, place: int, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier):
    qtbot.mouseClick(chips.board, Qt.MouseButton.LeftButton, modifiers, centre(chips, place))


def write(widget: object, text: str) -> None:
    """As an input method does, which is how Chinese is typed."""
    event = QInputMethodEvent()
    event.setCommitString(text)
    QApplication.sendEvent(widget, event)


# Chips


def test_chips_wrap_and_none_is_cut(qtbot: QtBot, chips: TagChips) -> None:
    chips.set_tags([f"a tag with number {number}" for number in range(30)] + ["x" * 300])
    places = [chips.board.place_of(place) for place in range(31)]
    assert len({place.top() for place in places}) > 10
    assert all(place.left() >= 0 and place.right() < chips.board.width() for place in places)
    assert not any(one.intersects(other) for one, other in pairwise(places))
    qtbot.waitUntil(lambda: chips.board.height() > places[-1].bottom())


def test_clicks_select_and_delete_removes(qtbot: QtBot, chips: TagChips) -> None:
    click(qtbot, chips, 1)
    assert chips.board.selected == [1]
    click(qtbot, chips, 3, CONTROL)
    assert chips.board.selected == [1, 3]
    click(qtbot, chips, 4, SHIFT)
    assert chips.board.selected == [3, 4]
    with qtbot.waitSignal(chips.tags_changed) as heard:
        qtbot.keyClick(chips.board, Qt.Key.Key_Delete)
    assert heard.args[0] == chips.tags == ["miru", "1girl", "red hair"]
    assert chips.board.selected == [2]


def test_cross_of_a_selected_chip_removes_it(qtbot: QtBot, chips: TagChips) -> None:
    edge = chips.board.place_of(2).topRight() + QPoint(-8, 12)
    qtbot.mouseMove(chips.board, edge)
    qtbot.mouseClick(chips.board, Qt.MouseButton.LeftButton, pos=edge)
    assert chips.tags == ["miru", "1girl", "red hair", "smile", "hat"]
    qtbot.mouseMove(chips.board, edge + QPoint(1, 0))
    qtbot.mouseClick(chips.board, Qt.MouseButton.LeftButton, pos=edge)
    assert chips.tags == ["miru", "1girl", "smile", "hat"]


def test_drag_changes_the_order(qtbot: QtBot, chips: TagChips) -> None:
    board = chips.board
    qtbot.mousePress(board, Qt.MouseButton.LeftButton, pos=centre(chips, 3))
    qtbot.mouseMove(board, centre(chips, 1))
    qtbot.mouseMove(board, board.place_of(1).center() - QPoint(6, 0))
    with qtbot.waitSignal(chips.tags_changed):
        qtbot.mouseRelease(board, Qt.MouseButton.LeftButton, pos=board.place_of(1).center() - QPoint(6, 0))
    assert chips.tags == ["miru", "smile", "1girl", "red hair", "hat"]
    assert board.selected == [1]


def test_drag_takes_all_selected_ones_and_escape_puts_them_back(qtbot: QtBot, chips: TagChips) -> None:
    board = chips.board
    click(qtbot, chips, 0)
    click(qtbot, chips, 1, CONTROL)
    end = board.place_of(4).center() + QPoint(10, 0)
    for is_wanted in (False, True):
        qtbot.mousePress(board, Qt.MouseButton.LeftButton, pos=centre(chips, 0))
        qtbot.mouseMove(board, centre(chips, 2))
        qtbot.mouseMove(board, end)
        if not is_wanted:
            qtbot.keyClick(board, Qt.Key.Key_Escape)
        qtbot.mouseRelease(board, Qt.MouseButton.LeftButton, pos=end)
        if not is_wanted:
            assert chips.tags == ["miru", "1girl", "red hair", "smile", "hat"]
            click(qtbot, chips, 0)
            click(qtbot, chips, 1, CONTROL)
    assert chips.tags == ["red hair", "smile", "hat", "miru", "1girl"]


def test_keys_walk_move_and_stop_at_the_ends(qtbot: QtBot, chips: TagChips) -> None:
    board = chips.board
    board.setFocus()
    board.select(0)
    qtbot.keyClick(board, Qt.Key.Key_Left, ALT)
    assert chips.tags[0] == "miru"
    qtbot.keyClick(board, Qt.Key.Key_Right, ALT)
    qtbot.keyClick(board, Qt.Key.Key_Right, ALT)
    assert chips.tags == ["1girl", "red hair", "miru", "smile", "hat"]
    qtbot.keyClick(board, Qt.Key.Key_Right, SHIFT)
    assert board.selected == [2, 3]
    qtbot.keyClick(board, Qt.Key.Key_End)
    assert board.selected == [4]
    qtbot.keyClick(board, Qt.Key.Key_Right, ALT)
    assert chips.tags[4] == "hat"
    qtbot.keyClick(board, Qt.Key.Key_Right)
    assert chips.line.hasFocus()
    qtbot.keyClick(chips.line, Qt.Key.Key_Backspace)
    assert board.hasFocus()
    assert board.selected == [4]


def test_letters_typed_on_the_chips_begin_a_tag(qtbot: QtBot, chips: TagChips) -> None:
    click(qtbot, chips, 0)
    qtbot.keyClick(chips.board, Qt.Key.Key_B)
    assert chips.line.hasFocus()
    qtbot.keyClicks(chips.line, "oots")
    qtbot.keyClick(chips.line, Qt.Key.Key_Return)
    assert chips.tags[-1] == "boots"


@pytest.mark.parametrize("way", ["key", "mouse"])
def test_rename_in_place(qtbot: QtBot, chips: TagChips, way: str) -> None:
    if way == "key":
        click(qtbot, chips, 2)
        qtbot.keyClick(chips.board, Qt.Key.Key_F2)
    else:
        qtbot.mouseDClick(chips.board, Qt.MouseButton.LeftButton, pos=centre(chips, 2))
    assert chips.rename_line.text() == "red hair"
    qtbot.keyClicks(chips.rename_line, "blue hair, SMILE")
    qtbot.keyClick(chips.rename_line, Qt.Key.Key_Return)
    assert chips.tags == ["miru", "1girl", "blue hair", "SMILE", "hat"]
    assert chips.rename_line.isHidden()


def test_escape_leaves_the_name(qtbot: QtBot, chips: TagChips) -> None:
    click(qtbot, chips, 2)
    qtbot.keyClick(chips.board, Qt.Key.Key_F2)
    chips.rename_line.setText("other")
    qtbot.keyClick(chips.rename_line, Qt.Key.Key_Escape)
    assert chips.tags[2] == "red hair"
    assert chips.board.hasFocus()


def test_comma_and_enter_add_and_nothing_is_doubled(qtbot: QtBot, chips: TagChips) -> None:
    qtbot.keyClicks(chips.line, "cloud,day")
    qtbot.keyClick(chips.line, Qt.Key.Key_Return)
    assert chips.tags[-2:] == ["cloud", "day"]
    qtbot.keyClicks(chips.line, "Red_Hair,")
    assert chips.tags.count("red hair") == 1
    assert len(chips.tags) == 7
    assert chips.board.selected == [2]


def test_a_comma_inside_brackets_belongs_to_the_tag(qtbot: QtBot, chips: TagChips) -> None:
    qtbot.keyClicks(chips.line, "(red shoes, blue socks:1.2),miru \\(kiln\\),long_sleeves,")
    assert chips.tags[-3:] == ["(red shoes, blue socks:1.2)", "miru \\(kiln\\)", "long_sleeves"]


def test_suggestions_come_from_the_set_with_counts(qtbot: QtBot, chips: TagChips) -> None:
    qtbot.keyClicks(chips.line, "sm")
    assert chips.line.popup.isVisible()
    first = chips.line.rows.rows[0]
    assert (first.tag, first.count) == ("smile", 3)
    qtbot.keyClick(chips.line, Qt.Key.Key_Escape)
    assert not chips.line.popup.isVisible()
    assert chips.line.text() == "sm"


def test_tab_takes_the_first_suggestion(qtbot: QtBot, chips: TagChips) -> None:
    chips.line.setFocus()
    qtbot.keyClicks(chips.line, "stan")
    qtbot.keyClick(chips.line, Qt.Key.Key_Tab)
    assert chips.tags[-1] == "standing"
    assert chips.line.hasFocus()


def test_down_and_enter_take_a_suggestion(qtbot: QtBot, chips: TagChips) -> None:
    qtbot.keyClicks(chips.line, "stan")
    qtbot.keyClick(chips.line.popup, Qt.Key.Key_Down)
    qtbot.keyClick(chips.line.popup, Qt.Key.Key_Return)
    assert chips.tags[-1] == "standing"


def test_chinese_finds_the_english_tag(qtbot: QtBot, chips: TagChips) -> None:
    chips.line.setFocus()
    write(chips.line, "长")
    assert "long_hair" in [row.tag for row in chips.line.rows.rows]
    write(chips.line, "发")
    qtbot.keyClick(chips.line, Qt.Key.Key_Return)
    assert chips.tags[-1] == "long_hair"
    write(chips.line, "蓝天，")
    assert chips.tags[-1] in ("blue sky", "blue_sky")


def test_only_the_tags_past_the_end_are_marked(chips: TagChips) -> None:
    chips.set_learned(3)
    chips.set_trigger("Miru")
    chips.board.hovered.emit(3)
    assert "too long" in chips.board.toolTip()
    assert "in 3 captions" in chips.board.toolTip()
    chips.board.hovered.emit(0)
    assert "too long" not in chips.board.toolTip()
    assert chips.board.marked == {"miru"}


# Several captions


def test_partial_chips_offer_add_and_remove(qtbot: QtBot, chips: TagChips) -> None:
    chips.set_common([TagCount("hat", 3, 12), TagCount("miru", 12, 12)])
    assert chips.tags == ["miru", "hat"]
    assert [chips.board.label_of(place) for place in range(2)] == ["miru", "hat  3/12"]
    click(qtbot, chips, 1)
    menu = chips.findChild(QMenu)
    assert menu.isVisible()
    texts = {action.text(): action for action in menu.actions()}
    with qtbot.waitSignal(chips.added) as added:
        texts["Add to all 12 pictures"].trigger()
    assert added.args == [["hat"]]
    with qtbot.waitSignal(chips.removed) as removed:
        texts["Remove from the selected pictures"].trigger()
    assert removed.args == [["hat"]]
    menu.close()
    qtbot.mousePress(chips.board, Qt.MouseButton.LeftButton, pos=centre(chips, 0))
    qtbot.mouseMove(chips.board, centre(chips, 1))
    qtbot.mouseRelease(chips.board, Qt.MouseButton.LeftButton, pos=centre(chips, 1))
    assert chips.tags == ["miru", "hat"]


def test_several_pictures_are_edited_as_one_step(
    qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path
) -> None:
    before = contents(folder)
    editor.set_selection(opened.scan.records[:4])
    assert editor.head.title == "4 pictures selected"
    assert {chip.tag: chip.count for chip in editor.chips.board.chips}["smile"] == 3
    assert not editor.mode_buttons["text"].isVisible()
    editor.chips.line.setFocus()
    qtbot.keyClicks(editor.chips.line, "hat")
    with qtbot.waitSignal(opened.captions_changed):
        qtbot.keyClick(editor.chips.line, Qt.Key.Key_Return)
    assert opened.undo_name == "Add hat to 4 captions"
    assert editor.undo_button.toolTip() == "Undo: Add hat to 4 captions (Ctrl+Z)"
    assert caption(folder, 1) == "miru, 1girl, red hair, hat"
    qtbot.waitUntil(lambda: TagCount("hat", 4, 4) in editor.chips.board.chips)
    editor.undo_button.click()
    assert contents(folder) == before
    editor.redo_button.click()
    assert caption(folder, 3) == "miru, 1girl, solo, standing, smile, hat"


def test_what_several_have_in_common_follows_other_programs(
    qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path
) -> None:
    editor.set_selection(opened.scan.records[:2])
    assert "hat" not in editor.chips.tags
    (folder / "p1.txt").write_text("hat", encoding="utf-8")
    with qtbot.waitSignal(opened.records_changed):
        opened.rescan()
    qtbot.waitUntil(lambda: TagCount("hat", 1, 2) in editor.chips.board.chips)


def test_renaming_and_removing_for_several(qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path) -> None:
    editor.set_selection(opened.scan.records[:4])
    chips = editor.chips
    chips.start_rename(chips.tags.index("miru"))
    qtbot.keyClicks(chips.rename_line, "kiln")
    with qtbot.waitSignal(opened.captions_changed):
        qtbot.keyClick(chips.rename_line, Qt.Key.Key_Return)
    assert [caption(folder, number).split(",")[0] for number in range(4)] == ["kiln"] * 4
    qtbot.waitUntil(lambda: "kiln" in chips.tags)
    chips.board.select(chips.tags.index("smile"))
    with qtbot.waitSignal(opened.captions_changed):
        qtbot.keyClick(chips.board, Qt.Key.Key_Delete)
    assert not any("smile" in caption(folder, number) for number in range(4))
    assert opened.undo_name == "Remove smile from 3 captions"


# One picture


def test_a_chip_is_saved_at_once_and_undo_brings_every_byte(
    qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path
) -> None:
    before = contents(folder)
    editor.set_record(record(opened, 0))
    assert editor.mode == "chips"
    assert editor.chips.tags == ["miru", "1girl", "smile"]
    assert contents(folder) == before
    click(qtbot, editor.chips, 1)
    qtbot.keyClick(editor.chips.board, Qt.Key.Key_Delete)
    assert caption(folder, 0) == "miru, smile"
    assert editor.text.toPlainText() == "miru, smile"
    assert editor._state.text() == "saved"
    editor.undo()
    assert contents(folder) == before
    assert editor.chips.tags == ["miru", "1girl", "smile"]


def test_sentences_open_as_text_and_the_choice_is_remembered(
    editor: CaptionEditor, opened: Project, settings: Settings
) -> None:
    editor.set_record(record(opened, 0))
    editor.set_record(record(opened, 4))
    assert editor.mode == "text"
    assert editor.text.isVisible()
    editor.set_record(record(opened, 1))
    assert editor.mode == "chips"
    editor.mode_buttons["text"].click()
    assert editor.text.hasFocus()
    assert CaptionEditor(opened, editor.head._preview._loader, settings).mode == "text"
    editor.mode_buttons["chips"].click()
    editor.set_record(record(opened, 4))
    editor.mode_buttons["chips"].click()
    assert editor.mode == "chips"


def test_another_picture_begins_with_nothing_selected(qtbot: QtBot, editor: CaptionEditor, opened: Project) -> None:
    editor.set_record(record(opened, 0))
    click(qtbot, editor.chips, 0)
    with qtbot.waitSignal(editor.move_requested) as heard:
        qtbot.keyClick(editor.chips.board, Qt.Key.Key_Down, CONTROL)
    assert heard.args == [1]
    editor.set_record(record(opened, 1))
    assert editor.chips.board.selected == []
    qtbot.keyClick(editor.chips.board, Qt.Key.Key_Delete)
    assert editor.chips.tags == ["miru", "1girl", "red hair"]
    qtbot.keyClick(editor.chips.board, Qt.Key.Key_Escape)
    assert editor.record == record(opened, 1)


def test_text_and_chips_show_the_same(qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path) -> None:
    editor.set_record(record(opened, 1))
    editor.set_mode("text")
    editor.text.setPlainText("miru, (a, b:1.2), c_d, e \\(f\\)")
    editor.set_mode("chips")
    assert caption(folder, 1) == "miru, (a, b:1.2), c_d, e \\(f\\)"
    assert editor.chips.tags == ["miru", "(a, b:1.2)", "c_d", "e \\(f\\)"]


def test_a_chip_never_overwrites_what_another_program_wrote(
    qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path
) -> None:
    editor.set_record(record(opened, 1))
    (folder / "p1.txt").write_text("newer", encoding="utf-8")
    click(qtbot, editor.chips, 0)
    qtbot.keyClick(editor.chips.board, Qt.Key.Key_Delete)
    assert caption(folder, 1) == "newer"
    assert editor.conflict.isVisible()
    assert editor.chips.tags == ["1girl", "red hair"]
    editor.conflict.keep_button.click()
    assert caption(folder, 1) == "1girl, red hair"


def test_a_chip_that_is_changed_during_a_long_write_is_saved_after_it(
    qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 1)
    editor.set_record(record(opened, 1))
    opened.edit_captions("many", {record(opened, number).path: "other" for number in (2, 3)})
    assert opened.is_writing
    editor.chips.add("hat")
    assert editor._state.text() == "not saved yet"
    qtbot.waitUntil(lambda: caption(folder, 1) == "miru, 1girl, red hair, hat")
    assert not editor.is_edited


def test_long_captions_are_told(qtbot: QtBot, editor: CaptionEditor, opened: Project) -> None:
    editor.set_record(record(opened, 3))
    qtbot.waitUntil(lambda: editor._count.text() == "5 tags · 11 of 75 tokens")
    assert editor.chips.board.num_learned is None
    editor._take_chips([f"number {number}" for number in range(40)])
    assert "only the first 75 are learned" in editor._count.text()
    assert 0 < editor.chips.board.num_learned < 40


def test_leaving_out_and_taking_back_in(qtbot: QtBot, editor: CaptionEditor, opened: Project, folder: Path) -> None:
    before = contents(folder)
    actions = editor.head.picture_actions
    editor.set_record(record(opened, 0))
    assert actions.notice.isHidden()
    actions.exclude_button.click()
    assert opened.edits(record(opened, 0).path).excluded
    assert actions.notice.isVisible()
    assert actions.exclude_button.text() == "Take back in"
    assert opened.undo_name == "Leave out p0.png"
    opened.undo()
    assert not opened.edits(record(opened, 0).path).excluded
    assert actions.notice.isHidden()
    editor.set_selection(opened.scan.records[:3])
    actions.exclude_button.click()
    assert opened.undo_name == "Leave out 3 pictures"
    assert [opened.edits(item.path).excluded for item in opened.scan.records] == [True] * 3 + [False] * 3
    assert contents(folder) == before


def test_another_preview_takes_the_place(qtbot: QtBot, editor: CaptionEditor, opened: Project) -> None:
    assert editor.head.as_trained_button.isHidden()
    other = QLabel("as trained")
    editor.set_preview(other)
    editor.set_record(record(opened, 0))
    assert not other.isVisible()
    with qtbot.waitSignal(editor.as_trained_changed):
        editor.head.as_trained_button.click()
    assert other.isVisible()
    with qtbot.waitSignal(editor.record_changed) as heard:
        editor.set_record(record(opened, 1))
    assert heard.args == [record(opened, 1)]


# All tags


def test_panel_counts_finds_and_filters(qtbot: QtBot, panel: TagsPanel) -> None:
    rows = {row.tag: row.count for row in panel.model.rows}
    assert (rows["miru"], rows["smile"], rows["1girl"], rows["long_hair"]) == (4, 3, 3, 1)
    assert panel.model.tag(0) == "miru"
    panel.search.setText("长发")
    qtbot.waitUntil(lambda: [row.tag for row in panel.model.rows] == ["long_hair"])
    panel.search.setText("GIRL")
    qtbot.waitUntil(lambda: panel.model.tag(0) == "1girl")
    with qtbot.waitSignal(panel.filter_requested) as heard:
        place = panel.view.visualRect(panel.model.index(0)).center()
        qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert heard.args == ['tag:"1girl"']
    panel.search.setText("no such tag")
    qtbot.waitUntil(panel._empty.isVisible)


def test_panel_sorts_by_name(qtbot: QtBot, panel: TagsPanel) -> None:
    panel.sort_button.click()
    qtbot.waitUntil(lambda: panel.model.tag(0) == "1girl")
    tags = [row.tag for row in panel.model.rows]
    assert tags == sorted(tags, key=tag_key)


def test_panel_follows_the_scope(qtbot: QtBot, panel: TagsPanel, scopes: Scopes) -> None:
    panel.scope_bar.choose("selected")
    qtbot.waitUntil(lambda: {row.tag: row.count for row in panel.model.rows}.get("smile") == 1)
    scopes.set_selected(scopes.images("all")[2:3])
    qtbot.waitUntil(lambda: "long_hair" in [row.tag for row in panel.model.rows])
    assert panel.scope_bar.buttons["selected"].text() == "Selected 1"


def test_panel_merges_tags_over_its_scope(qtbot: QtBot, panel: TagsPanel, opened: Project, folder: Path) -> None:
    before = contents(folder)
    panel.scope_bar.choose("shown")
    panel.select(["solo", "standing"])
    panel.name_line.setText("posing")
    assert panel.rename_button.text() == "Merge 2"
    with qtbot.waitSignal(opened.captions_changed):
        panel.rename_button.click()
    assert caption(folder, 3) == "miru, 1girl, posing, smile"
    assert opened.undo_name == "Merge 2 tags into posing in 1 caption"
    qtbot.waitUntil(lambda: "posing" in [row.tag for row in panel.model.rows])
    opened.undo()
    assert contents(folder) == before


def test_panel_removes_and_adds(qtbot: QtBot, panel: TagsPanel, opened: Project, folder: Path) -> None:
    panel.select(["smile"])
    qtbot.waitUntil(lambda: panel.remove_button.text() == "Remove from 3 captions")
    assert panel.add_button.text() == "Add to 2 selected pictures"
    with qtbot.waitSignal(opened.captions_changed):
        panel.add_button.click()
    assert caption(folder, 1) == "miru, 1girl, red hair, smile"
    qtbot.waitUntil(lambda: panel.remove_button.text() == "Remove from 4 captions")
    with qtbot.waitSignal(opened.captions_changed):
        qtbot.keyClick(panel.view, Qt.Key.Key_Delete)
    assert not any("smile" in caption(folder, number) for number in range(4))


def test_hidden_tools_do_not_count(qtbot: QtBot, panel: TagsPanel, opened: Project) -> None:
    panel.hide()
    with qtbot.assertNotEmitted(TagIndex.of(opened).changed, wait=300):
        opened.save_caption(record(opened, 5).path, "new tag")
    assert "new tag" not in [row.tag for row in panel.model.rows]
    panel.show()
    qtbot.waitUntil(lambda: "new tag" in [row.tag for row in panel.model.rows])


def test_ten_thousand_captions(qtbot: QtBot, panel: TagsPanel, bulk: BulkEdit, opened: Project, tmp_path: Path) -> None:
    records = tuple(
        ImageRecord(
            path=tmp_path / f"{number}.png",
            size_px=(8, 8),
            caption_path=tmp_path / f"{number}.txt",
            caption=", ".join(f"tag {(number * 7 + place * place) % 3000}" for place in range(25)),
        )
        for number in range(10_000)
    )
    scan = Scan(folder=opened.folder, records=records)
    opened._set_scan(scan, positions_of(scan))
    opened.records_changed.emit()
    qtbot.waitUntil(lambda: panel.model.rowCount() == 3000, timeout=20000)
    assert panel.scope_bar.buttons["all"].text() == "All 10000"
    assert sum(row.count for row in panel.model.rows) == sum(len(split_tags(item.caption)) for item in records)
    panel.select([panel.model.tag(0)])
    qtbot.waitUntil(lambda: f"{panel.model.rows[0].count}" in panel.remove_button.text(), timeout=20000)
    bulk.remove_form.tags.setText("tag 7")
    bulk.choose(bulk.remove_form)
    wanted = sum("tag 7" in split_tags(item.caption) for item in records)
    qtbot.waitUntil(lambda: bulk.apply_button.text() == f"Change {wanted} captions", timeout=20000)


# Many captions at once


def ready(bulk: BulkEdit, text: str) -> Callable[[], bool]:
    return lambda: bulk.apply_button.isEnabled() and bulk.apply_button.text() == text


@pytest.mark.parametrize(("scope", "number"), [("selected", 2), ("shown", 4), ("all", 6)])
def test_bulk_edit_over_scopes(
    qtbot: QtBot, bulk: BulkEdit, opened: Project, folder: Path, scope: str, number: int
) -> None:
    before = contents(folder)
    bulk.scope_bar.choose(scope)
    qtbot.keyClicks(bulk.add_form.tags, "masterpiece")
    qtbot.waitUntil(ready(bulk, f"Change {number} captions"))
    assert sum(example.isVisible() for example in bulk._examples) == min(3, number)
    with qtbot.waitSignal(opened.captions_changed):
        bulk.apply_button.click()
    changed = [name for name, data in contents(folder).items() if data != before.get(name)]
    assert len(changed) == number
    assert opened.undo_name == f"Add masterpiece to {number} captions"
    qtbot.waitUntil(lambda: bulk._status.text() == f"{number} captions changed.")
    qtbot.waitUntil(lambda: bulk._count.text() == "No caption would change.")
    bulk.undo_button.click()
    assert contents(folder) == before
    assert bulk._status.text() == ""  # Nothing is changed any more.


def test_bulk_edit_shows_what_is_wrong_with_a_pattern(
    qtbot: QtBot, bulk: BulkEdit, opened: Project, folder: Path
) -> None:
    before = contents(folder)
    bulk.choose(bulk.text_form)
    bulk.text_form.is_regex.setChecked(True)
    bulk.text_form.find_line.setText("(hair")
    qtbot.waitUntil(bulk.error.isVisible)
    assert "cannot be read" in bulk.error.text()
    assert bulk.text_form.find_line.property("state") == "error"
    assert not bulk.apply_button.isEnabled()
    qtbot.keyClick(bulk.text_form.find_line, Qt.Key.Key_Return)
    bulk.text_form.find_line.setText("(hair|smile)")
    bulk.text_form.replace_line.setText(r"<\1>")
    qtbot.waitUntil(ready(bulk, "Change 5 captions"))
    assert not bulk.error.isVisible()
    assert bulk.text_form.find_line.property("state") == ""
    assert bulk._count.text() == "Matches: 6. Captions that change: 5"
    assert contents(folder) == before
    with qtbot.waitSignal(opened.captions_changed):
        qtbot.keyClick(bulk.text_form.find_line, Qt.Key.Key_Return)
    assert caption(folder, 1) == "miru, 1girl, red <hair>"


def test_escape_closes_bulk_edit(qtbot: QtBot, bulk: BulkEdit) -> None:
    for field in (bulk.add_form.tags, bulk.text_form.find_line):
        bulk.show()
        qtbot.keyClick(field, Qt.Key.Key_Escape)
        assert not bulk.isVisible()


def test_bulk_edit_says_when_nothing_would_change(qtbot: QtBot, bulk: BulkEdit) -> None:
    bulk.choose(bulk.remove_form)
    bulk.remove_form.tags.setText("nowhere")
    qtbot.waitUntil(lambda: bulk._count.text() == "No caption would change.")
    assert not bulk.apply_button.isEnabled()


def test_every_operation_has_its_form(qtbot: QtBot, bulk: BulkEdit, opened: Project) -> None:
    opened.change({"dataset.trigger_word": "miru"})
    bulk.remove_form.tags.setText("smile")
    bulk.replace_form.old.setText("smile")
    bulk.replace_form.new.setText("grin")
    bulk.add_form.tags.setText("a")
    bulk.text_form.find_line.setText("a")
    bulk.trigger_form.trigger.setText("kiln")
    kinds = {type(form.operation()).__name__ for form in bulk.forms}
    assert kinds == {
        "AddTags",
        "RemoveTags",
        "ReplaceTag",
        "ReplaceText",
        "SortTags",
        "Deduplicate",
        "TriggerToFront",
        "UnderscoresToSpaces",
    }
    for made, form in zip(bulk.buttons, bulk.forms, strict=True):
        made.click()
        assert bulk.form is form


def test_long_captions_do_not_squeeze_the_fields(
    qtbot: QtBot, bulk: BulkEdit, opened: Project, clipped: Callable[..., list[str]]
) -> None:
    long = ", ".join(f"tag number {number}" for number in range(60))
    opened.edit_captions("Fill", {one.path: long for one in opened.scan.records})
    qtbot.waitUntil(lambda: not opened.is_writing)
    bulk.resize(bulk.minimumSize())
    bulk.choose(next(form for form in bulk.forms if isinstance(form, SortForm)))
    bulk.form.by.setCurrentIndex(bulk.form.by.findData("alphabet"))
    qtbot.waitUntil(lambda: bulk._examples[-1].isVisible())
    QApplication.processEvents()
    direct = Qt.FindChildOption.FindDirectChildrenOnly
    fields = [child for child in bulk.form.findChildren(QWidget, options=direct) if child.isVisible()]
    fields.sort(key=lambda field: field.y())
    assert all(above.geometry().bottom() < below.y() for above, below in pairwise(fields))
    assert fields[-1].geometry().bottom() < bulk.form.height()
    assert clipped(bulk) == []


def test_what_would_change_has_its_place_before_it_is_known(qtbot: QtBot, bulk: BulkEdit) -> None:
    assert bulk._hint.isVisible() and not bulk._count.isVisible()
    bulk.add_form.tags.setText("masterpiece")
    qtbot.waitUntil(lambda: bulk._count.text().startswith("Captions that change"))
    assert bulk._count.isVisible() and not bulk._hint.isVisible()


def test_rename_everywhere_opens_ready(qtbot: QtBot, bulk: BulkEdit, opened: Project, folder: Path) -> None:
    bulk.open_rename("smile")
    bulk.replace_form.new.setText("grin")
    qtbot.waitUntil(ready(bulk, "Change 3 captions"))
    bulk.apply_button.click()
    qtbot.waitUntil(lambda: opened.undo_name == "Replace smile by grin in 3 captions")
    assert caption(folder, 3) == "miru, 1girl, solo, standing, grin"


def test_many_captions_are_written_beside_the_window(
    qtbot: QtBot, bulk: BulkEdit, opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 2)
    before = contents(folder)
    bulk.add_form.tags.setText("x")
    qtbot.waitUntil(ready(bulk, "Change 6 captions"))
    told = []
    opened.writing_changed.connect(lambda name, _done, _total: told.append((name, bulk._progress.isVisible())))
    with qtbot.waitSignal(opened.history_changed):
        bulk.apply_button.click()
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert told[0] == ("Add x to 6 captions", True)
    assert told[-1][0] == ""
    assert not bulk._progress.isVisible()
    with qtbot.waitSignal(opened.history_changed):
        opened.undo()
    assert contents(folder) == before


def test_changes_that_follow_each_other_build_on_each_other(
    qtbot: QtBot, opened: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.caption_writer.MOST_AT_ONCE", 1)
    changes = CaptionChanges(opened)
    images = [item.path for item in opened.scan.records[:4]]
    changes.apply([AddTags(("one",))], images)
    changes.apply([AddTags(("two",))], images)
    changes.apply([RemoveTags(("one",))], images)
    qtbot.waitUntil(lambda: opened.undo_name == "Remove one from 4 captions")
    assert caption(folder, 1) == "miru, 1girl, red hair, two"


def test_a_change_meanwhile_is_not_written_over(qtbot: QtBot, opened: Project, folder: Path) -> None:
    changes = CaptionChanges(opened)
    images = [item.path for item in opened.scan.records[:4]]
    changes.apply([AddTags(("late",))], images)
    opened.save_caption(images[1], "typed")  # While the other is being worked out.
    with qtbot.waitSignal(changes.done):
        pass
    assert caption(folder, 1) == "typed, late"


# How they look


def test_diff_shows_what_goes_and_what_comes() -> None:
    assert caption_diff("solo, hat", "miru, solo, hat") == [("new", "miru"), ("same", ", solo, hat")]
    parts = caption_diff("miru, red hair, smile", "miru, blue hair, smile, hat")
    assert "".join(text for kind, text in parts if kind != "new") == "miru, red hair, smile"
    assert "".join(text for kind, text in parts if kind != "gone") == "miru, blue hair, smile, hat"
    assert [text.strip(" ,") for kind, text in parts if kind == "new"] == ["blue hair", "hat"]
    words = caption_diff("a girl with red hair stands there, smiling", "a girl with blue hair stands there, smiling")
    assert [text.strip(" ,") for kind, text in words if kind == "new"] == ["blue"]
    assert "&lt;b&gt;" in diff_html(caption_diff("", "<b>"), theme.LIGHT)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_is_cut(
    qtbot: QtBot,
    editor: CaptionEditor,
    panel: TagsPanel,
    bulk: BulkEdit,
    opened: Project,
    settings: Settings,
    clipped: Callable[..., list[str]],
    language: str,
) -> None:
    settings.set_language(language)
    editor.resize(320, 640)
    panel.resize(320, 640)
    bulk.resize(bulk.minimumSize())
    opened.edit_pictures(
        "x", {record(opened, 0).path: opened.edits(record(opened, 0).path).model_copy(update={"excluded": True})}
    )
    for widget in (editor, panel, bulk):
        widget.retranslate()
    editor.set_preview(QLabel())
    editor.set_record(record(opened, 0))
    panel.select(["smile", "miru"])
    QApplication.processEvents()
    assert clipped(editor) == []
    assert editor.width() == panel.width() == 320
    assert clipped(panel) == []
    for form in bulk.forms:
        bulk.choose(form)
        QApplication.processEvents()
        assert clipped(bulk) == []
        for made in bulk.buttons:  # The chosen one is bold.
            bold = QFont(made.font())
            bold.setWeight(QFont.Weight.DemiBold)
            assert QFontMetrics(bold).horizontalAdvance(made.text()) + 2 * NAV_PADDING_PX <= made.width()
    editor.set_selection(opened.scan.records[:3])
    QApplication.processEvents()
    assert clipped(editor) == []
