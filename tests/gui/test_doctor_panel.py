"""The doctor: measures by itself, judges what is new, mends by undo, and stays usable whatever the child does."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from pytestqt.qtbot import QtBot

from app.doctor import Doctor
from app.project import Project
from app.widgets.doctor_panel import DoctorPanel
from core.dataset.doctor import Finding
from core.dataset.facts import ImageFacts
from core.dataset.scan import scan_folder
from core.events import Event, Failed, Finished, PicturesMeasured, StageProgress
from core.jobs import CheckJob, Job
from core.runner import LocalRun
from core.text import set_language

LEFT = Qt.MouseButton.LeftButton


def facts_of(image: Path, **others: object) -> dict[str, object]:
    """The facts of a picture that nothing is wrong with and that is like no other, as the child tells them."""
    values = random.Random(image.name)
    facts = ImageFacts(
        size_px=(1024, 1024),
        format="PNG",
        brightness=(0, 10, 120, 240, 255),
        phash=values.getrandbits(64),
        thumb=values.randbytes(192),
        digest=image.name,
        subject=(10, 10, 900, 900),
    )
    return {"path": str(image), **facts.to_json(), **others}


def measured(*images: Path, **others: object) -> PicturesMeasured:
    return PicturesMeasured(facts=tuple(facts_of(image, **others) for image in images))


def images_of(job: CheckJob) -> list[Path]:
    """The pictures that a job is about; without names, all of its folder."""
    return list(job.images) or [record.path for record in scan_folder(job.folder).records]


class Runs:
    """Makes runs that answer every job with good facts, or with the events that a test put into `next`."""

    def __init__(self, fake_run: type) -> None:
        self.jobs: list[CheckJob] = []
        self.names: list[list[str]] = []
        """Names of the pictures that each run was asked for."""
        self.next: list[Callable[[CheckJob], object]] = []
        self.odd: dict[str, dict[str, object]] = {}
        self._fake_run = fake_run

    def __call__(self, job: Job) -> object:
        assert isinstance(job, CheckJob)
        self.jobs.append(job)
        self.names.append([image.name for image in images_of(job)])
        if self.next:
            return self.next.pop(0)(job)
        return self._fake_run([self.answer(job), Finished()])

    def answer(self, job: CheckJob) -> PicturesMeasured:
        facts = [facts_of(image, **self.odd.get(image.name, {})) for image in images_of(job)]
        return PicturesMeasured(facts=tuple(facts))


@pytest.fixture
def runs(fake_run: type) -> Runs:
    return Runs(fake_run)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Sixteen large pictures with captions, whose headers are all that is read."""
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(16):
        size = (1024, 1024) if number % 2 else (900, 1100)
        Image.new("L", size, 15 * number).save(folder / f"p{number:02d}.png")
        (folder / f"p{number:02d}.txt").write_text(f"1girl, number {number}", encoding="utf-8")
    return folder


@pytest.fixture
def doctor(project: Project, runs: Runs) -> Iterator[Doctor]:
    made = Doctor(project, runs)
    made._starting.setInterval(10)
    yield made
    made.shut_down()


@pytest.fixture
def panel(qtbot: QtBot, project: Project, doctor: Doctor) -> DoctorPanel:
    made = DoctorPanel(project, doctor)
    qtbot.addWidget(made)
    made.resize(360, 640)
    with qtbot.waitExposed(made):
        made.show()
    return made


def open_and_check(qtbot: QtBot, project: Project, doctor: Doctor, folder: Path) -> None:
    project.open_folder(folder)
    qtbot.waitUntil(lambda: project.folder == folder and is_settled(doctor), timeout=20_000)


def is_settled(doctor: Doctor) -> bool:
    """Whether everything is measured and judged, and nothing waits to be."""
    waiting = doctor._starting.isActive() or doctor._waiting.isActive() or doctor._is_judging
    return doctor.is_judged and not doctor.is_running and not waiting


def codes(doctor: Doctor) -> list[str]:
    return [finding.problem for finding in doctor.findings]


# The doctor


