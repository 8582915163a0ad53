"""How fast the pictures of a large dataset are: reading the folder, showing it, small pictures, scrolling, selecting.

Run as `python tests/bench/bench_dataset.py [--pictures N] [--screen]`. Needs no screen unless `--screen` is given.
Prints one JSON object; times are in seconds. A stall is how late a timer of 5 ms comes while the window works.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEAT_MS = 5
SHAPES = ((1024, 1024), (1920, 1080), (1080, 1920), (800, 1200), (1200, 800), (768, 1024))
NUM_SOURCES = 40
TAGS = ("1girl", "solo", "long hair", "smile", "blue eyes", "red hair", "outdoors", "sky", "dress", "standing", "hat")


def make_pictures(folder: Path, number: int) -> None:
    """Drawings in six sizes, a quarter of them PNG and the rest JPEG; 40 files, linked to the wanted number."""
    from PIL import Image, ImageDraw

    chance = random.Random(0)
    sources = []
    for kind in range(min(NUM_SOURCES, number)):
        width, height = SHAPES[kind % len(SHAPES)]
        picture = Image.new("RGB", (width, height), tuple(chance.randrange(256) for _ in range(3)))
        draw = ImageDraw.Draw(picture)
        for _ in range(60):
            x, y, side = chance.randrange(width), chance.randrange(height), chance.randrange(20, 300)
            draw.ellipse((x, y, x + side, y + side), fill=tuple(chance.randrange(256) for _ in range(3)))
        source = folder / f"picture {kind:05d}{'.jpg' if kind % 4 else '.png'}"
        picture.save(source)
        sources.append(source)
    for index in range(number):
        source = sources[index % len(sources)]
        image = folder / f"picture {index:05d}{source.suffix}"
        if index >= len(sources):
            os.link(source, image)
        image.with_suffix(".txt").write_text(", ".join(chance.sample(TAGS, 8)), encoding="utf-8")


class Bench:
    """A grid of pictures in a window, with a heartbeat that tells how long the window did not answer."""

    def __init__(self, number: int) -> None:
        from PySide6.QtCore import QTimer
        from PySide6.QtWidgets import QApplication

        from app import theme
        from app.__main__ import SWITCH_S
        from app.background import Collector
        from app.fit_plans import FitPlans
        from app.project import Project
        from app.widgets.image_grid import ImageGrid
        from app.widgets.thumbnails import ThumbnailLoader, prepare_reading

        sys.setswitchinterval(SWITCH_S)  # Threads and garbage as in the window that people use.
        self._app = QApplication([])
        self._collector = Collector(self._app)
        theme.apply(self._app, "light")
        prepare_reading()
        self._number = number
        self.figures: dict[str, object] = {"pictures": number}
        self.project = Project()
        self.loader = ThumbnailLoader()
        self.grid = ImageGrid(self.loader, self.project, FitPlans(self.project))
        self.grid.resize(1000, 900)
        self.grid.show()
        self._late = 0.0
        self._last = time.perf_counter()
        self._beat = QTimer(interval=BEAT_MS)
        self._beat.timeout.connect(self._tick)
        self._beat.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self._late = max(self._late, now - self._last - BEAT_MS / 1000)
        self._last = now

    def wait(self, until: Callable[[], bool]) -> float:
        """Let the window live until something holds. Returns how long that took."""
        started = time.perf_counter()
        while not until():
            self._app.processEvents()
            time.sleep(0.0005)
        return time.perf_counter() - started

    def stall(self, work: Callable[[], object]) -> float:
        """The longest time for which the window did not answer during some work and what follows from it."""
        self.wait(lambda: not self.loader.is_busy)
        self._late, self._last = 0.0, time.perf_counter()
        work()
        for _ in range(20):
            self._app.processEvents()
            time.sleep(0.002)
        self._tick()
        return self._late

    def open(self, folder: Path) -> None:
        """Read the folder and show it, up to 100 small pictures."""
        from core.dataset.scan import scan_folder

        started = time.perf_counter()
        scan_folder(folder)
        self.figures["scan_s"] = round(time.perf_counter() - started, 3)
        started = time.perf_counter()
        self.project.open_folder(folder)
        self.wait(lambda: self.project.scan is not None)
        records = self.project.scan.records
        before = time.perf_counter()
        self.grid.images.set_records(records)
        self.figures["set_records_s"] = round(time.perf_counter() - before, 3)
        self.grid.select_first()
        self.wait(lambda: self.grid.images.rowCount() == self._number)
        self._app.processEvents()
        self.figures["window_ready_s"] = round(time.perf_counter() - started, 3)
        self.thumbnails("100_thumbnails_s")

    def thumbnails(self, name: str) -> None:
        """How long 100 small pictures take, page by page as somebody scrolls on."""
        bar = self.grid.verticalScrollBar()
        bar.setValue(bar.maximum() // 3)
        self.loader.cache.clear()
        started = time.perf_counter()
        while len(self.loader.cache) < 100 <= self._number:
            self.grid.viewport().repaint()
            self.wait(lambda: not self.loader.is_busy)
            bar.setValue(bar.value() + self.grid.viewport().height())
        spent = time.perf_counter() - started
        self.figures[name] = round(spent * 100 / max(1, len(self.loader.cache)), 3)

    def scroll(self, name: str) -> None:
        """Scroll through all pictures, a third of a page at a time."""
        bar = self.grid.verticalScrollBar()

        def through() -> None:
            for place in range(0, bar.maximum(), self.grid.viewport().height() // 3):
                bar.setValue(place)
                self._app.processEvents()

        self.figures[name] = round(self.stall(through), 3)

    def run(self, folder: Path) -> None:
        """Everything, in the order in which a user meets it."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        grid, stalls = self.grid, self.figures
        self.open(folder)
        self.scroll("longest_stall_scrolling_s")
        grid.set_as_trained(True)
        self.thumbnails("100_thumbnails_as_trained_s")
        self.scroll("longest_stall_scrolling_as_trained_s")
        records = self.project.scan.records
        stalls["stall_set_records_s"] = round(self.stall(lambda: grid.images.set_records(records)), 3)
        stalls["stall_filter_s"] = round(
            self.stall(lambda: grid.images.set_filter(lambda record: "red hair" in (record.caption or ""))), 3
        )
        stalls["stall_filter_off_s"] = round(self.stall(lambda: grid.images.set_filter(None)), 3)
        by_size = self.stall(lambda: grid.images.set_order(lambda record: record.size_px))
        stalls["stall_order_s"] = round(by_size, 3)
        grid.select_first()
        stalls["stall_select_all_s"] = round(self.stall(grid.selectAll), 3)
        grid.select_first()
        shift = Qt.KeyboardModifier.ShiftModifier
        to_end = self.stall(lambda: QTest.keyClick(grid, Qt.Key.Key_End, shift))
        assert len(grid.selected()) == self._number
        stalls["stall_shift_select_s"] = round(to_end, 3)
        stalls["stall_resize_s"] = round(self.stall(lambda: grid.resize(800, 900)), 3)
        stalls["thumbnail_cache_mb"] = round(self.loader.cache.num_bytes / 2**20)
        stalls["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        self.loader.shut_down()
        grid.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--screen", action="store_true", help="use the real screen")
    args = parser.parse_args()
    if not args.screen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as place:
        os.environ["KILN_HOME"] = home
        make_pictures(Path(place), args.pictures)
        bench = Bench(args.pictures)
        bench.figures["load_before"] = round(os.getloadavg()[0], 1)
        bench.run(Path(place))
    print(json.dumps(bench.figures, indent=2))


if __name__ == "__main__":
    main()
