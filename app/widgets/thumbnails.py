"""Pictures read and scaled in the background, newest request first, kept within a bound of bytes."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QLoggingCategory, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QColorSpace,
    QImage,
    QImageIOHandler,
    QImageReader,
    QPainter,
    QPainterPath,
    QPixelFormat,
    QPixmap,
    QTransform,
)

from core.dataset.fitting import FitPlan

MAX_WAITING = 256
CACHE_BYTES = 128 * 1024 * 1024
READER_LIMIT_MB = 512
MAX_DECODED = 16_000_000
"""So many pixels are held at most to cut a small part out of a picture; a thumbnail of less is a little soft."""
MOST_THREADS = 4
READING_NICENESS = 5
_SRGB = QColorSpace(QColorSpace.NamedColorSpace.SRgb)
_BLUR_CELLS = 14  # The blurred ground of a padded picture has so many colours along its shorter side.


class PictureKey(NamedTuple):
    """A picture in a size: (path, time of its last change, box in device pixels, corner radius in device pixels).

    With a `view`, only what the plan shows of it.
    """

    path: Path
    changed_at: float
    width: int
    height: int
    radius: int = 0
    view: FitPlan | None = None


class PixmapCache:
    """Pixmaps by key; the longest unused ones leave when there are too many bytes."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.num_bytes = 0
        self._pixmaps: OrderedDict[PictureKey, QPixmap] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pixmaps)

    def get(self, key: PictureKey) -> QPixmap | None:
        """The pixmap of a key, which counts as used now."""
        found = self._pixmaps.get(key)
        if found is not None:
            self._pixmaps.move_to_end(key)
        return found

    def put(self, key: PictureKey, pixmap: QPixmap) -> None:
        """Keep a pixmap."""
        self._drop(key)
        self._pixmaps[key] = pixmap
        self.num_bytes += _size(pixmap)
        while self.num_bytes > self.limit_bytes and len(self._pixmaps) > 1:
            self._drop(next(iter(self._pixmaps)))

    def clear(self) -> None:
        """Forget everything."""
        self._pixmaps.clear()
        self.num_bytes = 0

    def _drop(self, key: PictureKey) -> None:
        old = self._pixmaps.pop(key, None)
        if old is not None:
            self.num_bytes -= _size(old)


def _size(pixmap: QPixmap) -> int:
    return max(1, pixmap.width() * pixmap.height() * 4)


