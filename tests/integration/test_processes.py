"""Several processes under accelerate train what one process with the whole batch trains."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig, save_config, with_values
from core.events import Finished, from_line
from core.jobs import TrainJob
from core.run_folder import lora_path
from core.runner import LocalRun, worker_environment

MakeConfig = Callable[..., TrainConfig]


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(make_config: MakeConfig, tmp_path: Path) -> None:
    one = make_config(training__batch_size=2, output__precision="fp32", output__name="one")
    assert isinstance(list(LocalRun(TrainJob(config=one)).events())[-1], Finished)
    two = with_values(one, {"training.batch_size": 1, "output.name": "two"})
    save_config(two, tmp_path / "two.toml")
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
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
    assert isinstance(events[-1], Finished)
    expected, found = load_file(lora_path(one)), load_file(lora_path(two))
    assert expected.keys() == found.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=2e-4, rtol=1e-3, msg=name)
