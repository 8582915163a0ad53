"""One picture as large as its place allows, or a few of many in a stack."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import icons, theme
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.dataset.records import ImageRecord

LEAST_HEIGHT = 24
BOX_STEP = 64
"""The preview is read in sizes of this step, so that dragging a border does not read it anew all the time."""
MOST_STACKED = 5
_TURNS = (-7.0, 5.0, -3.0, 8.0, 0.0)  # Degrees, from the lowest picture of a stack to the one on top.


class PreviewPane(QWidget):
    """A picture as large as the place allows; one that is left out is pale."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._loader = loader
        self._record: ImageRecord | None = None
        self._is_pale = False
        self.setMinimumHeight(LEAST_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.update)

    def set_record(self, record: ImageRecord | None) -> None:
        """Show another picture."""
        self._record = record
        self.update()

    def set_pale(self, is_pale: bool) -> None:
        """Show that the picture is not trained."""
        if is_pale != self._is_pale:
            self._is_pale = is_pale
            self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A square of the usual width."""
        return QSize(320, 320)

    def _key(self) -> PictureKey | None:
        if self._record is None:
            return None
        ratio = self.devicePixelRatioF()
        width, height = (
            -(-round(side * ratio) // BOX_STEP) * BOX_STEP for side in (max(1, self.width()), max(1, self.height()))
        )
        return PictureKey(self._record.path, self._record.changed_at, width, height, round(theme.RADIUS * ratio))

    def _on_loaded(self, key: PictureKey) -> None:
        if key == self._key():
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """The picture in the middle, or a sign while it is read."""
        key = self._key()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        tokens = theme.tokens()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(self.rect(), theme.RADIUS, theme.RADIUS)
        pixmap = self._loader.get(key) if key else None
        if pixmap is None or pixmap.isNull():
            name = "error" if pixmap is not None else "image"
            sign = icons.pixmap(name, 36, tokens.faint, self.devicePixelRatioF())
            painter.drawPixmap(self.rect().center().x() - 18, self.rect().center().y() - 18, sign)
            return
        size = pixmap.size() / self.devicePixelRatioF()
        if size.width() > self.width() or size.height() > self.height():
            size = pixmap.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        painter.setOpacity(0.3 if self._is_pale else 1.0)
        painter.drawPixmap(place, pixmap)


class StackPreview(QWidget):
    """The first few of several pictures, lying on each other like prints on a table."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._loader = loader
        self._records: tuple[ImageRecord, ...] = ()
        self.setMinimumHeight(LEAST_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.update)

    def set_records(self, records: Sequence[ImageRecord]) -> None:
        """Show other pictures; the first lies on top."""
        self._records = tuple(records[:MOST_STACKED])
        self.update()

    def _on_loaded(self, key: PictureKey) -> None:
        if any(record.path == key.path for record in self._records):
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """From the lowest to the one on top."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        tokens = theme.tokens()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(self.rect(), theme.RADIUS, theme.RADIUS)
        ratio = self.devicePixelRatioF()
        side = max(24, min(self.height() - 28, self.width() // 2))
        pixels = -(-round(side * ratio) // BOX_STEP) * BOX_STEP
        count = len(self._records)
        spread = min(side * 0.32, (self.width() - side - 24) / max(1, count - 1))
        for number, record in enumerate(reversed(self._records)):
            pixmap = self._loader.get(PictureKey(record.path, record.changed_at, pixels, pixels, 0))
            painter.save()
            painter.translate(self.width() / 2 + (number - (count - 1) / 2) * spread, self.height() / 2)
            painter.rotate(_TURNS[number - count])
            self._draw_print(painter, pixmap, side)
            painter.restore()

    @staticmethod
    def _draw_print(painter: QPainter, pixmap: QPixmap | None, side: int) -> None:
        """One picture with its white border, its middle in the origin."""
        tokens = theme.tokens()
        size = QSize(side * 3 // 4, side)
        if pixmap is not None and not pixmap.isNull():
            size = pixmap.size().scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF(-size.width() / 2, -size.height() / 2, size.width(), size.height())
        painter.setPen(QPen(theme.colour(tokens.border_strong), 1))
        painter.setBrush(theme.colour(tokens.raised))
        painter.drawRoundedRect(place, 4, 4)
        if pixmap is not None and not pixmap.isNull():
            painter.drawPixmap(place.adjusted(4, 4, -4, -4).toRect(), pixmap)
