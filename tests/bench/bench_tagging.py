"""Pictures per second of the tagger, against a loop that handles one picture after another.

    python tests/bench/bench_tagging.py [--tagger FOLDER | --vit] [--number 120] [--rounds 3]

Three figures on the same pictures (screenshots and photos of usual sizes): the loop, onnxruntime alone on pictures that
are decoded and resized already, and Kiln's job, which also writes captions, keeps a backup and reports. The rounds are
interleaved and the best of each is taken, so that other programs disturb all three alike.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import onnxruntime
import psutil
from PIL import Image

from core.control import Control
from core.dataset.images import open_image
from core.dataset.parallel import num_cores
from core.events import PictureTagged
from core.jobs import TagJob, TagOptions
from core.paths import STARTER_TAGGER
from core.tagging.base import load_tagger
from core.tagging.job import tag_folder
from core.tagging.pixels import tagger_square
from tests.taggers import vit_tagger

SIZES = ((1280, 720), (1920, 1080), (768, 1024), (512, 512), (1080, 1350))


def make_pictures(folder: Path, number: int) -> list[Path]:
    """Pictures with as much detail as screenshots of animation have, as PNG, JPG and WebP in turn."""
    random = np.random.default_rng(0)
    paths = []
    for index in range(number):
        size = SIZES[index % len(SIZES)]
        coarse = random.integers(0, 256, (size[1] // 24, size[0] // 24, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)
        path = folder / f"{index:04d}.{('png', 'jpg', 'png', 'jpg', 'webp')[index % 5]}"
        picture.save(path)
        paths.append(path)
    return paths


def one_after_another(tagger: Path, paths: list[Path], output: Path) -> None:
    """What taggers in other programs do: open, prepare, infer, write; then the next one."""
    session = onnxruntime.InferenceSession(str(tagger / "model.onnx"), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    for path in paths:
        batch = tagger_square(open_image(path), entry.shape[1])[None].astype(np.float32)
        scores = session.run(None, {entry.name: batch})[0][0]
        (output / f"{path.stem}.txt").write_text(", ".join(map(str, np.flatnonzero(scores > 0.35)[:40])))


def inference_alone(tagger: Path, squares: list[np.ndarray]) -> None:
    """onnxruntime with its own choice of threads, on pictures that are ready."""
    session = onnxruntime.InferenceSession(str(tagger / "model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for square in squares:
        session.run(None, {name: square[None].astype(np.float32)})


def kiln(tagger: Path, folder: Path) -> int:
    """The job as the window starts it; how many captions were written."""
    job = TagJob(folder=folder, options=TagOptions(tagger=tagger, on_existing="replace", trigger_word="bench"))
    return sum(isinstance(event, PictureTagged) for event in tag_folder(job, Control()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", type=Path, default=STARTER_TAGGER)
    parser.add_argument("--vit", action="store_true", help="a ViT-B/16 at 448 px with random weights")
    parser.add_argument("--number", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["KILN_HOME"] = place
        folder, output = Path(place) / "pictures", Path(place) / "captions"
        folder.mkdir()
        output.mkdir()
        tagger = vit_tagger(Path(place) / "vit") if options.vit else options.tagger
        paths = make_pictures(folder, options.number)
        loaded = load_tagger(tagger)
        squares = [tagger_square(open_image(path), loaded.size) for path in paths]  # type: ignore[attr-defined]
        print(f"{num_cores()} cores, load {os.getloadavg()[0]:.1f}; {options.number} pictures; {tagger}")
        best: dict[str, float] = {}
        cpu: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, run in (
                ("one after another", lambda: one_after_another(tagger, paths, output)),
                ("onnxruntime alone", lambda: inference_alone(tagger, squares)),
                ("Kiln", lambda: kiln(tagger, folder)),
            ):
                for caption in folder.glob("*.txt"):
                    caption.unlink()
                started, used = time.perf_counter(), time.process_time()
                run()
                rate = options.number / (time.perf_counter() - started)
                if rate > best.get(name, 0):
                    best[name], cpu[name] = rate, (time.process_time() - used) / options.number
        for name, rate in best.items():
            ratio = rate / best["one after another"]
            print(f"{name:20s} {rate:8.2f} pictures/s   {ratio:5.2f} x   {cpu[name] * 1000:7.1f} ms CPU per picture")
        print(f"memory {psutil.Process().memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
