"""A second choice after captions were written: it replaces the first one and touches nobody else's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.project import Project
from app.tagging import Tagging
from core.events import Finished
from core.jobs import Job
from core.tagging.options import TagOptions
from tests.gui.tagging_runs import remember, tagged, tags

SEEN = tags(solo=0.9, smile=0.5, hat=0.2)


@pytest.fixture
def tagging(qtbot: QtBot, project: Project, pictures: Path, starting, fake_run) -> Iterator[Tagging]:
    """The folder of six pictures, all of which a model has seen; the last two have no caption."""
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    for record in project.scan.records:
        remember(project, record.path, SEEN)
    made = Tagging(project, starting(fake_run([Finished()])))
    made.set_active(is_active=True)
    yield made
    made.shut_down()


def run(qtbot: QtBot, tagging: Tagging, **options: object) -> None:
    tagging.set_options(TagOptions(**options))
    tagging.start(at_once=True)
    qtbot.waitUntil(lambda: tagging.phase == "done")
    qtbot.waitUntil(lambda: tagging.planned is not None)


def choose(qtbot: QtBot, tagging: Tagging, **options: object) -> None:
    before = tagging.planned
    tagging.set_options(TagOptions(**options))
    qtbot.waitUntil(lambda: tagging.planned is not None and tagging.planned is not before)


def apply(qtbot: QtBot, tagging: Tagging) -> None:
    tagging.apply()
    qtbot.waitUntil(lambda: tagging.phase == "done" and not tagging.has_new_choice)


def caption(pictures: Path, number: int) -> str | None:
    file = pictures / f"picture_{number}.txt"
    return file.read_text(encoding="utf-8") if file.exists() else None


def test_what_was_written_is_replaced_and_what_was_there_is_kept(
    qtbot: QtBot, tagging: Tagging, pictures: Path, jobs: list[Job]
) -> None:
    run(qtbot, tagging)
    assert caption(pictures, 4) == "solo, smile"
    assert not tagging.has_new_choice
    choose(qtbot, tagging, threshold=0.1)
    assert tagging.has_new_choice
    assert (tagging.planned.counts.changed, tagging.planned.counts.kept) == (2, 4)
    apply(qtbot, tagging)
    assert caption(pictures, 4) == "solo, smile, hat"
    assert caption(pictures, 0) == "1girl, red hair, number 0"
    assert len(jobs) == 1


def test_a_higher_threshold_takes_merged_tags_out_again(qtbot: QtBot, tagging: Tagging, pictures: Path) -> None:
    run(qtbot, tagging, on_existing="merge", threshold=0.1)
    assert caption(pictures, 0) == "1girl, red hair, number 0, solo, smile, hat"
    choose(qtbot, tagging, on_existing="merge", threshold=0.8)
    apply(qtbot, tagging)
    assert caption(pictures, 0) == "1girl, red hair, number 0, solo"


def test_the_first_choice_again_is_no_new_choice(qtbot: QtBot, tagging: Tagging) -> None:
    run(qtbot, tagging)
    choose(qtbot, tagging, threshold=0.1)
    choose(qtbot, tagging)
    assert not tagging.has_new_choice
    assert tagging.shown is tagging.done


def test_a_caption_edited_since_counts_as_it_is(
    qtbot: QtBot, tagging: Tagging, project: Project, pictures: Path
) -> None:
    run(qtbot, tagging)
    assert project.save_caption(pictures / "picture_4.png", "my own words")
    choose(qtbot, tagging, threshold=0.1)
    apply(qtbot, tagging)
    assert caption(pictures, 4) == "my own words"
    assert caption(pictures, 5) == "solo, smile, hat"


def test_keeping_after_replacing_brings_the_old_captions_back(qtbot: QtBot, tagging: Tagging, pictures: Path) -> None:
    run(qtbot, tagging, on_existing="replace")
    assert caption(pictures, 0) == "solo, smile"
    choose(qtbot, tagging, on_existing="keep")
    apply(qtbot, tagging)
    assert caption(pictures, 0) == "1girl, red hair, number 0"
    assert caption(pictures, 5) == "solo, smile"


def test_undo_takes_the_second_choice_back_and_then_the_first(
    qtbot: QtBot, tagging: Tagging, project: Project, pictures: Path
) -> None:
    run(qtbot, tagging)
    choose(qtbot, tagging, threshold=0.1)
    apply(qtbot, tagging)
    tagging.undo()
    qtbot.waitUntil(lambda: caption(pictures, 4) == "solo, smile")
    assert tagging.can_undo
    tagging.undo()
    qtbot.waitUntil(lambda: caption(pictures, 4) is None)
    assert not tagging.can_undo


def test_another_model_needs_another_look(qtbot: QtBot, tagging: Tagging, tmp_path: Path) -> None:
    run(qtbot, tagging)
    choose(qtbot, tagging, tagger=tmp_path)
    assert not tagging.has_new_choice
    assert not tagging.planned.is_complete


def test_caption_changed_by_another_program_during_the_run_is_left_alone(
    qtbot: QtBot, tagging: Tagging, pictures: Path
) -> None:
    tagging.start(at_once=False)
    qtbot.waitUntil(lambda: tagging.phase == "summary")
    (pictures / "picture_4.txt").write_text("somebody else", encoding="utf-8")
    tagging.apply()
    qtbot.waitUntil(lambda: tagging.phase == "done")
    assert caption(pictures, 4) == "somebody else"
    assert caption(pictures, 5) == "solo, smile"
    assert tagging.done.counts.failed == 1
    assert tagging.done.plans[pictures / "picture_4.png"].outcome == "failed"


def test_without_the_store_the_run_itself_says_what_was_seen(
    qtbot: QtBot, project: Project, pictures: Path, starting, fake_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.tagging.scores.seen_by", lambda options, records: {})
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    made = Tagging(project, starting(fake_run([tagged(pictures / "picture_4.png"), Finished()])))
    made.start(at_once=True)
    qtbot.waitUntil(lambda: made.phase == "done")
    assert caption(pictures, 4) == "solo, smile"
    made.shut_down()


def test_many_pictures_of_a_hidden_page_wait_until_somebody_looks(
    qtbot: QtBot, tagging: Tagging, project: Project, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tagging.MANY", 3)
    tagging.set_active(is_active=False)
    assert tagging.is_asleep
    assert project.save_caption(pictures / "picture_4.png", "mine")
    assert tagging.planned is None
    with qtbot.waitSignal(tagging.changed):
        tagging.set_active(is_active=True)
    qtbot.waitUntil(lambda: tagging.planned is not None)
    assert tagging.num_captioned == 5
