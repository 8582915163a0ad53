"""The text box of a caption, and the row that asks when another program changed it meanwhile."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout

from app import theme
from app.widgets.card import button, label
from core.text import tr

MAX_SHOWN = 160


class CaptionText(QPlainTextEdit):
    """The text box: tells when the focus leaves, and passes keys for moving on."""

    left = Signal()
    move_requested = Signal(int)
    undo_requested = Signal()
    done = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # A dropped folder is for the window.

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """The user turned to something else."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Ctrl+Up and Ctrl+Down move on, Escape leaves, Ctrl+Z past the typing takes the last saved caption back."""
        control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if control and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_requested.emit(1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() == Qt.Key.Key_Escape:
            self.done.emit()
        elif event.matches(QKeySequence.StandardKey.Undo) and not self.document().isUndoAvailable():
            self.undo_requested.emit()
        else:
            super().keyPressEvent(event)


class Conflict(QFrame):
    """The row that asks which of two captions is meant: the typed one, or the one another program wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        self._caption = ""
        self._heading = label(role="strong", wrap=True)
        self._theirs = label(wrap=True)
        self._theirs.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.take_button = button()
        self.keep_button = button()
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.take_button)
        buttons.addWidget(self.keep_button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_S)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self._heading)
        column.addWidget(self._theirs)
        column.addLayout(buttons)
        self.hide()

    def ask(self, caption: str) -> None:
        """Show what is in the file now."""
        self._caption = caption
        self.retranslate()
        self.show()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        caption = self._caption if len(self._caption) <= MAX_SHOWN else self._caption[:MAX_SHOWN] + "…"
        self._heading.setText(tr("This caption was changed by another program."))
        empty = tr("The file has no caption any more.")
        self._theirs.setText(tr("In the file now: {caption}", caption=caption) if caption else empty)
        self._theirs.setToolTip(self._caption)
        self.take_button.setText(tr("Take the new one"))
        self.keep_button.setText(tr("Keep mine"))
