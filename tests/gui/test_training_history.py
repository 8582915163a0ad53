"""The history: finding, opening, repeating, comparing and deleting runs, also those of other places."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QFile, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.past_runs import PastRun
from app.project import Project
from app.settings import Settings
from app.tabs.training import TrainingTab
from app.widgets.compare_view import differences
from core.events import Failed, Finished, StepDone, Validated
from core.locks import only_run
from core.run_folder import RunFolder
from core.text import Language
from tests.gui.replay import STORY, recorded_events
from tests.gui.training_stage import Stage


@pytest.fixture
def stage(qtbot: QtBot, project: Project, settings: Settings, tmp_path: Path) -> Stage:
    return Stage(qtbot, project, settings, tmp_path / "out")


def keep(stage: Stage, name: str, *, factor: float = 1.0, **values: object) -> RunFolder:
    """A finished run on disk, with its previews."""
    events = [
        replace(event, loss=event.loss * factor) if isinstance(event, (StepDone, Validated)) else event
        for event in recorded_events(STORY)
    ]
    folder = stage.keep(events, name=name, lora=True, values=values)
    for event in events:
        if event.kind == "sample_ready":
            shutil.copy(event.image, folder.samples)
    return folder


def listed(stage: Stage) -> list[PastRun]:
    return stage.tab.page.history.list.runs.runs


def show(stage: Stage, number: int) -> None:
    stage.tab.show_start("history")
    stage.qtbot.waitUntil(lambda: len(listed(stage)) == number)


def choose(stage: Stage, *names: str) -> None:
    runs = {run.name: run for run in listed(stage)}
    stage.tab.page.history.list.choose(*(runs[name] for name in names))


def test_without_runs_it_says_what_will_be_here(stage: Stage) -> None:
    stage.tab.show_start("history")
    panel = stage.tab.page.history
    stage.qtbot.waitUntil(lambda: panel.empty.text().startswith("Your runs will be listed"))
    assert panel.list.isHidden()


def test_runs_are_searched_and_sorted(stage: Stage) -> None:
    keep(stage, "mika", factor=1.2)
    keep(stage, "青花瓷")
    stage.keep([Failed(message="m", remedy="r")], name="broken")
    show(stage, 3)
    panel = stage.tab.page.history
    panel.order.setCurrentIndex(panel.order.findData("validation"))
    panel.order.activated.emit(panel.order.currentIndex())
    assert [run.name for run in listed(stage)] == ["青花瓷", "mika", "broken"]
    panel.search.setText("problem")
    assert [run.name for run in listed(stage)] == ["broken"]
    panel.search.setText("青花")
    assert [run.name for run in listed(stage)] == ["青花瓷"]
    panel.search.setText("nothing like it")
    assert panel.empty.text() == "No run matches. Try another word."
    panel.search.clear()
    assert len(listed(stage)) == 3


def test_the_pictures_of_the_list_are_the_last_previews(stage: Stage) -> None:
    folder = keep(stage, "mika")
    show(stage, 1)
    assert listed(stage)[0].preview == folder.samples / "step_000060_00.png"
    loader = stage.tab.view.loader
    stage.qtbot.waitUntil(lambda: not loader.is_busy and len(loader.cache) >= 1)


def test_buttons_follow_what_is_chosen(stage: Stage) -> None:
    keep(stage, "a")
    keep(stage, "b")
    show(stage, 2)
    panel = stage.tab.page.history
    assert not panel.open_button.isEnabled()
    choose(stage, "a")
    assert panel.open_button.isEnabled()
    assert not panel.compare_button.isEnabled()
    choose(stage, "a", "b")
    assert not panel.open_button.isEnabled()
    assert panel.compare_button.isEnabled()
    stage.tab.history.refresh()
    stage.qtbot.waitSignal(stage.tab.history.changed).wait()
    assert {run.name for run in panel.list.chosen} == {"a", "b"}  # looking again keeps the choice


def test_repeat_takes_the_settings_under_a_free_name(stage: Stage) -> None:
    keep(stage, "a", **{"network.rank": 31})
    show(stage, 1)
    choose(stage, "a")
    stage.tab.page.history.repeat_button.click()
    assert stage.project.config.network.rank == 31
    assert stage.project.config.output.name == "a-2"
    assert stage.tab.page.part == "next"


def test_two_runs_are_compared(stage: Stage) -> None:
    first = keep(stage, "a")
    keep(stage, "b", factor=1.5, **{"network.rank": 31, "optimizer.name": "lion"})
    show(stage, 2)
    choose(stage, "a", "b")
    stage.tab.page.history.compare_button.click()
    stage.qtbot.waitUntil(lambda: stage.tab.comparing.view is not None)
    view = stage.tab.comparing.view
    assert view is not None
    assert view.isVisible()
    names = [head.text() for head in view.heads]
    assert sorted(names) == ["a", "b"]
    assert {title for title, _, _ in view.settings.rows} == {"Rank", "Optimizer"}
    plotted = {name: list(curve.getOriginalDataset()[1]) for name, curve in zip(names, view.plot.curves, strict=True)}
    assert plotted["b"] == pytest.approx([1.5 * loss for loss in plotted["a"]])
    view.plot.segments.buttons["loss"].click()
    assert len(view.plot.curves[0].getOriginalDataset()[0]) == 60
    at = names.index("a")
    assert view.previews.moments[at].currentText() == "Epoch 3"
    assert [pair[1 + at] for pair in view.previews.pairs._pairs] == [
        first.samples / f"step_000060_0{index}.png" for index in range(2)
    ]
    view.previews.moments[at].setCurrentIndex(3)
    view.previews.moments[at].activated.emit(3)
    assert view.previews.pairs._pairs[0][1 + at] == first.samples / "step_000000_00.png"
    view.back_button.click()
    assert stage.tab.page.part == "history"
    assert stage.tab.page.isVisible()


def test_equal_settings_differ_in_nothing(stage: Stage) -> None:
    config = stage.project.config
    assert differences(config, config) == []
    assert differences(config, None) == []


@pytest.fixture
def trash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A trash of the test's own; the names of what is in it."""
    names: list[str] = []

    def move(text: str) -> bool:
        names.append(Path(text).name)
        Path(text).rename(tmp_path / f"trashed-{len(names)}")
        return True

    monkeypatch.setattr(QFile, "moveToTrash", move)
    return names