class ThumbnailLoader(QObject):
    """Gives pixmaps at once when it has them, and reads the others in threads of its own.

    The newest request is served first: it is the one on the screen. Requests that were scrolled past fall out.
    """

    loaded = Signal(object)  # the PictureKey whose pixmap is there now

    _read = Signal(int, object, QImage)

    def __init__(self, num_threads: int | None = None, parent: QObject | None = None) -> None:
        """Read nothing yet.

        Args:
            num_threads: How many read at once; None for as many as the machine has use for.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self.cache = PixmapCache()
        self._num_threads = min(MOST_THREADS, max(2, os.cpu_count() or 2)) if num_threads is None else num_threads
        self._threads: list[threading.Thread] = []
        self._waiting: deque[tuple[int, PictureKey]] = deque(maxlen=MAX_WAITING)
        self._pending: set[PictureKey] = set()
        self._wake = threading.Condition()
        self._generation = 0
        self._stopped = False
        self._read.connect(self._take)

    @property
    def is_busy(self) -> bool:
        """Whether pictures that were asked for are still on their way."""
        return bool(self._pending)

    def get(self, key: PictureKey) -> QPixmap | None:
        """The pixmap, null when the file cannot be read as a picture; None while it is on its way (`loaded` tells)."""
        found = self.cache.get(key)
        if found is None:
            self._request(key)
        return found

    def clear(self) -> None:
        """Forget what was asked for: another folder is open, and late pictures of the old one are not wanted."""
        with self._wake:
            self._generation += 1
            self._waiting.clear()
            self._pending.clear()

    def shut_down(self) -> None:
        """End the threads after the picture they are reading."""
        self.clear()
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _request(self, key: PictureKey) -> None:
        with self._wake:
            if key in self._pending or self._stopped:
                return
            if len(self._waiting) == MAX_WAITING:
                self._pending.discard(self._waiting[0][1])
            self._waiting.append((self._generation, key))
            self._pending.add(key)
            self._wake.notify()
        if len(self._threads) < self._num_threads:
            thread = threading.Thread(target=self._work, name="thumbnails", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        if sys.platform == "linux":  # Where the cores are busy, the window comes first: this is a third of the stalls.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), READING_NICENESS)
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                generation, key = self._waiting.pop()
            image = read_picture(key)
            with contextlib.suppress(RuntimeError):  # The window may be gone by now.
                self._read.emit(generation, key, image)

    def _take(self, generation: int, key: PictureKey, image: QImage) -> None:
        if generation != self._generation:
            return
        self._pending.discard(key)
        self.cache.put(key, QPixmap.fromImage(image))
        self.loaded.emit(key)


def read_picture(key: PictureKey) -> QImage:
    """A picture upright, scaled to fit its box, with round corners; a null image when it cannot be read.

    Only as many pixels as needed are decoded where the format allows it. Safe to call from any thread.
    """
    box = QSize(key.width, key.height)
    if key.view is not None:
        image = _read_view(key.path, box, key.view)
    else:
        image = _decoded(key.path, lambda size: _within(size, box))
        if image.width() > key.width or image.height() > key.height:
            image = _scaled(image, _within(image.size(), box))
    return _rounded(image, key.radius) if key.radius and not image.isNull() else image


def _read_view(path: Path, box: QSize, plan: FitPlan) -> QImage:
    """What a plan shows of a picture, as small as the box asks."""
    target = _within(QSize(*plan.target_px), box)
    scale = plan.scale * target.width() / plan.target_px[0]  # of the result, per pixel of the picture

    def needed(size: QSize) -> QSize:
        pixels = max(1, size.width() * size.height())
        return _at_least_one(size * min(1.0, scale, (MAX_DECODED / pixels) ** 0.5))

    image = _decoded(path, needed)
    if image.isNull():
        return image
    if plan.turn:
        image = image.transformed(QTransform().rotate(plan.turn))
    across, along = image.width() / plan.source_px[0], image.height() / plan.source_px[1]
    left, top, right, bottom = plan.inside
    part = QRectF(left * across, top * along, (right - left) * across, (bottom - top) * along)
    across, along = target.width() / plan.target_px[0], target.height() / plan.target_px[1]
    left, top, right, bottom = plan.content_px
    place = QRectF(left * across, top * along, (right - left) * across, (bottom - top) * along)
    made = QImage(target, QImage.Format.Format_RGB32)
    made.fill(Qt.GlobalColor.white)  # What is transparent is trained as white.
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if plan.is_padded:
        _fill_ground(painter, image.copy(part.toRect()), plan)
        painter.fillRect(place, Qt.GlobalColor.white)
    painter.drawImage(place, image, part)
    painter.end()
    return made


def _fill_ground(painter: QPainter, content: QImage, plan: FitPlan) -> None:
    """Paint what lies under a padded picture: one colour, or the picture itself stretched and blurred."""
    place = painter.viewport()
    if plan.edge == "blur":
        smallest = max(1, min(place.width(), place.height()))
        cells = _at_least_one(place.size() * min(1.0, _BLUR_CELLS / smallest))
        painter.drawImage(place, _scaled(_scaled(content, cells), place.size()))
    else:
        painter.fillRect(place, QColor(plan.edge))  # Qt's names mean what core means by them.


def _decoded(path: Path, needed: Callable[[QSize], QSize]) -> QImage:
    """A picture upright in sRGB; a null image when it cannot be read.

    Args:
        path: The file.
        needed: How large a picture of some size is needed at least; formats that can are decoded at that size.
    """
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    size = reader.size()
    if size.isValid():
        turned = bool(reader.transformation() & QImageIOHandler.Transformation.TransformationRotate90)
        wanted = needed(size.transposed() if turned else size)
        wanted = wanted.transposed() if turned else wanted  # Scaling comes before turning.
        if wanted.width() < size.width() or wanted.height() < size.height():
            reader.setScaledSize(wanted)
    image = reader.read()
    if image.isNull():
        return _decoded_with_pillow(path, needed)
    space = image.colorSpace()
    if space.isValid() and space != _SRGB and image.pixelFormat().colorModel() == QPixelFormat.ColorModel.RGB:
        image.convertToColorSpace(_SRGB)
    return image


def _decoded_with_pillow(path: Path, needed: Callable[[QSize], QSize]) -> QImage:
    """What Qt has no reader for, AVIF for example."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail(needed(QSize(*upright.size)).toTuple())
            pixels = upright.convert("RGBA")
    except Exception:  # Pillow's plugins raise all sorts of errors on damaged files; the scan tells what is wrong.
        return QImage()
    data = pixels.tobytes()
    return QImage(data, pixels.width, pixels.height, pixels.width * 4, QImage.Format.Format_RGBA8888).copy()


def _within(size: QSize, box: QSize) -> QSize:
    """The size made to fit a box; one that fits stays."""
    if size.width() <= box.width() and size.height() <= box.height():
        return size
    return _at_least_one(size.scaled(box, Qt.AspectRatioMode.KeepAspectRatio))


def _scaled(image: QImage, size: QSize) -> QImage:
    return image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)


def _at_least_one(size: QSize) -> QSize:
    return size.expandedTo(QSize(1, 1))


def _rounded(image: QImage, radius: int) -> QImage:
    made = QImage(image.size(), QImage.Format.Format_ARGB32_Premultiplied)
    made.fill(Qt.GlobalColor.transparent)
    path = QPainterPath()
    path.addRoundedRect(0, 0, image.width(), image.height(), radius, radius)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipPath(path)
    painter.drawImage(0, 0, image)
    painter.end()
    return made


def prepare_reading() -> None:
    """Let Qt decode photographs up to half a gigabyte of pixels, and be silent about damaged ones.

    Larger pictures stay refused, as decompression bombs. What is wrong with a file, the scan says in better words.
    """
    QImageReader.setAllocationLimit(READER_LIMIT_MB)
    QLoggingCategory.setFilterRules("qt.gui.imageio*=false")
