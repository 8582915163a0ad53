"""How one picture looks in the grid: a card with the picture, what is to be said about it, its name and its caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import icons, theme
from app.widgets.card import two_lines
from app.widgets.item_models import RECORD_ROLE, is_captioned
from core.dataset.doctor.findings import Finding
from core.dataset.records import ImageRecord
from core.text import tr

THUMB_WIDTH = 216
THUMB = 152
PAD = 8
GAP = 10
TEXT_HEIGHT = 62
CELL_HEIGHT = THUMB + TEXT_HEIGHT + 2 * PAD + GAP
BADGE = 20
_EXCLUDED_OPACITY = 0.28


@dataclass(frozen=True, slots=True)
class Standing:
    """What a card says about a picture beside its caption; `enlarged` is 1 or less when it is large enough."""

    enlarged: float = 1.0
    num_crops: int = 0
    is_excluded: bool = False


class CardSource(Protocol):
    """What the delegate asks the grid for."""

    def standing(self, record: ImageRecord) -> Standing:
        """What was decided about a picture, and what comes of it."""

    def findings(self, record: ImageRecord) -> Sequence[Finding]:
        """What is wrong with a picture."""

    def thumbnail(self, record: ImageRecord) -> QPixmap | None:
        """The small picture; null when it cannot be read, None while it is on its way."""


class CardDelegate(QStyledItemDelegate):
    """Draws one card."""

    def __init__(self, view: QListView, source: CardSource) -> None:
        super().__init__(view)
        self._view = view
        self._source = source

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """The size of a cell."""
        return self._view.gridSize()

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Background, picture, name, caption, badges."""
        record = index.data(RECORD_ROLE)
        if not isinstance(record, ImageRecord):
            return
        tokens = theme.tokens()
        standing = self._source.standing(record)
        cell: QRect = option.rect
        state: QStyle.StateFlag = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hot = bool(state & QStyle.StateFlag.State_MouseOver)
        is_current = index == self._view.currentIndex()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        card = QRectF(cell).adjusted(GAP / 2, GAP / 2, -GAP / 2, -GAP / 2)
        border = tokens.accent if selected or is_current else tokens.border_strong if hot else tokens.border
        painter.setPen(QPen(theme.colour(border), 2 if is_current else 1))
        painter.setBrush(theme.colour(tokens.accent_soft if selected else tokens.surface))
        painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), 10, 10)
        inner = card.toRect().adjusted(PAD, PAD, -PAD, -PAD)
        box = QRect(inner.left(), inner.top(), inner.width(), THUMB)
        self._draw_picture(painter, record, box, is_faint=standing.is_excluded)
        texts = QRect(inner.left(), box.bottom() + 8, inner.width(), TEXT_HEIGHT - 8)
        self._draw_texts(painter, record, texts, is_faint=standing.is_excluded)
        self._draw_badges(painter, record, standing, box)
        painter.restore()

    def _draw_picture(self, painter: QPainter, record: ImageRecord, box: QRect, *, is_faint: bool) -> None:
        tokens = theme.tokens()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(box, 6, 6)
        pixmap = self._source.thumbnail(record)
        ratio = self._view.devicePixelRatioF()
        if pixmap is None or pixmap.isNull():
            sign = icons.pixmap("image" if pixmap is None else "error", 28, tokens.faint, ratio)
            painter.drawPixmap(box.center().x() - 14, box.center().y() - 14, sign)
            return
        size = pixmap.size() / ratio
        if size.width() > box.width():
            size = size.scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(box.center())
        painter.setOpacity(_EXCLUDED_OPACITY if is_faint else 1.0)
        painter.drawPixmap(place, pixmap)
        painter.setOpacity(1.0)

    @staticmethod
    def _draw_texts(painter: QPainter, record: ImageRecord, place: QRect, *, is_faint: bool) -> None:
        tokens = theme.tokens()
        metrics = painter.fontMetrics()
        painter.setPen(theme.colour(tokens.faint if is_faint else tokens.text))
        line = QRect(place.left() + 2, place.top(), place.width() - 4, metrics.height())
        name = metrics.elidedText(record.path.name, Qt.TextElideMode.ElideMiddle, line.width())
        painter.drawText(line, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
        font = painter.font()
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.faint if is_faint else tokens.muted))
        small = QFontMetrics(font)
        caption = " ".join((record.caption or "")[:1000].split())
        top = line.bottom() + 3
        for text in two_lines(caption, small, line.width()):
            painter.drawText(
                QRect(line.left(), top, line.width(), small.height()), int(Qt.AlignmentFlag.AlignLeft), text
            )
            top += small.height() - 1

    def _draw_badges(self, painter: QPainter, record: ImageRecord, standing: Standing, box: QRect) -> None:
        tokens = theme.tokens()
        font = painter.font()
        font.setPixelSize(11)
        font.setBold(True)
        painter.setFont(font)
        findings = self._source.findings(record)
        room = box.width() - 8 - (BADGE + 4 if findings else 0)
        if standing.is_excluded:
            _badge(painter, box.left() + 4, box.top() + 4, room, tr("Left out"), tokens.hover, tokens.muted)
        elif record.caption_problem and record.caption != "":
            text = tr("Caption problem")
            _badge(painter, box.left() + 4, box.top() + 4, room, text, tokens.danger_soft, tokens.danger)
        elif not is_captioned(record):
            text = tr("No caption")
            _badge(painter, box.left() + 4, box.top() + 4, room, text, tokens.warning_soft, tokens.warning)
        if findings:
            self._draw_sign(painter, findings, box.right() - 4 - BADGE, box.top() + 4)
        bottom, room = box.bottom() - 3 - BADGE, box.width() - 8
        if standing.num_crops:
            text = tr("{n} crops", n=standing.num_crops) if standing.num_crops > 1 else tr("1 crop")
            width = _badge_width(painter.font(), text)
            ground, colour = tokens.shade, "#ffffff"
            _badge(painter, box.right() - 4 - width, bottom, room, text, ground, colour)
            room -= width + 4
        if not standing.is_excluded and standing.enlarged > 1 and room > 3 * BADGE:
            text = enlarged_text(standing.enlarged)
            _badge(painter, box.left() + 4, bottom, room, text, tokens.warning_soft, tokens.warning)

    def _draw_sign(self, painter: QPainter, findings: Sequence[Finding], left: int, top: int) -> None:
        tokens = theme.tokens()
        severities = {finding.severity for finding in findings}
        if "danger" in severities:
            name, ground, colour = "error", tokens.danger_soft, tokens.danger
        elif "warning" in severities:
            name, ground, colour = "warning", tokens.warning_soft, tokens.warning
        else:
            name, ground, colour = "info", tokens.hover, tokens.muted
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(ground))
        painter.drawEllipse(left, top, BADGE, BADGE)
        painter.drawPixmap(left + 3, top + 3, icons.pixmap(name, 14, colour, self._view.devicePixelRatioF()))


def enlarged_text(scale: float) -> str:
    """How much a picture is enlarged, in words."""
    return tr("enlarged {factor}×", factor=f"{scale:.1f}" if scale < 9.95 else f"{scale:.0f}")


def _badge_width(font: QFont, text: str) -> int:
    return QFontMetrics(font).horizontalAdvance(text) + 16


def _badge(painter: QPainter, left: int, top: int, room: int, text: str, ground: str, colour: str) -> None:
    width = min(_badge_width(painter.font(), text), room)
    place = QRectF(left, top, width, BADGE)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(ground))
    painter.drawRoundedRect(place, BADGE / 2, BADGE / 2)
    painter.setPen(theme.colour(colour))
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, width - 12)
    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), shown)
