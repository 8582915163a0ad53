"""Models of the catalogue as a list: title, what it is good for, size, and whether it is here."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app import icons, theme
from app.model_store import ModelState
from app.wording import size_text
from core.text import tr

ROW_HEIGHT = 50
_SIGN_PX = 18
_FEWEST_ROWS = 4
STATE_ROLE = Qt.ItemDataRole.UserRole

_Index = QModelIndex | QPersistentModelIndex


class ModelRows(QAbstractListModel):
    """The states of models, one row each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.states: tuple[ModelState, ...] = ()

    def show_states(self, states: Sequence[ModelState]) -> None:
        """Show these; rows that stay keep their selection."""
        same = [state.card.key for state in states] == [state.card.key for state in self.states]
        if same:
            self.states = tuple(states)
            if states:
                self.dataChanged.emit(self.index(0), self.index(len(states) - 1))
            return
        self.beginResetModel()
        self.states = tuple(states)
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's names
        """How many models."""
        return 0 if parent.isValid() else len(self.states)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Title, tooltip, words for screen readers, and the state for the delegate."""
        state = self.states[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return state.card.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{state.card.description}\n{state.card.page}"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(part for part in (state.card.title, state.card.description, state_text(state)) if part)
        return state if role == STATE_ROLE else None


class ModelList(QListView):
    """A list to choose one model from. `confirmed` follows Return or a double click."""

    selected = Signal()
    confirmed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = ModelRows(self)
        self.setModel(self.rows)
        self.setItemDelegate(_Delegate(self))
        self.setProperty("role", "list")
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.selectionModel().currentChanged.connect(lambda *_: self.selected.emit())
        # Not `activated`: on some desktops one click is enough for that, and a download is large.
        self.doubleClicked.connect(lambda _index: self.confirmed.emit())
        theme.signals.changed.connect(self.viewport().update)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Return confirms what is selected."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.chosen is not None:
            self.confirmed.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """High enough for all rows, where there is room."""
        return QSize(super().sizeHint().width(), self.maximumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep the selected model in sight when the list becomes lower."""
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    def show_states(self, states: Sequence[ModelState]) -> None:
        """Show these models; the same one stays selected, or the first."""
        before = self.chosen
        self.rows.show_states(states)
        self.select(before.card.key if before else "")
        around = 2 * self.frameWidth() + 2
        self.setMinimumHeight(min(len(states), _FEWEST_ROWS) * ROW_HEIGHT + around)
        self.setMaximumHeight(len(states) * ROW_HEIGHT + around)

    @property
    def chosen(self) -> ModelState | None:
        """The model that is selected."""
        row = self.currentIndex().row()
        return self.rows.states[row] if 0 <= row < len(self.rows.states) else None

    def select(self, key: str) -> None:
        """Select a model by name; the first one when there is none of that name."""
        keys = [state.card.key for state in self.rows.states]
        if keys:
            self.setCurrentIndex(self.rows.index(keys.index(key) if key in keys else 0))


def state_text(state: ModelState) -> str:
    """What a row says at its right: here, how much of it is here, or how large it will be."""
    total = size_text(state.card.size_bytes) if state.card.size_bytes else ""
    if state.is_here:
        return tr("here")
    if state.waiting_bytes and total:
        return tr("{done} of {total}", done=size_text(state.waiting_bytes), total=total)
    return total


class _Delegate(QStyledItemDelegate):
    """Draws one model."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802 - Qt's name
        """All rows are alike."""
        return QSize(200, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Draw sign, two lines of text, and the state at the right."""
        state = index.data(STATE_ROLE)
        if not isinstance(state, ModelState):
            return
        tokens = theme.tokens()
        flags: QStyle.StateFlag = option.state
        is_enabled = bool(flags & QStyle.StateFlag.State_Enabled)
        is_selected = bool(flags & QStyle.StateFlag.State_Selected)
        place: QRect = option.rect.adjusted(3, 2, -3, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if is_selected or flags & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.colour(tokens.accent_soft if is_selected else tokens.hover))
            painter.drawRoundedRect(place, 6, 6)
        if is_selected and flags & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(theme.colour(tokens.accent))
            painter.drawRoundedRect(place.adjusted(0, 0, -1, -1), 6, 6)
        sign, colour = ("check-circle", tokens.success) if state.is_here else ("download", tokens.muted)
        ratio = painter.device().devicePixelRatioF()
        picture = icons.pixmap(sign, _SIGN_PX, colour if is_enabled else tokens.faint, ratio)
        painter.drawPixmap(place.left() + 10, place.center().y() - _SIGN_PX // 2 + 1, picture)
        words = place.adjusted(10 + _SIGN_PX + 10, 5, -12, -5)
        font = QFont(option.font)
        metrics = option.fontMetrics
        right = state_text(state)
        tone = tokens.success if state.is_here else tokens.warning if state.waiting_bytes else tokens.muted
        painter.setFont(font)
        painter.setPen(theme.colour(tone if is_enabled else tokens.faint))
        painter.drawText(words, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop), right)
        upper = words.adjusted(0, 0, -metrics.horizontalAdvance(right) - 12, 0)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.text if is_enabled else tokens.faint))
        painter.drawText(upper, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), state.card.title)
        font.setWeight(QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(theme.colour(tokens.muted if is_enabled else tokens.faint))
        below = metrics.elidedText(state.card.description, Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom), below)
        painter.restore()
