"""All findings of one problem on a card: what it means, what can be done at one press, and the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.widgets.card import button, label, two_lines
from core.dataset.doctor import PROBLEMS, Finding, ProblemCode, Severity
from core.text import sentences, tr

NAME_HEIGHT = 28
SENTENCE_HEIGHT = 62
MOST_ROWS = 7
PAD = 10
SIGNS: dict[Severity, tuple[str, icons.Tone]] = {
    "danger": ("error", "danger"),
    "warning": ("warning", "warning"),
    "info": ("info", "muted"),
}
_WHOLE_SET: frozenset[ProblemCode] = frozenset(("too_few", "too_many", "one_background", "one_shape"))
"""Problems of folders: their findings are told as sentences, not as a list of files."""

_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()

Place = Literal["single", "kept", "other"]


@dataclass(frozen=True, slots=True)
class Row:
    """A file of a finding: alone, or in a group of alike ones as the one to keep or one of the others."""

    path: Path
    place: Place
    sentence: str


class FindingModel(QAbstractListModel):
    """The files of findings of one problem; with a sentence each where these say more than the name."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()
        self.has_sentences = False

    def set_findings(self, findings: Sequence[Finding]) -> None:
        """Show other findings; nothing moves when they are the same."""
        with_remedy = len({finding.remedy for finding in findings}) > 1
        rows = tuple(row for finding in findings for row in _rows(finding, with_remedy))
        if rows != self.rows:
            self.beginResetModel()
            self.rows = rows
            said = {row.sentence.replace(row.path.name, "") for row in rows if row.place == "single"}
            self.has_sentences = len(said) > 1
            self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Number of files."""
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """File name, what was found, or the whole row."""
        if not 0 <= index.row() < len(self.rows):
            return None
        row = self.rows[index.row()]
        if role == _ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.path.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.path}\n{row.sentence}"
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return row.sentence
        return None


def _rows(finding: Finding, with_remedy: bool) -> list[Row]:
    sentence = sentences(finding.message, finding.remedy) if with_remedy else finding.message
    if not finding.others:
        return [Row(finding.path, "single", sentence)]
    others = [Row(other, "other", sentence) for other in finding.others]
    return [Row(finding.path, "kept", sentence), *others]


class ProblemCard(QFrame):
    """One kind of problem. The page hears what is to be shown; the doctor is asked by whoever hears `fix_requested`."""

    fix_requested = Signal(str)  # the problem
    show_requested = Signal(str)
    file_chosen = Signal(Path)

    def __init__(self, problem: ProblemCode) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.problem = problem
        self.findings: tuple[Finding, ...] = ()
        self._sign = QLabel()
        self._title = label(role="cardTitle", wrap=True)
        self._count = label(role="chip")
        self.fold_button = QToolButton()
        self.fold_button.setCheckable(True)
        self.fold_button.toggled.connect(self._fold)
        self._sentence = label(role="muted", wrap=True)
        self.fix_button = button()
        self.fix_button.clicked.connect(lambda: self.fix_requested.emit(self.problem))
        self.show_button = button()
        self.show_button.clicked.connect(lambda: self.show_requested.emit(self.problem))
        self.model = FindingModel(self)
        self.view = _FileView(self.model)
        self.view.clicked.connect(self._choose)
        self.view.activated.connect(self._choose)
        self.view.hide()
        self._lay_out()
        theme.signals.changed.connect(self._draw)
        self._draw()

    def _lay_out(self) -> None:
        self._head = QWidget()
        head = QHBoxLayout(self._head)
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(theme.SPACE_S)
        head.addWidget(self._sign)
        head.addWidget(self._title, 1)
        head.addWidget(self._count)
        head.addWidget(self.fold_button)
        self._buttons = QWidget()
        buttons = QHBoxLayout(self._buttons)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.fix_button)
        buttons.addWidget(self.show_button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_L, theme.SPACE_S, theme.SPACE_M, theme.SPACE_M)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self._head)
        column.addWidget(self._sentence)
        column.addWidget(self._buttons)
        column.addWidget(self.view)

    def set_findings(self, findings: tuple[Finding, ...], *, shows_pictures: bool) -> None:
        """Show other findings.

        Args:
            findings: At least one, all of this problem.
            shows_pictures: Whether they are about pictures that the grid can show.
        """
        self.findings = findings
        is_about_all = self.problem in _WHOLE_SET
        remedies = {finding.remedy for finding in findings}
        remedy = remedies.pop() if len(remedies) == 1 else tr("The list says what helps each of them.")
        files = {path for finding in findings for path in (finding.path, *finding.others)}
        self._title.setText(PROBLEMS[self.problem].title())
        self._count.setText(f"{len(files):,}")
        self._count.setVisible(not is_about_all)
        said = [finding.message for finding in findings] if is_about_all else []
        self._sentence.setText(sentences(*said, remedy))
        number = num_fixed(findings)
        if number:
            title = next(finding.fix.title for finding in findings if finding.fix is not None)
            self.fix_button.setText(tr("{title} ({n})", title=title, n=f"{number:,}"))
        self.fix_button.setVisible(bool(number))
        self.show_button.setVisible(shows_pictures)
        self.show_button.setText(tr("Show"))
        self.show_button.setToolTip(tr("Show only these pictures in the grid"))
        self._buttons.setVisible(bool(number) or shows_pictures)
        self.fold_button.setVisible(not is_about_all)
        self._fold(self.fold_button.isChecked() and not is_about_all)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A click on the title folds, too."""
        place = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton and self._head.geometry().contains(place):
            self.fold_button.click()
        super().mouseReleaseEvent(event)

    def _fold(self, is_open: bool) -> None:
        if is_open:
            self.model.set_findings(self.findings)
            self.view.fit()
        self.view.setVisible(is_open)
        words = tr("Hide the files") if is_open else tr("List the files")
        self.fold_button.setToolTip(words)
        self.fold_button.setAccessibleName(words)
        icons.set_icon(self.fold_button, "chevron-down" if is_open else "chevron-right", 16, "muted")

    def _choose(self, index: QModelIndex) -> None:
        self.file_chosen.emit(self.model.rows[index.row()].path)

    def _draw(self) -> None:
        name, tone = SIGNS[PROBLEMS[self.problem].severity]
        colour = getattr(theme.tokens(), tone)
        self._sign.setPixmap(icons.pixmap(name, 18, colour, self.devicePixelRatioF()))


