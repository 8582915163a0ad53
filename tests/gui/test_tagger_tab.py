"""The Tagger page: what the button promises, progress, cancelling, what went wrong, and the way back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.job_worker import JobWorker
from app.project import Project
from app.settings import Settings
from app.tabs.tagger import TaggerTab
from app.tagging_words import counts_text, forecast
from app.widgets.cheat_sheet import CheatSheet
from app.widgets.tag_options import TagOptionsForm
from app.widgets.tagger_columns import CAPTIONS, PICTURE, TRIGGER
from app.widgets.tagger_row import PLAN_ROLE
from core.dataset.edits import PictureEdits
from core.events import CaptionsPlanned, Failed, Finished, Notice, StageProgress, StageStarted
from core.jobs import Job, TagJob
from core.runner import ChildRun
from core.tagging.options import TagOptions
from tests.gui.tagging_runs import remember, tagged, tags
from tests.taggers import tiny_tagger

KEEP, REPLACE, PREPEND, APPEND, MERGE = range(5)


@pytest.fixture
def make_tab(qtbot: QtBot, project: Project, settings: Settings, pictures: Path, starting):
    made = []

    def make(run: object, *, is_open: bool = True) -> TaggerTab:
        tab = TaggerTab(project, settings, starting(run))
        made.append(tab)
        qtbot.addWidget(tab)
        tab.resize(1060, 780)
        with qtbot.waitExposed(tab):
            tab.show()
        if is_open:
            with qtbot.waitSignal(project.records_changed):
                project.open_folder(pictures)
        return tab

    yield make
    for tab in made:
        tab.shut_down()


@pytest.fixture
def uncaptioned(pictures: Path) -> list[Path]:
    """The two pictures that have no caption."""
    return [pictures / "picture_4.png", pictures / "picture_5.png"]


def run_to_end(qtbot: QtBot, tab: TaggerTab) -> None:
    with qtbot.waitSignals([tab.running_changed, tab.running_changed]):
        tab.start_button.click()
    assert not tab.is_running


def outcomes(tab: TaggerTab) -> dict[str, str]:
    """What the list says of each picture that it says something of."""
    model = tab.list.results
    plans = ((model.index(row).data(), model.index(row).data(PLAN_ROLE)) for row in range(model.rowCount()))
    return {name: plan.outcome for name, plan in plans if plan is not None}


def test_without_a_folder_it_says_what_to_do(qtbot: QtBot, make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]), is_open=False)
    assert tab.closed.isVisible()
    assert not tab.start_button.isVisible()
    with qtbot.waitSignal(tab.dataset_requested):
        tab.to_dataset_button.click()
    tab.start()
    assert not tab.is_running


def test_button_says_how_many_and_what_happens(make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]))
    assert tab.start_button.text() == "Tag 2 pictures"
    assert tab.action.sentence.text() == "Already with a caption: 4. They are kept."
    tab.form.existing.setCurrentIndex(REPLACE)
    assert tab.start_button.text() == "Tag 6 pictures"
    assert "Captions to be replaced: 4" in tab.action.sentence.text()


@pytest.mark.parametrize(
    ("total", "captioned", "on_existing", "words"),
    [
        (0, 0, "keep", "no picture"),
        (3, 0, "keep", "No picture has a caption yet"),
        (2, 1, "keep", "Already with a caption: 1"),
        (2, 2, "keep", "All 2 pictures have captions; choose Replace"),
        (2, 2, "replace", "to be replaced: 2"),
        (2, 2, "append", "get more tags: 2"),
        (2, 2, "merge", "get more tags: 2"),
    ],
)
def test_forecast(total: int, captioned: int, on_existing: str, words: str) -> None:
    assert words in forecast(total, captioned, TagOptions(on_existing=on_existing))


def test_counts_leave_out_what_there_is_none_of() -> None:
    assert (
        counts_text(CaptionsPlanned(new=28, changed=2, unchanged=0, kept=0, failed=1)) == "28 new, 2 changed, 1 failed"
    )


# One press


def test_one_press_writes_all_captions_and_undo_takes_them_back(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path, uncaptioned: list[Path], jobs: list[Job]
) -> None:
    before = {file: file.read_bytes() for file in pictures.glob("*.txt")}
    events = [StageStarted(stage="tag", total=6), *map(tagged, uncaptioned), Finished()]
    tab = make_tab(fake_run(events))
    run_to_end(qtbot, tab)
    assert [image.with_suffix(".txt").read_text(encoding="utf-8") for image in uncaptioned] == ["solo, smile"] * 2
    assert tab.action.headline.text() == "Done: 2 new, 4 kept"
    assert outcomes(tab) == {f"picture_{number}.png": "new" if number > 3 else "kept" for number in range(6)}
    assert project.undo_name == "Tag 2 pictures"
    (job,) = jobs
    assert isinstance(job, TagJob)
    assert (job.folder, job.write, job.images) == (pictures, False, ())
    tab.action.undo_button.click()
    qtbot.waitUntil(lambda: not project.is_writing and project.record(uncaptioned[0]).caption is None)
    assert {file: file.read_bytes() for file in pictures.glob("*.txt")} == before
    assert tab.action.headline.text() == "Taken back: Tag 2 pictures"
    assert not tab.action.undo_button.isVisible()
    assert tab.start_button.text() == "Tag 2 pictures"


def test_undo_is_there_after_a_restart(
    qtbot: QtBot, make_tab, fake_run, settings: Settings, starting, pictures: Path, uncaptioned: list[Path]
) -> None:
    run_to_end(qtbot, make_tab(fake_run([*map(tagged, uncaptioned), Finished()])))
    again = Project()
    tab = TaggerTab(again, settings, starting(fake_run([])))
    qtbot.addWidget(tab)
    with qtbot.waitExposed(tab):
        tab.show()
    with qtbot.waitSignal(again.records_changed):
        again.open_folder(pictures)
    qtbot.waitUntil(tab.action.undo_button.isVisible)
    tab.action.undo_button.click()
    qtbot.waitUntil(lambda: not any(image.with_suffix(".txt").exists() for image in uncaptioned))
    tab.shut_down()


def test_picture_that_failed_is_listed_with_the_reason_and_the_others_are_written(
    qtbot: QtBot, make_tab, fake_run, uncaptioned: list[Path]
) -> None:
    failed, good = uncaptioned
    notice = Notice(level="warning", message="The picture is damaged.", image=failed)
    tab = make_tab(fake_run([notice, tagged(good), Finished()]))
    run_to_end(qtbot, tab)
    assert tab.action.headline.text() == "Done: 1 new, 4 kept, 1 failed"
    assert good.with_suffix(".txt").exists() and not failed.with_suffix(".txt").exists()
    qtbot.mouseClick(tab.counts.buttons["failed"], Qt.MouseButton.LeftButton)
    assert tab.list.results.images == [failed]
    assert "The picture is damaged." in tab.list.results.index(0).data(Qt.ItemDataRole.ToolTipRole)
    tab.list.select(failed)
    qtbot.mouseClick(tab.counts.buttons[""], Qt.MouseButton.LeftButton)
    assert len(tab.list.results.images) == 6
    assert tab.list.current() == failed


def test_file_that_is_no_picture_counts_as_failed(qtbot: QtBot, make_tab, fake_run, pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    tab = make_tab(fake_run([Finished()]))
    run_to_end(qtbot, tab)
    assert outcomes(tab)["broken.png"] == "failed"
    assert tab.counts.buttons["failed"].text() == "Failed 1"


def test_progress_says_speed_and_time_left(qtbot: QtBot, make_tab, waiting_run) -> None:
    tab = make_tab(waiting_run([StageProgress(stage="tag", done=2, total=10, elapsed_s=1.0)]))
    tab.start_button.click()
    qtbot.waitUntil(lambda: tab.action.bar.maximum() == 10)
    assert tab.action.bar.value() == 2
    assert tab.action.sentence.text() == "2 of 10 · 2.0 pictures per second · 4 s left"
    assert not tab.start_button.isVisible()
    assert not tab.form.isEnabled()
    with qtbot.waitSignal(tab.running_changed):
        tab.action.cancel_button.click()


def test_note_about_the_device_is_shown(qtbot: QtBot, make_tab, fake_run) -> None:
    note = "The graphics card cannot be used, so the tagger computes on the processor."
    tab = make_tab(fake_run([Notice(level="warning", message=note), Notice(message="Tagging on CPU."), Finished()]))
    run_to_end(qtbot, tab)
    assert tab.action.note.text() == note
    assert tab.action.note.isVisible()


def test_cancel_writes_nothing(qtbot: QtBot, make_tab, waiting_run, uncaptioned: list[Path]) -> None:
    run = waiting_run([tagged(uncaptioned[0])])
    tab = make_tab(run)
    tab.start_button.click()
    qtbot.waitUntil(lambda: "picture_4.png" in outcomes(tab))
    with qtbot.waitSignal(tab.running_changed):
        qtbot.keyClick(tab, Qt.Key.Key_Escape)
        assert not tab.action.cancel_button.isEnabled()
    assert run.commands == ["stop"]
    assert tab.action.headline.text() == "Cancelled. Nothing was written; the next run goes on from here."
    assert not uncaptioned[0].with_suffix(".txt").exists()
    assert tab.start_button.isEnabled()


def test_force_stop_kills(qtbot: QtBot, make_tab, waiting_run) -> None:
    run = waiting_run([])
    tab = make_tab(run)
    tab.start_button.click()
    with qtbot.waitSignal(tab.running_changed):
        tab.force_stop()
    assert run.was_killed


def test_another_folder_ends_the_run(qtbot: QtBot, make_tab, waiting_run, project: Project, pictures: Path) -> None:
    run = waiting_run([])
    tab = make_tab(run)
    tab.start_button.click()
    shutil.copytree(pictures, pictures.parent / "next")
    with qtbot.waitSignal(tab.running_changed):
        project.open_folder(pictures.parent / "next")
    assert run.was_killed
    assert tab.start_button.isEnabled()


def test_failure_is_a_sentence_with_folded_details(qtbot: QtBot, make_tab, fake_run) -> None:
    failed = Failed(message="The tagger is damaged.", remedy="Download it again.", detail="Traceback: onnx")
    tab = make_tab(fake_run([failed]))
    run_to_end(qtbot, tab)
    assert tab.action.headline.text() == "The tagger is damaged."
    assert tab.action.sentence.text() == "Download it again."
    assert not tab.action.detail.isVisible()
    tab.action.detail_button.click()
    assert tab.action.detail.isVisible()
    assert tab.action.detail.text() == "Traceback: onnx"
    assert tab.start_button.isEnabled()


def test_two_runs_in_a_row(qtbot: QtBot, make_tab, fake_run) -> None:
    tab = make_tab(fake_run([Finished()]))
    for _ in range(2):
        run_to_end(qtbot, tab)
    qtbot.waitUntil(lambda: not tab.findChildren(JobWorker))


def test_after_tagging_training_is_next(qtbot: QtBot, make_tab, fake_run, uncaptioned: list[Path]) -> None:
    tab = make_tab(fake_run([*map(tagged, uncaptioned), Finished()]))
    assert not tab.action.next_button.isVisible()
    run_to_end(qtbot, tab)
    assert tab.action.next_button.property("kind") == "primary"
    assert tab.start_button.text() == "Tag again"
    with qtbot.waitSignal(tab.params_requested):
        tab.action.next_button.click()


# Looking first


def test_look_first_says_what_will_be_written_and_writes_it_when_told(
    qtbot: QtBot, make_tab, fake_run, pictures: Path, uncaptioned: list[Path]
) -> None:
    changed = [tagged(pictures / f"picture_{number}.png", outcome="changed") for number in range(4)]
    tab = make_tab(fake_run([*changed, *map(tagged, uncaptioned), Finished()]))
    tab.form.at_once.click()
    tab.form.existing.setCurrentIndex(MERGE)
    run_to_end(qtbot, tab)
    assert tab.action.headline.text() == "To be written: 2 new, 4 changed"
    assert not uncaptioned[0].with_suffix(".txt").exists()
    assert not tab.start_button.isVisible()
    qtbot.keyClick(tab, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: tab.action.headline.text() == "Done: 2 new, 4 changed")
    assert uncaptioned[0].with_suffix(".txt").read_text(encoding="utf-8") == "solo, smile"
    text = (pictures / "picture_0.txt").read_text(encoding="utf-8")
    assert text == "1girl, red hair, number 0, solo, smile"


@pytest.mark.parametrize("is_built_first", [True, False])
def test_undo_is_there_when_the_page_is_built_after_the_folder_was_opened(
    qtbot: QtBot,
    make_tab,
    fake_run,
    settings: Settings,
    starting,
    pictures: Path,
    uncaptioned: list[Path],
    is_built_first: bool,
) -> None:
    run_to_end(qtbot, make_tab(fake_run([*map(tagged, uncaptioned), Finished()])))
    again = Project()
    tab = TaggerTab(again, settings, starting(fake_run([]))) if is_built_first else None
    with qtbot.waitSignal(again.records_changed):
        again.open_folder(pictures)
    tab = tab or TaggerTab(again, settings, starting(fake_run([])))
    qtbot.addWidget(tab)
    with qtbot.waitExposed(tab):
        tab.show()
    assert tab.action.undo_button.isVisible()
    tab.action.undo_button.click()
    assert not any(image.with_suffix(".txt").exists() for image in uncaptioned)
    again.edit_pictures("Leave out", {uncaptioned[0]: PictureEdits(excluded=True)})
    assert not tab.tagging.can_undo  # That is for the Dataset page.


def test_what_is_left_to_the_trigger_word_is_remembered_with_the_folder(
    qtbot: QtBot, make_tab, fake_run, project: Project, settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    make_tab(fake_run([])).form.set_prune(("red hair", "blue eyes"))
    project.save()
    again = Project()
    form = TagOptionsForm(again, settings)
    qtbot.addWidget(form)
    with qtbot.waitSignal(again.records_changed):
        again.open_folder(pictures)
    assert form.options().prune == ("red hair", "blue eyes")
    with qtbot.waitSignal(again.records_changed):
        again.open_folder(Path(shutil.copytree(pictures, tmp_path / "other")))
    assert form.options().prune == ()


def test_a_caption_that_could_not_be_written_is_no_new_choice(
    qtbot: QtBot, make_tab, fake_run, uncaptioned: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = make_tab(fake_run([*map(tagged, uncaptioned), Finished()]))
    real = os.replace

    def refuse(source: str, target: Path) -> None:
        if Path(target).name == "picture_4.txt":
            raise PermissionError(13, os.strerror(13), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    run_to_end(qtbot, tab)
    qtbot.waitUntil(lambda: tab.tagging.planned is not None)  # Planned anew, with what is on the disk now.
    assert not tab.tagging.has_new_choice and not tab.action.apply_button.isVisible()
    assert "1 new" in tab.action.headline.text() and "1 failed" in tab.action.headline.text()


def test_discard_writes_nothing(qtbot: QtBot, make_tab, fake_run, uncaptioned: list[Path]) -> None:
    tab = make_tab(fake_run([*map(tagged, uncaptioned), Finished()]))
    tab.form.at_once.click()
    run_to_end(qtbot, tab)
    tab.action.discard_button.click()
    assert tab.action.headline.text() == "Nothing was written."
    assert tab.start_button.isEnabled()
    assert tab.list.model().index(0).data(PLAN_ROLE) is None  # The list tells of captions again, not of plans.
    assert not uncaptioned[0].with_suffix(".txt").exists()


def test_options_change_the_summary_without_another_look(
    qtbot: QtBot, make_tab, fake_run, project: Project, uncaptioned: list[Path], jobs: list[Job]
) -> None:
    tab = make_tab(fake_run([Finished()]))
    for image in uncaptioned:
        remember(project, image, tags(solo=0.9, smile=0.5, hat=0.2))
    tab.form.at_once.click()
    run_to_end(qtbot, tab)
    tab.form.threshold.set_value(0.1)
    qtbot.waitUntil(lambda: tab.tagging.plan_of(uncaptioned[0]).caption == "solo, smile, hat")
    tab.form.threshold.set_value(0.95)
    qtbot.waitUntil(lambda: tab.action.headline.text() == "There is nothing to write: 6 kept")
    assert not tab.action.apply_button.isEnabled()
    tab.form.threshold.set_value(0.6)
    tab.action.refresh()
    tab.tagging.apply()  # At once, while the plan for the new threshold is still on its way.
    qtbot.waitUntil(lambda: tab.tagging.phase == "done")
    assert uncaptioned[0].with_suffix(".txt").read_text(encoding="utf-8") == "solo"
    assert len(jobs) == 1


# The picture


def test_click_on_a_tag_leaves_it_out_and_takes_it_back(
    qtbot: QtBot, make_tab, fake_run, project: Project, uncaptioned: list[Path]
) -> None:
    tab = make_tab(fake_run([]))
    image = uncaptioned[0]
    remember(project, image, tags(solo=0.9, long_hair=0.5))
    tab.tagging.seen.expire()
    tab.list.select(image)
    tab.form.threshold.set_value(0.3)
    bars = tab.preview.bars
    qtbot.waitUntil(lambda: bars.isVisible() and bars.bars.rowCount() == 3)
    place = bars.visualRect(bars.bars.index(2)).center()
    qtbot.mouseClick(bars.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert tab.form.options().exclude == ("long hair",)
    assert bars.bars.rows[2].state == "excluded"
    assert tab.preview.plan.caption == "solo"
    qtbot.mouseClick(bars.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert tab.form.options().exclude == ()
    assert tab.preview.plan.caption == "solo, long hair"


def test_trying_looks_at_one_picture_and_writes_nothing(
    qtbot: QtBot, make_tab, waiting_run, uncaptioned: list[Path], jobs: list[Job]
) -> None:
    image = uncaptioned[1]
    tab = make_tab(waiting_run([tagged(image)]))
    tab.list.select(image)
    qtbot.mouseClick(tab.preview.try_button, Qt.MouseButton.LeftButton)
    assert not tab.is_running
    assert not tab.start_button.isEnabled()
    tab.tagging.look.worker.stop()
    qtbot.waitUntil(tab.preview.bars.isVisible)
    (job,) = jobs
    assert (job.images, job.write) == ((image,), False)
    assert not image.with_suffix(".txt").exists()
    assert tab.start_button.isEnabled()


def test_why_a_picture_could_not_be_tried_is_said(qtbot: QtBot, make_tab, fake_run, uncaptioned: list[Path]) -> None:
    failed = Failed(message="The tagger is damaged.", remedy="Download it again.")
    tab = make_tab(fake_run([failed]))
    tab.list.select(uncaptioned[0])
    tab.preview.look()
    qtbot.waitUntil(lambda: tab.tagging.look.image is None)
    assert tab.action.headline.text() == "The tagger is damaged."


def test_list_follows_the_run_until_someone_scrolls(
    qtbot: QtBot, make_tab, waiting_run, project: Project, pictures: Path
) -> None:
    for number in range(6, 60):
        shutil.copy(pictures / "picture_5.png", pictures / f"picture_{number}.png")
    tab = make_tab(waiting_run([tagged(pictures / f"picture_{number}.png") for number in range(4, 60)]))
    tab.start_button.click()
    bar = tab.list.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.value() == bar.maximum() > 0)
    bar.triggerAction(bar.SliderAction.SliderToMinimum)
    tab.list.show_newest(pictures / "picture_59.png")
    assert bar.value() == 0
    with qtbot.waitSignal(tab.running_changed):
        tab.action.cancel_button.click()


# The page


def test_where_there_is_little_room_the_list_is_a_panel(qtbot: QtBot, make_tab, fake_run, uncaptioned) -> None:
    tab = make_tab(fake_run([]))
    assert tab.list.isVisible() and tab.preview.isVisible()
    tab.resize(760, 600)
    qtbot.waitUntil(lambda: tab.columns.is_narrow)
    assert tab.columns.side.current == CAPTIONS
    assert tab.list.isVisible() and not tab.preview.isVisible()
    tab.list.select(uncaptioned[0])
    qtbot.keyClick(tab.list, Qt.Key.Key_Return)
    assert tab.columns.side.current == PICTURE
    assert tab.preview.isVisible() and not tab.list.isVisible()
    tab.resize(1100, 700)
    qtbot.waitUntil(lambda: tab.list.isVisible() and tab.preview.isVisible())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [764, 1060])
def test_nothing_is_cut_off(
    qtbot: QtBot, make_tab, fake_run, settings: Settings, uncaptioned, clipped: Callable, language: str, width: int
) -> None:
    tab = make_tab(fake_run([*map(tagged, uncaptioned), Finished()]))
    settings.set_language(language)
    tab.resize(width, 600)
    tab.form.at_once.click()
    run_to_end(qtbot, tab)
    tab.form.folds.set_open("more", True)
    for panel in (PICTURE, CAPTIONS) if tab.columns.is_narrow else (PICTURE,):
        tab.columns.side.show_panel(panel)
        QApplication.processEvents()
        assert clipped(tab) == []


def test_keys_are_shown(qtbot: QtBot, make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]))
    qtbot.keyClick(tab, Qt.Key.Key_F1)
    (sheet,) = tab.window().findChildren(CheatSheet)
    sheet.close()


def test_wheel_over_the_options_scrolls_and_changes_nothing(qtbot: QtBot, make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]))
    before = tab.form.options()
    for editor in (tab.form.threshold.slider, tab.form.threshold.number, tab.form.existing, tab.form.model.box):
        editor.clearFocus()
        place = QPoint(5, 5)
        wheel = QWheelEvent(
            place.toPointF(),
            editor.mapToGlobal(place).toPointF(),
            QPoint(),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(editor, wheel)
    assert tab.form.options() == before


def test_captions_written_elsewhere_count_when_the_page_is_shown(
    qtbot: QtBot, make_tab, fake_run, pictures: Path
) -> None:
    tab = make_tab(fake_run([]))
    tab.hide()
    for number in range(6):
        (pictures / f"picture_{number}.txt").write_text(f"1girl, {number}", encoding="utf-8")
    tab.show()
    qtbot.waitUntil(lambda: tab.start_button.text() == "Tag again")
    assert not tab.start_button.isEnabled()
    assert tab.action.next_button.isVisible()


# The trigger word


def test_traits_are_left_to_the_trigger_word_and_the_list_shows_it(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path, uncaptioned: list[Path]
) -> None:
    tab = make_tab(fake_run([Finished()]))
    for number in range(6):
        remember(project, pictures / f"picture_{number}.png", tags(solo=0.9, red_hair=0.9, blue_eyes=0.8, sitting=0.4))
    run_to_end(qtbot, tab)
    tab.list.select(uncaptioned[0])
    tab.columns.side.show_panel(TRIGGER)
    panel = tab.traits.panel
    qtbot.waitUntil(lambda: panel.use_button.isVisible() and panel.proposed_button.isEnabled())
    panel.proposed_button.click()
    panel.use_button.click()
    options = tab.form.options()
    assert set(options.prune) >= {"red hair", "blue eyes"}
    assert options.trigger_word
    qtbot.waitUntil(lambda: tab.tagging.has_new_choice)
    assert tab.tagging.plan_of(uncaptioned[0]).caption == f"{options.trigger_word}, solo, sitting"
    tab.action.apply_button.click()
    qtbot.waitUntil(lambda: tab.tagging.phase == "done" and not tab.tagging.has_new_choice)
    written = uncaptioned[0].with_suffix(".txt").read_text(encoding="utf-8")
    assert written == f"{options.trigger_word}, solo, sitting"


def test_other_pictures_than_the_demo_ask_for_another_tagger(qtbot: QtBot, make_tab, fake_run, tmp_path: Path) -> None:
    tab = make_tab(fake_run([]))
    model = tab.form.model
    assert model.hint.isVisible() and model.better_button.text() == "Get a tagger for my pictures…"
    with qtbot.waitSignal(tab.models_requested) as asked:
        qtbot.mouseClick(model.better_button, Qt.MouseButton.LeftButton)
    assert asked.args == ["tagger"]
    tab.form.use_model("tagger", tmp_path)
    assert tab.form.options().tagger == tmp_path and not model.hint.isVisible()
    tab.form.use_model("tagger", Path())
    model.set_for_demo(True)
    assert not model.hint.isVisible() and not model.better_button.isVisible()


@pytest.mark.slow
def test_with_a_real_tagger_in_a_real_child(
    qtbot: QtBot, project: Project, settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "cut.png").write_bytes((pictures / "picture_5.png").read_bytes()[:-30])
    tab = TaggerTab(project, settings, ChildRun)
    qtbot.addWidget(tab)
    tab.resize(1060, 780)
    tab.show()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    tab.form.set_tagger(tiny_tagger(tmp_path / "tagger", bias=[3, -3, 4, 2, 1, 0.2, -1, -3, 3, -3, -3]))
    tab.form.existing.setCurrentIndex(REPLACE)
    with qtbot.waitSignals([tab.running_changed, tab.running_changed], timeout=60_000):
        tab.start_button.click()
    assert tab.tagging.failure is None
    assert tab.action.headline.text() == "Done: 2 new, 4 changed, 1 failed"
    written = (pictures / "picture_0.txt").read_text(encoding="utf-8")
    assert written.startswith("1girl, miru (kiln), long hair, blue eyes")
    tab.form.threshold.set_value(0.9)
    qtbot.waitUntil(lambda: tab.tagging.has_new_choice)
    tab.action.apply_button.click()
    qtbot.waitUntil(lambda: (pictures / "picture_0.txt").read_text(encoding="utf-8") == "1girl, miru (kiln)")
    tab.shut_down()
