"""What the tagger saw in a picture: a bar for every tag, grouped by kind, with the threshold drawn through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import theme
from core.dataset.captions import tag_key
from core.dataset.tag_names import chinese_name
from core.tagging.base import Category, ScoredTag
from core.tagging.choice import choose_tags, mcut
from core.tagging.options import TagOptions
from core.text import language, tr

State = Literal["written", "below", "excluded", "pruned"]
ROW_HEIGHT = 24
NAME_SHARE = 0.5
NUMBER_WIDTH = 36
_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()
_GROUPS: tuple[Category, ...] = (
    "general",
    "character",
    "copyright",
    "artist",
    "meta",
    "quality",
    "model",
    "other",
    "rating",
)


@dataclass(frozen=True, slots=True)
class BarRow:
    """A tag with what becomes of it, or, without one, the title of a group. `threshold` is drawn where there is one."""

    category: Category
    tag: ScoredTag | None = None
    state: State = "written"
    threshold: float | None = None


def bar_rows(tags: Sequence[ScoredTag], options: TagOptions) -> list[BarRow]:
    """The rows of a picture, groups in a fixed order, the most certain tags first.

    Args:
        tags: What the tagger saw.
        options: What decides about them.
    """
    chosen = {tag.name for tag in choose_tags(tags, options)}
    with_excluded = {tag.name for tag in choose_tags(tags, options.model_copy(update={"exclude": ()}))}
    pruned = {tag_key(tag) for tag in options.prune}
    rows: list[BarRow] = []
    for category in _GROUPS:
        group = sorted((tag for tag in tags if tag.category == category), key=lambda tag: -tag.score)
        if not group:
            continue
        threshold = _threshold(category, group, options)
        rows.append(BarRow(category))
        for tag in group:
            state: State = "below"
            if tag.name in chosen:
                state = "pruned" if tag_key(tag.name) in pruned else "written"
            elif tag.name in with_excluded:
                state = "excluded"
            rows.append(BarRow(category, tag, state, threshold))
    return rows


def _threshold(category: Category, group: Sequence[ScoredTag], options: TagOptions) -> float | None:
    """Where tags of a kind begin to be written; None where no score decides."""
    if category == "rating" or (category in ("character", "copyright") and not options.characters):
        return None
    if options.mcut and category in ("general", "character"):
        return mcut([tag.score for tag in group])
    known = {
        "general": options.threshold,
        "character": options.character_threshold,
        "copyright": options.copyright_threshold,
    }
    return known.get(category, options.other_threshold)


def category_text(category: Category) -> str:
    """What a kind of tags is called."""
    return {
        "general": tr("General"),
        "character": tr("Characters"),
        "copyright": tr("Series"),
        "artist": tr("Artists"),
        "meta": tr("About the file"),
        "quality": tr("Quality"),
        "model": tr("Models"),
        "other": tr("Others"),
        "rating": tr("Rating"),
    }[category]


class BarModel(QAbstractListModel):
    """The rows of one picture."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[BarRow] = []

    def set_rows(self, rows: list[BarRow]) -> None:
        """Show other rows; what is chosen and scrolled to stays while they are about the same tags."""
        if [(row.category, row.tag) for row in rows] == [(row.category, row.tag) for row in self.rows]:
            self.rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Titles are not chosen."""
        if not 0 <= index.row() < len(self.rows) or self.rows[index.row()].tag is None:
            return Qt.ItemFlag.ItemNeverHasChildren
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Words for those who cannot see the bars, or the row."""
        if not 0 <= index.row() < len(self.rows):
            return None
        row = self.rows[index.row()]
        if role == _ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return category_text(row.category) if row.tag is None else row.tag.name
        if row.tag is not None and role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            names = " · ".join(name for name in (row.tag.name, chinese_name(row.tag.name)) if name)
            return f"{names}\n{row.tag.score:.3f} · {state_text(row)}"
        return None


def state_text(row: BarRow) -> str:
    """What becomes of a tag, and what a click does."""
    return {
        "written": tr("It is written. A click leaves it out."),
        "below": tr("It is not written. A click leaves it out whatever its score is."),
        "excluded": tr("It is left out. A click takes it back in."),
        "pruned": tr("It is left to the trigger word."),
    }[row.state]


