"""What Kiln chose, as a calm list of sentences; each opens to its reason."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import button, label
from core.quick_reasons import Choice
from core.text import tr

TWO_COLUMNS_PX = 700
_TEXT_PX = 23
"""Where the text of a line begins, behind its mark."""


class QuickChoiceList(QWidget):
    """Sentences in two columns where there is room, else in one.

    `option_requested` asks for an option in the full form; `reset_requested` wants Kiln's own choice back for some.
    """

    option_requested = Signal(str)
    reset_requested = Signal(object)  # tuple of keys

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: dict[str, ChoiceRow] = {}
        self._columns = (QVBoxLayout(), QVBoxLayout())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_L)
        for column in self._columns:
            column.setSpacing(0)
            row.addLayout(column, 1)
        self._num_columns = 0

    def show_choices(self, choices: Sequence[Choice]) -> None:
        """Show other sentences; what is open stays open."""
        keys = [choice.keys[0] for choice in choices]
        if keys != list(self.rows):
            for row in self.rows.values():
                row.deleteLater()
            self.rows = {key: ChoiceRow(self) for key in keys}
            for row in self.rows.values():
                row.option_requested.connect(self.option_requested)
                row.reset_requested.connect(self.reset_requested)
            self._num_columns = 0
        for choice in choices:
            self.rows[choice.keys[0]].show_choice(choice)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Another width may have room for another number of columns."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        number = 2 if self.width() >= TWO_COLUMNS_PX else 1
        if number == self._num_columns:
            return
        self._num_columns = number
        for column in self._columns:
            while column.count():
                column.takeAt(0)
        rows = list(self.rows.values())
        first = -(-len(rows) // number)
        for place, row in enumerate(rows):
            self._columns[place // first].addWidget(row)
        for column in self._columns:
            column.addStretch(1)
        layout = self.layout()
        assert isinstance(layout, QHBoxLayout)
        layout.setStretch(1, number - 1)
        layout.setSpacing(theme.SPACE_L if number == 2 else 0)


class ChoiceRow(QWidget):
    """One sentence; a click shows the reason and the way to the option."""

    option_requested = Signal(str)
    reset_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choice: Choice | None = None
        self.line = _Line()
        self.line.clicked.connect(self._toggle)
        self.why = label(role="small", wrap=True)
        self.why.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.option_button = button(kind="quiet")
        self.reset_button = button(kind="quiet")
        for made in (self.option_button, self.reset_button):
            made.setStyleSheet("padding: 0 2px; min-height: 24px; font-size: 12px; color: palette(link);")
        self.option_button.clicked.connect(self._ask_option)
        self.reset_button.clicked.connect(self._ask_reset)
        links = QHBoxLayout()
        links.setContentsMargins(-3, 0, 0, 0)
        links.setSpacing(theme.SPACE_M)
        links.addWidget(self.option_button)
        links.addWidget(self.reset_button)
        links.addStretch(1)
        self._body = QWidget()
        inner = QVBoxLayout(self._body)
        inner.setContentsMargins(_TEXT_PX, 0, theme.SPACE_S, theme.SPACE_S)
        inner.setSpacing(2)
        inner.addWidget(self.why)
        inner.addLayout(links)
        self._body.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.line)
        column.addWidget(self._body)

    @property
    def is_open(self) -> bool:
        """Whether the reason is shown."""
        return not self._body.isHidden()

    def show_choice(self, choice: Choice) -> None:
        """Show another sentence."""
        self._choice = choice
        self.line.set_sentence(choice.sentence, is_own=choice.is_own, is_open=self.is_open)
        self.why.setText(choice.why)
        self.option_button.setText(tr("Show the option"))
        self.reset_button.setText(tr("Take Kiln's choice"))
        self.reset_button.setVisible(choice.is_own)

    def _toggle(self) -> None:
        self._body.setVisible(not self.is_open)
        if self._choice is not None:
            self.show_choice(self._choice)

    def _ask_option(self) -> None:
        if self._choice is not None:
            self.option_requested.emit(self._choice.keys[0])

    def _ask_reset(self) -> None:
        if self._choice is not None:
            self.reset_requested.emit(self._choice.keys)


class _Line(QPushButton):
    """The sentence as a flat line to click, shortened where there is no room; the tooltip has it in full."""

    def __init__(self) -> None:
        super().__init__()
        self._sentence = ""
        self.setProperty("kind", "quiet")
        self.setProperty("fold", "true")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStyleSheet("padding: 0 4px; min-height: 26px; font-weight: 400;")

    def set_sentence(self, sentence: str, *, is_own: bool, is_open: bool) -> None:
        """Show another sentence."""
        self._sentence = sentence
        name = "edit" if is_own else "chevron-down" if is_open else "chevron-right"
        icons.set_icon(self, name, 14, "accent" if is_own else "muted")
        self.setAccessibleName(sentence)
        self.setAccessibleDescription(tr("Shows why"))
        self._elide()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As narrow as need be: the text is shortened."""
        return QSize(60, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Another width may hide or show the end of the sentence."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.width() - self.iconSize().width() - 18
        text = self.fontMetrics().elidedText(self._sentence, Qt.TextElideMode.ElideRight, room)
        self.setText(text.replace("&", "&&"))
        self.setToolTip("" if text == self._sentence else self._sentence)
