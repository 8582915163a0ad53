"""Whatever is done to a run, it ends with the same LoRA as one that nothing was done to, bit for bit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from core.config import TrainConfig, with_values
from core.events import Finished
from core.jobs import TrainJob

MakeConfig = Callable[..., TrainConfig]
NUM_MOMENTS = int(os.environ.get("KILN_TEST_MOMENTS", "4"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and limits of POSIX")
def test_killed_frozen_or_without_disk_at_random_moments_it_ends_with_the_same_lora(make_config: MakeConfig) -> None:
    from tests.stress import context, endure, moments, sitting, stress_config

    whole = stress_config(make_config())
    server = context()
    events = sitting(server, TrainJob(config=whole))
    assert isinstance(events[-1], Finished), events[-1]
    outcomes = []
    kinds = ("kill", "limit", "freeze", "freeze and kill")
    for number, moment in enumerate(moments(NUM_MOMENTS, 2026, len(events), kinds)):
        config = with_values(whole, {"output.folder": whole.output.folder.parent / f"disturbed {number}"})
        outcomes.append(endure(server, config, moment, whole))
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert sum(outcome.sittings > 1 for outcome in outcomes) >= NUM_MOMENTS // 3
