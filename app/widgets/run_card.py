"""Cards about a run: what will be trained, how it ended, what can be done next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.widgets.card import ButtonKind, ElidedLabel, button, label
from app.widgets.fold import Folds
from app.widgets.run_flow import FlowLayout
from app.widgets.tab_order import lead_through, stop_before
from core.text import tr


@dataclass(frozen=True, slots=True)
class Action:
    """One button of a card. With a `menu` it opens that instead of doing something itself."""

    text: str
    do: Callable[[], object]
    kind: ButtonKind = "secondary"
    icon: str = ""
    tooltip: str = ""
    menu: tuple[Action, ...] = ()


class RunCard(QFrame):
    """A sign, a sentence, what to do about it as buttons, and technical details folded away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._sign = QLabel()
        self._icon, self._tone = "info", "muted"
        self.heading = label(role="heading", wrap=True)
        self.text = label(role="muted", wrap=True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._buttons = FlowLayout(theme.SPACE_S)
        self.actions_shown: list[QPushButton] = []
        self.detail = QPlainTextEdit()
        self.detail.setReadOnly(True)
        self.detail.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.detail.setFixedHeight(150)
        self.folds = Folds()
        self.folds.add("detail", self.detail)
        self.folds.toggled.connect(self._fit_height)
        words = QVBoxLayout()
        words.setSpacing(theme.SPACE_XS)
        words.addWidget(self.heading)
        words.addWidget(self.text)
        words.addSpacing(theme.SPACE_XS)
        words.addLayout(self._buttons)
        words.addWidget(self.folds)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_L, theme.SPACE_M, theme.SPACE_L, theme.SPACE_M)
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        theme.signals.changed.connect(self._draw)

    def show_message(
        self,
        *,
        icon: str,
        tone: icons.Tone,
        heading: str,
        text: str = "",
        actions: Sequence[Action] = (),
        detail: str = "",
    ) -> None:
        """Say something else."""
        self._icon, self._tone = icon, tone
        self._draw()
        self.heading.setText(heading)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        had_keyboard = any(made.hasFocus() for made in self.actions_shown)
        while item := self._buttons.takeAt(0):
            if old := item.widget():
                old.hide()
                old.deleteLater()
        self.actions_shown = []
        for action in actions:
            made = _button_of(action)
            self._buttons.addWidget(made)
            self.actions_shown.append(made)
        lead_through(self.actions_shown, stop_before(self))
        if had_keyboard and self.actions_shown:
            self.actions_shown[0].setFocus()
        self.folds.set_title("detail", tr("Details"))
        self.folds.set_open("detail", False)
        self.folds.setVisible(bool(detail))
        self.detail.setPlainText(detail)
        self.show()
        self._fit_height()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """A narrower card is higher; scroll areas do not ask for that by themselves."""
        super().resizeEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        layout = self.layout()
        assert layout is not None
        layout.activate()
        self.setMinimumHeight(layout.totalHeightForWidth(self.width()))

    def action(self, text: str) -> QPushButton:
        """The button with that text."""
        return next(made for made in self.actions_shown if made.text() == text)

    def _draw(self) -> None:
        colour = getattr(theme.tokens(), self._tone)
        self._sign.setPixmap(icons.pixmap(self._icon, 26, colour, self.devicePixelRatioF()))


def _button_of(action: Action) -> QPushButton:
    made = button(action.text, kind=action.kind, icon=action.icon)
    made.setToolTip(action.tooltip)
    if action.menu:
        menu = QMenu(made)
        for choice in action.menu:
            menu.addAction(choice.text, choice.do)
        made.setMenu(menu)
    else:
        made.clicked.connect(lambda: action.do())
    return made


class Facts(QWidget):
    """Names and values in two columns."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.SPACE_L)
        self._grid.setVerticalSpacing(theme.SPACE_S)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, ElidedLabel]] = []

    def set_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Show these names and values."""
        while len(self._rows) < len(facts):
            name, value = label(role="muted"), ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
            row = len(self._rows)
            self._grid.addWidget(name, row, 0)
            self._grid.addWidget(value, row, 1)
            self._rows.append((name, value))
        for position, (name, value) in enumerate(self._rows):
            shown = position < len(facts)
            name.setVisible(shown)
            value.setVisible(shown)
            if shown:
                name.setText(facts[position][0])
                value.setText(facts[position][1])