def test_the_real_job_finds_what_is_wrong_without_being_asked(qtbot: QtBot, project: Project, pictures: Path) -> None:
    shutil.copy(pictures / "picture_0.png", pictures / "picture_9.png")
    (pictures / "alone.txt").write_text("nobody", encoding="utf-8")
    (pictures / "cut.png").write_bytes((pictures / "picture_1.png").read_bytes()[:-40])
    doctor = Doctor(project, LocalRun)
    open_and_check(qtbot, project, doctor, pictures)
    assert {"duplicate", "tiny", "no_caption", "too_few", "orphan_caption"} <= set(codes(doctor))
    twice = next(finding for finding in doctor.findings if finding.problem == "duplicate")
    assert {twice.path, *twice.others} == {pictures / "picture_0.png", pictures / "picture_9.png"}
    assert doctor.problems_of(pictures / "cut.png") & {"truncated", "unreadable"}
    assert "duplicate" in doctor.problems_of(pictures / "picture_9.png")
    assert doctor.num_unmeasured == 0
    doctor.shut_down()


def test_only_what_is_new_is_measured_again(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, large: Path
) -> None:
    open_and_check(qtbot, project, doctor, large)
    assert len(runs.names[0]) == 16
    Image.new("L", (1024, 768), 9).save(large / "p99.png")
    Image.new("L", (800, 800), 9).save(large / "p03.png")
    project.look_again()
    qtbot.waitUntil(lambda: len(runs.jobs) == 2)
    assert runs.names[1] == ["p03.png", "p99.png"]
    qtbot.waitUntil(lambda: is_settled(doctor))
    project.rescan()
    with qtbot.waitSignal(project.records_changed):
        pass
    qtbot.waitUntil(lambda: is_settled(doctor))
    assert len(runs.jobs) == 2


def test_what_is_measured_tells_subjects(qtbot: QtBot, project: Project, doctor: Doctor, large: Path) -> None:
    open_and_check(qtbot, project, doctor, large)
    assert doctor.subjects() == {record.path: (10, 10, 900, 900) for record in project.scan.records}


def test_another_training_size_is_judged_without_measuring(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, large: Path
) -> None:
    open_and_check(qtbot, project, doctor, large)
    assert "tiny" not in codes(doctor)
    project.change({"dataset.resolution": 2048})
    qtbot.waitUntil(lambda: "tiny" in codes(doctor))
    assert len(runs.jobs) == 1


def test_settings_that_do_not_matter_are_not_judged(
    qtbot: QtBot, project: Project, doctor: Doctor, large: Path
) -> None:
    open_and_check(qtbot, project, doctor, large)
    project.change({"training.epochs": 3})
    assert is_settled(doctor)


def test_a_caption_that_is_written_ends_its_finding(
    qtbot: QtBot, project: Project, doctor: Doctor, large: Path
) -> None:
    (large / "p05.txt").unlink()
    open_and_check(qtbot, project, doctor, large)
    assert doctor.problems_of(large / "p05.png") == {"no_caption"}
    project.save_caption(large / "p05.png", "1girl")
    qtbot.waitUntil(lambda: not doctor.findings)


def test_cancel_rests_until_it_is_asked_again(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, waiting_run: type, large: Path
) -> None:
    runs.next.append(lambda job: waiting_run([measured(*images_of(job)[:4])]))
    project.open_folder(large)
    qtbot.waitUntil(lambda: len(doctor.subjects()) == 4)
    doctor.cancel()
    qtbot.waitUntil(lambda: is_settled(doctor))
    assert doctor.num_unmeasured == 12
    Image.new("L", (1024, 768), 9).save(large / "p99.png")
    with qtbot.waitSignal(project.records_changed):
        project.look_again()
    assert not doctor._starting.isActive()
    doctor.check_again()
    qtbot.waitUntil(lambda: is_settled(doctor) and doctor.num_unmeasured == 0)
    assert runs.names[1] == [f"p{number:02d}.png" for number in range(4, 16)] + ["p99.png"]


