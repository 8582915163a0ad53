"""How long opening a full-size Stable Diffusion 1.5 takes, and how much memory, against diffusers.

Not a test; run it by hand.

    python tests/bench/bench_opening.py FOLDER

A single file in fp16 with random weights is made in FOLDER if it is not there (2.1 GB). Each way of opening runs in a
process of its own, libraries imported before the clock starts: first with the file out of the system's cache where
that can be had, then from the cache. Seconds are those of the clock, and those of them that a processor computed for
the process. Nothing is computed with the weights. Memory is how much the process grew, at its
peak, and at the end: what it has to itself, and pages of mapped files that the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: E402, F401 - sets how threads wait, before torch is imported

FILE = "random-sd15-fp16.safetensors"
WAYS = ("kiln fp16", "kiln fp32", "diffusers fp16", "diffusers fp32")


def make_checkpoint(file: Path) -> None:
    """A checkpoint of the true architecture with random weights, written tensor by tensor."""
    import torch

    from core.checkpoints.folders import FOLDERS
    from core.checkpoints.opening import empty_module
    from core.checkpoints.single_file import names_of, prefix_of, shipped_config
    from core.checkpoints.sources import part_names
    from core.checkpoints.writing import Entry, write_streamed

    entries = {}
    for part in part_names("sd1"):
        config = shipped_config("sd1", FOLDERS[part])
        table, prefix = names_of("sd1", part, config), prefix_of("sd1", part)
        for name, tensor in empty_module(config, part).state_dict().items():
            own = name if part in ("denoiser", "vae") or name.startswith("text_model.") else f"text_model.{name}"
            place = table.in_file(own)
            assert place is not None
            shape = (*tensor.shape, 1, 1) if place[1] == "squeeze" else tuple(tensor.shape)
            key = f"{prefix}{place[0]}"
            entries[key] = Entry(key, "F16", shape, partial(torch.randn, shape))
    write_streamed(file, entries.values(), {"format": "pt"})


def make_configs(folder: Path) -> None:
    """What diffusers need beside the file."""
    from core.checkpoints.clip_tokenizer import write_clip_tokenizer
    from core.checkpoints.single_file import shipped_config

    for part in ("unet", "vae", "text_encoder", "scheduler"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / part / name).write_text(json.dumps(shipped_config("sd1", part)), encoding="utf-8")
    (folder / "model_index.json").write_text(json.dumps(shipped_config("sd1", "model_index")), encoding="utf-8")
    write_clip_tokenizer(folder / "tokenizer", "<|endoftext|>")


def open_once(file: Path, way: str) -> dict[str, float]:
    """Open the file in one way: seconds, and growth in MB."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    from core.checkpoints.opening import load_module
    from core.checkpoints.parts import parts_of
    from core.models import describe_base

    program, _, precision = way.partition(" ")
    dtype = torch.float16 if precision == "fp16" else torch.float32
    before = _memory()
    peak, is_done = [before["all"]], threading.Event()

    def watch() -> None:
        while not is_done.wait(0.005):
            peak[0] = max(peak[0], _memory()["all"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    started, computed = time.perf_counter(), time.process_time()
    opened: Any
    if program == "kiln":
        sources = parts_of(describe_base(file))
        opened = {
            part: load_module(source, part, torch.float32 if part == "vae" else dtype)
            for part, source in sources.items()
        }
    else:
        opened = StableDiffusionPipeline.from_single_file(
            str(file), config=str(file.parent / "configs"), local_files_only=True, torch_dtype=dtype
        )
    seconds, busy = time.perf_counter() - started, time.process_time() - computed
    is_done.set()
    watcher.join()
    after = _memory()
    assert opened and AutoencoderKL and UNet2DConditionModel and CLIPTextModel
    return {
        "seconds": seconds,
        "busy": busy,
        "peak": max(peak[0], after["all"]) - before["all"],
        "own": after["own"] - before["own"],
        "mapped": after["mapped"] - before["mapped"],
    }


def _memory() -> dict[str, float]:
    """Of this process in MB; on Linux."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    kept = {"all": "VmRSS", "own": "RssAnon", "mapped": "RssFile"}
    return {name: int(fields[field].split()[0]) / 1000 for name, field in kept.items()}


def _forget(file: Path) -> None:
    """Ask the system to drop a file from its cache."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Make the file if need be, and open it in each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    file = options.folder / FILE
    if options.way:
        print(json.dumps(open_once(file, options.way)))
        return
    if not file.is_file():
        make_checkpoint(file)
    make_configs(options.folder / "configs")
    print(f"{'':24}{'seconds':>9}{'computing':>11}{'peak MB':>9}{'own MB':>9}{'mapped MB':>11}")
    for way in WAYS:
        for state in ("disk", "cache"):
            if state == "disk":
                _forget(file)
            command = [sys.executable, __file__, str(options.folder), "--way", way]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            told = json.loads(output.splitlines()[-1])
            seconds = f"{told['seconds']:9.2f}{told['busy']:11.2f}"
            print(f"{way + ', ' + state:24}{seconds}{told['peak']:9.0f}{told['own']:9.0f}{told['mapped']:11.0f}")


if __name__ == "__main__":
    main()
