"""Captions that the tagger writes are told as they came out, whatever else is being written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app import caption_writer
from app.project import Project
from app.tagging_plan import Planned
from app.tagging_writes import TaggerWrites
from core.dataset.records import ImageRecord
from core.events import CaptionsPlanned
from core.tagging.plan import CaptionPlan, summary


@pytest.fixture
def opened(qtbot: QtBot, project: Project, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Six pictures; more than one caption is written beside the window."""
    monkeypatch.setattr(caption_writer, "MOST_AT_ONCE", 1)
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    return project


class Writes(TaggerWrites):
    """Remembers what it told."""

    def __init__(self, project: Project) -> None:
        super().__init__(project, project)
        self.told: list[Planned] = []
        self.seen_progress: list[tuple[int, int]] = []
        self.ended.connect(self.told.append)
        self.progressed.connect(self._on_progressed)

    def _on_progressed(self) -> None:
        if self.progress is not None:
            self.seen_progress.append((self.progress.done, self.progress.total or 0))


def planned(records: Sequence[ImageRecord], text: str = "tagged") -> Planned:
    plans = {record.path: CaptionPlan(record, "changed" if record.caption else "new", text) for record in records}
    return Planned(plans, summary(plans.values()), is_complete=True)


def write(qtbot: QtBot, writes: Writes, plan: Planned) -> Planned:
    writes.start(plan)
    qtbot.waitUntil(lambda: bool(writes.told))
    return writes.told[-1]


def captions(records: Sequence[ImageRecord]) -> list[str]:
    return [record.caption_path.read_text(encoding="utf-8") for record in records]


def texts(records: Sequence[ImageRecord], text: str) -> Mapping[Path, str]:
    return {record.path: text for record in records}


def test_what_waits_for_another_batch_is_not_told_as_failed(qtbot: QtBot, opened: Project) -> None:
    records = opened.scan.records
    writes = Writes(opened)
    opened.edit_captions("bulk", texts(records[3:], "bulk"))
    assert opened.is_writing
    done = write(qtbot, writes, planned(records[:3]))
    assert done.counts == CaptionsPlanned(new=0, changed=3, unchanged=0, kept=0, failed=0)
    assert captions(records) == ["tagged"] * 3 + ["bulk"] * 3
    assert set(writes.written) == {record.path for record in records[:3]}
    assert writes.seen_progress == [(0, 3)], "the progress of the other batch is not the tagger's"
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert len(writes.told) == 1


def test_one_caption_behind_another_batch_is_told_when_it_is_written(qtbot: QtBot, opened: Project) -> None:
    records = opened.scan.records
    writes = Writes(opened)
    opened.edit_captions("bulk", texts(records[3:], "bulk"))
    done = write(qtbot, writes, planned(records[:1]))
    assert (done.counts.changed, done.counts.failed) == (1, 0) and captions(records[:1]) == ["tagged"]


def test_a_caption_that_another_program_changed_is_told_as_failed(qtbot: QtBot, opened: Project) -> None:
    records = opened.scan.records[:3]
    plan = planned(records)
    records[1].caption_path.write_text("by hand", encoding="utf-8")
    done = write(qtbot, writes := Writes(opened), plan)
    assert captions(records) == ["tagged", "by hand", "tagged"]
    assert (done.counts.changed, done.counts.failed) == (2, 1)
    assert [done.plans[record.path].outcome for record in records] == ["changed", "failed", "changed"]
    assert records[1].path not in writes.written


def test_when_nothing_can_be_touched_all_are_told_as_failed(
    qtbot: QtBot, opened: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no home").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "no home"))
    records = opened.scan.records[:4]
    before = captions(records)
    done = write(qtbot, Writes(opened), planned(records))
    assert (done.counts.changed, done.counts.failed) == (0, 4) and captions(records) == before


def test_with_nothing_to_write_it_ends_at_once(opened: Project) -> None:
    writes = Writes(opened)
    kept = {record.path: CaptionPlan(record, "kept", record.caption or "") for record in opened.scan.records}
    plan = Planned(kept, summary(kept.values()), is_complete=True)
    writes.start(plan)
    assert writes.told == [plan] and not opened.is_writing


def test_what_was_written_to_a_folder_that_is_closed_by_now_is_not_told(qtbot: QtBot, opened: Project) -> None:
    records = opened.scan.records
    writes = Writes(opened)
    writes.start(planned(records))
    assert opened.is_writing
    writes.open_folder()
    qtbot.waitUntil(lambda: not opened.is_writing)
    assert captions(records) == ["tagged"] * 6 and writes.told == [] and not writes.written
