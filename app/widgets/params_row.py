"""One option of the full form: title, description, editor, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.editors import editor_for
from app.widgets.card import label, set_role
from app.widgets.params_notice import ConflictNotice, IdleNotice
from app.widgets.params_words import MarkedLabel, names_found
from app.widgets.tab_order import lead_through, stops_in
from core.config import FieldSpec
from core.config.rules import Conflict
from core.text import tr

EDITOR_PX = 180
CHOICE_PX = 204
_FLASH_MS = 1600


class ResetButton(QToolButton):
    """Brings a default back; while there is nothing to bring back it keeps its place and is not seen.

    Hiding it instead would arrange all of a long form anew each time.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        icons.set_icon(self, "undo", 14, "accent")
        self.setFixedSize(22, 22)
        self.setEnabled(False)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Nothing while it cannot be pressed."""
        if self.isEnabled():
            super().paintEvent(event)


class FieldRow(QWidget):
    """One option: title and description, its editor, and below it what is wrong with it.

    `entered` carries what was typed or chosen, `mended` the changes of a way out, `asked` the key of another option.
    """

    entered = Signal(object)
    mended = Signal(object)
    asked = Signal(str)

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.title = MarkedLabel(role="strong")
        self.description = MarkedLabel(role="small", wrap=True)
        self.reset_button = ResetButton()
        self.editor = editor_for(spec)
        self.title.setBuddy(self.editor)
        self.editor.edited.connect(self.entered.emit)
        self.reset_button.clicked.connect(lambda: self.entered.emit(self.default))
        self.default: Any = spec.default
        self._shown: object = object()
        self._problem: QLabel | None = None
        self._names: MarkedLabel | None = None
        self._searched: Sequence[str] = ()
        self._idle: IdleNotice | None = None
        self._notices: list[ConflictNotice] = []
        self._stops: list[QWidget] = [self.reset_button, *stops_in(self.editor)]
        self._lay_out()
        self.retranslate()

    def _lay_out(self) -> None:
        name = QHBoxLayout()
        name.setSpacing(theme.SPACE_XS)
        name.addWidget(self.title)
        name.addWidget(self.reset_button)
        name.addStretch(1)
        self._words = QVBoxLayout()
        self._words.setSpacing(0)
        self._words.addLayout(name)
        self._words.addWidget(self.description)
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_M)
        top.addLayout(self._words, 1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, theme.SPACE_S, 0, theme.SPACE_S)
        self._column.setSpacing(theme.SPACE_XS)
        self._column.addLayout(top)
        if self.editor.is_wide:
            self._column.addWidget(self.editor)
        else:
            if self.spec.kind != "bool":
                self.editor.setFixedWidth(CHOICE_PX if self.spec.kind == "choice" else EDITOR_PX)
            top.addWidget(self.editor, 0, Qt.AlignmentFlag.AlignTop)

    # Where Tab goes

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """Where Tab stops in the row, in the order in which it does."""
        return tuple(self._stops)

    def _add_stop(self, stop: QWidget) -> None:
        lead_through([stop], self._stops[-1])
        self._stops.append(stop)

    # Values

    def show_value(self, value: Any) -> None:
        """Show the value of the config; wrong text that is being typed stays while that value stays."""
        if value == self._shown:
            return
        self._shown = value
        self.editor.show_value(value)
        self.show_problem("")

    def set_default(self, default: Any) -> None:
        """Set the value that the reset button brings back."""
        self.default = default
        self._show_reset()

    def reshow(self) -> None:
        """Put the value of the config back over wrong text."""
        self.editor.show_value(self._shown)
        self.show_problem("")

    @property
    def problem(self) -> str:
        """What is wrong with what was entered, or nothing."""
        return self._problem.text() if self._problem else ""

    def show_problem(self, sentence: str) -> None:
        """Say what is wrong, or that nothing is."""
        if sentence or self._problem:
            if self._problem is None:
                self._problem = label(role="error", wrap=True)
                self._column.addWidget(self._problem)
            self._problem.setText(sentence)
            self._problem.setVisible(bool(sentence))
            self.editor.set_wrong(bool(sentence))
        self._show_reset()

    def _show_reset(self) -> None:
        self.reset_button.setEnabled(bool(self.problem) or self._shown != self.default)

    # What it means beside others

    def show_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Say what contradicts this option, with the ways out."""
        while len(self._notices) < len(conflicts):
            notice = ConflictNotice()
            notice.mended.connect(self.mended.emit)
            self._notices.append(notice)
            self._column.addWidget(notice)
            self._add_stop(notice.way_out)
        for number, notice in enumerate(self._notices):
            if number < len(conflicts):
                notice.show_conflict(conflicts[number])
            notice.setVisible(number < len(conflicts))

    @property
    def conflicts(self) -> list[ConflictNotice]:
        """The notices that are shown."""
        return [notice for notice in self._notices if not notice.isHidden()]

    def show_idle(self, reason: tuple[str, str] | None) -> None:
        """Grey the option out because it has no effect now, or bring it back.

        Args:
            reason: The option that is why and a sentence, or None.
        """
        if reason is not None and self._idle is None:
            self._idle = IdleNotice()
            self._idle.asked.connect(self.asked.emit)
            self._column.addWidget(self._idle)
            self._add_stop(self._idle)
        if self._idle is None:
            return
        if reason is not None:
            self._idle.show_reason(*reason)
        self._idle.setVisible(reason is not None)
        if self.is_idle != (reason is not None):
            self.editor.setEnabled(reason is None)
            set_role(self.title, "strong" if reason is None else "idle")

    @property
    def is_idle(self) -> bool:
        """Whether the option is greyed out."""
        return not self.editor.isEnabled()

    @property
    def idle_reason(self) -> str:
        """Why the option has no effect, or nothing."""
        return self._idle.text() if self._idle is not None and self.is_idle else ""

    # Search

    def mark(self, words: Sequence[str]) -> None:
        """Mark the words of a search; where only another program's name has them, say that name."""
        self._searched = words
        self.title.mark(words)
        self.description.mark(words)
        is_seen = bool(self.title.marked() or self.description.marked())
        names = [] if is_seen or not words else names_found(self.spec, words)
        if names and self._names is None:
            self._names = MarkedLabel(role="small", wrap=True)
            self._words.addWidget(self._names)
        if self._names is not None:
            self._names.setText(tr("Elsewhere called {names}.", names=", ".join(names)))
            self._names.mark(words)
            self._names.setVisible(bool(names))

    def flash(self) -> None:
        """Frame the option for a moment, so that the eye finds it."""
        box = self.parentWidget()
        card = box.parentWidget() if box is not None else None
        if card is None:
            return
        frame = QFrame(card)
        frame.setProperty("role", "flash")
        frame.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        place = self.rect().translated(self.mapTo(card, QPoint(0, 0)))
        frame.setGeometry(place.adjusted(-theme.SPACE_S, 0, theme.SPACE_S, 0))
        frame.show()
        QTimer.singleShot(_FLASH_MS, frame, frame.deleteLater)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr(self.spec.title))
        self.description.setText(tr(self.spec.description))
        self.reset_button.setToolTip(tr("Back to the default"))
        self.reset_button.setAccessibleName(tr("Back to the default"))
        self.setToolTip(self.spec.key)
        self.editor.input().setAccessibleName(tr(self.spec.title))
        self.editor.input().setAccessibleDescription(tr(self.spec.description))
        self.editor.retranslate()
        self.mark(self._searched)
