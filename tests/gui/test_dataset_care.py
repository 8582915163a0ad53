"""Nothing on the dataset page is lost or mistaken: questions, what is being typed or cropped, what is counted."""

from __future__ import annotations

import dataclasses
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.caption_tokens import CaptionTokens
from app.dataset_counts import count
from app.dataset_numbers import numbers_of
from app.doctor import Doctor
from app.fit_plans import FitPlans
from app.grid_filter import predicate_of
from app.main_window import TAGGER, MainWindow
from app.mending import mending_of
from app.project import Project
from app.settings import Settings
from app.tabs.dataset import DatasetTab
from app.widgets.caption_editor import MODE_KEY
from app.widgets.export_form import ExportForm
from core.config import TrainConfig, with_values
from core.dataset.doctor import Finding, Fix
from core.dataset.edits import UNTOUCHED, Crop, PictureEdits, dataset_file_of, load_dataset
from core.dataset.query import parse_query
from core.dataset.records import ImageRecord, Scan
from core.events import Finished
from core.jobs import CheckJob, TagJob
from core.runner import LocalRun

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def open_tab(qtbot: QtBot, project: Project, settings: Settings, pictures: Path) -> Iterator[DatasetTab]:
    settings.set_value(MODE_KEY, "text")
    tab = DatasetTab(project, settings, LocalRun)
    qtbot.addWidget(tab)
    tab.resize(1060, 780)
    with qtbot.waitExposed(tab):
        tab.show()
    opened(qtbot, project, pictures)
    yield tab
    tab.shut_down()


@pytest.fixture
def other(pictures: Path, tmp_path: Path) -> Path:
    """Another folder with one of the pictures."""
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copy(pictures / "picture_5.png", folder / "else.png")
    return folder


def opened(qtbot: QtBot, project: Project, folder: Path) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)


def record(name: str = "a.png", **others: object) -> ImageRecord:
    return ImageRecord(path=Path("/set") / name, size_px=(512, 512), caption_path=Path("/set/a.txt"), **others)


# Questions about pictures


@pytest.fixture
def trashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []
    monkeypatch.setattr("app.trash.move_to_trash", lambda images, _scan: found.extend(images) or [])
    return found


def test_what_the_question_named_goes_to_the_trash(
    qtbot: QtBot, open_tab: DatasetTab, pictures: Path, trashed: list[Path]
) -> None:
    open_tab.actions_on.ask_for_trash()
    open_tab.grid.select(pictures / "picture_3.png")  # As after a look that found the first one gone.
    open_tab.actions_on.question.buttons["trash"].click()
    qtbot.waitUntil(lambda: bool(trashed))
    assert trashed == [pictures / "picture_0.png"]


def test_only_leave_out_never_takes_a_picture_back_in(open_tab: DatasetTab, project: Project, pictures: Path) -> None:
    image = pictures / "picture_0.png"
    project.edit_pictures("Decide", {image: PictureEdits(excluded=True)})
    open_tab.actions_on.ask_for_trash()
    open_tab.actions_on.question.buttons["exclude"].click()
    assert project.edits(image).excluded