def test_a_child_that_fails_is_told_once_and_can_be_asked_again(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, fake_run: type, large: Path
) -> None:
    told: list[str] = []
    project.problem.connect(lambda message, remedy: told.append(f"{message} {remedy}"))
    broken: list[Event] = [Failed(message="The working process ended unexpectedly (code -11).", remedy="Continue.")]
    runs.next.append(lambda job: fake_run([measured(*images_of(job)[:3]), *broken]))
    open_and_check(qtbot, project, doctor, large)
    assert told == [
        "The check of the pictures ended unexpectedly. What was checked so far is kept. Press Check again to go on."
    ]
    with qtbot.waitSignal(project.records_changed):
        project.rescan()
    assert not doctor._starting.isActive() and len(runs.jobs) == 1
    doctor.check_again()
    qtbot.waitUntil(lambda: is_settled(doctor) and doctor.num_unmeasured == 0)
    assert len(told) == 1 and len(runs.names[1]) == 13


def test_what_a_run_says_about_the_folder_of_before_is_not_believed(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, waiting_run: type, large: Path, pictures: Path
) -> None:
    stopped: list[object] = []

    def first(job: CheckJob) -> object:
        run = waiting_run([measured(*images_of(job)[:2])])
        stopped.append(run)
        return run

    runs.next.append(first)
    project.open_folder(large)
    qtbot.waitUntil(lambda: len(doctor.subjects()) == 2)
    open_and_check(qtbot, project, doctor, pictures)
    assert stopped[0].commands == ["stop"]
    assert set(doctor.subjects()) == {record.path for record in project.scan.records}
    assert runs.jobs[1].folder == pictures


def test_shut_down_ends_the_child(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, waiting_run: type, large: Path
) -> None:
    started: list[object] = []
    runs.next.append(lambda job: started.append(waiting_run([])) or started[0])
    project.open_folder(large)
    qtbot.waitUntil(lambda: bool(started))
    doctor.shut_down()
    assert started[0].was_killed and not doctor.is_running


def test_fixes_of_one_problem_are_one_step(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, large: Path
) -> None:
    runs.odd = {f"p0{number}.png": {"sharpness": 0.01} for number in (2, 4, 5)}
    open_and_check(qtbot, project, doctor, large)
    assert codes(doctor) == ["blurry"] * 3
    assert doctor.apply(doctor.findings) == "Exclude 3 pictures: Blurry"
    assert project.undo_name == "Exclude 3 pictures: Blurry"
    qtbot.waitUntil(lambda: not doctor.findings)
    project.undo()
    assert project.undo_name == "" and not any(project.edits(record.path).excluded for record in project.scan.records)
    qtbot.waitUntil(lambda: len(doctor.findings) == 3)


def test_a_trim_keeps_what_is_inside_and_leaves_crops_of_the_user_alone(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, large: Path
) -> None:
    runs.odd = {"p03.png": {"borders": [0, 100, 0, 100]}}
    open_and_check(qtbot, project, doctor, large)
    image, found = large / "p03.png", doctor.findings
    assert doctor.apply(found) == "Trim the bars of p03.png"
    assert [crop.box for crop in project.edits(image).crops] == [(0, 100, 1024, 924)]
    assert doctor.apply(found) == ""


def test_captions_are_rewritten_and_undo_brings_back_their_bytes(
    qtbot: QtBot, project: Project, doctor: Doctor, large: Path
) -> None:
    before = "1girl, 长发, 蓝色眼睛".encode("gbk")
    (large / "p07.txt").write_bytes(before)
    open_and_check(qtbot, project, doctor, large)
    assert doctor.apply(doctor.findings) == "Rewrite the caption of p07.png"
    assert (large / "p07.txt").read_text(encoding="utf-8") == "1girl, 长发, 蓝色眼睛"
    project.undo()
    assert (large / "p07.txt").read_bytes() == before


def test_another_language_is_spoken_without_a_new_scan(
    qtbot: QtBot, project: Project, doctor: Doctor, runs: Runs, large: Path
) -> None:
    runs.odd = {"p02.png": {"sharpness": 0.01}}
    open_and_check(qtbot, project, doctor, large)
    english = doctor.findings[0].message
    set_language("zh")
    with qtbot.waitSignal(doctor.changed):
        doctor.retranslate()
    assert doctor.findings[0].message != english and len(runs.jobs) == 1


# The panel


