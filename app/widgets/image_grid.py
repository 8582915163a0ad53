"""The grid of pictures: only what is on the screen is read and drawn, so that its size does not matter."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app import icons, theme
from app.widgets.card import two_lines
from app.widgets.item_models import RECORD_ROLE, ImageListModel, is_captioned
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.dataset.records import ImageRecord
from core.text import tr

THUMB_WIDTH = 216
THUMB = 152
PAD = 8
GAP = 10
TEXT_HEIGHT = 62
MIN_CELL = 152 + 2 * PAD + GAP
SLACK = 4  # QListView breaks the row when the cells fill it to the last pixel.
CELL_HEIGHT = THUMB + TEXT_HEIGHT + 2 * PAD + GAP


class ImageGrid(QListView):
    """Cards with picture, name and caption; arrows, Page Up and Down, Home and End move the selection."""

    current_changed = Signal(object)  # the ImageRecord, or None

    def __init__(self, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loader = loader
        self.images = ImageListModel(self)
        self.setModel(self.images)
        self.setItemDelegate(_CardDelegate(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QListView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(CELL_HEIGHT // 3)
        self.setMouseTracking(True)
        self.setGridSize(QSize(MIN_CELL, CELL_HEIGHT))
        # Pictures that arrive together are painted together.
        self._arrived: set[Path] = set()
        self._painting = QTimer(self, singleShot=True, interval=30)
        self._painting.timeout.connect(self._paint_arrived)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.viewport().update)
        self.selectionModel().currentChanged.connect(self._on_current_changed)

    def thumbnail_key(self, record: ImageRecord) -> PictureKey:
        """How the loader knows the small picture of a record."""
        ratio = self.devicePixelRatioF()
        width, height = round(THUMB_WIDTH * ratio), round(THUMB * ratio)
        return PictureKey(record.path, record.changed_at, width, height, round(6 * ratio))

    @property
    def loader(self) -> ThumbnailLoader:
        """Where the small pictures come from."""
        return self._loader

    def current(self) -> ImageRecord | None:
        """The selected picture."""
        return self.images.record(self.currentIndex().row())

    def select(self, image: Path | None) -> bool:
        """Select a picture and bring it into view. Returns whether the filter shows it."""
        row = self.images.row_of(image) if image is not None else -1
        if row < 0:
            return False
        self.setCurrentIndex(self.images.index(row))
        return True

    def select_first(self) -> None:
        """Select the first picture, if there is one."""
        if self.images.rowCount():
            self.setCurrentIndex(self.images.index(0))

    def move_by(self, rows: int) -> None:
        """Select the picture so many places on, stopping at the ends."""
        count = self.images.rowCount()
        if count:
            row = min(max(self.currentIndex().row() + rows, 0), count - 1)
            self.setCurrentIndex(self.images.index(row))

    def _on_current_changed(self) -> None:
        self.current_changed.emit(self.current())

    def _on_loaded(self, key: PictureKey) -> None:
        self._arrived.add(key.path)
        if not self._painting.isActive():
            self._painting.start()

    def _paint_arrived(self) -> None:
        rows = [self.images.row_of(image) for image in self._arrived]
        self._arrived.clear()
        for row in rows:
            if row >= 0:
                self.update(self.images.index(row))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Spread the columns over the width."""
        width = self.viewport().width() - SLACK
        columns = max(1, width // MIN_CELL)
        size = QSize(max(1, width // columns), CELL_HEIGHT)
        if size != self.gridSize():
            self.setGridSize(size)
        super().resizeEvent(event)


class _CardDelegate(QStyledItemDelegate):
    """Draws one card."""

    def __init__(self, grid: ImageGrid) -> None:
        super().__init__(grid)
        self._grid = grid

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """The size of a cell."""
        return self._grid.gridSize()

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Background, picture, name, caption, badge."""
        record = index.data(RECORD_ROLE)
        if not isinstance(record, ImageRecord):
            return
        tokens = theme.tokens()
        cell: QRect = option.rect
        card = QRectF(cell).adjusted(GAP / 2, GAP / 2, -GAP / 2, -GAP / 2)
        state: QStyle.StateFlag = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hot = bool(state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        border = tokens.accent if selected else tokens.border_strong if hot else tokens.border
        painter.setPen(QPen(theme.colour(border), 2 if selected else 1))
        painter.setBrush(theme.colour(tokens.accent_soft if selected else tokens.surface))
        painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), 10, 10)
        inner = card.toRect().adjusted(PAD, PAD, -PAD, -PAD)
        box = QRect(inner.left(), inner.top(), inner.width(), THUMB)
        self._draw_picture(painter, record, box)
        self._draw_texts(painter, record, QRect(inner.left(), box.bottom() + 8, inner.width(), TEXT_HEIGHT - 8))
        if record.caption_problem and record.caption != "":
            self._draw_badge(painter, box, tr("Caption problem"), tokens.danger_soft, tokens.danger)
        elif not is_captioned(record):
            self._draw_badge(painter, box, tr("No caption"), tokens.warning_soft, tokens.warning)
        painter.restore()

    def _draw_picture(self, painter: QPainter, record: ImageRecord, box: QRect) -> None:
        tokens = theme.tokens()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(box, 6, 6)
        pixmap = self._grid.loader.get(self._grid.thumbnail_key(record))
        ratio = self._grid.devicePixelRatioF()
        if pixmap is None or pixmap.isNull():
            sign = icons.pixmap("image" if pixmap is None else "error", 28, tokens.faint, ratio)
            painter.drawPixmap(box.center().x() - 14, box.center().y() - 14, sign)
            return
        size = pixmap.size() / ratio
        if size.width() > box.width():
            size = size.scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(box.center())
        painter.drawPixmap(place, pixmap)

    def _draw_texts(self, painter: QPainter, record: ImageRecord, place: QRect) -> None:
        tokens = theme.tokens()
        metrics = painter.fontMetrics()
        painter.setPen(theme.colour(tokens.text))
        line = QRect(place.left() + 2, place.top(), place.width() - 4, metrics.height())
        name = metrics.elidedText(record.path.name, Qt.TextElideMode.ElideMiddle, line.width())
        painter.drawText(line, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
        font = painter.font()
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.muted))
        small = QFontMetrics(font)
        caption = " ".join((record.caption or "").split())
        top = line.bottom() + 3
        for text in two_lines(caption, small, line.width()):
            painter.drawText(
                QRect(line.left(), top, line.width(), small.height()), int(Qt.AlignmentFlag.AlignLeft), text
            )
            top += small.height() - 1

    @staticmethod
    def _draw_badge(painter: QPainter, box: QRect, text: str, background: str, colour: str) -> None:
        font = painter.font()
        font.setPixelSize(11)
        font.setBold(True)
        painter.setFont(font)
        width = min(QFontMetrics(font).horizontalAdvance(text) + 16, box.width() - 8)
        place = QRectF(box.left() + 4, box.top() + 4, width, 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(background))
        painter.drawRoundedRect(place, 10, 10)
        painter.setPen(theme.colour(colour))
        painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)
