"""The manners of the working process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core import worker
from core.config import TrainConfig, with_values
from core.jobs import CheckJob, Job, TrainJob

TRAIN = TrainJob(config=TrainConfig())
GREEDY = TrainJob(config=with_values(TrainConfig(), {"training.background": False}))
CHECK = CheckJob(folder=Path("/pictures"))


class FakeProcess:
    """Stands in for this process; `level` is its niceness."""

    level = 0

    def nice(self, new: int | None = None) -> int:
        if new is not None:
            FakeProcess.level = new
        return FakeProcess.level


@pytest.mark.skipif(sys.platform == "win32", reason="other numbers there")
@pytest.mark.parametrize(
    ("job", "before", "after"), [(TRAIN, 0, 5), (TRAIN, 10, 10), (GREEDY, 0, 0), (CHECK, 0, 15), (CHECK, 19, 19)]
)
def test_a_job_gives_way_as_it_should_and_never_less_than_it_did(
    monkeypatch: pytest.MonkeyPatch, job: Job, before: int, after: int
) -> None:
    monkeypatch.setattr("psutil.Process", FakeProcess)
    FakeProcess.level = before
    worker.be_polite_for(job)
    assert FakeProcess.level == after
