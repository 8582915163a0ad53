"""What stands over the grid: which pictures are shown, in which order, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from PySide6.QtCore import QPoint, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.grid_filter import Only
from app.widgets.card import label
from core.dataset.doctor import PROBLEMS
from core.dataset.query import Query, QueryError, completions, parse_query
from core.text import sentences, tr

FILTER_DELAY_MS = 120
Order = Literal["name", "pixels", "tags", "problems", "changed"]


def order_title(order: Order) -> str:
    """How an order of pictures is called."""
    return {
        "name": tr("By folder and name"),
        "pixels": tr("Smallest first"),
        "tags": tr("Fewest tags first"),
        "problems": tr("Most problems first"),
        "changed": tr("Newest first"),
    }[order]


class FilterBar(QWidget):
    """Usual questions as buttons, a box for the filter language, the order, and the switch *As trained*."""

    changed = Signal()  # another question
    order_changed = Signal()
    as_trained_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._query = parse_query("")
        self._counts: dict[Only, int] = {}
        self._typing = QTimer(self, singleShot=True, interval=FILTER_DELAY_MS)
        self._typing.timeout.connect(self.apply)
        self.search = _QueryLine()
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icons.icon("search", 16, "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(lambda _text: self._typing.start())
        self.search.returnPressed.connect(self.apply)
        self.search.setAcceptDrops(False)
        self._group = QButtonGroup(self)
        self.only_buttons: dict[Only, QPushButton] = {}
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_XS)
        for only in get_args(Only):
            made = QPushButton()
            made.setProperty("role", "segment")
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            made.clicked.connect(lambda _checked, only=only: self.ask("", only))
            self._group.addButton(made)
            self.only_buttons[only] = made
            first.addWidget(made)
        self.only_buttons["all"].setChecked(True)
        first.addStretch(1)
        self.matches = label(role="small")
        first.addWidget(self.matches)
        self.undo_button = _tool("undo")
        self.redo_button = _tool("redo")
        self.trained_button = QPushButton()
        self.trained_button.setProperty("role", "segment")
        self.trained_button.setCheckable(True)
        self.trained_button.setCursor(Qt.CursorShape.PointingHandCursor)
        icons.set_icon(self.trained_button, "crop", 16)
        self.trained_button.toggled.connect(self.as_trained_toggled)
        self.order_button = QToolButton()
        icons.set_icon(self.order_button, "order", 18)
        self.order_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._orders: dict[Order, QAction] = {}
        self.order_button.setMenu(self._build_orders())
        second = QHBoxLayout()
        second.setSpacing(theme.SPACE_XS)
        second.addWidget(self.search, 1)
        for widget in (self.trained_button, self.order_button, self.undo_button, self.redo_button):
            second.addWidget(widget)
        self.problem = label(role="error", wrap=True)
        self.problem.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(first)
        column.addLayout(second)
        column.addWidget(self.problem)

    def _build_orders(self) -> QMenu:
        menu = QMenu(self.order_button)
        group = QActionGroup(self)
        for order in get_args(Order):
            action = QAction(self, checkable=True)
            action.triggered.connect(self.order_changed)
            group.addAction(action)
            menu.addAction(action)
            self._orders[order] = action
        self._orders["name"].setChecked(True)
        return menu

    # The question

    @property
    def query(self) -> Query:
        """The last question that could be understood."""
        return self._query

    @property
    def only(self) -> Only:
        """Which of the usual questions is asked."""
        return next(only for only, made in self.only_buttons.items() if made.isChecked())

    @property
    def order(self) -> Order:
        """In which order the pictures are wanted."""
        return next(order for order, action in self._orders.items() if action.isChecked())

    def set_order(self, order: str) -> None:
        """Ask for an order; an unknown one is that of the names."""
        for known, action in self._orders.items():
            action.setChecked(known == (order if order in get_args(Order) else "name"))

    def ask(self, text: str, only: Only = "all") -> None:
        """Ask another question."""
        self.search.blockSignals(True)
        self.search.setText(text)
        self.search.blockSignals(False)
        self.only_buttons[only].setChecked(True)
        self.apply()

    def reset(self) -> None:
        """Ask for all pictures, without telling anybody."""
        self.blockSignals(True)
        self.ask("")
        self.blockSignals(False)

    def apply(self) -> None:
        """Take what is typed now. What cannot be understood is explained, and the last question stays."""
        self._typing.stop()
        try:
            self._query = parse_query(self.search.text())
        except QueryError as error:
            self.problem.setText(sentences(error.message, error.remedy))
            self.problem.show()
            return
        self.problem.hide()
        self.changed.emit()

    def focus_search(self) -> None:
        """Let the user type a question."""
        self.search.setFocus()
        self.search.selectAll()

    # What is shown

    def set_counts(self, counts: dict[Only, int]) -> None:
        """How many pictures each of the usual questions finds; those that find none are hidden, but never all.

        Without counts, because they are not known yet, no numbers are shown.
        """
        self._counts = counts
        texts: dict[Only, Callable[[object], str]] = {
            "all": lambda n: tr("All {n}", n=n),
            "uncaptioned": lambda n: tr("No caption {n}", n=n),
            "problems": lambda n: tr("Problems {n}", n=n),
            "excluded": lambda n: tr("Left out {n}", n=n),
        }
        for only, made in self.only_buttons.items():
            number = counts.get(only, 0)
            made.setText(texts[only](number if counts else "").rstrip())
            made.setVisible(only in ("all", "uncaptioned") or bool(number) or made.isChecked())

    def set_matches(self, shown: int, total: int) -> None:
        """Say how many pictures the question finds, when it is one."""
        is_asked = bool(self._query.text.strip()) or self.only != "all"
        self.matches.setText(tr("{shown} of {total} shown", shown=shown, total=total) if is_asked else "")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.search.setPlaceholderText(tr("Words, or tag:smile, tags:<5, problem:blurry …"))
        self.search.setToolTip(
            tr(
                "Shows the pictures with all these words (Ctrl+F). Also: tag:smile, -tag:hat, tags:<5, tokens:>75, "
                "caption:none, name:, width:<512, bucket:512x768, problem:any, is:excluded, joined by AND, OR, NOT."
            )
        )
        self.search.setAccessibleName(tr("Filter"))
        self.trained_button.setText(tr("As trained"))
        self.trained_button.setToolTip(tr("Show of every picture what the trainer sees (T)"))
        self.order_button.setToolTip(tr("Order of the pictures"))
        self.order_button.setAccessibleName(tr("Order of the pictures"))
        for order, action in self._orders.items():
            action.setText(order_title(order))
        self.set_counts(self._counts)
        if not self.problem.isHidden():
            self.apply()

    def set_history(self, undo: str, redo: str) -> None:
        """Say what the two buttons would take back or do again; "" for nothing."""
        for made, name, template, nothing in (
            (self.undo_button, undo, tr("Undo: {name} (Ctrl+Z)", name=undo), tr("Nothing to undo")),
            (self.redo_button, redo, tr("Redo: {name} (Ctrl+Shift+Z)", name=redo), tr("Nothing to redo")),
        ):
            made.setEnabled(bool(name))
            made.setToolTip(template if name else nothing)
            made.setAccessibleName(template if name else nothing)


class _QueryLine(QLineEdit):
    """Completes the keys of the filter language and their values, a word at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._words = QStringListModel(self)
        self._popup = QListView()
        self._completer = QCompleter(self._words, self)
        self._completer.setPopup(self._popup)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._completer.setWidget(self)
        self._completer.activated.connect(self._take)
        self.textEdited.connect(lambda _text: self._offer())

    @property
    def completions_shown(self) -> list[str]:
        """What is offered for the word before the cursor."""
        return self._words.stringList()

    def _word(self) -> str:
        """The word before the cursor; none within quotes."""
        before = self.text()[: self.cursorPosition()]
        if before.count('"') % 2:
            return ""
        return before.rpartition(" ")[2].lstrip("(")

    def _offer(self) -> None:
        word = self._word()
        offers = completions(word, list(PROBLEMS)) if len(word) > 1 else []
        offers = [offer for offer in offers if offer != word]
        self._words.setStringList(offers[:12])
        if not offers:
            self._popup.hide()
            return
        place = self.cursorRect()
        place.setWidth(220)
        self._completer.complete(place.translated(QPoint(0, 4)))

    def _take(self, offer: str) -> None:
        end = self.cursorPosition()
        start = end - len(self._word())
        after = "" if offer.endswith(":") else " "
        self.setText(self.text()[:start] + offer + after + self.text()[end:].lstrip())
        self.setCursorPosition(start + len(offer) + len(after))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Tab takes the first offer; Enter without a chosen one asks the question."""
        if self._popup.isVisible() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._popup.hide()
        super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802
        """Tab takes an offer, if there is one."""
        if forward and self._popup.isVisible() and self._words.stringList():
            row = max(0, self._popup.currentIndex().row())
            self._popup.hide()
            self._take(self._words.stringList()[row])
            return True
        return super().focusNextPrevChild(forward)


def _tool(icon: str) -> QToolButton:
    made = QToolButton()
    icons.set_icon(made, icon, 18)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made
