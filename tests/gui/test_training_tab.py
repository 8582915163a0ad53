from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app import theme
from app.project import Project
from app.run_record import RunRecord
from app.settings import Settings
from app.speed import remembered_duration
from app.widgets.curve_parts import PEAK_BINS, SMOOTH_POINTS
from app.widgets.curve_plot import CurvePlot
from app.widgets.sample_strip import SampleStrip
from app.widgets.thumbnails import ThumbnailLoader
from core import text
from core.config import TrainConfig
from core.events import Event, Failed, Finished, JobStarted, LoraSaved, SampleReady, StepDone, to_line
from core.jobs import TrainJob
from tests.gui.replay import ReplayRun, recorded_events
from tests.gui.training_stage import Stage


@pytest.fixture
def stage(qtbot: QtBot, project: Project, settings: Settings, tmp_path: Path) -> Stage:
    return Stage(qtbot, project, settings, tmp_path / "out")


def test_pyqtgraph_waits_for_this_page() -> None:
    code = (
        "import sys, app.main_window, app.tabs.params; print([m for m in ('pyqtgraph', 'torch') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert shown.stdout.strip() == "[]"


def test_loss_plot_follows_a_run(stage: Stage) -> None:
    stage.start_and_finish()
    view = stage.tab.view
    assert view.plot.num_points == 60
    assert isinstance(stage.jobs[0], TrainJob)
    assert stage.jobs[0].config == stage.project.config
    assert not stage.jobs[0].resume
    view.plot.redraw()
    steps, losses = view.plot._raw.getData()
    assert (steps[0], steps[-1]) == (1, 60)
    assert losses[-1] == pytest.approx(view.record.losses[-1])


def test_the_header_says_how_far_and_how_long(stage: Stage) -> None:
    stage.start_and_hold(37)
    header = stage.tab.view.header
    stage.qtbot.waitUntil(lambda: header.tiles["step"].value.text() == "37 / 60")
    assert header.stage.text() == "Training · CPU · fp32"
    assert header.tiles["epoch"].value.text() == "1 / 3"
    assert header.bar.value() == 37
    assert header.tiles["memory"].value.text().endswith("MB")
    record = stage.tab.view.record
    assert record.seconds_per_step is not None
    assert record.remaining_s == pytest.approx(23 * record.seconds_per_step)
    assert header.tiles["left"].value.text() != "–"


def test_gallery_fills_and_opens_large(stage: Stage) -> None:
    stage.start_and_finish()
    gallery, viewer = stage.tab.view.gallery, stage.tab.view.viewer
    assert gallery.num_pictures == 8
    stage.qtbot.waitUntil(lambda: not gallery._loader.is_busy and len(gallery._loader.cache) >= 4)
    place = gallery.cell_rect(60, 1)
    assert gallery.viewport().rect().contains(place)  # the newest is in view
    stage.qtbot.mouseClick(gallery.viewport(), Qt.MouseButton.LeftButton, pos=place.center())
    assert viewer.isVisible()
    assert viewer.step == 60
    assert viewer.after.title.text() == "B · Epoch 2"
    assert viewer.before.title.text() == "A · Without LoRA"
    stage.qtbot.keyClick(viewer, Qt.Key.Key_Left)
    assert viewer.step == 40
    stage.qtbot.keyClick(viewer, Qt.Key.Key_Up)
    assert viewer.prompt.text() == stage.tab.view.record.prompts[0]
    stage.qtbot.keyClick(viewer, Qt.Key.Key_Escape)
    assert not viewer.isVisible()


def test_stop_reaches_the_run(stage: Stage) -> None:
    stage.start_and_hold(20)
    header = stage.tab.view.header
    assert stage.tab.is_running
    stage.wait_for_end(header.stop_button.click)
    assert stage.run.sent == ["stop"]
    assert header.stop_button.isHidden()
    assert stage.tab.view.outcome.heading.text() == "Stopped at step 20 of 60."
    assert not stage.tab.is_running


def test_the_stop_button_says_that_it_is_stopping(stage: Stage) -> None:
    stage.start_and_hold(20)
    header = stage.tab.view.header
    header.set_phase("stopping")
    assert header.stop_button.text() == "Stopping…"
    assert not header.stop_button.isEnabled()
    assert header.force_button.isEnabled()


def test_force_stop_asks_once_and_reaches_the_run(stage: Stage) -> None:
    stage.start_and_hold(40)
    header = stage.tab.view.header
    assert header.force_button.isHidden()  # until the run was asked to end
    header.set_phase("stopping")
    header.force_button.click()
    assert not stage.run.killed
    assert "It can continue from step 38" in header.question_text.text()
    header.keep_button.click()
    assert header.question.isHidden()
    header.force_button.click()
    stage.wait_for_end(header.confirm_button.click)
    assert stage.run.killed


def test_an_asked_force_stop_is_no_failure(stage: Stage) -> None:
    stage.start_and_hold(40)
    stage.keep([], state=True)
    stage.wait_for_end(stage.tab.force_stop)
    view = stage.tab.view
    assert view.outcome.heading.text() == "Stopped at step 40 of 60."
    assert view.header.stage.text().startswith("Stopped at once")
    texts = [made.text() for made in view.outcome.actions_shown]
    assert texts == ["Continue from step 38", "Continue with changes…"]  # No file, so no folder to open.
    stage.settings.set_language("zh")
    assert not any(letter.isascii() and letter.isalpha() for letter in view.outcome.heading.text())


def test_a_force_stop_shows_the_file_that_is_there(stage: Stage) -> None:
    stage.start_and_hold(40)
    saved = stage.tab.view.record.loras[-1].path
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_bytes(b"x" * 2048)
    stage.wait_for_end(stage.tab.force_stop)
    outcome = stage.tab.view.outcome
    assert str(saved) in outcome.text.text()
    assert outcome.action("Open folder")


def test_a_forced_run_that_saved_before_its_end_is_told_as_saved(stage: Stage) -> None:
    record = RunRecord.of([*recorded_events()[:40], Finished(stopped=True)])
    record.was_force_stopped = True
    assert not record.ended_by_force
    assert record.status == "stopped"


def test_a_failure_nobody_asked_for_stays_one(stage: Stage) -> None:
    stage.run = ReplayRun([*recorded_events()[:40], Failed(message="The GPU ran out of memory.", remedy="Less.")])
    stage.start_and_finish()
    assert stage.tab.view.outcome.heading.text() == "The GPU ran out of memory."
    assert stage.tab.view.record.status == "failed"


def test_without_prompts_no_preview_is_promised(stage: Stage) -> None:
    stage.project.change({"sampling.prompts": ()})
    stage.run = ReplayRun([event for event in recorded_events() if not isinstance(event, SampleReady)], hold_after=20)
    stage.tab.start()
    view = stage.tab.view
    stage.qtbot.waitUntil(lambda: view.record.step == 20)
    assert not view.header.sample_button.isEnabled()
    assert view.header.sample_button.toolTip() == "No preview prompts are set"
    assert view.gallery.empty_text == "No preview prompts are set"
    stage.wait_for_end(stage.run.go_on)
    assert view.gallery.empty_text == "No preview prompts are set"


def test_a_run_that_ended_promises_no_previews(stage: Stage) -> None:
    stage.start_and_hold(20)
    view = stage.tab.view
    assert view.gallery.empty_text.startswith("Previews appear here")
    assert view.header.sample_button.toolTip() == "Draws the previews at this step"
    stage.wait_for_end(stage.run.go_on)
    assert view.gallery.empty_text == "No previews were drawn."


def test_preview_and_save_reach_the_run(stage: Stage) -> None:
    stage.start_and_hold(20)
    header = stage.tab.view.header
    header.sample_button.click()
    header.save_button.click()
    assert stage.run.sent == ["sample", "save"]
    assert not header.sample_button.isEnabled()  # until they are drawn
    stage.wait_for_end(stage.run.go_on)


def test_without_prompts_there_is_nothing_to_preview(stage: Stage) -> None:
    stage.project.change({"sampling.prompts": ()})
    stage.start_and_hold(20)
    assert not stage.tab.view.header.sample_button.isEnabled()


def test_notices_are_listed(stage: Stage) -> None:
    stage.start_and_finish()
    assert "broken.png is empty" in stage.tab.view.notices.text()
    assert not stage.tab.view.folds.is_open("notices")
    stage.tab.view.folds.set_open("notices", True)
    assert stage.tab.view.notices.isVisible()


def test_the_result_card_has_file_and_size(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    stage.output.mkdir()
    stage.start_and_finish()
    card = stage.tab.view.outcome
    assert card.heading.text() == "The LoRA is ready."
    assert str(stage.output / "mika.safetensors") in card.text.text()
    assert "719 KB" in card.text.text()
    card.action("Open folder").click()
    assert [Path(place) for place in opened] == [stage.output]


def test_the_result_card_says_what_was_found_in_the_file(stage: Stage) -> None:
    saved = LoraSaved(path=stage.output / "mika.safetensors", step=4, epoch=1, size_bytes=9, num_modules=264)
    done = Finished(output=saved.path)
    stage.tab.open_run(stage.keep([saved, done], lora=True))
    card = stage.tab.view.outcome
    assert card.text.text().splitlines()[0].endswith("KB · 264 modules checked")
    stage.tab.open_run(stage.keep([replace(saved, problems=("It does not fit.",)), done], name="ill"))
    assert "It does not fit." in card.text.text().splitlines()
    assert "264 modules checked" not in card.text.text()


def test_train_again_takes_the_settings_under_a_free_name(stage: Stage) -> None:
    stage.project.change({"network.rank": 12})
    stage.start_and_finish()
    stage.keep([Finished()], lora=True)
    stage.project.change({"network.rank": 99})
    stage.tab.view.outcome.action("Train again").click()
    assert not stage.tab.shows_run
    assert stage.project.config.network.rank == 12
    assert stage.project.config.output.name == "mika-2"


FAILED = Failed(message="The memory is not enough.", remedy="Set the batch size to 1.", detail="Traceback: 显存不足")


def test_failure_card_and_continue(stage: Stage) -> None:
    events = [*recorded_events(run_folder=stage.folder.path)[:60], FAILED]
    stage.run = ReplayRun(events)
    stage.start_and_finish()
    card = stage.tab.view.outcome
    assert card.heading.text() == "The memory is not enough."
    assert card.text.text() == "Set the batch size to 1."
    assert card.detail.toPlainText() == "Traceback: 显存不足"
    assert card.detail.isHidden()
    card.action("Copy details").click()
    assert "显存不足" in QGuiApplication.clipboard().text()
    stage.keep(events, state=True)
    stage.tab.open_run(stage.folder)
    with stage.qtbot.waitSignal(stage.tab.running_changed):
        card.actions_shown[0].click()
    job = stage.jobs[-1]
    assert isinstance(job, TrainJob)
    assert job.resume
    assert job.config.output.name == "mika"
    stage.qtbot.waitUntil(lambda: not stage.tab.is_running)


def test_a_run_that_failed_before_anything_was_saved_can_be_tried_again(stage: Stage) -> None:
    stage.run = ReplayRun([FAILED])
    stage.start_and_finish()
    stage.keep([FAILED])
    stage.run = ReplayRun(run_folder=stage.folder.path)
    stage.project.change({"training.batch_size": 1, "network.rank": 4})
    stage.wait_for_end(stage.tab.view.outcome.action("Try again").click)
    job = stage.jobs[-1]
    assert isinstance(job, TrainJob)
    assert job.resume  # the name is its own
    assert job.config.network.rank == 4
    assert stage.tab.view.plot.num_points == 60


def test_the_curve_goes_on_where_a_continued_run_goes_on(stage: Stage) -> None:
    events = recorded_events(run_folder=stage.folder.path)
    stage.keep(events[:60], state=True)
    steps_before = [event.step for event in events[:60] if isinstance(event, StepDone)]
    start = next(event for event in events if isinstance(event, JobStarted))
    rest = [event for event in events if isinstance(event, StepDone) and event.step > 20]
    stage.run = ReplayRun([replace(start, first_step=20), *rest, Finished(output=Path("a.safetensors"))])
    stage.tab.open_run(stage.folder)
    assert stage.tab.view.plot.num_points == len(steps_before)
    stage.wait_for_end(lambda: stage.tab.continue_run(stage.folder))
    assert list(stage.tab.view.record.steps) == list(range(1, 61))


def test_a_recorded_run_opens_again(stage: Stage) -> None:
    stage.keep(recorded_events(run_folder=stage.folder.path), lora=True)
    stage.tab.resize(824, 592)
    stage.tab.show_start("history")
    runs = stage.tab.page.history.list
    stage.qtbot.waitUntil(lambda: [run.name for run in runs.runs.runs] == ["mika"])
    runs.choose(runs.runs.runs[0])
    stage.qtbot.keyClick(runs, Qt.Key.Key_Return)
    view = stage.tab.view
    assert stage.tab.shows_run
    assert view.plot.num_points == 60
    assert view.gallery.num_pictures == 8
    stage.qtbot.waitUntil(lambda: view.gallery.viewport().rect().contains(view.gallery.cell_rect(60, 0)))
    assert view.outcome.heading.text() == "The LoRA is ready."
    assert "2.0 KB" in view.outcome.text.text()
    assert view.header.stop_button.isHidden()
    view.header.back_button.click()
    assert not stage.tab.shows_run


def test_a_moved_run_still_shows_its_previews(stage: Stage, tmp_path: Path) -> None:
    events = recorded_events(run_folder=stage.folder.path)
    folder = stage.keep(events)
    for event in events:
        if event.kind == "sample_ready":
            shutil.copy(event.image, folder.samples)
    lost = [replace(e, image=Path("/gone") / e.image.name) if e.kind == "sample_ready" else e for e in events]
    folder.events.write_text("".join(to_line(event) + "\n" for event in lost), encoding="utf-8")
    stage.tab.open_run(folder)
    loader = stage.tab.view.loader
    stage.qtbot.waitUntil(lambda: not loader.is_busy and len(loader.cache) >= 4)
    assert not any(pixmap.isNull() for pixmap in loader.cache._pixmaps.values())


def test_a_run_killed_with_the_window_is_offered_to_go_on(stage: Stage) -> None:
    stage.keep(recorded_events(run_folder=stage.folder.path)[:60], state=True)
    stage.tab.refresh_runs()
    card = stage.tab.page.question
    stage.qtbot.waitUntil(card.isVisible)
    assert "mika was interrupted at step" in card.heading.text()
    stage.wait_for_end(card.action("Continue").click)
    assert isinstance(stage.jobs[0], TrainJob)
    assert stage.jobs[0].resume


def test_starting_over_an_unfinished_run_asks(stage: Stage) -> None:
    stage.keep(recorded_events(run_folder=stage.folder.path)[:60], state=True)
    stage.project.change({"network.rank": 5})
    stage.tab.start()
    card = stage.tab.page.question
    assert stage.jobs == []
    assert "mika exists already and stopped at step" in card.heading.text()
    assert [button.text() for button in card.actions_shown] == ["Continue", "Start a new one as mika-2", "Cancel"]
    stage.wait_for_end(card.action("Start a new one as mika-2").click)
    job = stage.jobs[0]
    assert isinstance(job, TrainJob)
    assert not job.resume
    assert (job.config.output.name, job.config.network.rank) == ("mika-2", 5)


def test_cancel_starts_nothing(stage: Stage) -> None:
    stage.keep([Finished()], lora=True)
    stage.tab.start()
    assert stage.tab.page.question.heading.text() == "There is already a LoRA named mika."
    stage.tab.page.question.action("Cancel").click()
    assert stage.tab.page.question.isHidden()
    assert stage.jobs == []


def test_a_new_name_takes_the_question_away(stage: Stage) -> None:
    stage.keep([Finished()], lora=True)
    stage.tab.start()
    stage.project.change({"output.name": "other"})
    assert stage.tab.page.question.isHidden()
    stage.start_and_finish()
    assert stage.tab.view.plot.num_points == 60


def test_an_unset_output_folder_becomes_the_usual_one(stage: Stage) -> None:
    stage.project.set_config(TrainConfig())
    stage.start_and_finish()
    job = stage.jobs[0]
    assert isinstance(job, TrainJob)
    assert job.config.output.folder.name == "Kiln"
    assert job.config == stage.project.config


def test_a_second_start_only_shows_the_run(stage: Stage) -> None:
    stage.start_and_hold(20)
    stage.tab.start()
    assert len(stage.jobs) == 1
    assert stage.tab.shows_run


def test_a_run_that_breaks_ends_in_a_card(stage: Stage) -> None:
    class Broken(ReplayRun):
        def events(self) -> Iterator[Event]:
            yield from self._events[:5]
            raise RuntimeError("the pipe broke")

    stage.run = Broken()
    stage.start_and_finish()
    assert "the pipe broke" in stage.tab.view.outcome.heading.text()
    assert "RuntimeError" in stage.tab.view.outcome.detail.toPlainText()


def test_the_speed_is_remembered(stage: Stage) -> None:
    stage.start_and_finish()
    seconds = stage.tab.view.record.seconds_per_step
    assert seconds is not None
    duration = remembered_duration(stage.settings, stage.project.config, 10)
    assert duration is not None
    assert duration.seconds == pytest.approx(10 * seconds)


def test_the_log_is_followed(stage: Stage) -> None:
    stage.start_and_hold(20)
    log = stage.tab.view.log
    stage.folder.log.parent.mkdir(parents=True)
    stage.folder.log.write_text("one\nprogress 1\rprogress 2\n", encoding="utf-8")
    stage.tab.view.folds.set_open("log", True)
    stage.qtbot.waitUntil(lambda: log.toPlainText() == "one\nprogress 2")
    with stage.folder.log.open("a", encoding="utf-8") as file:
        file.write("模型 half a line")
        file.flush()
        log.refresh()
        assert "half" not in log.toPlainText()
        file.write(" and its end\n")
    stage.qtbot.waitUntil(lambda: log.toPlainText().endswith("模型 half a line and its end"))


def long_run(steps: int) -> list[Event]:
    return [
        StepDone(
            step=step,
            total_steps=steps,
            epoch=1,
            total_epochs=1,
            loss=float("nan") if step == 7 else 0.1 + (step % 13) / 100,
            learning_rate=1e-4,
            elapsed_s=step / 10,
        )
        for step in range(1, steps + 1)
    ]


def test_a_hundred_thousand_steps_are_thinned(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.resize(600, 400)
    plot.show_record(RunRecord.of(long_run(100_000)))
    with qtbot.waitExposed(plot):
        plot.show()
    plot.redraw()
    assert plot.num_points == 100_000
    steps, losses = plot._raw.getOriginalDataset()
    assert len(steps) <= 2 * PEAK_BINS + 200
    assert (steps[-1], losses.max(), losses.min()) == (100_000, pytest.approx(0.22), pytest.approx(0.1))
    assert not plot._raw.opts["antialias"]
    smooth = plot._line.getOriginalDataset()[0]
    assert len(smooth) <= SMOOTH_POINTS
    assert smooth[-1] == 100_000
    plot.touch()
    began = time.perf_counter()
    plot.redraw()
    assert time.perf_counter() - began < 0.15  # some 10 ms where nothing else runs


def test_nothing_is_drawn_while_nobody_looks(stage: Stage) -> None:
    stage.tab.hide()
    stage.start_and_finish()
    assert stage.tab.view.plot.num_points == 60
    assert not stage.tab.view.plot._timer.isActive()
    assert not stage.tab.view._timer.isActive()
    stage.tab.show()
    assert stage.tab.view.plot._raw.getOriginalDataset()[0][-1] == 60


def test_only_pictures_in_view_are_read(qtbot: QtBot) -> None:
    sample = next(event for event in recorded_events() if event.kind == "sample_ready")
    loader = ThumbnailLoader(num_threads=1)
    strip = SampleStrip(loader)
    qtbot.addWidget(strip, before_close_func=lambda _strip: loader.shut_down())
    strip.resize(400, 200)
    strip.show_record(
        RunRecord.of([replace(sample, step=number, image=sample.image.with_stem(str(number))) for number in range(100)])
    )
    with qtbot.waitExposed(strip):
        strip.show()
    qtbot.waitUntil(lambda: not loader.is_busy and len(loader.cache) >= 2)
    assert strip.num_pictures == 100
    assert len(loader.cache) < 10
    assert strip.viewport().rect().contains(strip.cell_rect(99, 0).center() - QPoint(1, 0))


def test_changing_language_and_theme_during_a_run(stage: Stage, qapp: QApplication) -> None:
    stage.start_and_hold(37)
    stage.settings.set_language("zh")
    theme.apply(qapp, "dark")
    header = stage.tab.view.header
    assert header.stop_button.text() == "停止"
    assert header.stage.text().startswith("训练")
    stage.wait_for_end(header.stop_button.click)
    assert stage.tab.view.outcome.heading.text() == "已停在第 37 步（共 60 步）。"
    stage.settings.set_language("en")
    assert stage.tab.view.outcome.heading.text() == "Stopped at step 37 of 60."


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(1104, 776), (824, 592)])
def test_nothing_is_cut_off(
    stage: Stage, clipped: Callable[[QWidget], list[str]], language: text.Language, size: tuple[int, int]
) -> None:
    stage.settings.set_language(language)
    stage.tab.resize(*size)
    stage.keep(recorded_events(run_folder=stage.folder.path)[:60], state=True)
    stage.tab.start()
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
    stage.project.change({"output.name": "other"})
    stage.start_and_hold(37)
    stage.tab.view.header.set_phase("stopping")
    stage.tab.view.header.force_button.click()
    stage.tab.view.folds.set_open("notices", True)
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
    stage.wait_for_end(stage.tab.view.header.confirm_button.click)
    stage.qtbot.waitUntil(lambda: clipped(stage.tab) == [])
