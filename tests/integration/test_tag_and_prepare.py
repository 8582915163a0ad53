"""Tagging and preparing as the user starts them: jobs through the codec, real models, real files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.control import Control
from core.dataset.scan import scan_folder
from core.events import Event, Failed, Finished, Notice, PictureTagged, from_line, to_line
from core.jobs import Job, PrepareJob, TagJob, job_from_line, job_to_line, run_to_end
from core.paths import STARTER_DEMO, STARTER_TAGGER
from core.tagging.options import TagOptions
from core.tagging.writing import undo_tagging
from core.text import set_language
from tests import pictures
from tests.taggers import tiny_tagger

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


def run(job: Job) -> list[Event]:
    """All events of a job, once through the pipe and back."""
    return [from_line(to_line(event)) for event in run_to_end(job_from_line(job_to_line(job)), Control())]


def test_a_messy_folder_from_pictures_to_a_training_set(tmp_path: Path) -> None:
    source = pictures.good_folder(tmp_path / "我的 图片 🦊", 8)
    pictures.write_all(source / "10_odd", pictures.ODD)
    pictures.write_all(source / "10_odd", pictures.HOSTILE)
    (source / "p00.txt").write_bytes(pictures.GBK_CAPTION.encode("gbk"))
    before = pictures.contents(source)
    tagger = tiny_tagger(tmp_path / "tagger", bias=[3, -3, 3, 2, 1, 0.5, -3, -3, 3, -3, -3])

    options = TagOptions(tagger=tagger, trigger_word="miru", on_existing="append", exclude=("blue_eyes",))
    tagged = run(TagJob(folder=source, options=options))
    finished = tagged[-1]
    assert isinstance(finished, Finished) and finished.output is not None
    written = [event for event in tagged if isinstance(event, PictureTagged)]
    assert all(event.caption.startswith("miru, ") and event.outcome in ("new", "changed") for event in written)
    assert finished.num_failed == len(pictures.HOSTILE)
    assert (source / "p01.txt").read_text("utf-8") == "miru, 1girl, number 1, miru (kiln), long hair, ^_^"
    assert (source / "p00.txt").read_text("utf-8").startswith("miru, " + pictures.GBK_CAPTION)
    named = {event.image.name for event in tagged if isinstance(event, Notice) and event.image}
    assert named == set(pictures.HOSTILE)

    prepared = run(PrepareJob(folder=source, target=tmp_path / "out", resolution=64, bucket_step=16))
    assert isinstance(prepared[-1], Finished)
    scan = scan_folder(tmp_path / "out")
    assert len(scan.records) == 8 + len(pictures.ODD) and not scan.problems
    assert {record.repeats for record in scan.records} == {0, 10}
    assert {record.caption for record in scan.records} == {event.caption for event in written}

    list(undo_tagging(source, Control()))
    assert pictures.contents(source) == before


def test_a_hopeless_folder_fails_in_words(tmp_path: Path) -> None:
    set_language("zh")
    for job in (TagJob(folder=tmp_path / "gone"), PrepareJob(folder=tmp_path / "gone", target=tmp_path / "out")):
        failed = run(job)[-1]
        assert isinstance(failed, Failed) and failed.remedy
        assert failed.message == f"文件夹 {tmp_path / 'gone'} 不存在。"


@pytest.mark.skipif(not (STARTER_TAGGER.is_dir() and STARTER_DEMO.is_dir()), reason="the starter pack is not here")
def test_the_demo_pictures_with_the_starter_tagger(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(STARTER_DEMO, folder, ignore=shutil.ignore_patterns("*.txt"))
    events = run(TagJob(folder=folder, options=TagOptions(trigger_word="miru")))
    captions = {event.image.name: event.caption for event in events if isinstance(event, PictureTagged)}
    assert len(captions) == len(scan_folder(folder).records) >= 20
    assert all(caption.startswith("miru, ") and len(caption.split(", ")) >= 5 for caption in captions.values())
    girls = [caption for caption in captions.values() if "1girl" in caption.split(", ")]
    assert len(girls) >= 0.8 * len(captions)
