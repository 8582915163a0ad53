"""A line to type tags into, which offers the set's own tags first and understands Chinese names."""

from __future__ import annotations

import re
from typing import Literal

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QCompleter, QLineEdit, QListView, QWidget

from app.tag_index import TagIndex
from app.widgets.tag_rows import ROW_HEIGHT, TagDelegate, TagRows

MOST_OFFERED = 10
POPUP_WIDTH = 260
_COMMAS = ",，、"
Takes = Literal["each", "one", "list"]
"""Tags one after the other, the line being empty after each; one tag; several with commas between them."""


class TagLine(QLineEdit):
    """Offers what the tag under way may become. A Chinese name that is typed in full becomes its tag.

    `entered` follows Enter with what is to be taken; of a line for `each` also a comma and a chosen suggestion.
    """

    entered = Signal(str)
    went_back = Signal()  # Backspace or Left at the start of an empty line
    escaped = Signal()
    left = Signal()
    move_requested = Signal(int)  # so many pictures on

    def __init__(self, index: TagIndex, *, takes: Takes = "each", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._index = index
        self._takes = takes
        self.setAcceptDrops(False)  # A dropped folder is for the window.
        self.rows = TagRows(self)
        self.popup = QListView()
        self.popup.setProperty("role", "list")
        self.popup.setUniformItemSizes(True)
        self.popup.setMouseTracking(True)
        self._completer = QCompleter(self.rows, self)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._completer.setMaxVisibleItems(MOST_OFFERED)
        self._completer.setPopup(self.popup)
        self.popup.setItemDelegate(TagDelegate(self.popup))
        self._completer.setWidget(self)
        self.popup.clicked.connect(self._choose)
        self.textEdited.connect(self._on_edited)
        index.serve(self)

    def offer(self) -> None:
        """Show what the tag under way may become; without one, the most frequent tags of the set."""
        self.rows.set_rows(self._index.suggestions(self._piece(), MOST_OFFERED))
        if not self.rows.rows:
            self.popup.hide()
            return
        place = self.rect()
        place.setWidth(max(place.width(), POPUP_WIDTH))
        self._completer.complete(place)
        self.popup.setFixedHeight(len(self.rows.rows) * ROW_HEIGHT + 6)

    def take(self) -> None:
        """Take what is typed, as with Enter."""
        self.popup.hide()
        if self._takes == "each":
            self._enter(self._meant(self.text()))
            return
        piece = self._piece()
        if (meant := self._meant(piece)) != piece:
            self._replace(meant)
        self.entered.emit(self.text())

    def _piece(self) -> str:
        start, end = self._span()
        return self.text()[start:end].strip()

    def _span(self) -> tuple[int, int]:
        """Where the tag under way begins and ends."""
        text, place = self.text(), self.cursorPosition()
        if self._takes != "list":
            return 0, len(text)
        start = max(text[:place].rfind(comma) for comma in _COMMAS) + 1
        ends = [end for comma in _COMMAS if (end := text.find(comma, place)) >= 0]
        return start, min(ends, default=len(text))

    def _on_edited(self, text: str) -> None:
        if self._takes == "each" and text[-1:] and text[-1] in _COMMAS and not _is_open(text):
            self._enter(self._meant(text[:-1]))
        elif self._piece():
            self.offer()
        else:
            self.popup.hide()

    def _meant(self, text: str) -> str:
        """The text, or the tag whose whole Chinese name it is."""
        text = text.strip()
        if text.isascii():
            return text
        return next((row.tag for row in self._index.suggestions(text) if row.chinese == text), text)

    def _enter(self, text: str) -> None:
        self.popup.hide()
        self.clear()
        self.entered.emit(text.strip(f"{_COMMAS} "))

    def _choose(self, index: QModelIndex) -> None:
        tag = self.rows.tag(index.row())
        if not tag:
            return
        self.popup.hide()
        if self._takes == "each":
            self._enter(tag)
        else:
            self._replace(tag)

    def _replace(self, tag: str) -> None:
        """Put a tag in the place of the one under way; in a list, the next one may be typed right away."""
        start, end = self._span()
        before, after = self.text()[:start], self.text()[end:]
        if self._takes == "list" and not after:
            after = ", "
        new = (f"{before} " if before.strip() else "") + tag
        self.setText(new + after)
        self.setCursorPosition(len(new) + (2 if after == ", " else 0))

    def _picked(self) -> QModelIndex | None:
        """The suggestion that was reached by keys. The current one says less: a list that gets the focus has one."""
        return next(iter(self.popup.selectionModel().selectedIndexes()), None)

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802 - Qt's name
        """Tab takes the suggestion, if there is one."""
        if forward and self.popup.isVisible():
            self._choose(self._picked() or self.rows.index(0))
            return True
        return super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """The user turned to something else."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter takes, Down opens the suggestions, Escape closes them and then leaves."""
        key, control = event.key(), event.modifiers() == Qt.KeyboardModifier.ControlModifier
        is_open = self.popup.isVisible()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            picked = self._picked()
            if is_open and picked is not None:
                self._choose(picked)
            else:
                self.take()
        elif key in (Qt.Key.Key_Backspace, Qt.Key.Key_Left) and not self.text():
            self.popup.hide()
            self.went_back.emit()
        elif key == Qt.Key.Key_Escape and not is_open:
            self.escaped.emit()
        elif key == Qt.Key.Key_Escape:
            self.popup.hide()
        elif control and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.popup.hide()
            self.move_requested.emit(1 if key == Qt.Key.Key_Down else -1)
        elif key == Qt.Key.Key_Down and not is_open:
            self.offer()
        else:
            super().keyPressEvent(event)
            return
        event.accept()


def _is_open(text: str) -> bool:
    """Whether a bracket is not closed yet, so that a comma belongs to what is inside."""
    plain = re.sub(r"\\[()]", "", text)
    return plain.count("(") > plain.count(")")
