"""The tagger page: what the button promises, progress, stopping, what went wrong, and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.job_worker import JobWorker
from app.project import Project
from app.settings import Settings
from app.tabs.tagger import TaggerTab, plan
from core.dataset.records import ImageRecord, Scan
from core.events import Failed, Finished, Notice, PictureTagged, StageProgress, StageStarted
from core.jobs import Job, TagJob, TagOptions
from core.tagging.backup import CaptionBackup, Undone


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


def tagged(pictures: Path, number: int, written: bool = True) -> PictureTagged:
    """What the tagger says of a picture; when it says written, it is written."""
    caption = f"1girl, new {number}"
    if written:
        (pictures / f"picture_{number}.txt").write_text(caption, encoding="utf-8")
    return PictureTagged(image=pictures / f"picture_{number}.png", caption=caption, written=written)


def run_to_end(qtbot: QtBot, tab: TaggerTab) -> None:
    with qtbot.waitSignals([tab.running_changed, tab.running_changed]):
        tab.start_button.click()
    assert not tab.is_running


def test_without_a_folder_it_says_what_to_do(qtbot: QtBot, make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]), is_open=False)
    assert tab.closed.isVisible()
    assert not tab.start_button.isVisible()
    with qtbot.waitSignal(tab.dataset_requested):
        tab._to_dataset.click()
    tab.start()
    assert not tab.is_running


def test_button_says_how_many_and_what_happens(make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]))
    assert tab.start_button.text() == "Tag 2 pictures"
    assert tab._sentence.text() == "Already with a caption: 4. They are kept."
    tab.form.existing.setCurrentIndex(1)
    assert tab.start_button.text() == "Tag 6 pictures"
    assert "Captions to be replaced: 4" in tab._sentence.text()


def scan(*captions: str | None) -> Scan:
    records = tuple(
        ImageRecord(path=Path(f"{n}.png"), size_px=(1, 1), caption_path=Path(f"{n}.txt"), caption=caption)
        for n, caption in enumerate(captions)
    )
    return Scan(folder=Path(), records=records)


@pytest.mark.parametrize(
    ("found", "options", "number", "words"),
    [
        (scan(), TagOptions(), 0, "no picture"),
        (scan(None, "", " "), TagOptions(), 3, "No picture has a caption yet"),
        (scan("a", None), TagOptions(), 1, "Already with a caption: 1"),
        (scan("a", "b"), TagOptions(), 0, "All 2 pictures have captions; choose Replace"),
        (scan("a", "b"), TagOptions(on_existing="replace"), 2, "to be replaced: 2"),
        (scan("a", "b"), TagOptions(on_existing="append"), 2, "get more tags: 2"),
    ],
)
def test_plan(found: Scan, options: TagOptions, number: int, words: str) -> None:
    planned, sentence = plan(found, options)
    assert planned == number
    assert words in sentence


def test_incomplete_tagger_is_said_before_the_start(make_tab, fake_run, tmp_path: Path) -> None:
    tab = make_tab(fake_run([]))
    tab.form.set_tagger(tmp_path)
    assert not tab.start_button.isEnabled()
    assert "not complete" in tab._sentence.text()
    (tmp_path / "model.onnx").touch()
    (tmp_path / "selected_tags.csv").touch()
    tab.form.set_tagger(tmp_path)
    assert tab.start_button.isEnabled()
    assert tab.form.options().tagger == tmp_path


def test_run_fills_list_and_captions(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path, jobs: list[Job]
) -> None:
    events = [
        StageStarted(stage="load"),
        StageStarted(stage="tag", total=6),
        tagged(pictures, 0, written=False),
        tagged(pictures, 4),
        Notice(level="warning", message="The picture is damaged.", image=pictures / "picture_1.png"),
        StageProgress(stage="tag", done=6, total=6, elapsed_s=2.0),
        Finished(),
    ]
    (pictures / "picture_4.txt").unlink()
    tab = make_tab(fake_run(events))
    (pictures / "picture_4.txt").write_text("1girl, new 4", encoding="utf-8")
    run_to_end(qtbot, tab)
    assert [entry.outcome for entry in tab.feed.feed.entries] == ["kept", "written", "skipped"]
    assert tab._headline.text() == "Done: 1 written, 1 kept, 1 skipped, the list says why"
    assert project.record(pictures / "picture_4.png").caption == "1girl, new 4"
    assert not tab.undo_button.isVisible()
    assert tab.next_button.isVisible()
    (job,) = jobs
    assert isinstance(job, TagJob)
    assert job.folder == pictures


def test_progress_says_speed_and_time_left(qtbot: QtBot, make_tab, waiting_run, pictures: Path) -> None:
    tab = make_tab(waiting_run([StageProgress(stage="tag", done=2, total=10, elapsed_s=1.0)]))
    tab.start_button.click()
    qtbot.waitUntil(lambda: tab.bar.maximum() == 10)
    assert tab.bar.value() == 2
    assert tab._sentence.text() == "2 of 10 · 2.0 pictures per second · 4 s left"
    assert not tab.start_button.isVisible()
    assert not tab.form.isEnabled()
    with qtbot.waitSignal(tab.running_changed):
        tab.cancel_button.click()


def test_cancel_asks_once_and_waits(qtbot: QtBot, make_tab, waiting_run, pictures: Path) -> None:
    run = waiting_run([tagged(pictures, 4)])
    tab = make_tab(run)
    tab.form.existing.setCurrentIndex(1)
    tab.start_button.click()
    qtbot.waitUntil(lambda: bool(tab.feed.feed.entries))
    with qtbot.waitSignal(tab.running_changed):
        tab.cancel_button.click()
        assert not tab.cancel_button.isEnabled()
    assert run.commands == ["stop"]
    assert tab._headline.text() == "Stopped: 1 written"


def test_force_stop_kills(qtbot: QtBot, make_tab, waiting_run) -> None:
    run = waiting_run([])
    tab = make_tab(run)
    tab.start_button.click()
    with qtbot.waitSignal(tab.running_changed):
        tab.force_stop()
    assert run.was_killed


def test_captions_of_a_killed_run_can_be_taken_back(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path
) -> None:
    caption = pictures / "picture_4.txt"

    class Killed(fake_run):
        def events(self):
            with CaptionBackup() as backup:
                backup.keep(caption, None, b"1girl")
                caption.write_bytes(b"1girl")
            yield PictureTagged(image=pictures / "picture_4.png", caption="1girl")
            yield Failed(message="The run was stopped at once, as asked.", remedy="Start it again.")

    tab = make_tab(Killed([]))
    run_to_end(qtbot, tab)
    assert project.record(pictures / "picture_4.png").caption == "1girl"
    qtbot.waitUntil(lambda: not project.is_scanning)
    with qtbot.waitSignal(project.records_changed):
        tab.undo_button.click()
    assert not caption.exists()
    assert project.record(pictures / "picture_4.png").caption is None


def test_failure_is_a_sentence_with_folded_details(qtbot: QtBot, make_tab, fake_run) -> None:
    failed = Failed(message="The tagger is damaged.", remedy="Download it again.", detail="Traceback: onnx")
    tab = make_tab(fake_run([failed]))
    run_to_end(qtbot, tab)
    assert tab._headline.text() == "The tagger is damaged."
    assert tab._sentence.text() == "Download it again."
    assert not tab._detail.isVisible()
    tab._detail_button.click()
    assert tab._detail.isVisible()
    assert tab._detail.text() == "Traceback: onnx"
    assert tab.start_button.isEnabled()


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The backups that were asked back."""
    asked: list[Path] = []

    def undo(backup: Path) -> Undone:
        asked.append(backup)
        return Undone((), (), ())

    monkeypatch.setattr("core.tagging.backup.undo_tagging", undo)
    return asked


