"""What is wrong with files of the folder: folded to one line until the user wants to know."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QUrl,
)
from PySide6.QtGui import QDesktopServices, QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import QListView, QStyledItemDelegate, QStyleOptionViewItem, QToolButton

from app import icons, theme
from app.widgets.card import Card, button
from core.dataset.records import Problem
from core.text import tr

LIST_HEIGHT = 150
PAD = 8
_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()
_WRAP = int(Qt.TextFlag.TextWordWrap) | int(Qt.AlignmentFlag.AlignLeft)


class ProblemModel(QAbstractListModel):
    """Problems in the order of the scan."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.problems: tuple[Problem, ...] = ()

    def set_problems(self, problems: tuple[Problem, ...]) -> None:
        """Show other problems."""
        self.beginResetModel()
        self.problems = problems
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of problems."""
        return 0 if parent.isValid() else len(self.problems)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """File name, path, or the whole problem."""
        if not 0 <= index.row() < len(self.problems):
            return None
        problem = self.problems[index.row()]
        if role == _ROLE:
            return problem
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{problem.path.name}: {problem.message} {problem.remedy}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(problem.path)
        return None


class ProblemList(Card):
    """One line with the number of problems; unfolded, the list. A double click shows the file's folder."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ProblemModel(self)
        self.fold_button = button(kind="quiet", icon="warning")
        icons.set_icon(self.fold_button, "warning", 18, "warning")
        self.fold_button.setCheckable(True)
        self.fold_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.fold_button.toggled.connect(self._fold)
        while self.header.count():
            self.header.takeAt(0)
        self.fold_button.setProperty("fold", True)
        self._chevron = QToolButton()
        self._chevron.clicked.connect(self.fold_button.toggle)
        self.header.addWidget(self.fold_button, 1)
        self.header.addWidget(self._chevron)
        self.view = _ProblemView()
        self.view.setModel(self.model)
        self.view.doubleClicked.connect(self._open_folder)
        self.view.hide()
        self.body.addWidget(self.view)
        layout = self.layout()
        assert layout is not None
        layout.setContentsMargins(theme.SPACE_XS, 2, theme.SPACE_XS, 2)
        self._fold(False)
        self.hide()

    def set_problems(self, problems: tuple[Problem, ...]) -> None:
        """Show other problems; without any, nothing."""
        self.model.set_problems(problems)
        self.setVisible(bool(problems))
        self.retranslate()

    def retranslate(self) -> None:
        """Set the text in the language in use."""
        number = len(self.model.problems)
        unused = sum(problem.excludes for problem in self.model.problems)
        if unused and unused == number:
            text = tr("{n} files cannot be used", n=number) if number != 1 else tr("1 file cannot be used")
        elif unused:
            text = tr("{n} files with problems, {unused} of them cannot be used", n=number, unused=unused)
        else:
            text = tr("{n} files with problems", n=number) if number != 1 else tr("1 file with a problem")
        self.fold_button.setText(text)
        self.fold_button.setToolTip(tr("Show what is wrong and what to do"))

    def _fold(self, shown: bool) -> None:
        self.view.setVisible(shown)
        icons.set_icon(self._chevron, "chevron-down" if shown else "chevron-up", 16, "muted")

    def _open_folder(self, index: QModelIndex) -> None:
        problem = self.model.problems[index.row()]
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(problem.path.parent)))


class _ProblemView(QListView):
    def __init__(self) -> None:
        super().__init__()
        self.setItemDelegate(_ProblemDelegate(self))
        self.setFixedHeight(LIST_HEIGHT)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setSelectionMode(QListView.SelectionMode.NoSelection)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        theme.signals.changed.connect(self.viewport().update)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Another width breaks the sentences elsewhere."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()


class _ProblemDelegate(QStyledItemDelegate):
    """File name, then sentence and remedy, broken to the width."""

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """As high as the sentences need."""
        width = self._view.viewport().width()
        metrics = self._view.fontMetrics()
        problem = index.data(_ROLE)
        return QSize(width, metrics.height() + _height(metrics, _sentences(problem), width - 2 * PAD) + PAD)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Name in the text colour, the rest muted."""
        problem = index.data(_ROLE)
        tokens = theme.tokens()
        place: QRect = option.rect.adjusted(PAD, 2, -PAD, -2)
        metrics = painter.fontMetrics()
        painter.save()
        painter.setPen(theme.colour(tokens.text))
        name = metrics.elidedText(problem.path.name, Qt.TextElideMode.ElideMiddle, place.width())
        painter.drawText(QRect(place.left(), place.top(), place.width(), metrics.height()), 0, name)
        painter.setPen(theme.colour(tokens.muted))
        rest = place.adjusted(0, metrics.height(), 0, 0)
        painter.drawText(rest, _WRAP, _sentences(problem))
        painter.restore()


def _sentences(problem: Problem) -> str:
    return f"{problem.message} {problem.remedy}"


def _height(metrics: QFontMetrics, text: str, width: int) -> int:
    return metrics.boundingRect(QRect(0, 0, max(width, 1), 10_000), _WRAP, text).height()