def test_delete_asks_and_leaves_the_lora_files_when_told_so(stage: Stage, trash: list[str]) -> None:
    folder = keep(stage, "a")
    show(stage, 1)
    choose(stage, "a")
    stage.qtbot.keyClick(stage.tab.page.history.list, Qt.Key.Key_Delete)
    question = stage.tab.deletion.question
    assert question is not None
    question.reject()
    assert folder.path.exists()
    stage.tab.page.history.delete_button.click()
    question = stage.tab.deletion.question
    assert question is not None
    question.buttons["run"].click()
    stage.qtbot.waitUntil(lambda: listed(stage) == [])
    assert trash == ["a"]
    assert (stage.output / "a.safetensors").exists()


def test_delete_takes_the_lora_files_along_when_told_so(stage: Stage, trash: list[str]) -> None:
    events = [
        replace(event, path=stage.output / "a.safetensors") if event.kind == "lora_saved" else event
        for event in recorded_events(STORY)
    ]
    stage.keep(events, name="a", lora=True)
    show(stage, 1)
    choose(stage, "a")
    stage.tab.page.history.delete_button.click()
    question = stage.tab.deletion.question
    assert question is not None
    question.buttons["all"].click()
    stage.qtbot.waitUntil(lambda: listed(stage) == [])
    assert trash == ["a", "a.safetensors"]


def test_what_the_trash_does_not_take_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFile, "moveToTrash", lambda _text: False)
    folder = stage.keep([Finished()], name="a")
    show(stage, 1)
    choose(stage, "a")
    stage.tab.page.history.delete_button.click()
    question = stage.tab.deletion.question
    assert question is not None
    with stage.qtbot.waitSignal(stage.project.problem) as told:
        question.buttons["run"].click()
    assert told.args[0] == "a could not be moved to the trash."
    assert folder.path.exists()


