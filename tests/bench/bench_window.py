"""How fast the window is: first paint in a fresh process, a folder of 5,000 pictures, 100 thumbnails, scrolling.

Run as `python tests/bench/bench_window.py [--pictures N] [--rounds N] [--screen]`. Needs no screen unless `--screen` is
given. Prints one JSON object; times are in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_PAINT = """
import os, sys, time
born = float(os.environ["KILN_BENCH_BORN"])
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
import app.__main__ as main
import app.main_window as module

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and not self.done:
            self.done = True
            QTimer.singleShot(0, self.tell)
        return False

    def tell(self):
        import psutil
        heavy = [name for name in ("torch", "numpy", "diffusers") if name in sys.modules]
        print(time.time() - born, time.process_time(), psutil.Process().memory_info().rss / 2**20, *heavy)
        QApplication.quit()

shown = module.MainWindow.showEvent
watch = Watch()
watch.done = False
def show(self, event):
    self.centralWidget().installEventFilter(watch)
    shown(self, event)
module.MainWindow.showEvent = show
sys.argv = ["kiln"]
main.main()
"""


def first_paint(rounds: int) -> dict[str, object]:
    """From the start of the interpreter to the end of the first paint; the first round warms the disk cache."""
    times, processor, memory, heavy = [], [], 0.0, ""
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [sys.executable, "-c", FIRST_PAINT],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
                env={**os.environ, "KILN_HOME": home, "KILN_BENCH_BORN": str(time.time()), "PYTHONPATH": str(ROOT)},
            )
        seconds, processor_seconds, megabytes, *loaded = done.stdout.split()
        times.append(float(seconds))
        processor.append(float(processor_seconds))
        memory, heavy = float(megabytes), " ".join(loaded)
    return {
        "first_paint_median_s": round(statistics.median(times[1:]), 3),
        "first_paint_worst_s": round(max(times[1:]), 3),
        "first_paint_processor_s": round(statistics.median(processor[1:]), 3),
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "memory_at_start_mb": round(memory),
        "heavy_imports": heavy,
    }


def make_pictures(folder: Path, number: int) -> None:
    """Photo-like JPEG files of one megapixel; 24 different ones, linked to the wanted number."""
    from PIL import Image

    sources = []
    for kind in range(min(24, number)):
        source = folder / f"picture_{kind:05d}.jpg"
        shapes = Image.effect_mandelbrot((1024, 1024), (-2, -1.2 + kind / 40, 0.8, 1.2), 80)
        Image.blend(shapes, Image.effect_noise((1024, 1024), 60), 0.2).convert("RGB").save(source, quality=85)
        sources.append(source)
    for index in range(len(sources), number):
        os.link(sources[index % len(sources)], folder / f"picture_{index:05d}.jpg")
        if index % 2:
            (folder / f"picture_{index:05d}.txt").write_text("1girl, solo, red hair, smile, outdoors", encoding="utf-8")


def folder_of(number: int) -> dict[str, object]:
    """Open a folder in the window, wait for 100 thumbnails, then jump through the grid."""
    import psutil
    from PySide6.QtCore import QEventLoop, QTimer
    from PySide6.QtWidgets import QApplication

    sys.path.insert(0, str(ROOT))
    from app import theme
    from app.main_window import MainWindow
    from app.project import Project
    from app.settings import Settings

    app = QApplication([])
    theme.apply(app, "light")
    project = Project()
    window = MainWindow(project, Settings())
    window.resize(1920, 1080)
    window.show()

    def wait(until: Callable[[], bool]) -> float:
        started = time.perf_counter()
        loop = QEventLoop()
        poll = QTimer()
        poll.setInterval(2)
        poll.timeout.connect(lambda: loop.quit() if until() else None)
        poll.start()
        loop.exec()
        return time.perf_counter() - started

    late: list[float] = []
    beat = QTimer()
    beat.setInterval(10)
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        late.append(now - last[0] - 0.010)
        last[0] = now

    beat.timeout.connect(tick)
    figures: dict[str, object] = {"pictures": number}
    grid, cache = window.dataset.grid, window.dataset.loader.cache
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_pictures(folder, number)
        wait(lambda: window.params is not None)  # The pages that are built in idle time are not what is measured.
        beat.start()
        last[0] = time.perf_counter()
        project.open_folder(folder)
        figures["folder_to_grid_s"] = round(wait(lambda: grid.images.rowCount() == number), 3)
        figures["longest_stall_while_opening_s"] = round(max(late, default=0.0), 3)
        # A page of this window shows fewer than 100 cards, so two pages are looked at.
        started = time.perf_counter()
        wait(lambda: not window.dataset.loader._pending)
        while len(cache) < 100 and number >= 100:
            grid.verticalScrollBar().setValue(grid.verticalScrollBar().value() + grid.viewport().height())
            grid.viewport().repaint()
            wait(lambda: not window.dataset.loader._pending)
        figures["thumbnails"] = len(cache)
        figures["100_thumbnails_s"] = round((time.perf_counter() - started) * 100 / max(1, len(cache)), 3)
        late.clear()
        paints = []
        bar = grid.verticalScrollBar()
        for jump in range(40):
            bar.setValue(bar.maximum() * (jump * 17 % 40) // 40)
            before = time.perf_counter()
            grid.viewport().repaint()
            paints.append(time.perf_counter() - before)
            wait(lambda: True)
        figures["scroll_jump_paint_median_s"] = round(statistics.median(paints), 4)
        figures["scroll_jump_paint_worst_s"] = round(max(paints), 4)
        figures["longest_stall_while_scrolling_s"] = round(max(late, default=0.0), 3)
        before = time.perf_counter()
        grid.images.set_filter(lambda record: "red hair" in (record.caption or ""))
        figures["filter_s"] = round(time.perf_counter() - before, 3)
        figures["memory_mb"] = round(psutil.Process().memory_info().rss / 2**20)
        beat.stop()
        window.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--screen", action="store_true", help="use the real screen")
    args = parser.parse_args()
    if not args.screen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as home:
        os.environ["KILN_HOME"] = home
        figures = first_paint(args.rounds) | folder_of(args.pictures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
