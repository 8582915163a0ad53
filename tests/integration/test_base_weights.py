"""A run with the base model's weights in 8 bit learns what a run with whole ones does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from core.config import TrainConfig
from core.control import Control
from core.events import Failed, StepDone
from core.jobs import TrainJob, run_job
from core.training import base_weights, session


def losses(config: TrainConfig) -> list[float]:
    events = list(run_job(TrainJob(config=config), Control()))
    assert not [event for event in events if isinstance(event, Failed)]
    return [event.loss for event in events if isinstance(event, StepDone)]


def test_the_loss_curve_in_8_bit_is_that_of_whole_weights(
    make_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[int] = []

    def pack(denoiser: torch.nn.Module) -> int:
        packed.append(base_weights.pack_weights(denoiser))
        return packed[-1]

    monkeypatch.setattr(base_weights, "LEAST_WEIGHTS", 16)  # The layers of the tiny model are all small.
    monkeypatch.setattr(session, "pack_weights", pack)
    whole = losses(make_config(output__name="whole"))
    in_8_bit = losses(make_config(output__name="packed", training__base_weights="int8"))
    assert packed[0] > 100
    assert in_8_bit != whole
    assert in_8_bit == pytest.approx(whole, rel=0.03)