def test_what_was_decided_about_one_picture_is_forgotten_under_its_name(
    open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    images = [pictures / f"picture_{number}.png" for number in range(2)]
    project.edit_pictures("Decide", dict.fromkeys(images, PictureEdits(excluded=True)))
    open_tab.grid.select(images[0])
    open_tab.actions_on.forget_edits()
    assert project.undo_name == "Forget the decisions about picture_0.png"
    project.undo()
    open_tab.grid.select_images(images)
    open_tab.actions_on.forget_edits()
    assert project.undo_name == "Forget the decisions about 2 pictures"


# Fixes


def test_a_fix_does_not_write_over_a_newer_caption(qtbot: QtBot, project: Project, pictures: Path) -> None:
    old, newer = pictures / "picture_0.png", pictures / "picture_1.png"
    for image in (old, newer):
        image.with_suffix(".txt").write_bytes("长发, 蓝色眼睛".encode("gbk"))
    opened(qtbot, project, pictures)
    findings = [
        Finding(
            problem="caption_not_utf8",
            path=image,
            severity="warning",
            message="",
            remedy="",
            fix=Fix(title="", captions=((image, "长发, 蓝色眼睛"),)),
        )
        for image in (old, newer)
    ]
    project.save_caption(newer, "newer")
    assert dict(mending_of(project, findings).captions) == {old: "长发, 蓝色眼睛"}


# Crops in the making


@pytest.fixture
def cropping(open_tab: DatasetTab) -> DatasetTab:
    open_tab.open_crop_editor()
    return open_tab


def test_crops_are_kept_when_the_page_is_saved(cropping: DatasetTab, project: Project, pictures: Path) -> None:
    cropping.crop_editor.add_crop()
    cropping.flush()
    assert len(project.edits(pictures / "picture_0.png").crops) == 1
    cropping.crop_editor.cancel()  # It still leaves everything as it was before the visit.
    assert project.edits(pictures / "picture_0.png") == UNTOUCHED


def test_crops_belong_to_the_folder_that_was_open(
    qtbot: QtBot, cropping: DatasetTab, project: Project, pictures: Path, other: Path
) -> None:
    cropping.crop_editor.add_crop()
    opened(qtbot, project, other)
    assert project.edits(pictures / "picture_0.png") == UNTOUCHED
    kept, _ = load_dataset(dataset_file_of(pictures))
    assert len(kept.pictures[str(pictures / "picture_0.png")].crops) == 1


def test_undo_while_cropping_stays_within_the_visit(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    first, second = pictures / "picture_0.png", pictures / "picture_1.png"
    project.edit_pictures("Decide", {second: PictureEdits(repeats=3)})
    project.edit_pictures("Decide", {first: PictureEdits(repeats=2)})
    open_tab.open_crop_editor()
    open_tab.crop_editor.add_crop()
    for _ in range(3):
        qtbot.keyClick(open_tab.crop_editor.canvas, Qt.Key.Key_Z, CONTROL)
    assert open_tab.crop_editor.edits == project.edits(first) == PictureEdits(repeats=2)
    assert project.edits(second) == PictureEdits(repeats=3)


def test_crops_stay_when_the_picture_is_gone_for_a_moment(
    qtbot: QtBot, cropping: DatasetTab, project: Project, pictures: Path
) -> None:
    image = pictures / "picture_0.png"
    cropping.crop_editor.add_crop()
    image.rename(pictures / "aside")
    with qtbot.waitSignal(cropping.crop_editor.closed):
        project.look_again()
    (pictures / "aside").rename(image)
    qtbot.waitUntil(lambda: (project.look_again(), project.record(image) is not None)[1])
    assert len(project.edits(image).crops) == 1


# Captions in the making


def test_a_typed_caption_is_saved_before_another_folder_opens(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path, other: Path
) -> None:
    open_tab.editor.text.setPlainText("mine")
    opened(qtbot, project, other)
    assert (pictures / "picture_0.txt").read_text(encoding="utf-8") == "mine"


def test_closing_tells_of_a_caption_whose_folder_is_not_open_any_more(
    qtbot: QtBot, project: Project, settings: Settings, starting, waiting_run, pictures: Path, other: Path
) -> None:
    settings.set_value(MODE_KEY, "text")
    window = MainWindow(project, settings, starting(waiting_run([])))
    qtbot.addWidget(window)
    opened(qtbot, project, pictures)
    (pictures / "picture_0.txt").write_text("newer", encoding="utf-8")
    window.dataset.editor.text.setPlainText("mine")
    opened(qtbot, project, other)
    assert window.dataset.editor.waiting == pictures / "picture_0.png"
    told: list[str] = []
    window.toasts.show_message = lambda _level, *texts: told.extend(texts)
    assert not window.close()
    assert "picture_0.png" in told[0] and told[1].startswith("Open its folder again")
    assert window.close()
    assert (pictures / "picture_0.txt").read_text(encoding="utf-8") == "newer"


# What jobs are told


def test_jobs_read_the_decisions_of_the_open_folder(
    qtbot: QtBot, project: Project, settings: Settings, starting, fake_run, jobs, pictures: Path, other: Path
) -> None:
    opened(qtbot, project, pictures)
    project.edit_pictures("Decide", {pictures / "picture_0.png": PictureEdits(excluded=True)})
    project.change({"dataset.folder": other})  # The next run may train another folder than the open one.
    window = MainWindow(project, settings, starting(fake_run([Finished()])))
    qtbot.addWidget(window)
    window.show_page(TAGGER)
    window.tagger.start_button.click()
    qtbot.waitUntil(lambda: any(isinstance(job, TagJob) for job in jobs))
    qtbot.waitUntil(lambda: any(isinstance(job, CheckJob) and not job.images for job in jobs))
    found = [job for job in (*jobs, ExportForm(project).job()) if not (isinstance(job, CheckJob) and job.images)]
    assert {(job.folder, job.edits) for job in found} == {(pictures, dataset_file_of(pictures))}
    qtbot.waitUntil(lambda: not window.tagger.is_running and not window.dataset.doctor.is_running)
    window.dataset.shut_down()


# Tokens


def settings_with(**values: object) -> TrainConfig:
    return with_values(TrainConfig(), {f"dataset.{name}": value for name, value in values.items()})


def test_the_trigger_word_and_class_words_are_counted() -> None:
    tokens = CaptionTokens.of(settings_with(trigger_word="miru", absorbed_tags=("hat",)))
    plain = CaptionTokens.of(TrainConfig()).counter.count
    assert tokens.count(record(caption="1girl, hat, smile")) == plain("miru, 1girl, smile")
    assert tokens.count(record(class_tokens="girl")) == plain("miru, girl")
    assert tokens.count(record(caption="girl", is_regularization=True)) == plain("girl")


def test_tags_learned_account_for_the_words_in_front() -> None:
    tags = ["hat", *string.ascii_lowercase, *string.digits, "red hair", "dog"]  # A sign and its comma are two tokens.
    shown = record()
    plain = CaptionTokens.of(TrainConfig())
    assert plain.num_learned(shown, tags) == 37
    triggered = CaptionTokens.of(settings_with(trigger_word="cat girl"))
    assert triggered.num_learned(shown, tags) == 36
    absorbing = CaptionTokens.of(settings_with(absorbed_tags=("hat",)))
    assert absorbing.num_learned(shown, tags) == 38
    assert plain.num_learned(shown, tags[:20]) is None


def test_the_tokenizer_of_the_base_model_counts(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n", encoding="utf-8")
    config = with_values(TrainConfig(), {"model.base": tmp_path})
    assert CaptionTokens.of(config).count(record(caption="cat dog")) == 4
    (tmp_path / "tokenizer" / "merges.txt").write_text("damaged", encoding="utf-8")
    other = with_values(TrainConfig(), {"model.base": tmp_path / "other"})
    assert CaptionTokens.of(other).count(record(caption="cat dog")) == 2


def test_filter_numbers_and_doctor_count_what_is_trained(
    qtbot: QtBot, project: Project, fake_run, starting, pictures: Path
) -> None:
    opened(qtbot, project, pictures)
    project.save_caption(pictures / "picture_0.png", ", ".join(["smile"] * 37))  # 73 tokens
    doctor = Doctor(project, starting(fake_run([Finished()])))
    qtbot.waitUntil(lambda: doctor.is_judged)
    assert not any(finding.problem == "caption_too_long" for finding in doctor.findings)
    project.change({"dataset.trigger_word": "red hair girl"})
    passes = predicate_of(parse_query("tokens:>75"), "all", project, FitPlans(project), lambda _image: frozenset())
    assert [one.path.stem for one in project.scan.records if passes(one)] == ["picture_0"]
    numbers = numbers_of(project.scan, project.concepts, project.config)
    assert sum(bar.count for bar in numbers.token_lengths if bar.first > 75) == 1
    qtbot.waitUntil(lambda: any(finding.problem == "caption_too_long" for finding in doctor.findings))
    doctor.shut_down()


def test_the_editor_counts_the_trigger_word(qtbot: QtBot, open_tab: DatasetTab, project: Project) -> None:
    open_tab.editor.text.setPlainText("smile")
    qtbot.waitUntil(lambda: open_tab.editor._count.text() == "1 tag · 1 of 75 tokens")
    project.change({"dataset.trigger_word": "cat"})
    qtbot.waitUntil(lambda: open_tab.editor._count.text() == "1 tag · 3 of 75 tokens")


# Counting pictures


def test_every_training_size_of_a_picture_is_found(qtbot: QtBot, project: Project, pictures: Path) -> None:
    opened(qtbot, project, pictures)
    crops = (Crop(box=(0, 0, 60, 60)), Crop(box=(0, 0, 30, 60)))
    project.edit_pictures("Decide", {pictures / "picture_0.png": PictureEdits(crops=crops)})
    plans = FitPlans(project)
    sizes = [plan.target_px for plan in plans.plans_of(project.record(pictures / "picture_0.png"))]
    assert len(set(sizes)) == 2
    for width, height in sizes:
        query = parse_query(f"bucket:{width}x{height}")
        passes = predicate_of(query, "all", project, plans, lambda _image: frozenset())
        assert passes(project.record(pictures / "picture_0.png"))


@pytest.mark.parametrize("described", [{"is_regularization": True}, {"class_tokens": "girl"}])
def test_pictures_that_need_no_caption_do_not_ask_for_the_tagger(described: dict[str, object]) -> None:
    captioned, bare = record("a.png", caption="smile"), record("b.png")
    assert count(Scan(folder=Path("/set"), records=(captioned, bare)), 0, ()).needs_captions
    bare = dataclasses.replace(bare, **described)
    counts = count(Scan(folder=Path("/set"), records=(captioned, bare)), 0, ())
    assert not counts.needs_captions and counts.of["uncaptioned"] == 1