def num_fixed(findings: Sequence[Finding]) -> int:
    """How many files the fixes of some findings are about."""
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    return len(
        {path for fix in fixes for path in fix.exclude}
        | {path for fix in fixes for path, _ in fix.crop}
        | {path for fix in fixes for path, _ in fix.captions}
    )


class _FileView(QListView):
    """Up to seven files, the rest by scrolling."""

    def __init__(self, model: FindingModel) -> None:
        super().__init__()
        self.setProperty("role", "list")
        self.setModel(model)
        self.setItemDelegate(_FileDelegate(self))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        theme.signals.changed.connect(self.viewport().update)

    def fit(self) -> None:
        """Be as high as the files need, up to seven of them."""
        model = self.model()
        rows = min(MOST_ROWS, max(1, model.rowCount()))
        self.setAccessibleName(tr("Files"))
        self.setFixedHeight(rows * self.sizeHintForRow(0) + 2 * self.frameWidth() + 2)


class _FileDelegate(QStyledItemDelegate):
    """File name, then what was found; in a group, which one is kept."""

    def sizeHint(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """One line, or three with a sentence."""
        model = index.model()
        has_sentences = isinstance(model, FindingModel) and model.has_sentences
        return QSize(100, SENTENCE_HEIGHT if has_sentences else NAME_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Name in the text colour, the rest muted."""
        row: Row = index.data(_ROLE)
        model = index.model()
        tokens = theme.tokens()
        painter.save()
        state = option.state
        is_current = state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_HasFocus)
        if is_current or state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, theme.colour(tokens.accent_soft if is_current else tokens.hover))
        place: QRect = option.rect.adjusted(PAD + (14 if row.place == "other" else 0), 0, -PAD, 0)
        metrics = painter.fontMetrics()
        line = QRect(place.left(), place.top(), place.width(), NAME_HEIGHT)
        mark = {"kept": tr("keep"), "other": "", "single": ""}[row.place]
        room = metrics.horizontalAdvance(mark) + PAD if mark else 0
        painter.setPen(theme.colour(tokens.success))
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, mark)
        painter.setPen(theme.colour(tokens.muted if row.place == "other" else tokens.text))
        name = metrics.elidedText(row.path.name, Qt.TextElideMode.ElideMiddle, line.width() - room)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
        if isinstance(model, FindingModel) and model.has_sentences:
            painter.setPen(theme.colour(tokens.muted))
            top = line.bottom() - 3
            for number, words in enumerate(two_lines(row.sentence, metrics, place.width())):
                painter.drawText(place.left(), top + number * metrics.lineSpacing() + metrics.ascent(), words)
        painter.restore()
