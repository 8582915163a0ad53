"""The queue: adding, editing, ordering, removing, running one after the other, and what follows the last run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.project import Project
from app.queue import Queue
from app.settings import Settings
from app.widgets.queue_list import facts
from core import queue as queue_store
from core.config import TrainConfig
from core.errors import UserError
from core.events import Failed, StepDone
from core.jobs import TrainJob
from core.power import PowerAction
from core.queue import load_queue, queue_file
from tests.gui.replay import ReplayRun, recorded_events
from tests.gui.training_stage import Stage


@pytest.fixture
def stage(qtbot: QtBot, project: Project, settings: Settings, tmp_path: Path) -> Stage:
    return Stage(qtbot, project, settings, tmp_path / "out")


def fill(stage: Stage, *names: str) -> None:
    for name in names:
        stage.project.change({"output.name": name})
        stage.tab.page.summary.queue_clicked.emit()


def names(stage: Stage) -> list[str]:
    return [entry.name for entry in stage.tab.queue.entries]


def states(stage: Stage) -> list[str]:
    return [entry.state for entry in stage.tab.queue.entries]


def trained(stage: Stage) -> list[str]:
    return [job.config.output.name for job in stage.jobs if isinstance(job, TrainJob)]


def test_runs_are_added_under_names_of_their_own_and_kept(stage: Stage) -> None:
    told: list[str] = []
    stage.tab.told.connect(told.append)
    stage.keep([], name="a", lora=True)
    fill(stage, "a", "b", "b")
    assert names(stage) == ["a-2", "b", "b-2"]
    assert told[0] == "a-2 is in the queue."
    assert stage.tab.page.queue.title.text() == "Queue (3 waiting)"
    assert [entry.name for entry in load_queue()[0]] == names(stage)
    again = Queue()
    again.load()
    assert again.entries == stage.tab.queue.entries


def test_an_entry_says_what_it_trains(stage: Stage) -> None:
    for epochs in (1, 12):
        stage.project.change({"training.epochs": epochs})
        fill(stage, f"of {epochs}")
    told = [facts(entry) for entry in stage.tab.queue.entries]
    assert [" · 1 epoch · " in told[0], " · 12 epochs · " in told[1]] == [True, True]


def test_the_list_is_ordered_with_the_keyboard_and_the_mouse(stage: Stage) -> None:
    fill(stage, "a", "b", "c")
    listed = stage.tab.page.queue.list
    listed.setFocus()
    listed.setCurrentRow(2)
    stage.qtbot.keyClick(listed, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert names(stage) == ["a", "c", "b"]
    assert listed.currentRow() == 1
    key = listed.key
    assert key is not None
    listed.drop(key, listed.visualRect(listed.model().index(2, 0)).bottomLeft())
    assert names(stage) == ["a", "b", "c"]
    listed.drop(key, listed.visualRect(listed.model().index(0, 0)).topLeft())
    assert names(stage) == ["c", "a", "b"]
    assert listed.key == key  # it stays chosen
    stage.tab.page.queue.tools["down"].click()
    assert names(stage) == ["a", "c", "b"]


def test_what_is_taken_out_can_be_brought_back(stage: Stage) -> None:
    fill(stage, "a", "b", "c")
    panel = stage.tab.page.queue
    panel.list.setCurrentRow(1)
    stage.qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    assert names(stage) == ["a", "c"]
    panel.tools["undo"].click()
    assert names(stage) == ["a", "b", "c"]
    for entry in stage.tab.queue.entries[:2]:
        stage.tab.queue.set_state(entry.key, "done")
    panel.clear_button.click()
    assert names(stage) == ["c"]
    stage.tab.queue.undo()
    assert names(stage) == ["a", "b", "c"]
    assert not stage.tab.queue.can_undo


def test_an_entry_is_edited_in_the_parameters_and_goes_back_to_its_place(stage: Stage) -> None:
    fill(stage, "a", "b", "c")
    asked: list[str] = []
    stage.tab.page_requested.connect(asked.append)
    listed = stage.tab.page.queue.list
    listed.setCurrentRow(1)
    stage.qtbot.keyClick(listed, Qt.Key.Key_Return)
    assert asked == ["params"]
    assert stage.project.config.output.name == "b"
    summary = stage.tab.page.summary
    assert summary.queue_button.text() == "Save in the queue"
    stage.project.change({"network.rank": 77})
    stage.tab.add_to_queue()
    assert names(stage) == ["a", "b", "c"]
    assert stage.tab.queue.entries[1].config.network.rank == 77
    assert summary.queue_button.text() == "Add to queue"
    stage.qtbot.keyClick(listed, Qt.Key.Key_Return)
    summary.cancel_button.click()
    assert summary.queue_button.text() == "Add to queue"
    assert len(names(stage)) == 3


def test_an_entry_that_begins_to_run_while_it_is_changed_stays_as_it_is(stage: Stage) -> None:
    fill(stage, "a")
    queue = stage.tab.queue
    stage.tab.page.queue.edit_requested.emit(queue.entries[0].key)
    stage.runs = [ReplayRun(hold_after=20, run_folder=stage.folder.path)]
    run = stage.runs[0]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: stage.tab.view.record.step == 20)
    assert queue.editing is None
    assert stage.tab.page.summary.queue_button.text() == "Add to queue"
    stage.project.change({"network.rank": 77})
    queue.editing = queue.entries[0].key  # as if the change had been begun in the same moment
    stage.tab.add_to_queue()
    assert states(stage) == ["running", "waiting"]
    assert names(stage) == ["a", "a-2"]
    assert [entry.config.network.rank == 77 for entry in queue.entries] == [False, True]
    queue.set_going(False)
    stage.wait_for_end(run.go_on)
    assert states(stage) == ["done", "waiting"]


def test_a_run_called_off_before_it_began_holds_the_queue(stage: Stage) -> None:
    steps = [
        StepDone(step=n, total_steps=9000, epoch=1, total_epochs=1, loss=0.1, learning_rate=1e-4, elapsed_s=n / 10)
        for n in range(1, 3001)
    ]
    fill(stage, "a")
    stage.keep(list(steps), name="a", state=True)  # so long that it is read beside the window
    stage.tab.queue.set_state(stage.tab.queue.entries[0].key, "paused")
    stage.tab.driver.start()
    assert stage.tab.is_running
    stage.wait_for_end(stage.tab.request_stop)
    assert not stage.tab.queue.is_going
    stage.qtbot.wait(20)  # the next run of a queue begins from the event loop
    assert not stage.tab.is_running
    assert stage.jobs == []
    assert states(stage) == ["paused"]


def test_one_run_follows_the_other_and_a_failure_makes_way(stage: Stage) -> None:
    fill(stage, "a", "b", "c")
    stage.runs = [
        ReplayRun(recorded_events()),
        ReplayRun([Failed(message="The disk is full.", remedy="r")]),
        ReplayRun(recorded_events()),
    ]
    stage.tab.page.queue.start_button.click()
    stage.qtbot.waitUntil(lambda: not stage.tab.queue.is_going)
    assert states(stage) == ["done", "failed", "done"]
    assert trained(stage) == ["a", "b", "c"]
    assert stage.tab.queue.entries[1].message == "The disk is full."
    stage.keep([], name="b")
    stage.tab.queue.try_again(stage.tab.queue.entries[1].key)
    assert states(stage) == ["done", "waiting", "done"]
    stage.runs = [ReplayRun(recorded_events())]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: not stage.tab.queue.is_going)
    assert trained(stage) == ["a", "b", "c", "b"]  # it kept nothing, so its name was free


def test_a_run_that_the_user_ends_holds_the_queue(stage: Stage) -> None:
    fill(stage, "a", "b")
    stage.runs = [ReplayRun(hold_after=20, run_folder=stage.folder.path)]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: stage.tab.view.record.step == 20)
    assert states(stage) == ["running", "waiting"]
    stage.keep([], name="a", state=True)
    stage.wait_for_end(stage.tab.request_pause)
    assert states(stage) == ["paused", "waiting"]
    assert not stage.tab.queue.is_going
    stage.runs = [ReplayRun(recorded_events()), ReplayRun(recorded_events())]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: states(stage) == ["done", "done"])
    assert [job.resume for job in stage.jobs if isinstance(job, TrainJob)] == [False, True, False]


def test_hold_lets_the_run_end_and_begins_no_other(stage: Stage) -> None:
    fill(stage, "a", "b")
    stage.runs = [ReplayRun(hold_after=20, run_folder=stage.folder.path)]
    run = stage.runs[0]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: stage.tab.view.record.step == 20)
    stage.tab.page.queue.hold_button.click()
    stage.wait_for_end(run.go_on)
    assert states(stage) == ["done", "waiting"]
    assert trained(stage) == ["a"]


def test_the_queue_waits_for_a_run_that_was_started_by_hand(stage: Stage) -> None:
    fill(stage, "a")
    stage.project.change({"output.name": "mine"})
    stage.start_and_hold(20)
    stage.tab.driver.start()
    assert trained(stage) == ["mine"]
    stage.runs = [ReplayRun(recorded_events())]
    stage.run.go_on()
    stage.qtbot.waitUntil(lambda: states(stage) == ["done"])
    assert trained(stage) == ["mine", "a"]


def test_a_name_taken_in_the_meantime_is_left_alone(stage: Stage) -> None:
    fill(stage, "a")
    stage.keep([], name="a", lora=True)
    stage.run = ReplayRun(recorded_events())
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: states(stage) == ["done"])
    assert trained(stage) == ["a-2"]
    assert names(stage) == ["a-2"]


# After the last run


@pytest.fixture
def power(stage: Stage) -> list[PowerAction]:
    """What the machine was asked for."""
    asked: list[PowerAction] = []
    stage.tab.driver._power = asked.append
    return asked


def run_all(stage: Stage, action: str) -> None:
    fill(stage, "a")
    stage.run = ReplayRun(recorded_events())
    stage.tab.queue.set_after_last(action)  # type: ignore[arg-type]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: not stage.tab.queue.is_going)


def test_after_the_last_run_nothing_happens_unasked(stage: Stage, power: list[PowerAction]) -> None:
    run_all(stage, "nothing")
    assert stage.tab.driver.countdown is None
    assert power == []


def test_the_machine_sleeps_after_a_minute_that_nobody_used(stage: Stage, power: list[PowerAction]) -> None:
    run_all(stage, "sleep")
    countdown = stage.tab.driver.countdown
    assert countdown is not None
    assert countdown.buttons["cancel"].text() == "Call it off (60 s)"
    for _ in range(59):
        countdown.tick()
    assert power == []
    countdown.tick()
    stage.qtbot.waitUntil(lambda: power == ["sleep"])
    assert stage.tab.driver.countdown is None


@pytest.mark.parametrize("way", ["button", "escape"])
def test_shutting_down_can_be_called_off(stage: Stage, power: list[PowerAction], way: str) -> None:
    run_all(stage, "shutdown")
    countdown = stage.tab.driver.countdown
    assert countdown is not None
    if way == "button":
        countdown.buttons["cancel"].click()
    else:
        countdown.reject()
    countdown.tick()
    assert power == []
    assert stage.tab.driver.countdown is None


def test_a_machine_that_refuses_is_told(stage: Stage) -> None:
    def refuse(_action: PowerAction) -> None:
        raise UserError("The system did not shut down ({reason}).", remedy="r", reason="x")

    stage.tab.driver._power = refuse
    run_all(stage, "shutdown")
    countdown = stage.tab.driver.countdown
    assert countdown is not None
    with stage.qtbot.waitSignal(stage.project.problem) as told:
        countdown.buttons["now"].click()
    assert told.args[0] == "The system did not shut down (x)."


def test_a_queue_that_the_user_ended_does_not_turn_the_machine_off(stage: Stage, power: list[PowerAction]) -> None:
    fill(stage, "a")
    stage.tab.queue.set_after_last("shutdown")
    stage.runs = [ReplayRun(hold_after=20, run_folder=stage.folder.path)]
    stage.tab.driver.start()
    stage.qtbot.waitUntil(lambda: stage.tab.view.record.step == 20)
    stage.wait_for_end(stage.tab.request_stop)
    assert stage.tab.driver.countdown is None
    assert power == []


def test_a_damaged_queue_is_told_and_kept_aside(qtbot: QtBot) -> None:
    queue_file().write_text("{", encoding="utf-8")
    queue = Queue()
    with qtbot.waitSignal(queue.problem) as told:
        queue.load()
    assert "damaged" in told.args[0]
    assert queue.entries == []
    assert load_queue() == ([], None)
    assert queue_file().with_name("queue-damaged-1.json").read_text(encoding="utf-8") == "{"


@pytest.fixture
def windows() -> tuple[Queue, Queue]:
    """The queues of two windows that were opened at the same time."""
    first, second = Queue(), Queue()
    for queue in (first, second):
        queue.load()
    return first, second


def test_two_windows_lose_nothing_of_each_other_s(qtbot: QtBot, windows: tuple[Queue, Queue]) -> None:
    first, second = windows
    first.add(TrainConfig())
    second.add(TrainConfig())
    names = [entry.name for entry in second.entries]
    assert len(set(names)) == 2
    qtbot.waitUntil(lambda: first.entries == second.entries)  # Shown without being asked for.
    first.remove(first.entries[0].key)
    second.move(second.entries[1].key, 0)
    first.undo()
    assert sorted(entry.name for entry in load_queue()[0]) == sorted(names)


def test_a_run_of_another_window_is_left_alone(windows: tuple[Queue, Queue]) -> None:
    first, second = windows
    key = first.add(TrainConfig()).key
    assert first.set_state(key, "running") and first.running is not None
    second.refresh()
    assert [entry.state for entry in second.entries] == ["running"]
    assert not second.set_state(key, "running") and second.running is None and second.waiting == []
    second.remove(key)
    second.try_again(key)
    assert load_queue()[0] == first.entries
    assert first.set_state(key, "failed", "no memory")
    second.try_again(key)
    assert [entry.state for entry in load_queue()[0]] == ["waiting"]
    assert [found.suffix for found in queue_file().parent.glob("queue*")].count(".lock") == 1


def full(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_changes_that_cannot_be_written_go_to_the_disk_with_the_next_one(
    qtbot: QtBot, windows: tuple[Queue, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = windows
    key = first.add(TrainConfig()).key
    assert first.set_state(key, "running")
    with monkeypatch.context() as patch, qtbot.waitSignal(first.problem):
        patch.setattr(queue_store, "write_text", full)
        assert first.set_state(key, "done")
    assert [entry.state for entry in first.entries] == ["done"]
    second.refresh()
    assert not second.set_state(key, "running")  # The disk does not know yet that it is done.
    second.add(TrainConfig())
    first.refresh()
    first.add(TrainConfig())
    assert [entry.state for entry in load_queue()[0]] == ["done", "waiting", "waiting"]
    assert not list(queue_file().parent.glob("queue-*.lock"))


def test_changes_that_could_not_be_written_undo_nothing_of_other_windows(
    windows: tuple[Queue, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = windows
    run, gone, moved = (first.add(TrainConfig()).key for _ in range(3))
    second.refresh()
    with monkeypatch.context() as patch:
        patch.setattr(queue_store, "write_text", full)
        first.move(moved, 0)
        added = first.add(TrainConfig()).key
        assert [entry.key for entry in first.entries] == [moved, run, gone, added]
    assert second.set_state(run, "running") and second.set_state(run, "done")
    second.remove(gone)
    first.refresh()
    assert [(entry.key, entry.state) for entry in load_queue()[0]] == [
        (moved, "waiting"),
        (run, "done"),
        (added, "waiting"),
    ]
    assert first.entries == load_queue()[0]
    first.refresh()
    assert [entry.key for entry in first.entries] == [moved, run, added]  # Added once.


def test_what_was_refused_while_the_disk_was_full_is_not_done_later(
    windows: tuple[Queue, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = windows
    key = first.add(TrainConfig()).key
    assert first.set_state(key, "running")
    with monkeypatch.context() as patch:
        patch.setattr(queue_store, "write_text", full)
        assert not second.set_state(key, "running")
    assert first.set_state(key, "paused")
    second.refresh()
    assert [entry.state for entry in load_queue()[0]] == ["paused"]


@pytest.mark.parametrize("is_full", [False, True])
def test_a_run_that_another_window_has_ended_does_not_begin_again(
    windows: tuple[Queue, Queue], monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    first, second = windows
    key = first.add(TrainConfig()).key
    second.refresh()
    assert second.set_state(key, "running") and second.set_state(key, "done")
    if is_full:
        monkeypatch.setattr(queue_store, "write_text", full)
    assert [entry.key for entry in first.waiting] == [key]  # It has not looked since.
    assert not first.set_state(key, "running")
    assert first.running is None and load_queue()[0][0].state == "done"


def test_a_run_begins_where_nothing_can_be_written(
    qtbot: QtBot, windows: tuple[Queue, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = windows[0]
    key = queue.add(TrainConfig()).key

    def refuse(*_args: object, **_values: object) -> None:
        raise PermissionError(13, "Permission denied", str(queue_file()))

    with monkeypatch.context() as patch, qtbot.waitSignal(queue.problem):
        patch.setattr(queue_store, "one_at_a_time", refuse)
        patch.setattr("app.queue.claim", refuse)
        assert queue.set_state(key, "running")
    assert queue.running is not None
    queue.refresh()
    assert queue.running is not None  # Also without a lock.
    assert queue.set_state(key, "done")
    assert [entry.state for entry in load_queue()[0]] == ["done"]


def test_the_first_two_windows_of_all_see_each_other(qtbot: QtBot, windows: tuple[Queue, Queue]) -> None:
    first, second = windows
    second.add(TrainConfig())
    qtbot.waitUntil(lambda: first.entries == second.entries)


def test_what_is_left_of_a_damaged_file_stays_in_the_queue(windows: tuple[Queue, Queue]) -> None:
    first, second = windows
    ours = first.add(TrainConfig()).key
    text = queue_file().read_text(encoding="utf-8")
    theirs = second.add(TrainConfig()).key
    assert ours in text and first.entry(theirs) is None
    content = queue_file().read_text(encoding="utf-8").replace(f'"{ours}"', "1")
    queue_file().write_text(content, encoding="utf-8")
    first.refresh()
    assert [entry.key for entry in first.entries] == [theirs, ours]
    assert load_queue() == (first.entries, None)


def test_the_machine_stays_on_while_another_window_trains(stage: Stage, power: list[PowerAction]) -> None:
    queue, other = stage.tab.queue, Queue()
    fill(stage, "theirs")
    other.load()
    theirs = other.entries[0].key
    assert other.set_state(theirs, "running")
    run_all(stage, "sleep")
    assert [entry.state for entry in queue.entries] == ["running", "done"]
    assert stage.tab.driver.countdown is None
    assert other.set_state(theirs, "done")
    stage.qtbot.waitUntil(lambda: stage.tab.driver.countdown is not None)
    countdown = stage.tab.driver.countdown
    assert countdown is not None and power == []
    countdown.reject()


def test_a_run_that_another_window_pauses_leaves_the_machine_on(stage: Stage) -> None:
    other = Queue()
    fill(stage, "theirs")
    other.load()
    theirs = other.entries[0].key
    assert other.set_state(theirs, "running")
    run_all(stage, "sleep")
    assert other.set_state(theirs, "paused")
    stage.qtbot.waitUntil(lambda: states(stage) == ["paused", "done"])
    assert stage.tab.driver.countdown is None
