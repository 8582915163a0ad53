"""Draws what the trainer sees of a picture, with the trainer's own code, beside the window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.background import Background
from core.dataset.fitting import FitPlan
from core.dataset.records import ImageRecord
from core.errors import details, explain
from core.text import tr

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_KEPT_PIXELS = 64_000_000
"""A picture of more pixels is read anew for every drawing instead of being kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to draw: some plans of one picture."""

    record: ImageRecord
    plans: tuple[FitPlan, ...]


class PlanRenderer(QObject):
    """Draws one request after the other; of those that come in the meantime only the newest."""

    rendered = Signal(object, object)  # the Request, and a tuple of QImages in the order of its plans
    failed = Signal(object, str)  # the Request, and a sentence
    crashed = Signal(str)  # an unknown error, as a traceback

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = Background(self)
        self._running: Request | None = None
        self._waiting: Request | None = None
        self._kept: tuple[Path, float, Image] | None = None
        self._keeps = True

    @property
    def is_busy(self) -> bool:
        """Whether something is being drawn."""
        return self._running is not None

    def draw(self, request: Request) -> None:
        """Ask for a drawing; `rendered` or `failed` tells, unless something newer is asked for before."""
        self._keeps = True
        if self._running is None:
            self._start(request)
        else:
            self._waiting = request if request != self._running else None

    def forget(self) -> None:
        """Give the memory of the picture back; nothing that waits is wanted any more."""
        self._waiting = self._kept = None
        self._keeps = False

    def _start(self, request: Request) -> None:
        self._running = request
        record, kept = request.record, self._kept
        known = kept[2] if kept is not None and kept[:2] == (record.path, record.changed_at) else None
        self._background.start(lambda: _draw(request, known), self._take)

    def _take(self, result: _Drawn | Exception) -> None:
        request, newer = self._running, self._waiting
        assert request is not None
        self._running = self._waiting = None
        if not isinstance(result, Exception):
            record, source = request.record, result.source
            self._kept = (record.path, record.changed_at, source) if source and self._keeps else None
        if newer is not None:
            self._start(newer)
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                self.crashed.emit(details(result))
            name = request.record.path.name
            self.failed.emit(request, str(known) if known else tr("{name} cannot be shown.", name=name))
            return
        images = tuple(
            QImage(pixels, *size, size[0] * 3, QImage.Format.Format_RGB888).copy() for size, pixels in result.pictures
        )
        self.rendered.emit(request, images)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Pictures as (size, RGB bytes), and the picture they were made of while it is small enough to keep."""

    pictures: tuple[tuple[tuple[int, int], bytes], ...]
    source: Image | None


def _draw(request: Request, known: Image | None) -> _Drawn:
    """The same calls as the trainer makes."""
    from core.dataset.fitting import fit_image
    from core.dataset.images import load_image

    image = known or load_image(request.record)
    fitted = (fit_image(image, plan) for plan in request.plans)
    pictures = tuple((picture.size, picture.tobytes()) for picture in fitted)
    return _Drawn(pictures, image if image.width * image.height <= MAX_KEPT_PIXELS else None)
