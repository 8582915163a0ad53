"""What a page shows while there is nothing on it: what it is for, and the next step."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QEnterEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import button, label, restyle


class Choice(QFrame):
    """A large card to click: icon, title, one sentence, and a button that says the same for the keyboard."""

    chosen = Signal()

    def __init__(self, icon: str, *, primary: bool = False) -> None:
        super().__init__()
        self._icon = icon
        self.setProperty("role", "choice")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setMinimumWidth(250)
        self.setMaximumWidth(360)
        self._sign = QLabel()
        self._title = label(role="heading", wrap=True)
        self._text = label(role="muted", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.button = button(kind="primary" if primary else "secondary")
        self.button.clicked.connect(self.chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL)
        layout.setSpacing(theme.SPACE_M)
        layout.addWidget(self._sign)
        layout.addWidget(self._title)
        layout.addWidget(self._text, 1)
        layout.addSpacing(theme.SPACE_XS)
        layout.addWidget(self.button)
        theme.signals.changed.connect(self._draw)
        self._draw()

    def set_texts(self, title: str, text: str, action: str) -> None:
        """Set what the card says and what its button says."""
        self._title.setText(title)
        self._text.setText(text)
        self.button.setText(action)

    def _draw(self) -> None:
        accent = theme.tokens().accent
        self._sign.setPixmap(icons.pixmap(self._icon, 32, accent, self.devicePixelRatioF()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """A click anywhere on the card chooses it."""
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.chosen.emit()
        super().mouseReleaseEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802
        """Show that the card can be clicked."""
        self.setProperty("hot", True)
        restyle(self)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Back to rest."""
        self.setProperty("hot", False)
        restyle(self)
        super().leaveEvent(event)


class EmptyState(QWidget):
    """A sign, a title and a sentence in the middle of a page, with choices or a button below."""

    def __init__(self, icon: str) -> None:
        super().__init__()
        self._icon = icon
        self._sign = QLabel(alignment=Qt.AlignmentFlag.AlignHCenter)
        self._title = label(role="title", wrap=True)
        self._title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._text = label(role="muted", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._choices = QHBoxLayout()
        self._choices.setSpacing(theme.SPACE_L)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.SPACE_S)
        layout.addStretch(2)
        layout.addWidget(self._sign)
        layout.addSpacing(theme.SPACE_XS)
        layout.addWidget(self._title)
        layout.addWidget(self._text)
        layout.addSpacing(theme.SPACE_L)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addLayout(self._choices, 4)
        row.addStretch(1)
        layout.addLayout(row)
        layout.addStretch(3)
        theme.signals.changed.connect(self._draw)
        self._draw()

    def add(self, widget: QWidget) -> None:
        """Put a choice or a button below the text."""
        self._choices.addWidget(widget)

    def set_texts(self, title: str, text: str) -> None:
        """Set title and sentence."""
        self._title.setText(title)
        self._text.setText(text)

    def _draw(self) -> None:
        sign = icons.app_icon() if self._icon == "kiln" else None
        ratio = self.devicePixelRatioF()
        if sign is not None and not sign.isNull():
            self._sign.setPixmap(sign.pixmap(64, 64))
        else:
            name = "flame" if self._icon == "kiln" else self._icon
            self._sign.setPixmap(icons.pixmap(name, 44, theme.tokens().accent, ratio))
