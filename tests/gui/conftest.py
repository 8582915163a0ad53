"""What every test of the window shares: no screen, no dialog that waits for a person, no file of the user's own."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # Before anything of Qt is imported.

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QSettings, QSize
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QFileDialog,
    QInputDialog,
    QLabel,
    QMessageBox,
    QPushButton,
    QWidget,
)

from app import theme
from app.project import Project
from app.settings import Settings
from app.widgets.card import ElidedLabel
from core import text
from core.events import Event, Finished
from core.jobs import Job

freeze = gc.freeze


def _no_dialog(*_args: object, **_kwargs: object) -> object:
    raise AssertionError("a dialog would wait for a person")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication) -> Iterator[None]:
    """A home, settings and language of its own for each test, and the light theme."""
    for name, folder in (("KILN_HOME", "kiln-home"), ("HOME", "home"), ("USERPROFILE", "home")):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("KILN_LANGUAGE", "en")
    monkeypatch.setattr(text, "_language", None)
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "qt-settings"))
    for cls, methods in (
        (QDialog, ("exec",)),
        (QMessageBox, ("exec", "question", "critical", "warning", "information", "about")),
        (QFileDialog, ("exec", "getExistingDirectory", "getOpenFileName", "getOpenFileNames", "getSaveFileName")),
        (QInputDialog, ("getText", "getItem", "getInt", "getDouble")),
    ):
        for method in methods:
            monkeypatch.setattr(cls, method, _no_dialog)
    if theme.mode() != "light" or not qapp.styleSheet():
        theme.apply(qapp, "light")
    gc.disable()
    for name in ("freeze", "unfreeze"):  # The window's own use of them would undo what is done below.
        monkeypatch.setattr(gc, name, lambda: None)
    yield
    # No thread of a test outlives it: where it allocates last, the collector could end Qt's objects in it.
    for thread in threading.enumerate():
        if thread.name == "background":
            thread.join(20)
    # Qt's objects must end in this thread; the collector would end them in whichever thread it happens to run.
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()
    freeze()  # What is alive now stays; the next test need not wait until all of torch has been looked at again.
    gc.enable()


@pytest.fixture
def settings() -> Iterator[Settings]:
    made = Settings()
    yield made
    made.deleteLater()  # With the translator that it may have given to Qt.


@pytest.fixture
def project(qtbot: object) -> Project:
    return Project()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of six pictures in two shapes; the first four have captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        size = (96, 64) if number % 2 else (64, 96)
        Image.new("RGB", size, (40 * number, 120, 200 - 30 * number)).save(folder / f"picture_{number}.png")
        if number < 4:
            (folder / f"picture_{number}.txt").write_text(f"1girl, red hair, number {number}", encoding="utf-8")
    return folder


class FakeRun:
    """A run that says what a test wants it to say, and remembers what it was asked."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self.commands: list[str] = []
        self.was_killed = False

    def events(self) -> Iterator[Event]:
        yield from self._events

    def send(self, command: str) -> None:
        self.commands.append(command)

    def kill(self) -> None:
        self.was_killed = True


class WaitingRun(FakeRun):
    """A run that says its events, then waits until it is asked to stop or killed, then says how it ended."""

    def __init__(self, events: list[Event], stopped: Event | None = None, killed: Event | None = None) -> None:
        import threading

        super().__init__(events)
        self._asked = threading.Event()
        self._stopped = stopped or Finished(stopped=True)
        self._killed = killed or Finished(stopped=True)

    def events(self) -> Iterator[Event]:
        yield from self._events
        assert self._asked.wait(20), "nobody ended the run"
        yield self._killed if self.was_killed else self._stopped

    def send(self, command: str) -> None:
        super().send(command)
        if command == "stop":
            self._asked.set()

    def kill(self) -> None:
        super().kill()
        self._asked.set()


@pytest.fixture
def fake_run() -> type[FakeRun]:
    return FakeRun


@pytest.fixture
def waiting_run() -> type[WaitingRun]:
    return WaitingRun


@pytest.fixture
def jobs() -> list[Job]:
    """The jobs that were started through `starting`."""
    return []


@pytest.fixture
def starting(jobs: list[Job]) -> Callable[[FakeRun], Callable[[Job], FakeRun]]:
    """Makes a `make_run` that notes the job and gives this run."""

    def make(run: FakeRun) -> Callable[[Job], FakeRun]:
        def make_run(job: Job) -> FakeRun:
            jobs.append(job)
            return run

        return make_run

    return make


@pytest.fixture
def clipped() -> Callable[[QWidget], list[str]]:
    """Finds the visible texts of a window that have less place than they need."""

    def find(window: QWidget) -> list[str]:
        found = []
        for widget in window.findChildren(QWidget):
            if not widget.isVisible() or isinstance(widget, ElidedLabel):
                continue
            if isinstance(widget, QLabel) and widget.text():
                needed = widget.heightForWidth(widget.width()) if widget.wordWrap() else widget.sizeHint().height()
                too_narrow = not widget.wordWrap() and widget.width() < widget.sizeHint().width()
                if too_narrow or widget.height() < needed:
                    found.append(f"{type(widget).__name__} {widget.text()!r} {widget.size().toTuple()}")
            elif isinstance(widget, QAbstractButton) and widget.text():
                hint = widget.minimumSizeHint() if isinstance(widget, QPushButton) else QSize()
                if widget.width() < hint.width() or widget.height() < hint.height():
                    found.append(f"{type(widget).__name__} {widget.text()!r} {widget.size().toTuple()}")
        return found

    return find
