"""A folder of many pictures is shown before all of it is read; until then its pictures can only be looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app import dataset_reading
from app.dataset_reading import Arrival
from app.project import Project
from app.run_question import RunQuestion
from app.run_starter import RunStarter
from app.run_starting import RunStarting
from app.settings import Settings
from app.tabs.dataset import CONTENT, LOADING, WELCOME, DatasetTab
from app.tagging import Tagging
from app.widgets.run_card import RunCard
from core.dataset import scan as scanning
from core.dataset.edits import PictureEdits
from core.errors import UserError
from core.runner import LocalRun
from tests import pictures as made

MANY = 40
SHOWN = 24


class Gate:
    """Lets nothing but the first pictures be read until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.error: Exception | None = None

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._opened.clear()

    def pass_through(self) -> None:
        assert self._opened.wait(20), "nobody opened the gate"
        if self.error is not None:
            raise self.error


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made_gate = Gate()
    read = scanning.DatasetReading.read

    def slowly(self: scanning.DatasetReading, progressed: Callable[[int], object] | None = None) -> object:
        def told(done: int) -> None:
            if progressed is not None:
                progressed(done)
            made_gate.pass_through()

        return read(self, told)

    monkeypatch.setattr(scanning.DatasetReading, "read", slowly)
    monkeypatch.setattr(dataset_reading, "NUM_SHOWN_FIRST", SHOWN)
    monkeypatch.setattr(dataset_reading, "TELL_S", 0.0)
    yield made_gate
    made_gate.open()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return made.good_folder(tmp_path / "很多 图片 🦊", MANY)


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings) -> Iterator[DatasetTab]:
    page = DatasetTab(project, settings, LocalRun)
    qtbot.addWidget(page)
    page.resize(1060, 780)
    with qtbot.waitExposed(page):
        page.show()
    yield page
    page.shut_down()


def begin(qtbot: QtBot, project: Project, folder: Path) -> Arrival:
    """Open a folder up to where its first pictures are shown."""
    with qtbot.waitSignal(project.glimpsed) as heard:
        project.open_folder(folder)
    assert heard.args is not None
    return heard.args[0]


def finish(qtbot: QtBot, project: Project, gate: Gate) -> None:
    with qtbot.waitSignal(project.records_changed):
        gate.open()


def names(tab: DatasetTab, grid: str = "arriving") -> list[str]:
    model = getattr(tab, grid).images
    return [model.index(row).data() for row in range(model.rowCount())]


def is_arriving(tab: DatasetTab) -> bool:
    return tab.arriving.isVisible() and not tab.grid.isVisible() and not tab.side.isVisible()


def test_the_first_pictures_are_shown_in_their_places_before_the_rest_is_read(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, gate: Gate
) -> None:
    begin(qtbot, project, many)
    assert tab._pages.currentIndex() == CONTENT and is_arriving(tab) and project.scan is None
    assert names(tab) == [f"p{number:02}.png" for number in range(SHOWN)]
    qtbot.waitUntil(lambda: tab.header.summary.text() == f"Reading pictures: 16 of {MANY}")
    assert (tab._busy.value(), tab._busy.maximum()) == (16, MANY)
    tab.arriving.move_by(7)
    picture, top = tab.arriving.place() or (Path(), 0)
    left = tab.arriving.visualRect(tab.arriving.currentIndex()).left()
    finish(qtbot, project, gate)
    assert tab.grid.isVisible() and tab.side.isVisible() and len(names(tab, "grid")) == MANY
    current = tab.grid.current()
    assert current is not None and current.path == picture == many / "p07.png"
    assert (tab.grid.top_of(picture), tab.grid.visualRect(tab.grid.currentIndex()).left()) == (top, left)
    assert tab.editor.record is not None and tab.editor.record.path == picture
    qtbot.waitUntil(lambda: tab.header.summary.text().startswith(f"{MANY} pictures"))


def test_where_the_user_scrolled_to_stays(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, gate: Gate
) -> None:
    begin(qtbot, project, many)
    bar = tab.arriving.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    where = bar.value()
    assert where > 0
    finish(qtbot, project, gate)
    assert tab.grid.verticalScrollBar().value() == where