def test_nothing_to_mend_is_said_calmly(
    qtbot: QtBot, project: Project, doctor: Doctor, panel: DoctorPanel, runs: Runs, large: Path
) -> None:
    open_and_check(qtbot, project, doctor, large)
    assert panel.clear_state.isVisible() and panel.clear_state._title.text() == "16 pictures, nothing to mend"
    assert not panel._status.isVisible()
    qtbot.mouseClick(panel.clear_button, LEFT)
    assert len(runs.jobs) == 1  # Everything is known.


def test_progress_tells_how_long_it_takes_and_can_be_cancelled(
    qtbot: QtBot, project: Project, doctor: Doctor, panel: DoctorPanel, runs: Runs, waiting_run: type, large: Path
) -> None:
    told = [(4, 1.0), (8, 5.0)]  # What was remembered from earlier comes first and says nothing about the rest.
    events = [StageProgress(stage="check", done=done, total=16, elapsed_s=seconds) for done, seconds in told]
    runs.next.append(lambda job: waiting_run([measured(*images_of(job)[:8]), *events]))
    project.open_folder(large)
    qtbot.waitUntil(lambda: panel.bar.isVisible() and panel.bar.value() == 8)
    assert panel._note.text() == "8 of 16 · 8 s left"
    assert panel.headline.text() == "Checking the pictures…"
    qtbot.mouseClick(panel.cancel_button, LEFT)
    qtbot.waitUntil(lambda: is_settled(doctor))
    assert not panel.bar.isVisible() and panel.headline.text() == "Not checked yet"
    assert panel._note.text() == "Pictures checked: 8 of 16"
    qtbot.mouseClick(panel.again_button, LEFT)
    qtbot.waitUntil(panel.clear_state.isVisible)


@pytest.fixture
def ill(qtbot: QtBot, project: Project, doctor: Doctor, panel: DoctorPanel, runs: Runs, large: Path) -> DoctorPanel:
    """A set with three blurry pictures, exact copies of p06, bars around p08 and a caption that nobody owns."""
    runs.odd = {f"p0{number}.png": {"sharpness": 0.01} for number in (2, 4, 5)}
    runs.odd |= {f"p{number}.png": {"digest": "p06.png"} for number in (10, 11)}
    runs.odd["p08.png"] = {"borders": [0, 100, 0, 100]}
    (large / "alone.txt").write_text("nobody", encoding="utf-8")
    open_and_check(qtbot, project, doctor, large)
    return panel


def test_a_card_for_each_problem_the_worst_first(ill: DoctorPanel) -> None:
    shown = [card for card in ill.cards.values() if card.isVisible()]
    shown.sort(key=lambda card: card.y())
    assert [card.problem for card in shown] == ["duplicate", "blurry", "letterbox", "orphan_caption"]
    assert [card._count.text() for card in shown] == ["3", "3", "1", "1"]
    assert [card.fix_button.text() for card in shown[:3]] == ["Exclude (2)", "Exclude (3)", "Trim the bars (1)"]
    assert not shown[3].fix_button.isVisible() and not shown[3].show_button.isVisible()
    assert ill.headline.text() == "7 pictures to look at"


def test_show_asks_for_a_filter(qtbot: QtBot, ill: DoctorPanel) -> None:
    with qtbot.waitSignal(ill.filter_requested) as asked:
        qtbot.mouseClick(ill.cards["blurry"].show_button, LEFT)
    assert asked.args == ["problem:blurry"]


def test_a_click_on_a_file_asks_for_the_picture(qtbot: QtBot, ill: DoctorPanel, large: Path) -> None:
    card = ill.cards["duplicate"]
    qtbot.mouseClick(card.fold_button, LEFT)
    assert [(row.path.name, row.place) for row in card.model.rows] == [
        ("p06.png", "kept"),
        ("p10.png", "other"),
        ("p11.png", "other"),
    ]
    place = card.view.visualRect(card.model.index(1)).center()
    with qtbot.waitSignal(ill.picture_requested) as asked:
        qtbot.mouseClick(card.view.viewport(), LEFT, pos=place)
    assert asked.args == [large / "p10.png"]


