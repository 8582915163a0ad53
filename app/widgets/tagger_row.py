"""One row of the tagger's list: small picture, name, what the caption becomes, and a badge."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPen, QTextCharFormat, QTextLayout, QTextOption
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import icons, theme
from app.widgets.caption_diff import Kind, caption_diff
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.tagging.plan import CaptionPlan
from core.text import tr

PLAN_ROLE = int(Qt.ItemDataRole.UserRole) + 1
IMAGE_ROLE = PLAN_ROLE + 1
ROW_HEIGHT = 90
THUMB = 64
BADGE = 20
MOST_LINES = 3
_MOST_LETTERS = 600  # More do not fit into three lines.


def outcome_text(plan: CaptionPlan) -> str:
    """What becomes of a caption, in a word."""
    return {
        "new": tr("New"),
        "changed": tr("Changed"),
        "unchanged": tr("Unchanged"),
        "kept": tr("Kept"),
        "failed": tr("Failed"),
    }[plan.outcome]


@lru_cache(maxsize=512)
def _pieces(before: str, after: str) -> tuple[tuple[Kind, str], ...]:
    """What changes, from a little before the first change on."""
    parts = caption_diff(before, after)
    if parts and parts[0][0] == "same" and len(parts[0][1]) > 2 * MOST_LINES * 8:
        parts[0] = ("same", "…" + parts[0][1][-24:])
    return tuple(parts)


class RowDelegate(QStyledItemDelegate):
    """Draws rows of a `ResultModel`."""

    def __init__(self, view: QListView, loader: ThumbnailLoader, caption_of: Callable[[Path], str]) -> None:
        super().__init__(view)
        self._view = view
        self._loader = loader
        self._caption_of = caption_of

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """All rows are alike."""
        return QSize(200, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one row."""
        image, plan = index.data(IMAGE_ROLE), index.data(PLAN_ROLE)
        tokens = theme.tokens()
        row: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            is_chosen = bool(state & QStyle.StateFlag.State_Selected)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(tokens.accent_soft if is_chosen else tokens.hover))
            painter.drawRoundedRect(row.adjusted(0, 1, -4, -2), 8, 8)
        box = QRect(row.left() + 8, row.top() + (ROW_HEIGHT - THUMB) // 2, THUMB, THUMB)
        self._draw_picture(painter, image, box)
        words = row.adjusted(THUMB + 20, 8, -14, -4)
        badge_width = self._draw_badge(painter, plan, words) if plan is not None else 0
        painter.setPen(theme.colour(tokens.text))
        metrics = painter.fontMetrics()
        name = metrics.elidedText(image.name, Qt.TextElideMode.ElideMiddle, words.width() - badge_width - 8)
        painter.drawText(QRect(words.left(), words.top(), words.width(), BADGE), Qt.AlignmentFlag.AlignVCenter, name)
        words.setTop(words.top() + BADGE + 2)
        self._draw_caption(painter, image, plan, words)
        painter.setPen(QPen(theme.colour(tokens.border), 1))
        painter.drawLine(row.left() + 8, row.bottom(), row.right() - 8, row.bottom())
        painter.restore()

    def _draw_picture(self, painter: QPainter, image: Path, box: QRect) -> None:
        tokens = theme.tokens()
        ratio = self._view.devicePixelRatioF()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(box, 6, 6)
        side = round(THUMB * ratio)
        pixmap = self._loader.get(PictureKey(image, 0.0, side, side, round(5 * ratio)))
        if pixmap is None or pixmap.isNull():
            sign = icons.pixmap("image" if pixmap is None else "error", 22, tokens.faint, ratio)
            painter.drawPixmap(box.center().x() - 11, box.center().y() - 11, sign)
            return
        size = pixmap.size() / ratio
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(box.center())
        painter.drawPixmap(place, pixmap)

    @staticmethod
    def _draw_badge(painter: QPainter, plan: CaptionPlan, words: QRect) -> int:
        tokens = theme.tokens()
        ground, colour = {
            "new": (tokens.success_soft, tokens.success),
            "changed": (tokens.accent_soft, tokens.accent),
            "unchanged": (tokens.hover, tokens.muted),
            "kept": (tokens.hover, tokens.muted),
            "failed": (tokens.danger_soft, tokens.danger),
        }[plan.outcome]
        painter.save()
        font = painter.font()
        font.setPixelSize(11)
        font.setBold(True)
        painter.setFont(font)
        text = outcome_text(plan)
        width = QFontMetrics(font).horizontalAdvance(text) + 16
        place = QRectF(words.right() - width, words.top(), width, BADGE)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(ground))
        painter.drawRoundedRect(place, BADGE / 2, BADGE / 2)
        painter.setPen(theme.colour(colour))
        painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)
        painter.restore()
        return width

    def _draw_caption(self, painter: QPainter, image: Path, plan: CaptionPlan | None, place: QRect) -> None:
        tokens = theme.tokens()
        parts: tuple[tuple[Kind, str], ...]
        colour = tokens.muted
        if plan is None:
            caption = self._caption_of(image)
            parts = (("same", caption or tr("no caption")),)
            colour = tokens.muted if caption else tokens.faint
        elif plan.problem:
            parts = (("same", plan.problem),)
            colour = tokens.danger if plan.outcome == "failed" else tokens.warning
        elif plan.outcome == "changed":
            parts = _pieces(plan.record.caption or "", plan.caption)
        else:
            parts = (("same", plan.caption),)
        font = painter.font()
        font.setPixelSize(12)
        draw_parts(painter, font, parts, place, colour)