def test_a_run_that_goes_on_is_not_deleted(stage: Stage) -> None:
    folder = keep(stage, "a")
    with only_run(folder.path):
        show(stage, 1)
        choose(stage, "a")
        assert listed(stage)[0].is_running
        assert not stage.tab.page.history.delete_button.isEnabled()
        stage.qtbot.keyClick(stage.tab.page.history.list, Qt.Key.Key_Delete)
        assert stage.tab.deletion.question is None


def test_a_run_that_went_on_while_its_deletion_was_asked_stays(stage: Stage, trash: list[str]) -> None:
    folder = keep(stage, "a")
    show(stage, 1)
    choose(stage, "a")
    stage.tab.page.history.delete_button.click()
    question = stage.tab.deletion.question
    assert question is not None
    with only_run(folder.path), stage.qtbot.waitSignal(stage.project.problem) as told:
        question.buttons["run"].click()
    assert told.args[0] == "a is being trained."
    assert trash == []
    assert folder.path.exists()


def test_a_run_copied_from_another_machine_opens_and_stays_known(
    stage: Stage, qtbot: QtBot, project: Project, settings: Settings, tmp_path: Path
) -> None:
    folder = keep(stage, "a")
    copied = tmp_path / "desktop" / "a 副本"
    shutil.copytree(folder.path, copied)
    shutil.rmtree(stage.output)
    text = (copied / "events.jsonl").read_text(encoding="utf-8")
    (copied / "events.jsonl").write_text(text.replace(str(recorded_events(STORY)[10]), "x"), encoding="utf-8")
    stage.tab.open_folder_of_run(copied)
    view = stage.tab.view
    assert view.plot.num_points == 60
    assert view.gallery.num_pictures == 8
    assert view.outcome.heading.text() == "The LoRA is ready. Epoch 2 is proposed."
    assert "More epochs…" not in [made.text() for made in view.outcome.actions_shown]
    stage.qtbot.waitUntil(lambda: not view.loader.is_busy and len(view.loader.cache) >= 4)
    again = TrainingTab(project, settings, stage._make_run)
    qtbot.addWidget(again, before_close_func=lambda tab: tab.shut_down())
    again.history.refresh()
    qtbot.waitUntil(lambda: [run.folder.path for run in again.history.runs] == [copied])


def test_a_folder_without_a_run_is_told(stage: Stage, tmp_path: Path) -> None:
    with stage.qtbot.waitSignal(stage.project.problem) as told:
        stage.tab.open_folder_of_run(tmp_path)
    assert "There is no run" in told.args[0]


def test_runs_of_output_folders_used_before_stay_in_the_history(stage: Stage, tmp_path: Path) -> None:
    stage.start_and_finish()
    keep(stage, "a")
    stage.project.change({"output.folder": tmp_path / "elsewhere"})
    keep(stage, "b")
    stage.tab.show_start("history")
    stage.qtbot.waitUntil(lambda: {run.name for run in listed(stage)} == {"a", "b"})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(1104, 776), (764, 600)])
def test_nothing_is_cut_off(
    stage: Stage, clipped: Callable[[QWidget], list[str]], language: Language, size: tuple[int, int]
) -> None:
    stage.settings.set_language(language)
    stage.tab.resize(*size)
    keep(stage, "a")
    keep(stage, "b", **{"network.rank": 31})
    show(stage, 2)
    choose(stage, "a", "b")
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
    stage.tab.page.history.compare_button.click()
    stage.qtbot.waitUntil(lambda: stage.tab.comparing.view is not None)
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
    stage.tab.open_run(listed(stage)[0].folder)
    stage.tab.view.folds.set_open("files", True)
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
    for name in ("c", "d"):
        stage.project.change({"output.name": name})
        stage.tab.add_to_queue()
    stage.tab.queue.set_state(stage.tab.queue.entries[0].key, "failed", "m")
    stage.tab.queue.edit(stage.tab.queue.entries[1].key)
    stage.tab.show_start("next")
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