def test_the_folder_opens_around_the_picture_of_last_time(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, tmp_path: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(many)
    tab.grid.select(many / "p30.png")
    project.edit_pictures("Leave out", {many / "p31.png": PictureEdits(excluded=True)})
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(made.good_folder(tmp_path / "small", 2))
    gate.close()
    arrival = begin(qtbot, project, many)
    assert arrival.picture == many / "p30.png" and arrival.glimpse.first == MANY - SHOWN
    record = tab.arriving.images.record(tab.arriving.images.row_of(many / "p31.png"))
    assert record is not None and tab.arriving.standing(record).is_excluded
    before = tab.arriving.visualRect(tab.arriving.currentIndex())
    finish(qtbot, project, gate)
    assert tab.grid.visualRect(tab.grid.currentIndex()) == before
    current = tab.grid.current()
    assert current is not None and current.path == many / "p30.png"


def test_nothing_is_done_to_pictures_that_only_arrive(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path, many: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    first = pictures / "picture_0.png"
    project.edit_pictures("Leave out", {first: PictureEdits(excluded=True)})
    before = made.contents(many)
    gate.close()
    begin(qtbot, project, many)
    assert project.folder == pictures
    tab.arriving.setFocus()
    for key in (Qt.Key.Key_Delete, Qt.Key.Key_C):
        qtbot.keyClick(tab.arriving, key)
    for key in (Qt.Key.Key_A, Qt.Key.Key_Z, Qt.Key.Key_B):
        qtbot.keyClick(tab.arriving, key, Qt.KeyboardModifier.ControlModifier)
    assert is_arriving(tab) and len(tab.arriving.selected()) == 1
    assert not tab.filter.isEnabled()
    assert not tab.header.export_button.isEnabled() and not tab.header.next_button.isEnabled()
    assert project.undo_name == "Leave out" and project.edits(first).excluded
    finish(qtbot, project, gate)
    assert made.contents(many) == before
    assert tab.filter.isEnabled() and tab.header.export_button.isEnabled() and tab.header.next_button.isEnabled()
    assert project.undo_name == "" and names(tab, "grid")[0] == "p00.png"


def test_jobs_wait_for_the_folder_that_is_being_opened(
    qtbot: QtBot, project: Project, settings: Settings, pictures: Path, many: Path, gate: Gate, jobs: list, starting
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    gate.close()
    told: list[str] = []
    project.problem.connect(lambda message, _remedy: told.append(message))
    starter = RunStarter(project, settings, starting(None))
    card = RunCard()
    qtbot.addWidget(card)
    start_training = RunStarting(project, starter, RunQuestion(card), card).start
    tagging = Tagging(project, starting(None))
    begin(qtbot, project, many)
    start_training()
    tagging.start(at_once=False)
    assert told == ["Another folder is being opened."] * 2
    assert jobs == [] and not starter.is_running and not tagging.is_running
    finish(qtbot, project, gate)
    assert not project.refuses_while_opening()
    tagging.shut_down()


def test_a_folder_that_cannot_be_read_to_its_end_leaves_the_old_one_as_it_was(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path, many: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    tab.ask("number 2")
    gate.close()
    begin(qtbot, project, many)
    assert tab.header._path.toolTip() == str(many)
    gate.error = UserError("The drive is gone.", remedy="Plug it in.")
    with qtbot.waitSignal(project.problem):
        gate.open()
    assert tab.grid.isVisible() and tab.side.isVisible() and not tab.arriving.isVisible()
    assert names(tab, "grid") == ["picture_2.png"] and tab.filter.search.text() == "number 2"
    assert tab.header._path.toolTip() == str(pictures) and tab.filter.isEnabled() and names(tab) == []
    qtbot.waitUntil(lambda: tab.header.summary.text().startswith("6 pictures"))
    gate.error = None
    made.save(pictures / "another.png")
    with qtbot.waitSignal(project.records_changed):
        project.look_again()
    current = tab.grid.current()
    assert current is not None and current.path == pictures / "picture_2.png"


def test_without_a_folder_of_before_the_page_returns_to_the_welcome(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, gate: Gate
) -> None:
    begin(qtbot, project, many)
    gate.error = UserError("The drive is gone.", remedy="Plug it in.")
    with qtbot.waitSignal(project.problem):
        gate.open()
    assert tab._pages.currentIndex() == WELCOME


def test_the_last_of_two_folders_wins(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, tmp_path: Path, gate: Gate
) -> None:
    other = made.good_folder(tmp_path / "other", MANY + 1)
    begin(qtbot, project, many)
    begin(qtbot, project, other)
    assert is_arriving(tab) and tab.header._path.toolTip() == str(other)
    finish(qtbot, project, gate)
    assert project.folder == other and len(names(tab, "grid")) == MANY + 1 and tab.grid.isVisible()


def test_in_another_order_nothing_is_shown_that_would_move(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, tmp_path: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(many)
    project.set_view({"order": "pixels"})
    project.save()
    again = Project()
    page = DatasetTab(again, Settings(), LocalRun)
    qtbot.addWidget(page)
    page.show()
    gate.close()
    glimpses: list[Arrival] = []
    again.glimpsed.connect(glimpses.append)
    with qtbot.waitSignal(again.scan_progressed):
        again.open_folder(many)
    assert page._pages.currentIndex() == LOADING and glimpses == []
    finish(qtbot, again, gate)
    assert page.grid.isVisible() and len(names(page, "grid")) == MANY
    page.shut_down()


def test_a_folder_that_is_read_in_no_time_is_shown_once(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path, gate: Gate
) -> None:
    gate.open()
    glimpses: list[Arrival] = []
    project.glimpsed.connect(glimpses.append)
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    assert glimpses == [] and tab.grid.isVisible()


def test_what_was_being_filtered_is_kept_when_the_same_folder_is_read_again(
    qtbot: QtBot, tab: DatasetTab, project: Project, many: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(many)
    tab.ask("name:p1")
    tab.grid.select(many / "p15.png")
    gate.close()
    with qtbot.waitSignal(project.scan_progressed):
        tab.rescan()
    assert not tab.arriving.isVisible() and tab.filter.isEnabled()
    finish(qtbot, project, gate)
    current = tab.grid.current()
    assert current is not None and current.path == many / "p15.png" and len(names(tab, "grid")) == 10


def test_a_waiting_caption_of_the_old_folder_can_be_seen_while_another_arrives(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path, many: Path, gate: Gate
) -> None:
    gate.open()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    gate.close()
    begin(qtbot, project, many)
    tab.show_picture(pictures / "picture_3.png")
    current = tab.grid.current()
    assert tab.grid.isVisible() and tab.side.isVisible()
    assert current is not None and current.path == pictures / "picture_3.png"
    finish(qtbot, project, gate)
    assert project.folder == many and names(tab, "grid")[0] == "p00.png"
