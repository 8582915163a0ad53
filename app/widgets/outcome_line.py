"""One sentence about what happened; when something failed, with its remedy, its details and another try."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app import theme
from app.widgets.card import button, label, set_role
from core.events import Failed
from core.text import tr

_DETAIL_HEIGHT = 120


class OutcomeLine(QWidget):
    """Hidden while there is nothing to say. `again_clicked` asks for another try."""

    again_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = label(wrap=True)
        self.remedy = label(role="muted", wrap=True)
        self.detail = QPlainTextEdit(readOnly=True)
        self.detail.setFixedHeight(_DETAIL_HEIGHT)
        self.detail.hide()
        self.detail_button = button(kind="quiet", icon="chevron-down")
        self.detail_button.clicked.connect(lambda: self.detail.setVisible(self.detail.isHidden()))
        self.again_button = button(icon="refresh")
        self.again_button.clicked.connect(self.again_clicked)
        self._buttons = QWidget()
        row = QHBoxLayout(self._buttons)
        row.setContentsMargins(0, theme.SPACE_XS, 0, 0)
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.again_button)
        row.addWidget(self.detail_button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        for widget in (self.message, self.remedy, self._buttons, self.detail):
            column.addWidget(widget)
        self.hide()

    def say(self, text: str, role: str = "muted") -> None:
        """Show one sentence, or nothing."""
        self._show(text, role, "", "", False)

    def show_failure(self, failure: Failed, *, may_try_again: bool) -> None:
        """Show what went wrong and what to do about it."""
        self._show(failure.message, "danger", failure.remedy, failure.detail, may_try_again)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.detail_button.setText(tr("Details"))
        self.detail.setAccessibleName(tr("Details"))
        self.again_button.setText(tr("Try again"))

    def _show(self, text: str, role: str, remedy: str, detail: str, may_try_again: bool) -> None:
        self.message.setText(text)
        set_role(self.message, role)
        self.remedy.setText(remedy)
        self.remedy.setVisible(bool(remedy))
        self.detail.setPlainText(detail)
        self.detail.moveCursor(QTextCursor.MoveOperation.End)
        self.detail_button.setVisible(bool(detail))
        if not detail:
            self.detail.hide()
        self.again_button.setVisible(may_try_again)
        self._buttons.setVisible(may_try_again or bool(detail))
        self.setVisible(bool(text))
