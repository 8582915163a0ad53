"""The list of base models that unfolds from the picker: grouped by where they are, with family, size and a warning."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import theme
from app.wording import size_text
from core.config.labels import choice_label
from core.model_places import FoundModel
from core.text import tr

KIND_ROLE = int(Qt.ItemDataRole.UserRole) + 1
MODEL_ROLE = int(Qt.ItemDataRole.UserRole) + 2
HEADER, MODEL, ACTION = "header", "model", "action"
_HEADER_PX, _ROW_PX, _WARNED_PX = 28, 34, 50
_Index = QModelIndex | QPersistentModelIndex


class BaseModelItems(QStandardItemModel):
    """Headers that cannot be chosen, models under them, and at the end what else can be done."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)

    def fill(self, groups: Iterable[tuple[str, Iterable[FoundModel]]], actions: Iterable[tuple[str, str]]) -> None:
        """Take up other models.

        Args:
            groups: Title of each group and what is in it; empty groups are left out.
            actions: Name and text of each action.
        """
        self.clear()
        for title, models in groups:
            rows = list(models)
            if rows:
                self._add(title, HEADER, None).setFlags(Qt.ItemFlag.NoItemFlags)
            for model in rows:
                item = self._add(model_title(model), MODEL, model.path)
                item.setData(model, MODEL_ROLE)
                item.setToolTip(f"{model.path}\n{model.problem}" if model.problem else str(model.path))
                if model.problem:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
        for name, text in actions:
            self._add(text, ACTION, name)

    def _add(self, text: str, kind: str, value: object) -> QStandardItem:
        item = QStandardItem(text)
        item.setData(kind, KIND_ROLE)
        item.setData(value, Qt.ItemDataRole.UserRole)
        self.appendRow(item)
        return item

    def row_of(self, path: Path) -> int:
        """The row of a model, or -1."""
        return next(
            (row for row in range(self.rowCount()) if self.item(row).data(Qt.ItemDataRole.UserRole) == path), -1
        )


class BaseModelDelegate(QStyledItemDelegate):
    """Draws a row of the list."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802 - Qt's name
        """Two lines for a model with a warning."""
        kind, model = index.data(KIND_ROLE), index.data(MODEL_ROLE)
        height = _HEADER_PX if kind == HEADER else _WARNED_PX if model is not None and model.problem else _ROW_PX
        return QSize(280, height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Title, chip of the family, size; below it why a model is of no use."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        view: Any = option  # The stubs do not know the fields.
        rect: QRect = view.rect
        tokens = theme.tokens()
        kind, model = index.data(KIND_ROLE), index.data(MODEL_ROLE)
        is_lit = bool(view.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver))
        if is_lit and kind != HEADER and (model is None or not model.problem):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.accent_soft))
            painter.drawRoundedRect(QRectF(rect).adjusted(2, 1, -2, -1), 6, 6)
        inner = rect.adjusted(theme.SPACE_M, 0, -theme.SPACE_M, 0)
        if kind == HEADER:
            self._text(painter, inner.adjusted(0, 6, 0, 0), index.data(), tokens.muted, bold=True, size=11)
        elif kind == ACTION:
            if index.row() and index.sibling(index.row() - 1, 0).data(KIND_ROLE) != ACTION:
                painter.setPen(QColor(tokens.border))
                painter.drawLine(rect.topLeft(), rect.topRight())
            self._text(painter, inner, index.data(), tokens.accent)
        elif model is not None:
            self._model(painter, inner, model)
        painter.restore()

    def _model(self, painter: QPainter, rect: QRect, model: FoundModel) -> None:
        tokens = theme.tokens()
        line = QRect(rect.left(), rect.top(), rect.width(), _ROW_PX if not model.problem else 30)
        right = line.right()
        if model.size_bytes:
            text = size_text(model.size_bytes)
            width = _metrics(12).horizontalAdvance(text)
            place = QRect(right - width, line.top(), width, line.height())
            self._text(painter, place, text, tokens.muted, size=12)
            right -= width + theme.SPACE_M
        if model.family:
            right = self._chip(painter, line, right, choice_label(model.family))
        place = QRect(line.left(), line.top(), right - line.left(), line.height())
        self._text(painter, place, model_title(model), tokens.muted if model.problem else tokens.text)
        if model.problem:
            below = QRect(rect.left(), rect.top() + 24, rect.width(), 22)
            self._text(painter, below, model.problem, tokens.muted, size=12, middle=True)

    def _chip(self, painter: QPainter, line: QRect, right: int, text: str) -> int:
        tokens = theme.tokens()
        width = _metrics(11).horizontalAdvance(text) + 14
        chip = QRectF(right - width, line.center().y() - 9, width, 19)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.border))
        painter.drawRoundedRect(chip, 9, 9)
        self._text(painter, chip.toRect().adjusted(7, 0, 0, 0), text, tokens.muted, size=11)
        return right - width - theme.SPACE_S

    def _text(
        self,
        painter: QPainter,
        rect: QRect,
        text: str,
        colour: str,
        *,
        bold: bool = False,
        size: int = theme.FONT_PX,
        middle: bool = False,
    ) -> None:
        font = QFont(painter.font())
        font.setPixelSize(size)
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(colour))
        mode = Qt.TextElideMode.ElideMiddle if middle else Qt.TextElideMode.ElideRight
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(rect, flags, painter.fontMetrics().elidedText(text, mode, rect.width() + 1))


def model_title(model: FoundModel) -> str:
    """What a model is called in the list."""
    return tr("Kiln Starter (small, for trying out)") if model.is_starter else model.title


def _metrics(size: int) -> QFontMetrics:
    font = QFont()
    font.setFamilies(theme.FONTS)
    font.setPixelSize(size)
    return QFontMetrics(font)
