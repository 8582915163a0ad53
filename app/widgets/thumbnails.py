"""Pictures read and scaled in the background, newest request first, kept within a bound of bytes."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QLoggingCategory, QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader, QPainter, QPainterPath, QPixmap

MAX_WAITING = 256
CACHE_BYTES = 128 * 1024 * 1024
READER_LIMIT_MB = 512


class PictureKey(NamedTuple):
    """A picture in a size: (path, time of its last change, box in device pixels, corner radius in device pixels)."""

    path: Path
    changed_at: float
    width: int
    height: int
    radius: int = 0


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

    def __init__(self, num_threads: int = 2, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cache = PixmapCache()
        self._num_threads = num_threads
        self._threads: list[threading.Thread] = []
        self._waiting: deque[tuple[int, PictureKey]] = deque(maxlen=MAX_WAITING)
        self._pending: set[PictureKey] = set()
        self._wake = threading.Condition()
        self._generation = 0
        self._stopped = False
        self._read.connect(self._take)

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
    reader = QImageReader(str(key.path))
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    size = reader.size()
    if size.isValid():
        box = QSize(key.width, key.height)
        if reader.transformation() & QImageIOHandler.Transformation.TransformationRotate90:
            box.transpose()  # Scaling comes before turning.
        if size.width() > box.width() or size.height() > box.height():
            reader.setScaledSize(_at_least_one(size.scaled(box, Qt.AspectRatioMode.KeepAspectRatio)))
    image = reader.read()
    if image.isNull():
        image = _read_with_pillow(key)
    if image.isNull():
        return image
    if image.width() > key.width or image.height() > key.height:
        target = _at_least_one(image.size().scaled(key.width, key.height, Qt.AspectRatioMode.KeepAspectRatio))
        image = image.scaled(target, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    return _rounded(image, key.radius) if key.radius else image


def _read_with_pillow(key: PictureKey) -> QImage:
    """What Qt has no reader for, AVIF for example."""
    from PIL import Image, ImageOps

    try:
        with Image.open(key.path) as opened:
            opened.draft("RGB", (key.width, key.height))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((key.width, key.height))
            pixels = upright.convert("RGBA")
    except Exception:  # Pillow's plugins raise all sorts of errors on damaged files; the scan tells what is wrong.
        return QImage()
    data = pixels.tobytes()
    return QImage(data, pixels.width, pixels.height, pixels.width * 4, QImage.Format.Format_RGBA8888).copy()


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
