"""Disturb many runs at random moments and say how each of them ended: `python tests/bench/stress_run.py --moments 50`.

With the right to mount file systems, full disks are real ones; else they are limits on the size of files.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from core.config import TrainConfig, with_values
from core.config.fields import validated
from core.events import Finished
from core.jobs import TrainJob
from tests.integration.conftest import make_pictures
from tests.stress import Kind, context, endure, moments, sitting, stress_config
from tests.tiny.models import SIZE_PX, make_tiny_sd1


def main() -> int:
    """Run all moments; returns 1 when a run did not end like the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kiln-stress-") as place:
        folder = Path(place)
        os.environ["KILN_HOME"] = str(folder / "home")
        whole = stress_config(_config(folder))
        server = context()
        began = time.monotonic()
        events = sitting(server, TrainJob(config=whole))
        if not isinstance(events[-1], Finished):
            print(events[-1])
            return 1
        print(f"undisturbed: {len(events)} events in {time.monotonic() - began:.1f} s")
        kinds: tuple[Kind, ...] = (
            "kill",
            "full disk" if os.geteuid() == 0 else "limit",
            "freeze",
            "freeze and kill",
            "limit",
        )
        ends: Counter[str] = Counter()
        bad = 0
        for number, moment in enumerate(moments(options.moments, options.seed, len(events), kinds)):
            config = with_values(whole, {"output.folder": folder / f"run {number}"})
            outcome = endure(server, config, moment, whole)
            bad += bool(outcome.problems)
            ends[f"{moment.kind}: {outcome.sittings} sittings"] += 1
            print(
                f"{number:3d} {moment}: {'; '.join(outcome.ends)[:100]} {outcome.problems or 'the same to the bit'}",
                flush=True,
            )
        for line, number in sorted(ends.items()):
            print(f"{number:4d} x {line}")
        print(f"{options.moments - bad} of {options.moments} runs ended like the undisturbed one, bit for bit")
    return 1 if bad else 0


def _config(folder: Path) -> TrainConfig:
    return validated(
        {
            "model": {"base": make_tiny_sd1(folder / "model")},
            "dataset": {"folder": make_pictures(folder / "我的 图片 😀"), "resolution": SIZE_PX, "repeats": 1},
            "network": {"rank": 4, "alpha": 4.0},
            "training": {"epochs": 2, "batch_size": 1, "device": "cpu"},
            "optimizer": {"learning_rate": 1e-2, "text_encoder_learning_rate": 1e-2},
            "sampling": {"width": SIZE_PX, "height": SIZE_PX, "denoising_steps": 2, "guidance": 2.0},
            "output": {"folder": folder / "whole", "name": "miru"},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
