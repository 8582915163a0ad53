"""Pictures per second of the tagger, against a loop that handles one picture after another, and its memory.

    python tests/bench/bench_tagging.py [--tagger FOLDER | --vit] [--number 120] [--rounds 3] [--memory 10000]

Three figures on the same pictures (screenshots and photos of usual sizes): the loop, onnxruntime alone on pictures that
are decoded and resized already, and Kiln's job, which also writes captions, keeps what it saw and a journal, and
reports. The rounds are interleaved and the best of each is taken, so that other programs disturb all three alike. With
`--memory` that many small pictures are tagged instead, and the memory is told on the way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
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
from core.jobs import TagJob
from core.paths import STARTER_TAGGER
from core.tagging.job import tag_folder
from core.tagging.options import TagOptions
from core.tagging.pixels import tagger_square
from core.tagging.wd14 import WD14
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


def prepared(tagger: Path, paths: list[Path]) -> list[np.ndarray]:
    """All pictures decoded and resized."""
    size = WD14.load(tagger).model.size
    return [tagger_square(open_image(path), size) for path in paths]


def inference_alone(tagger: Path, squares: list[np.ndarray]) -> None:
    """onnxruntime with its own choice of threads, on pictures that are ready."""
    session = onnxruntime.InferenceSession(str(tagger / "model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for square in squares:
        session.run(None, {name: square[None].astype(np.float32)})


def kiln(tagger: Path, folder: Path, *, write: bool = True) -> Iterator[None]:
    """The job as the window starts it; yields after each picture."""
    os.environ["KILN_HOME"] = tempfile.mkdtemp(dir=folder.parent)  # What was seen before is not looked at again.
    job = TagJob(
        folder=folder, options=TagOptions(tagger=tagger, on_existing="replace", trigger_word="bench"), write=write
    )
    for event in tag_folder(job, Control()):
        if isinstance(event, PictureTagged):
            yield


def memory_over(tagger: Path, folder: Path, number: int) -> None:
    """Print what the process holds after every tenth of the pictures."""
    data = Image.effect_noise((96, 72), 80).convert("RGB")
    for index in range(number):
        data.putpixel((0, 0), (index % 256, index // 256 % 256, 0))
        data.save(folder / f"{index:06d}.jpg")
    process = psutil.Process()
    print(f"before                {process.memory_info().rss / 1e6:7.1f} MB")
    for done, _ in enumerate(kiln(tagger, folder, write=False), start=1):
        if done % (number // 10) == 0:
            print(f"{done:6d} of {number:6d} pictures {process.memory_info().rss / 1e6:7.1f} MB", flush=True)
    print(f"after                 {process.memory_info().rss / 1e6:7.1f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", type=Path, default=STARTER_TAGGER)
    parser.add_argument("--vit", action="store_true", help="a ViT-B/16 at 448 px with random weights")
    parser.add_argument("--number", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=0, help="tag so many small pictures and tell the memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, output = Path(place) / "pictures", Path(place) / "captions"
        folder.mkdir()
        output.mkdir()
        tagger = vit_tagger(Path(place) / "vit") if options.vit else options.tagger
        if options.memory:
            memory_over(tagger, folder, options.memory)
            return
        paths = make_pictures(folder, options.number)
        squares = prepared(tagger, paths)
        print(f"{num_cores()} cores, load {os.getloadavg()[0]:.1f}; {options.number} pictures; {tagger}")
        best: dict[str, float] = {}
        cpu: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, run in (
                ("one after another", lambda: one_after_another(tagger, paths, output)),
                ("onnxruntime alone", lambda: inference_alone(tagger, squares)),
                ("Kiln", lambda: all(True for _ in kiln(tagger, folder))),
            ):
                for caption in folder.glob("*.txt"):
                    caption.unlink()
                started, used = time.perf_counter(), time.process_time()
                run()
                rate = options.number / (time.perf_counter() - started)
                print(f"  {name:18s} {rate:8.2f} pictures/s", flush=True)
                if rate > best.get(name, 0):
                    best[name], cpu[name] = rate, (time.process_time() - used) / options.number
        for name, rate in best.items():
            ratio = rate / best["one after another"]
            print(f"{name:20s} {rate:8.2f} pictures/s   {ratio:5.2f} x   {cpu[name] * 1000:7.1f} ms CPU per picture")
        print(f"memory {psutil.Process().memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