def draw_parts(painter: QPainter, font: QFont, parts: tuple[tuple[Kind, str], ...], place: QRect, colour: str) -> None:
    """Draw pieces of a caption in as many lines as there is room for; the last one says when there is more."""
    metrics = QFontMetrics(font)
    text = "".join(piece for _, piece in parts)[:_MOST_LETTERS].replace("\n", " ")
    num_lines = max(1, min(MOST_LINES, place.height() // metrics.height()))
    layout, end = _laid_out(text, font, parts, place.width(), num_lines)
    if end < len(text):
        width = place.width() - metrics.horizontalAdvance("… ")
        _, end = _laid_out(text, font, parts, place.width(), num_lines, last_width=width)
        layout, _ = _laid_out(text[:end].rstrip(" ,") + "…", font, parts, place.width(), num_lines)
    painter.setPen(theme.colour(colour))
    layout.draw(painter, QPointF(place.left(), place.top()))


def _laid_out(
    text: str,
    font: QFont,
    parts: tuple[tuple[Kind, str], ...],
    width: int,
    num_lines: int,
    last_width: int = 0,
) -> tuple[QTextLayout, int]:
    """A text in lines with the pieces in their colours, and how many letters of it fit."""
    layout = QTextLayout(text, font)
    layout.setFormats(_spans(parts, len(text.removesuffix("…"))))
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout.setTextOption(option)
    layout.beginLayout()
    end = 0
    for number in range(num_lines):
        line = layout.createLine()
        if not line.isValid():
            break
        line.setLineWidth(last_width if last_width and number == num_lines - 1 else width)
        line.setPosition(QPointF(0, number * QFontMetrics(font).height()))
        end = line.textStart() + line.textLength()
    layout.endLayout()
    return layout, end


def _spans(parts: tuple[tuple[Kind, str], ...], length: int) -> list[QTextLayout.FormatRange]:
    """The colours of the pieces that go and come."""
    tokens = theme.tokens()
    formats = {"gone": QTextCharFormat(), "new": QTextCharFormat()}
    formats["gone"].setForeground(theme.colour(tokens.danger))
    formats["gone"].setFontStrikeOut(True)
    formats["new"].setForeground(theme.colour(tokens.success))
    formats["new"].setBackground(theme.colour(tokens.success_soft))
    spans, start = [], 0
    for kind, piece in parts:
        if kind != "same" and start < length:
            span = QTextLayout.FormatRange()
            span.start, span.length = start, min(len(piece), length - start)
            span.format = formats[kind]
            spans.append(span)
        start += len(piece)
    return spans