def test_undo_brings_captions_back(
    qtbot: QtBot, make_tab, fake_run, project: Project, tmp_path: Path, undone: list[Path]
) -> None:
    backup = tmp_path / "backup.json"
    backup.write_text('{"kiln": "caption-backup", "version": 1}\n', encoding="utf-8")
    tab = make_tab(fake_run([Finished(output=backup)]))
    run_to_end(qtbot, tab)
    assert tab.undo_button.isVisible()
    qtbot.waitUntil(lambda: not project.is_scanning)
    with qtbot.waitSignal(project.records_changed):
        tab.undo_button.click()
    assert undone == [backup]
    assert tab._headline.text() == "All captions are as they were before."
    assert not tab.undo_button.isVisible()


def test_undo_that_fails_is_told_and_can_be_tried_again(
    qtbot: QtBot, make_tab, fake_run, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("core.tagging.backup.undo_tagging", refuse)
    backup = tmp_path / "backup.json"
    backup.write_text('{"kiln": "caption-backup", "version": 1}\n', encoding="utf-8")
    tab = make_tab(fake_run([Finished(output=backup)]))
    run_to_end(qtbot, tab)
    with qtbot.waitSignal(project.problem):
        tab.undo_button.click()
    assert tab.undo_button.isEnabled()
    assert tab.undo_button.isVisible()


def test_options_are_remembered_and_trigger_word_is_the_projects(
    qtbot: QtBot, make_tab, fake_run, project: Project, jobs: list[Job]
) -> None:
    tab = make_tab(fake_run([Finished()]))
    tab.form.slider.setValue(60)
    assert tab.form.number.value() == pytest.approx(0.6)
    tab.form.number.setValue(0.5)
    assert tab.form.slider.value() == 50
    tab.form.exclude.setText("solo， red hair,")
    tab.form.exclude.editingFinished.emit()
    tab.form.trigger.setText("kira_v1")
    tab.form.trigger.editingFinished.emit()
    assert project.config.dataset.trigger_word == "kira_v1"
    project.change({"dataset.trigger_word": "kira_v2"})
    assert tab.form.trigger.text() == "kira_v2"
    run_to_end(qtbot, tab)
    options = jobs[0].options
    assert (options.threshold, options.exclude, options.trigger_word) == (0.5, ("solo", "red hair"), "kira_v2")
    again = make_tab(fake_run([]), is_open=False)
    assert again.form.options() == options


def test_two_runs_in_a_row(qtbot: QtBot, make_tab, fake_run, pictures: Path) -> None:
    tab = make_tab(fake_run([Finished()]))
    for _ in range(2):
        run_to_end(qtbot, tab)
    qtbot.waitUntil(lambda: not tab.findChildren(JobWorker))


def test_list_follows_the_newest_until_someone_scrolls(qtbot: QtBot, make_tab, waiting_run, pictures: Path) -> None:
    events = [tagged(pictures, 4) for _ in range(40)]
    tab = make_tab(waiting_run(events))
    tab.form.existing.setCurrentIndex(1)
    tab.start_button.click()
    bar = tab.feed.verticalScrollBar()
    qtbot.waitUntil(lambda: len(tab.feed.feed.entries) == 40 and bar.maximum() > 0 and bar.value() == bar.maximum())
    with qtbot.waitSignal(tab.running_changed):
        tab.cancel_button.click()


def caption_all(pictures: Path) -> None:
    for number in range(6):
        (pictures / f"picture_{number}.txt").write_text(f"1girl, {number}", encoding="utf-8")


def test_after_tagging_it_can_be_done_again(qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path) -> None:
    caption_all(pictures)
    tab = make_tab(fake_run([Finished()]))
    tab.form.existing.setCurrentIndex(1)
    run_to_end(qtbot, tab)
    qtbot.waitUntil(lambda: not project.is_scanning)
    assert tab.start_button.isVisible()
    assert tab.start_button.isEnabled()
    assert tab.start_button.text() == "Tag again"
    tab.form.existing.setCurrentIndex(0)
    assert tab.start_button.isVisible()
    assert not tab.start_button.isEnabled()
    assert tab._sentence.isVisible()
    assert tab._sentence.text() == "All 6 pictures have captions; choose Replace to write them anew."


def test_after_undo_with_all_captions_training_is_near(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path, tmp_path: Path, undone: list[Path]
) -> None:
    caption_all(pictures)
    (tmp_path / "backup.json").touch()
    tab = make_tab(fake_run([Finished(output=tmp_path / "backup.json")]))
    tab.form.existing.setCurrentIndex(1)
    run_to_end(qtbot, tab)
    qtbot.waitUntil(lambda: not project.is_scanning)
    with qtbot.waitSignal(project.records_changed):
        tab.undo_button.click()
    assert tab.next_button.isVisible()
    assert tab._waiting._title.text() == "All pictures have captions"


def test_waiting_list_promises_captions_only_when_some_are_missing(make_tab, fake_run) -> None:
    assert make_tab(fake_run([]))._waiting._title.text() == "Captions appear here"


def test_replace_is_not_taken_to_the_next_folder(
    qtbot: QtBot, make_tab, fake_run, project: Project, pictures: Path, tmp_path: Path
) -> None:
    tab = make_tab(fake_run([]))
    tab.form.existing.setCurrentIndex(1)
    tab.form.number.setValue(0.5)
    again = make_tab(fake_run([]), is_open=False)
    assert again.form.options().on_existing == "keep"
    shutil.copytree(pictures, tmp_path / "next")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(tmp_path / "next")
    assert tab.form.options().on_existing == "keep"
    assert tab.form.options().threshold == 0.5


def test_trigger_word_is_explained(make_tab, fake_run) -> None:
    tab = make_tab(fake_run([]))
    assert tab.form._trigger_hint.isVisibleTo(tab.form)
    assert "in front of every caption" in tab.form._trigger_hint.text()


def test_captions_written_elsewhere_count_when_the_page_is_shown(
    qtbot: QtBot, make_tab, fake_run, pictures: Path
) -> None:
    tab = make_tab(fake_run([]))
    tab.hide()
    caption_all(pictures)
    tab.show()
    qtbot.waitUntil(lambda: tab.start_button.text() == "Tag again")
