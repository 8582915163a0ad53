"""What a run keeps where it cannot go on, turns back or ends in another way than it was asked first."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import TrainConfig, with_values
from core.errors import UserError
from core.events import LoraSaved, StateSaved, StepDone
from core.jobs import TrainJob
from core.locks import only_run
from core.run_folder import RunFolder, lora_files, lora_path, state_files
from core.runner import LocalRun
from core.training import saving, session
from core.training.loop import Trainer
from core.training.state import State
from tests.integration.test_recovery import Spoiled, failed, finished, losses, notices, of, run

MakeConfig = Callable[..., TrainConfig]


def test_a_run_that_cannot_go_back_keeps_what_came_later(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(output__save_every_n_epochs=1, output__epoch_states=4)
    told = losses(run(config))
    folder = RunFolder.of(config)
    before = [file.name for file in lora_files(config)], [file.step for file in state_files(folder.state)]
    assert before[1][0] == 8

    def no_room(*_: object, **__: object) -> None:
        raise UserError("The disk is too full.", remedy="Free some space.")

    with monkeypatch.context() as full:
        full.setattr(session, "check_space", no_room)
        failed(run(config, resume=True, from_step=4))
    assert before == ([file.name for file in lora_files(config)], [file.step for file in state_files(folder.state)])
    assert losses(folder.recorded()) == told
    finished(run(config, resume=True, from_step=4))
    assert losses(folder.recorded()) == told


def test_a_run_that_is_only_being_prepared_keeps_its_settings_from_another_of_its_name(make_config: MakeConfig) -> None:
    config = make_config()
    folder = RunFolder.of(config)
    folder.create(config)
    folder.edits.write_text("{}")
    before = folder.config.read_bytes()
    with only_run(folder.path):
        ended = failed(run(with_values(config, {"optimizer.learning_rate": 0.5})))
    assert ended.failure == "run_locked"
    assert folder.config.read_bytes() == before
    assert folder.edits.is_file()


def test_files_of_weights_that_went_wrong_are_put_aside(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(
        training__epochs=8, output__state_every_n_steps=8, output__keep_states=9, output__save_every_n_steps=27
    )
    Spoiled(monkeypatch, lambda step, rate: 1000.0 if step >= 25 and rate == 1e-2 else 1.0)
    events = run(config)
    finished(events)
    aside = RunFolder.of(config).set_aside / "001"
    assert [path.name for path in aside.glob("*.safetensors")] == [lora_path(config, step=27).name]
    assert str(aside) in notices(events)


def test_a_stop_wished_after_a_pause_still_gives_the_lora_file(make_config: MakeConfig) -> None:
    config = make_config()
    local = LocalRun(TrainJob(config=config))
    events = []
    for event in local.events():
        events.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            local.send("pause")
        if isinstance(event, StateSaved) and event.step == 3:
            local.send("stop")
    ended = finished(events)
    assert (ended.stopped, ended.paused) == (True, False)
    assert lora_path(config).is_file()


def test_what_was_cut_off_before_its_last_file_is_of_the_epoch_that_it_reached(make_config: MakeConfig) -> None:
    config = make_config(training__epochs=10, training__max_steps=6)
    (first,) = of(LoraSaved, run(config))
    lora_path(config).unlink()
    (again,) = of(LoraSaved, run(config, resume=True))
    assert (again.step, again.epoch) == (first.step, first.epoch) == (6, 2)


def test_steps_before_one_that_needs_too_much_memory_are_kept(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training__on_out_of_memory="stop", output__state_every_n_steps=1000)
    real = Trainer.step

    def step(trainer: Trainer, number: int, *arguments: object, **options: object) -> object:
        if number == 5:
            raise MemoryError
        return real(trainer, number, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", step)
    ended = failed(run(config))
    assert ended.failure == "out_of_memory"
    assert "every way" not in ended.message
    assert state_files(RunFolder.of(config).state)[0].step == 5
    monkeypatch.undo()
    rest = run(with_values(config, {"training.on_out_of_memory": "adapt"}), resume=True)
    finished(rest)
    assert [event.step for event in of(StepDone, rest)] == [6, 7, 8]


def test_a_disk_too_full_for_the_last_state_still_gets_the_lora_file(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training__epochs=1)
    real = saving.save_state

    def save(folder: Path, state: State, **options: Any) -> Path:
        if state.step == 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        return real(folder, state, **options)

    monkeypatch.setattr(saving, "save_state", save)
    assert failed(run(config)).failure == "disk_full"
    assert lora_path(config).is_file()
    monkeypatch.undo()
    finished(run(config, resume=True))
