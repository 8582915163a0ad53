"""PySide6 6.12 lost a reference to True or None per signal on Python below 3.12, and aborted after some thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

EMITS = """
from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

class Source(QObject):
    told = Signal(object)

app = QCoreApplication([])
source, heard = Source(), []
source.told.connect(lambda value: heard.append(value))
for number in range(5000):
    source.told.emit(number % 2 == 0)
    QTimer.singleShot(0, lambda: None)
QTimer.singleShot(10, app.quit)
app.exec()
assert len(heard) == 5000
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )


def test_five_thousand_signals_leave_python_alive() -> None:
    done = run_python(EMITS)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import app.main_window", ("torch", "numpy", "diffusers", "transformers", "onnxruntime", "pyqtgraph")),
        ("import app.tabs.tagger", ("torch", "numpy", "diffusers", "transformers", "onnxruntime", "pyqtgraph")),
        ("import app.tabs.params", ("torch", "diffusers", "transformers", "onnxruntime", "pyqtgraph")),
        ("import app.tabs.training", ("torch", "diffusers", "transformers", "onnxruntime")),
        ("import app.job_worker, core.runner", ("torch", "numpy")),
    ],
)
def test_window_stays_light(statement: str, unwanted: tuple[str, ...]) -> None:
    done = run_python(
        f"{statement}\nimport sys\nprint('loaded', *[name for name in {unwanted!r} if name in sys.modules])"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["loaded"]