class ScoreBars(QListView):
    """A click, or the space bar, on a tag leaves it out or takes it back in, as `tag_toggled` tells."""

    tag_toggled = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.bars = BarModel(self)
        self.setModel(self.bars)
        self.setItemDelegate(_BarDelegate(self))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalScrollBar().setSingleStep(ROW_HEIGHT)
        self.setMouseTracking(True)
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        theme.signals.changed.connect(self.viewport().update)

    def show_tags(self, tags: Sequence[ScoredTag], options: TagOptions) -> None:
        """Show what was seen, and what the options make of it."""
        self.bars.set_rows(bar_rows(tags, options))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Toggle the tag under the pointer."""
        super().mouseReleaseEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            self._toggle(self.indexAt(event.position().toPoint()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """The space bar and Delete do what a click does."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Delete):
            self._toggle(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _toggle(self, index: QModelIndex) -> None:
        row = index.data(_ROLE)
        if isinstance(row, BarRow) and row.tag is not None:
            self.tag_toggled.emit(row.tag.name)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setAccessibleName(tr("What the tagger saw"))
        self.viewport().update()


class _BarDelegate(QStyledItemDelegate):
    """Name, bar and number of a tag."""

    def __init__(self, view: ScoreBars) -> None:
        super().__init__(view)

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """All rows are alike."""
        return QSize(120, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one row."""
        row = index.data(_ROLE)
        if not isinstance(row, BarRow):
            return
        place: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(painter.font())
        font.setPixelSize(12)
        if row.tag is None:
            self._draw_title(painter, font, row, place)
        else:
            if state & (QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected):
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.colour(theme.tokens().hover))
                painter.drawRoundedRect(place.adjusted(0, 1, -2, -1), 5, 5)
            self._draw_tag(painter, font, row, row.tag, place)
        painter.restore()

    @staticmethod
    def _draw_title(painter: QPainter, font: QFont, row: BarRow, place: QRect) -> None:
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(theme.colour(theme.tokens().muted))
        inner = place.adjusted(4, 4, -4, 0)
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, category_text(row.category))

    @staticmethod
    def _draw_tag(painter: QPainter, font: QFont, row: BarRow, tag: ScoredTag, place: QRect) -> None:
        tokens = theme.tokens()
        bar_colour, ink = {
            "written": (tokens.accent, tokens.text),
            "below": (tokens.border_strong, tokens.faint),
            "excluded": (tokens.border_strong, tokens.danger),
            "pruned": (tokens.curve_b, tokens.curve_b),
        }[row.state]
        names = QRect(place.left() + 4, place.top(), round((place.width() - NUMBER_WIDTH) * NAME_SHARE), place.height())
        font.setStrikeOut(row.state in ("excluded", "pruned"))
        painter.setFont(font)
        painter.setPen(theme.colour(ink))
        name = tag.name.replace("_", " ") if len(tag.name) > 3 else tag.name
        if language() == "zh" and (chinese := chinese_name(tag.name)):
            name = f"{chinese} {name}"
        text = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, names.width() - 8)
        painter.drawText(names, Qt.AlignmentFlag.AlignVCenter, text)
        left, width = names.right() + 1, place.right() - NUMBER_WIDTH - names.right() - 4
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.hover))
        painter.drawRoundedRect(QRectF(left, place.center().y() - 3, width, 7), 3.5, 3.5)
        painter.setBrush(theme.colour(bar_colour))
        painter.drawRoundedRect(QRectF(left, place.center().y() - 3, max(7.0, width * tag.score), 7), 3.5, 3.5)
        if row.threshold is not None and row.threshold <= 1:
            at = left + width * row.threshold
            painter.setPen(QPen(theme.colour(tokens.text), 1))
            painter.drawLine(round(at), place.top(), round(at), place.bottom() + 1)
        font.setStrikeOut(False)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.muted if row.state == "written" else tokens.faint))
        number = QRect(place.right() - NUMBER_WIDTH, place.top(), NUMBER_WIDTH - 6, place.height())
        painter.drawText(number, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), f"{tag.score:.2f}")
