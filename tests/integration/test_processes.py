"""Several processes under accelerate train what one process with the whole batch trains.

`--multi_gpu` is the launcher's word for several processes; with the device set to cpu they talk by gloo.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from core.config import TrainConfig, save_config, with_values
from core.events import Finished, StepDone, from_line
from core.jobs import TrainJob
from core.run_folder import RunFolder, lora_path
from core.runner import LocalRun, worker_environment

MakeConfig = Callable[..., TrainConfig]


def losses(config: TrainConfig) -> list[float]:
    return [event.loss for event in RunFolder.of(config).recorded() if isinstance(event, StepDone)]


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(make_config: MakeConfig, tmp_path: Path) -> None:
    one = make_config(training__batch_size=2, output__precision="fp32", output__name="one")
    assert isinstance(list(LocalRun(TrainJob(config=one)).events())[-1], Finished)
    two = with_values(one, {"training.batch_size": 1, "output.name": "two"})
    save_config(two, tmp_path / "two.toml")
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
            *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
            *("-m", "core.cli", "train", str(tmp_path / "two.toml")),
        ],
        capture_output=True,
        text=True,
        env=worker_environment(),
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-3000:]
    events = [from_line(line) for line in launched.stdout.splitlines() if line.startswith("{")]
    assert sum(isinstance(event, Finished) for event in events) == 1
    told = [
        [event.loss for event in RunFolder.of(each).recorded() if isinstance(event, StepDone)] for each in (one, two)
    ]
    assert told[1] == pytest.approx(told[0], rel=1e-4)
    assert isinstance(events[-1], Finished)
    # Adam turns the rounding of gradients near zero into steps of full size, so a few weights differ more.
    expected, found = load_file(lora_path(one)), load_file(lora_path(two))
    assert expected.keys() == found.keys()
    for name in expected:
        difference = float((found[name] - expected[name]).norm())
        assert difference <= 0.01 * float(expected[name].norm()), f"{name}: {difference}"
