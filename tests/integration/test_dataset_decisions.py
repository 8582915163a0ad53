"""What was decided on the Dataset page reaches the training: crops, exclusions, padding, regularization."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.config import TrainConfig, with_values
from core.dataset.edits import Concept, Crop, DatasetFile, PictureEdits, load_dataset, save_dataset
from core.dataset.scan import scan_folder
from core.events import Event, Failed, Finished, JobStarted, StageStarted, StepDone
from core.jobs import TrainJob
from core.run_folder import RunFolder
from core.runner import LocalRun
from tests.integration.conftest import make_pictures

MakeConfig = Callable[..., TrainConfig]


def run(config: TrainConfig, *, resume: bool = False, stop_after: int | None = None) -> list[Event]:
    local = LocalRun(TrainJob(config=config, resume=resume))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            local.send("stop")
    assert isinstance(events[-1], Finished), events[-1]
    return events


def losses(events: list[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepDone)]


def decide(config: TrainConfig, tmp_path: Path, *concepts: Concept, **edits: PictureEdits) -> TrainConfig:
    """The config with a dataset file; `p0=...` is about the first picture."""
    folder = config.dataset.folder
    records = scan_folder(folder).records
    pictures = {str(records[int(name[1:])].path): edit for name, edit in edits.items()}
    path = tmp_path / "决定 decisions.json"
    save_dataset(path, DatasetFile(concepts=(Concept(folder=folder), *concepts), pictures=pictures))
    return with_values(config, {"dataset.edits": path})


def test_left_out_and_cropped_pictures_count_as_decided(make_config: MakeConfig, tmp_path: Path) -> None:
    crops = (Crop(box=(0, 0, 50, 50)), Crop(box=(20, 10, 90, 80)))
    config = decide(
        make_config(training__epochs=1), tmp_path, p0=PictureEdits(excluded=True), p1=PictureEdits(crops=crops)
    )
    events = run(config)
    started = next(event for event in events if isinstance(event, JobStarted))
    assert (started.num_images, started.total_steps) == (3, 4)


def test_padding_is_not_learned(make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the VAE seeing black or white edges the loss where the picture is stays the only one that counts."""
    from core.training import loop
    from core.training.objective import Counted

    seen: list[torch.Tensor | None] = []
    real = loop.per_sample_loss

    def spy(
        prediction: torch.Tensor, target: torch.Tensor, masks: torch.Tensor | None, counted: Counted
    ) -> torch.Tensor:
        seen.append(masks)
        return real(prediction, target, masks, counted)

    monkeypatch.setattr(loop, "per_sample_loss", spy)
    config = make_config(dataset__fit="pad", dataset__edge="white", training__epochs=1, output__name="pad")
    run(config)
    masks = [mask for mask in seen if mask is not None]
    # The first and the fourth of the pictures are square, the others are padded.
    assert len(seen) == 4 and len(masks) == 2
    assert all(0.5 < float(mask.mean()) < 0.9 and float(mask.max()) == 1 and float(mask.min()) == 0 for mask in masks)


def test_regularization_pictures_weigh_what_they_should(make_config: MakeConfig, tmp_path: Path) -> None:
    prior = make_pictures(tmp_path / "prior 先验", 2)
    config = decide(make_config(training__epochs=1), tmp_path, Concept(folder=prior, repeats=1, is_regularization=True))
    full = losses(run(config))
    nothing = losses(run(with_values(config, {"loss.prior_weight": 0.0, "output.name": "none"})))
    assert len(full) == len(nothing) == 6
    assert sum(loss == 0 for loss in nothing) == 2 and all(loss > 0 for loss in full)


def test_smart_crops_are_made_around_the_subject(make_config: MakeConfig) -> None:
    events = run(make_config(dataset__fit="smart", training__epochs=1))
    assert any(isinstance(event, StageStarted) and event.stage == "check" for event in events)
    again = run(make_config(dataset__fit="smart", training__epochs=1, output__name="again"))
    assert not any(isinstance(event, StageStarted) and event.stage == "check" for event in again)
    assert losses(again) == losses(events)


def test_a_run_continues_with_what_was_decided_when_it_began(make_config: MakeConfig, tmp_path: Path) -> None:
    config = decide(make_config(), tmp_path, p0=PictureEdits(excluded=True))
    whole = losses(run(with_values(config, {"output.name": "whole"})))
    first = losses(run(config, stop_after=2))
    decide(config, tmp_path, p0=PictureEdits(), p1=PictureEdits(excluded=True))
    own = RunFolder.of(config)
    assert load_dataset(own.edits)[0].pictures.keys() != load_dataset(config.dataset.edits)[0].pictures.keys()
    assert first + losses(run(own.continued_config(), resume=True)) == whole


def test_all_left_out_is_one_sentence(make_config: MakeConfig, tmp_path: Path) -> None:
    out = PictureEdits(excluded=True)
    config = decide(make_config(), tmp_path, p0=out, p1=out, p2=out, p3=out)
    event = list(LocalRun(TrainJob(config=config)).events())[-1]
    assert isinstance(event, Failed) and event.known and "left out" in event.message
