"""Pausing, going on with changes, going back to an epoch, the best epoch, the ways out of a failure, and watching."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app import run_follower, theme
from app.project import Project
from app.run_record import RunRecord
from app.run_reminder import RunReminder
from app.settings import Settings
from app.widgets.curve_parts import epoch_ticks
from app.widgets.curve_plot import CurvePlot
from app.widgets.place_dialog import PlaceDialog
from app.widgets.report_dialog import ReportDialog
from app.widgets.run_card import Action, RunCard
from core.config.labels import value_of
from core.dataset.edits import Concept, DatasetFile, PictureEdits, load_dataset, save_dataset
from core.events import (
    Adapted,
    BestEpoch,
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    StateSaved,
    StepDone,
    to_line,
)
from core.jobs import TrainJob
from core.locks import only_run
from core.run_folder import RunFolder, state_path
from tests.gui.replay import STORY, ReplayRun, recorded_events
from tests.gui.training_stage import Stage


@pytest.fixture
def stage(qtbot: QtBot, project: Project, settings: Settings, tmp_path: Path) -> Stage:
    return Stage(qtbot, project, settings, tmp_path / "out")


def story(stage: Stage, until: int = 60) -> list[Event]:
    return [event for event in recorded_events(STORY, stage.folder.path) if getattr(event, "step", 0) <= until]


def unfinished(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, (Finished, BestEpoch))]


def paused(stage: Stage) -> RunFolder:
    """A run that was paused in step 46, with states of two epochs."""
    events = [
        *unfinished(story(stage, 46)),
        StateSaved(step=46, folder=stage.folder.state),
        Finished(stopped=True, paused=True),
    ]
    folder = stage.keep(events, state=True)
    for step, epoch in ((40, 2), (20, 1)):
        state_path(folder.state, step, epoch).write_bytes(b"x")
    return folder


def texts(stage: Stage) -> list[str]:
    return [made.text() for made in stage.tab.view.outcome.actions_shown]


def last_job(stage: Stage) -> TrainJob:
    job = stage.jobs[-1]
    assert isinstance(job, TrainJob)
    return job


def test_pause_reaches_the_run_and_says_where_it_stands(stage: Stage) -> None:
    stage.start_and_hold(20)
    stage.keep([], state=True)
    header = stage.tab.view.header
    stage.wait_for_end(header.pause_button.click)
    assert stage.run.sent == ["pause"]
    assert stage.tab.view.outcome.heading.text() == "Paused at step 20 of 60."
    assert stage.tab.view.outcome.text.text().startswith("Its memory is free for other programs.")
    assert header.stage.text().startswith("Paused")
    assert texts(stage)[0].startswith("Continue from step")


def test_force_stop_comes_when_a_pause_does_not_end(stage: Stage) -> None:
    stage.start_and_hold(20)
    header = stage.tab.view.header
    header.set_phase("pausing")
    assert header.pause_button.text() == "Pausing…"
    assert not header.pause_button.isEnabled()
    assert header.force_button.isVisible()
    header.force_button.click()
    stage.wait_for_end(header.confirm_button.click)
    assert stage.run.killed


def test_a_paused_run_is_offered_at_the_next_start_until_it_is_put_off(stage: Stage) -> None:
    paused(stage)
    stage.tab.refresh_runs()
    card = stage.tab.page.question
    stage.qtbot.waitUntil(card.isVisible)
    assert card.heading.text() == "mika is paused at step 46 of 60."
    card.action("Not now").click()
    stage.tab.refresh_runs()
    assert card.isHidden()


def test_going_on_with_changes(stage: Stage) -> None:
    stage.tab.open_run(paused(stage))
    stage.tab.view.outcome.action("Continue with changes…").click()
    dialog = stage.tab.starting.change_dialog
    assert dialog is not None
    assert dialog.epochs.minimum() == 3  # those that were trained
    dialog.epochs.setValue(12)
    dialog.save_every.setValue(3)
    dialog.preview_every.setValue(0)
    dialog.prompts.setPlainText("mika, sea\n\n  mika, snow ")
    assert "learning rate" in dialog.warning.text()
    stage.run = ReplayRun(recorded_events(STORY, stage.folder.path))
    stage.wait_for_end(dialog.buttons["go"].click)
    job = last_job(stage)
    assert (job.resume, job.from_step) == (True, -1)
    assert job.config.training.epochs == 12
    assert job.config.output.save_every_n_epochs == 3
    assert job.config.sampling.every_n_epochs == 0
    assert job.config.sampling.prompts == ("mika, sea", "mika, snow")


def test_a_constant_learning_rate_is_not_bent_by_more_epochs(stage: Stage) -> None:
    stage.project.change({"schedule.name": "constant"})
    stage.tab.open_run(paused(stage))
    stage.tab.ask_changes(stage.folder)
    dialog = stage.tab.starting.change_dialog
    assert dialog is not None
    dialog.epochs.setValue(99)
    assert dialog.warning.isHidden()
    dialog.reject()
    assert stage.jobs == []


def test_back_to_an_epoch_asks_once_and_goes_there(stage: Stage) -> None:
    stage.tab.open_run(paused(stage))
    menu = stage.tab.view.outcome.action("Back to").menu()
    assert [action.text() for action in menu.actions()] == ["Epoch 2 (step 40)", "Epoch 1 (step 20)"]
    menu.actions()[1].trigger()
    dialog = stage.tab.starting.change_dialog
    assert dialog is not None
    assert stage.jobs == []
    assert dialog.epochs.minimum() == 1
    stage.run = ReplayRun(
        [JobStarted(job="train", run_folder=stage.folder.path, first_step=20, total_steps=60)]
        + [event for event in recorded_events(STORY) if isinstance(event, StepDone) and 20 < event.step <= 22]
        + [Finished(stopped=True, paused=True)]
    )
    stage.wait_for_end(dialog.buttons["go"].click)
    assert last_job(stage).from_step == 20
    record = stage.tab.view.record
    assert list(record.steps) == list(range(1, 23))
    assert record.sample_steps == [0, 20]


def test_the_proposed_epoch_is_told_with_its_reason_and_its_file(stage: Stage) -> None:
    events = story(stage)
    folder = stage.keep(events, state=True, lora=True)
    best = stage.output / "mika-000002.safetensors"
    best.write_bytes(b"x" * 3000)
    told: list[str] = []
    stage.tab.told.connect(told.append)
    stage.tab.open_run(folder)
    card = stage.tab.view.outcome
    assert card.heading.text() == "The LoRA is ready. Epoch 2 is proposed."
    assert "held-out pictures" in card.text.text()
    card.action("Use epoch 2").click()
    assert QGuiApplication.clipboard().text() == str(best)
    assert told == ["The path of mika-000002.safetensors is copied."]
    assert "More epochs…" in texts(stage)


def test_the_files_of_a_run_are_listed_by_epoch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    stage.tab.open_run(stage.keep(story(stage), lora=True))
    files = stage.tab.view.files
    assert files.paths == []  # nobody looks
    stage.tab.view.folds.set_open("files", True)
    assert [path.name for path in files.paths] == [
        "mika.safetensors",
        "mika-000002.safetensors",
        "mika-000001.safetensors",
    ]
    files.folder_clicked.emit(files.paths[0])
    assert [Path(place) for place in opened] == [stage.output]


def test_what_the_run_did_to_help_itself_is_shown(stage: Stage) -> None:
    stage.tab.open_run(stage.keep(story(stage)))
    view = stage.tab.view
    assert "Step 23: The memory was full in step 24." in view.notices.text()
    view.plot.redraw()
    assert len(view.plot._marks) == 1
    at = view.record.position_of(23)
    assert at is not None
    view.plot._set_cursor(at)
    assert "The memory was full" in view.plot.readout.text()
    view.plot._set_cursor(at + 20)
    assert "The memory was full" not in view.plot.readout.text()


def test_a_failure_has_the_buttons_that_mend_it(stage: Stage) -> None:
    failed = Failed(message="The memory is not enough.", remedy="Less.", detail="t", known=True, failure="memory")
    stage.project.change({"training.batch_size": 4})
    stage.tab.open_run(stage.keep([*unfinished(story(stage, 10)), failed]))
    card = stage.tab.view.outcome
    stage.run = ReplayRun(recorded_events(STORY, stage.folder.path))
    told: list[str] = []
    stage.tab.told.connect(told.append)
    stage.wait_for_end(card.action("Set the batch size to 1").click)
    assert last_job(stage).config.training.batch_size == 1
    assert stage.project.config.training.batch_size == 1
    assert "4 → 1" in told[0]


@pytest.mark.parametrize(
    ("failure", "button", "key"),
    [
        ("model_missing", "Choose a base model", "model.base"),
        ("pictures_missing", "Choose the pictures", "dataset.folder"),
    ],
)
def test_a_run_goes_on_with_what_it_needs_elsewhere(
    stage: Stage, tmp_path: Path, failure: str, button: str, key: str
) -> None:
    gone, place = tmp_path / "gone", tmp_path / "moved here"
    place.mkdir()
    stage.project.change({"model.base": gone})
    failed = Failed(message="It is missing.", remedy="Look.", detail="t", known=True, failure=failure)
    stage.tab.open_run(stage.keep([*story(stage, 10), failed], state=True, values={key: gone}))
    stage.tab.view.outcome.action(button).click()
    dialog = stage.tab.findChild(PlaceDialog)
    assert dialog is not None
    assert not dialog.buttons["go"].isEnabled()  # it is not where it was
    dialog.editor.edited.emit(place)
    stage.run = ReplayRun(recorded_events(STORY, stage.folder.path))
    stage.wait_for_end(dialog.buttons["go"].click)
    job = last_job(stage)
    assert job.resume
    assert value_of(job.config, key) == place
    assert stage.project.config.model.base == (place if key == "model.base" else gone)


def test_a_run_with_decisions_about_its_pictures_goes_on_with_them_elsewhere(stage: Stage, tmp_path: Path) -> None:
    gone, place, others = tmp_path / "gone", tmp_path / "moved here", tmp_path / "others"
    place.mkdir()
    concepts = (Concept(folder=gone), Concept(folder=gone / "more"), Concept(folder=others, is_regularization=True))
    decided = DatasetFile(concepts=concepts, pictures={str(gone / "a.png"): PictureEdits(excluded=True)})
    save_dataset(tmp_path / "decided.json", decided)
    failed = Failed(message="It is missing.", remedy="Look.", detail="t", known=True, failure="pictures_missing")
    values = {"dataset.folder": gone, "dataset.edits": tmp_path / "decided.json"}
    stage.tab.open_run(stage.keep([*story(stage, 10), failed], state=True, values=values))
    stage.tab.view.outcome.action("Choose the pictures").click()
    dialog = stage.tab.findChild(PlaceDialog)
    assert dialog is not None
    dialog.editor.edited.emit(Path())
    assert not dialog.buttons["go"].isEnabled()  # an empty line is no place
    dialog.editor.edited.emit(place)
    stage.run = ReplayRun(recorded_events(STORY, stage.folder.path))
    stage.wait_for_end(dialog.buttons["go"].click)
    config = last_job(stage).config
    assert config.dataset.folder == place
    assert config.dataset.edits == RunFolder.of(config).edits
    moved, _ = load_dataset(config.dataset.edits)
    assert [concept.folder for concept in moved.concepts] == [place, place / "more", others]
    assert moved.pictures == {str(place / "a.png"): PictureEdits(excluded=True)}
    assert load_dataset(tmp_path / "decided.json")[0] == decided  # what the window knows stays as it was


def test_what_a_run_without_a_state_needs_is_chosen_in_the_parameters(stage: Stage) -> None:
    failed = Failed(message="It is missing.", remedy="Look.", detail="t", known=True, failure="model_missing")
    stage.tab.open_run(stage.keep([failed]))
    with stage.qtbot.waitSignal(stage.tab.page_requested) as asked:
        stage.tab.view.outcome.action("Choose a base model").click()
    assert asked.args == ["params"]
    assert stage.tab.findChild(PlaceDialog) is None


def test_tab_comes_to_the_buttons_of_a_card_in_its_place(qtbot: QtBot) -> None:
    page, first, last, card = QWidget(), QPushButton("first"), QPushButton("last"), RunCard()
    qtbot.addWidget(page)
    column = QVBoxLayout(page)
    for part in (first, card, last):
        column.addWidget(part)
    with qtbot.waitActive(page):
        page.show()

    def show(*words: str) -> None:
        actions = [Action(word, lambda: None) for word in words]
        card.show_message(icon="info", tone="muted", heading="h", actions=actions)
        qtbot.waitUntil(lambda: all(made.isVisible() for made in card.actions_shown))

    def texts_on_the_way(number: int) -> list[str]:
        first.setFocus()
        told = []
        for _ in range(number):
            page.focusNextChild()
            told.append(page.focusWidget().text())
        return told

    show("a", "b")
    assert texts_on_the_way(3) == ["a", "b", "last"]
    show("c", "d", "e")
    assert texts_on_the_way(4) == ["c", "d", "e", "last"]
    card.actions_shown[1].setFocus()
    show("f")
    assert page.focusWidget().text() == "f"  # and not just any button


def test_a_fix_starts_no_second_run_beside_the_first(stage: Stage) -> None:
    stage.start_and_hold(20)
    failed = Failed(message="The memory is not enough.", remedy="Less.", detail="t", known=True, failure="memory")
    stage.project.change({"training.batch_size": 4, "output.name": "other"})
    stage.tab.open_run(stage.keep([failed], name="other"))
    with stage.qtbot.waitSignal(stage.project.problem) as told:
        stage.tab.view.outcome.action("Set the batch size to 1").click()
    assert told.args[0] == "Another run is going on."
    assert len(stage.jobs) == 1


def test_a_failure_without_an_entry_can_still_be_copied_and_reported(stage: Stage) -> None:
    stage.tab.open_run(stage.keep([Failed(message="Something else.", remedy="r", detail="d")]))
    assert texts(stage) == ["Try again", "Copy details", "Report a problem…"]


def test_a_problem_is_reported_with_its_run(stage: Stage) -> None:
    stage.tab.open_run(stage.keep([Failed(message="Something else.", remedy="r", detail="d")]))
    stage.tab.view.outcome.action("Report a problem…").click()
    dialog = stage.tab.findChild(ReportDialog)
    assert dialog is not None
    assert dialog.isVisible()
    dialog.close()


def test_the_window_reminds_of_a_run_that_waits(stage: Stage) -> None:
    paused(stage)
    said: list[str] = []
    reminder = RunReminder(stage.project, stage.settings, stage.tab)
    reminder.found.connect(lambda message, _remedy: said.append(message))
    stage.qtbot.waitUntil(lambda: said == ["mika is paused at step 46 of 60."])


def test_a_long_run_that_is_still_being_read_can_be_called_off(stage: Stage) -> None:
    steps = [
        StepDone(step=n, total_steps=9000, epoch=1, total_epochs=1, loss=0.1, learning_rate=1e-4, elapsed_s=n / 10)
        for n in range(1, 3001)
    ]
    folder = stage.keep(list(steps), state=True)
    stage.tab.continue_run(folder)
    assert stage.tab.is_running
    stage.wait_for_end(stage.tab.request_stop)
    assert not stage.tab.is_running
    assert stage.jobs == []


# Curves


def test_the_curves_can_be_chosen_and_walked_through(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.resize(600, 300)
    record = RunRecord.of(recorded_events(STORY))
    plot.show_record(record)
    with qtbot.waitExposed(plot):
        plot.show()
    plot.redraw()
    assert list(plot._validation.getOriginalDataset()[1]) == pytest.approx([0.1432, 0.1297, 0.1351])
    assert list(plot._best.getData()[0]) == [40]
    assert [text for _, text in plot.plot.getAxis("top")._tickLevels[0]] == ["Epoch 1", "Epoch 2"]
    for view, series in (("rate", record.rates), ("gradient", record.grad_norms), ("size", record.lora_norms)):
        plot.segments.buttons[view].click()
        assert list(plot._line.getOriginalDataset()[1]) == pytest.approx(list(series))
        assert not plot._raw.isVisible()
    plot.show_view("validation")
    assert len(plot._line.getOriginalDataset()[0] or ()) == 0
    low, high = plot.plot.getViewBox().viewRange()[1]
    assert 0.12 < low < 0.1297 < 0.1432 < high < 0.15  # a scale of its own shows the turn
    plot.show_view("loss")
    qtbot.keyClick(plot, Qt.Key.Key_Home)
    assert plot.readout.text().startswith("Step 1 · loss")
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert plot.readout.text().startswith("Step 2 · loss")
    qtbot.keyClick(plot, Qt.Key.Key_Escape)
    assert plot.readout.text().startswith("Step 60 · loss")


def test_a_file_is_called_by_its_epoch_as_soon_as_that_is_over(stage: Stage) -> None:
    view, record = stage.tab.view, RunRecord()
    view.show_run(record, stage.folder, "running")

    def told() -> set[str]:
        return {shown.text() for shown in view.files.findChildren(QLabel)}

    for event in unfinished(story(stage, 21)):
        record.add(event)
        view.take(event)
        if isinstance(event, LoraSaved):
            view.folds.set_open("files", True)
            assert "Step 20" in told()  # It may be one that was asked for in the middle of an epoch.
        if isinstance(event, StepDone) and event.step == 21:
            assert "Epoch 1" in told()
            return
    pytest.fail("the step after the file is missing")


def test_epochs_near_each_other_are_numbered_without_overlap(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    starts = {1: 1, 2: 100, 3: 104, 4: 200}
    metrics = plot.fontMetrics()
    wide = epoch_ticks({1: 1, 2: 100, 3: 200}, 3.0, metrics)
    assert [words for _, words in wide] == ["Epoch 1", "Epoch 2"]
    near = epoch_ticks(starts, 3.0, metrics)
    assert [place for place, _ in near] == [99.5, 103.5, 199.5]  # each has its line
    assert [words for _, words in near] == ["Epoch 1", "", "3"]
    crowded = epoch_ticks({1: 1, 2: 20, 3: 39, 4: 58}, 1.0, metrics)
    assert [words for _, words in crowded] == ["1", "2", "3"]  # the word would take the place of a number


def test_the_legend_has_the_colours_of_the_curves(qtbot: QtBot, qapp: QApplication) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    for mode in ("dark", "light"):
        theme.apply(qapp, mode)
        drawn = [item.opts["pen"].color().name() for item in (plot._raw, plot._line)]
        assert re.findall("color:(#[0-9a-f]+)", plot.legend.text()) == drawn


def test_an_old_recording_without_norms_leaves_those_curves_empty(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.show_record(RunRecord.of(recorded_events()))
    plot.show_view("gradient")
    assert plot.readout.text() == "Step 60 · length of the gradient –"


# Previews


def test_previews_stand_by_epoch_with_the_bare_model_first(stage: Stage) -> None:
    stage.tab.resize(900, 600)
    stage.tab.open_run(stage.keep(story(stage)))
    gallery = stage.tab.view.gallery
    assert [gallery.words_of(step) for step in (0, 20, 40, 60)] == ["Without LoRA", "Epoch 1", "Epoch 2", "Epoch 3"]
    assert gallery.is_pinned
    stage.qtbot.waitUntil(lambda: gallery.horizontalScrollBar().maximum() > 0)
    assert gallery.cell_rect(0, 0).left() == 0  # it stays while the others are scrolled
    gallery.setFocus()
    assert gallery.current == (60, 0)
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Down):
        stage.qtbot.keyClick(gallery, key)
    assert gallery.current == (20, 1)
    place = gallery.cell_rect(20, 1)
    assert place.left() >= gallery.cell_px()  # not under the pinned column
    stage.qtbot.keyClick(gallery, Qt.Key.Key_Return)
    assert stage.tab.view.viewer.isVisible()
    assert stage.tab.view.viewer.step == 20


def test_a_preview_gets_the_name_of_its_epoch_when_the_next_one_begins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = stage.tab.view
    stage.tab.open_run(stage.keep(unfinished(story(stage, 10))))
    drawn: list[int] = []
    monkeypatch.setattr(view.gallery, "refresh", lambda: drawn.append(view.record.epoch))
    for epoch in (8, 8, 9):
        step = StepDone(
            step=view.record.step + 1,
            total_steps=99,
            epoch=epoch,
            total_epochs=9,
            loss=0.1,
            learning_rate=1e-4,
            elapsed_s=9,
        )
        view.record.add(step)
        view.take(step)
    assert drawn == [8, 9]


def test_two_epochs_are_compared_in_one_place(stage: Stage) -> None:
    stage.tab.open_run(stage.keep(story(stage)))
    viewer = stage.tab.view.viewer
    viewer.open(stage.tab.view.record, 60, 0)
    stage.qtbot.waitUntil(lambda: len(viewer._shown) == 2)
    assert viewer.mode == "one"
    stage.qtbot.keyPress(viewer, Qt.Key.Key_Space)
    assert viewer.canvas.shows_before
    stage.qtbot.keyRelease(viewer, Qt.Key.Key_Space)
    assert not viewer.canvas.shows_before
    stage.qtbot.keyClick(viewer, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert viewer.before.title.text() == "A · Epoch 1"
    stage.qtbot.keyClick(viewer, Qt.Key.Key_C)
    assert viewer.mode == "beside"
    stage.qtbot.keyClick(viewer, Qt.Key.Key_C)
    assert viewer.mode == "divided"
    stage.qtbot.mousePress(viewer.canvas, Qt.MouseButton.LeftButton, pos=viewer.canvas.rect().center())
    assert viewer.canvas.divider == pytest.approx(0.5, abs=0.02)
    stage.qtbot.keyClick(viewer, Qt.Key.Key_Period)
    assert viewer.canvas.divider == pytest.approx(0.55, abs=0.02)


# Runs of others


def write(folder: RunFolder, events: list[Event]) -> None:
    with folder.events.open("a", encoding="utf-8") as file:
        file.write("".join(to_line(event) + "\n" for event in events))


def test_a_run_that_ended_while_the_window_slept_is_read_to_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_follower, "_MOST_BYTES", 2048)
    events = story(stage)
    folder = stage.keep(events[:5])
    with only_run(folder.path):
        stage.tab.open_run(folder)
        follower = stage.tab.shown._follower
        assert follower is not None
        follower._timer.stop()
        write(folder, events[5:])
    for _ in range(2 + folder.events.stat().st_size // 1024):
        if stage.tab.shown.is_live:
            follower.check_alive()
    assert not stage.tab.shown.is_live
    assert stage.tab.view.record.status == "finished"


def test_a_run_of_another_program_is_watched(stage: Stage) -> None:
    events = unfinished(story(stage))
    folder = stage.keep(events[:40])
    view = stage.tab.view
    with only_run(folder.path):
        stage.tab.open_run(folder)
        assert "started outside this window" in view.header.stage.text()
        assert view.header.stop_button.isHidden()
        assert view.outcome.isHidden()
        before = view.record.step
        write(folder, events[40:60])
        stage.qtbot.waitUntil(lambda: view.record.step > before)
        # It goes back: its event file is another one.
        lines = folder.events.read_text(encoding="utf-8").splitlines(keepends=True)[:30]
        fresh = folder.events.with_name("fresh")
        fresh.write_text("".join(lines), encoding="utf-8")
        fresh.replace(folder.events)
        expected = list(RunRecord.of(events[:30]).steps)
        stage.qtbot.waitUntil(lambda: list(view.record.steps) == expected)
        write(folder, [Finished(stopped=True)])
        follower = stage.tab.shown._follower
        assert follower is not None
        follower.check_alive()
        assert stage.tab.shown.is_live
    follower.check_alive()
    assert not stage.tab.shown.is_live
    assert view.outcome.heading.text().startswith("Stopped at step")


def test_a_half_written_line_waits_for_its_end(stage: Stage) -> None:
    events = unfinished(story(stage))
    folder = stage.keep(events[:40])
    with only_run(folder.path):
        stage.tab.open_run(folder)
        line = to_line(replace(next(e for e in events if isinstance(e, StepDone)), step=59))
        follower = stage.tab.shown._follower
        assert follower is not None
        with folder.events.open("a", encoding="utf-8") as file:
            file.write(line[:50])
        follower.look()
        assert stage.tab.view.record.step != 59
        with folder.events.open("a", encoding="utf-8") as file:
            file.write(line[50:] + "\n")
        follower.look()
        assert stage.tab.view.record.step == 59


def test_another_run_can_be_looked_at_while_one_goes_on(stage: Stage) -> None:
    other = stage.keep(story(stage), name="other")
    stage.start_and_hold(20)
    stage.tab.open_run(other)
    assert stage.tab.view.header.name.text() == "other"
    assert stage.tab.view.header.stop_button.isHidden()
    assert stage.tab.is_running
    stage.tab.show_start()
    assert stage.tab.page.live.isVisible()
    assert "mika" in stage.tab.page.live.heading.text()
    assert not stage.tab.page.summary.start_button.isEnabled()
    stage.tab.page.live.action("Show it").click()
    assert stage.tab.view.record.step == 20
    assert stage.tab.view.header.stop_button.isVisible()
    stage.tab.open_run(other)
    stage.wait_for_end(stage.run.go_on)
    assert stage.tab.view.header.name.text() == "other"  # what is looked at stays
    assert stage.tab.page.live.isHidden()


def test_a_long_run_is_read_beside_the_window(stage: Stage) -> None:
    steps = [
        StepDone(step=n, total_steps=3000, epoch=1, total_epochs=1, loss=0.1, learning_rate=1e-4, elapsed_s=n / 10)
        for n in range(1, 3001)
    ]
    folder = stage.keep([*steps, Finished()])
    began = time.perf_counter()
    stage.tab.open_run(folder)
    assert time.perf_counter() - began < 0.5
    assert stage.tab.view.header.stage.text() == "Reading the run…"
    stage.qtbot.waitUntil(lambda: stage.tab.view.record.step == 3000)
    assert stage.tab.view.outcome.heading.text() == "The LoRA is ready."


def test_adapted_events_take_back_what_was_drawn(stage: Stage) -> None:
    stage.start_and_hold(30)
    stage.tab.starter._take(Adapted(step=19, cause="memory", message="m"))
    view = stage.tab.view
    assert view.record.step == 19
    assert view.gallery.num_pictures == 2  # those of step 0; step 20 is drawn anew


def test_a_run_that_hangs_is_told_and_can_be_ended_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.start_and_hold(20)
    view = stage.tab.view
    view.show()
    assert view.outcome.isHidden()
    monkeypatch.setattr("app.widgets.run_view.SILENCE_S", 0.0)
    monkeypatch.setattr("app.widgets.run_view.SILENT_STEPS", 0)
    stage.qtbot.waitUntil(lambda: not view.outcome.isHidden())
    assert view.outcome.heading.text().startswith("The run has said nothing for")
    stage.wait_for_end(view.outcome.action("Force stop").click)


def test_a_run_that_speaks_again_is_no_longer_called_silent(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.start_and_hold(20)
    view = stage.tab.view
    view.outcome.show_silence(400)
    view._is_silent = True
    view.take(StepDone(step=21, total_steps=60, epoch=2, total_epochs=3, loss=0.1, learning_rate=1e-4, elapsed_s=1.0))
    assert view.outcome.isHidden()
