"""A question or a message over the window, in the window's own look."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import ButtonKind, button, label
from core.text import tr

WIDTH = 560


class MessageDialog(QDialog):
    """Sign, heading, text, and buttons of which one is pressed. `open` shows it without holding up the program."""

    answered = Signal(str)  # the name of the pressed button; that of the last one when the dialog is closed otherwise

    def __init__(self, icon: str, tone: icons.Tone, heading: str, text: str, parent: QWidget | None = None) -> None:
        """Build the dialog without buttons; `add_button` adds them.

        Args:
            icon: Name of the sign.
            tone: Its colour.
            heading: One sentence.
            text: What it means and what to do.
            parent: The window it belongs to.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Kiln"))
        self.setFixedWidth(WIDTH)
        self.buttons: dict[str, QPushButton] = {}
        self._answer: str | None = None
        sign = QLabel()
        sign.setPixmap(icons.pixmap(icon, 32, getattr(theme.tokens(), tone), self.devicePixelRatioF()))
        texts = QVBoxLayout()
        texts.setSpacing(theme.SPACE_S)
        texts.addWidget(label(heading, role="heading", wrap=True))
        texts.addWidget(label(text, role="muted", wrap=True))
        texts.addStretch(1)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE_L)
        head.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        head.addLayout(texts, 1)
        self.body = QVBoxLayout()
        self.row = QHBoxLayout()
        self.row.setSpacing(theme.SPACE_S)
        self.row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_L)
        layout.setSpacing(theme.SPACE_L)
        layout.addLayout(head)
        layout.addLayout(self.body)
        layout.addLayout(self.row)
        self.finished.connect(self._tell)

    def add_button(self, name: str, text: str, kind: ButtonKind = "secondary", *, default: bool = False) -> None:
        """Add a button that closes the dialog; the last one added is also what Escape means."""
        made = button(text, kind=kind)
        made.clicked.connect(lambda: self._press(name))
        made.setAutoDefault(False)
        if default:
            made.setDefault(True)
            made.setFocus()
        self.buttons[name] = made
        self.row.addWidget(made)

    def _press(self, name: str) -> None:
        self._answer = name
        self.accept()

    def _tell(self) -> None:
        self.answered.emit(self._answer or list(self.buttons)[-1])
