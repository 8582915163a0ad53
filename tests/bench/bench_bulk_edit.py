"""How long a change to the captions of a large dataset takes, and taking it back, with a window's event loop running.

Run as `python tests/bench/bench_bulk_edit.py [--pictures N] [--rounds N] [--folder DIR]`. Prints one JSON object in
seconds for every round: `shown` is when the window has the new captions and a journal on the disk keeps them safe,
`written` when every file holds them; `pause` is the longest time for which the window did not answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PIL import Image  # noqa: E402
from PySide6.QtCore import QEventLoop, QTimer  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

from app.project import Project  # noqa: E402

BEAT_MS = 2


def make_folder(folder: Path, number: int) -> None:
    """Small pictures with captions of the usual length."""
    caption = ", ".join(f"tag number {place}" for place in range(24))
    Image.new("RGB", (64, 64), "grey").save(folder / "picture.png")
    data = (folder / "picture.png").read_bytes()
    (folder / "picture.png").unlink()
    for place in range(number):
        (folder / f"picture {place:05d}.png").write_bytes(data)
        (folder / f"picture {place:05d}.txt").write_text(f"{caption}, {place}", encoding="utf-8")
    os.sync()


class Watch:
    """Times one change from its start to its two ends, and the longest time between two beats of the event loop."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._beat = QTimer(interval=BEAT_MS)
        self._beat.timeout.connect(self._on_beat)
        self._last = self._pause = self._shown = 0.0
        project.captions_changed.connect(self._on_shown)

    def time(self, act: Callable[[], object]) -> dict[str, float]:
        loop = QEventLoop()
        self._pause, self._shown = 0.0, 0.0
        ended = self._project.history_changed.connect(loop.quit)
        started = self._last = time.perf_counter()
        self._beat.start()
        act()
        loop.exec()
        written = time.perf_counter()
        self._on_beat()
        self._beat.stop()
        self._project.history_changed.disconnect(ended)
        return {
            "shown": round(self._shown - started, 2),
            "written": round(written - started, 2),
            "pause": round(self._pause, 3),
        }

    def _on_beat(self) -> None:
        now = time.perf_counter()
        self._pause, self._last = max(self._pause, now - self._last), now

    def _on_shown(self, _images: object) -> None:
        self._shown = self._shown or time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the pictures are made; a temporary folder by default")
    options = parser.parse_args()
    application = QApplication([])
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        os.environ["KILN_HOME"] = f"{temporary}/home"
        folder = Path(temporary) / "pictures"
        folder.mkdir()
        make_folder(folder, options.pictures)
        project = Project()
        loop = QEventLoop()
        project.records_changed.connect(loop.quit)
        project.open_folder(folder)
        loop.exec()
        assert project.scan is not None
        watch, rounds = Watch(project), []
        for number in range(options.rounds):
            texts = {record.path: f"{record.caption}, smile {number}" for record in project.scan.records}
            edit = watch.time(lambda texts=texts: project.edit_captions("Edit", texts))
            rounds.append({"edit": edit, "undo": watch.time(project.undo)})
        project.save()
    print(json.dumps({"pictures": options.pictures, "rounds": rounds}, indent=1))
    application.quit()


if __name__ == "__main__":
    main()