def test_a_click_on_a_file_that_is_no_picture_opens_its_folder(
    qtbot: QtBot, ill: DoctorPanel, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    card = ill.cards["orphan_caption"]
    qtbot.mouseClick(card.fold_button, LEFT)
    with qtbot.assertNotEmitted(ill.picture_requested):
        qtbot.mouseClick(card.view.viewport(), LEFT, pos=card.view.visualRect(card.model.index(0)).center())
    assert opened == [QUrl.fromLocalFile(str(large))]


def test_one_press_mends_one_problem_and_undo_is_at_hand(
    qtbot: QtBot, ill: DoctorPanel, doctor: Doctor, project: Project, large: Path
) -> None:
    qtbot.mouseClick(ill.cards["blurry"].fix_button, LEFT)
    assert [project.edits(large / f"p0{number}.png").excluded for number in (2, 3, 4, 5)] == [True, False, True, True]
    assert ill._done.isVisible() and ill._done_text.text() == "Exclude 3 pictures: Blurry"
    qtbot.waitUntil(lambda: not ill.cards["blurry"].isVisible())
    qtbot.mouseClick(ill.undo_button, LEFT)
    assert not ill._done.isVisible() and not project.edits(large / "p02.png").excluded
    qtbot.waitUntil(ill.cards["blurry"].isVisible)


def test_safe_ones_are_mended_at_one_press_and_matters_of_taste_are_not(
    qtbot: QtBot, ill: DoctorPanel, doctor: Doctor, project: Project, large: Path
) -> None:
    assert ill.fix_button.text() == "Fix all safe ones (3)"
    qtbot.mouseClick(ill.fix_button, LEFT)
    assert project.undo_name == "Exclude pictures: 2, trim: 1"
    excluded = [record.path.name for record in project.scan.records if project.edits(record.path).excluded]
    assert excluded == ["p10.png", "p11.png"] and project.edits(large / "p08.png").crops
    qtbot.waitUntil(lambda: set(codes(doctor)) == {"blurry", "orphan_caption"})
    qtbot.waitUntil(lambda: not ill.fix_button.isVisible())


def test_the_way_back_goes_when_something_else_was_done(
    qtbot: QtBot, ill: DoctorPanel, project: Project, large: Path
) -> None:
    qtbot.mouseClick(ill.cards["blurry"].fix_button, LEFT)
    project.save_caption(large / "p00.png", "other")
    assert not ill._done.isVisible()


def test_remedies_that_differ_are_told_with_each_file(qtbot: QtBot, ill: DoctorPanel, large: Path) -> None:
    card = ill.cards["blurry"]
    assert card._sentence.text() == "Exclude it unless it is meant to be soft; the LoRA learns blur, too."
    found = tuple(
        Finding(problem="blurry", path=large / name, severity="warning", message="It is soft.", remedy=remedy)
        for name, remedy in (("p02.png", "Scan it again."), ("p03.png", "Copy it again."))
    )
    card.set_findings(found, shows_pictures=True)
    card.fold_button.click()
    assert card._sentence.text() == "The list says what helps each of them."
    assert [row.sentence for row in card.model.rows] == ["It is soft. Scan it again.", "It is soft. Copy it again."]
    assert card.model.has_sentences


def test_thousands_of_findings_are_listed_only_as_far_as_they_are_seen(
    qtbot: QtBot, ill: DoctorPanel, large: Path
) -> None:
    found = tuple(
        Finding(problem="blurry", path=large / f"n{n}.png", severity="warning", message=f"n{n}.png is", remedy="Do.")
        for n in range(20_000)
    )
    card = ill.cards["blurry"]
    card.set_findings(found, shows_pictures=True)
    assert not card.model.rows
    qtbot.mouseClick(card.fold_button, LEFT)
    assert card.model.rowCount() == 20_000
    assert card.view.height() < 300 and not card.model.has_sentences


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_fits_a_narrow_column(
    qtbot: QtBot, ill: DoctorPanel, doctor: Doctor, clipped: Callable[[object], list[str]], language: str
) -> None:
    set_language(language)  # type: ignore[arg-type]
    with qtbot.waitSignal(doctor.changed):
        doctor.retranslate()
    ill.retranslate()
    ill.resize(320, 640)
    for card in ill.cards.values():
        card.fold_button.click()
    qtbot.waitUntil(lambda: clipped(ill) == [])
