"""Messages over the page: what went wrong or is done, in a sentence, with a remedy and folded details."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.widgets.card import button, label
from core.text import tr

Level = Literal["info", "success", "warning", "danger"]
WIDTH = 420
MAX_TOASTS = 3
BOTTOM_BAR = "bottomBar"
INFO_MS = 7000
_ICONS: dict[Level, str] = {"info": "info", "success": "check-circle", "warning": "warning", "danger": "error"}
_TONES: dict[Level, icons.Tone] = {"info": "muted", "success": "success", "warning": "warning", "danger": "danger"}


class Toast(QFrame):
    """One message. Good news leaves by itself, a problem stays until it is closed."""

    def __init__(self, level: Level, message: str, remedy: str = "", detail: str = "") -> None:
        super().__init__()
        self.setProperty("role", "toast")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self.message = message
        self.remedy = remedy
        sign = QLabel()
        tone = getattr(theme.tokens(), _TONES[level])
        sign.setPixmap(icons.pixmap(_ICONS[level], 20, tone, self.devicePixelRatioF()))
        texts = QVBoxLayout()
        texts.setSpacing(theme.SPACE_XS)
        texts.addWidget(label(message, role="strong", wrap=True))
        if remedy:
            texts.addWidget(label(remedy, role="muted", wrap=True))
        self._detail = QPlainTextEdit(detail)
        self._detail.setReadOnly(True)
        self._detail.setFixedHeight(150)
        self._detail.hide()
        if detail:
            self._more = button(tr("Details"), kind="quiet", icon="chevron-down")
            self._more.clicked.connect(self._fold)
            texts.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
            texts.addWidget(self._detail)
        close = QToolButton()
        icons.set_icon(close, "close", 16, "muted")
        close.setToolTip(tr("Close"))
        close.setAccessibleName(tr("Close"))
        close.clicked.connect(self.leave)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_M, theme.SPACE_M, theme.SPACE_S, theme.SPACE_M)
        row.setSpacing(theme.SPACE_M)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        if level in ("info", "success"):
            QTimer.singleShot(INFO_MS, self, self.leave)

    def leave(self) -> None:
        """Take the message away."""
        self.hide()
        self.deleteLater()
        parent = self.parent()
        if isinstance(parent, ToastArea):
            parent.drop(self)

    def _fold(self) -> None:
        self._detail.setVisible(self._detail.isHidden())
        parent = self.parent()
        if isinstance(parent, ToastArea):
            parent.place()


class ToastArea(QWidget):
    """The messages at the lower right of a widget, over its content, but above a part named `BOTTOM_BAR`."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.toasts: list[Toast] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.SPACE_S)
        over.installEventFilter(self)
        if isinstance(over, QStackedWidget):
            over.currentChanged.connect(lambda _page: QTimer.singleShot(0, self, self.place))
        self.hide()

    def show_message(self, level: Level, message: str, remedy: str = "", detail: str = "") -> None:
        """Add a message; the same one is not shown twice, and old ones make room."""
        for old in list(self.toasts):
            if (old.message, old.remedy) == (message, remedy):
                old.leave()
        toast = Toast(level, message, remedy, detail)
        self._layout.addWidget(toast)
        self.toasts.append(toast)
        while len(self.toasts) > MAX_TOASTS:
            self.toasts[0].leave()
        self.place()

    def drop(self, toast: Toast) -> None:
        """Forget a message that has left."""
        if toast in self.toasts:
            self.toasts.remove(toast)
            self._layout.removeWidget(toast)
        self.place()

    def place(self) -> None:
        """Move to the lower right corner, in the size of the messages."""
        self.setVisible(bool(self.toasts))
        if not self.toasts:
            return
        heights = [toast.heightForWidth(WIDTH) for toast in self.toasts]
        for toast, height in zip(self.toasts, heights, strict=True):
            toast.setFixedHeight(max(height, toast.minimumSizeHint().height()))
        total = sum(toast.height() for toast in self.toasts) + theme.SPACE_S * (len(heights) - 1)
        self.resize(WIDTH, total)
        bars = [bar for bar in self._over.findChildren(QWidget, BOTTOM_BAR) if bar.isVisible()]
        bottom = min((bar.mapTo(self._over, QPoint()).y() for bar in bars), default=self._over.height())
        self.move(self._over.width() - WIDTH - theme.SPACE_L, max(bottom - theme.SPACE_L - total, 0))
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Keep the corner when the page changes size."""
        if watched is self._over and event.type() == QEvent.Type.Resize:
            self.place()
        return super().eventFilter(watched, event)
