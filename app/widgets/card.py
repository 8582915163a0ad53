"""Small parts that every page is made of: card, button, text that fits its place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme

ButtonKind = Literal["primary", "secondary", "danger", "quiet"]


class Card(QFrame):
    """A titled panel. Put content into `body`, small buttons into `header`."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.title = QLabel(title)
        self.title.setProperty("role", "cardTitle")
        self.title.setVisible(bool(title))
        self.header = QHBoxLayout()
        self.header.setSpacing(theme.SPACE_S)
        self.header.addWidget(self.title)
        self.header.addStretch(1)
        self.body = QVBoxLayout()
        self.body.setSpacing(theme.SPACE_S)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.SPACE_L, theme.SPACE_M, theme.SPACE_L, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_S)
        outer.addLayout(self.header)
        outer.addLayout(self.body, 1)

    def set_title(self, title: str) -> None:
        """Show a title, or none when it is empty."""
        self.title.setText(title)
        self.title.setVisible(bool(title))


def button(text: str = "", *, kind: ButtonKind = "secondary", icon: str = "", size: int = 16) -> QPushButton:
    """A push button in one of the four looks: the one main action, an ordinary one, a dangerous one, a flat one."""
    made = QPushButton(text)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    set_kind(made, kind)
    if icon:
        tone: icons.Tone = {"primary": "on_accent", "danger": "danger"}.get(kind, "text")  # type: ignore[assignment]
        icons.set_icon(made, icon, size, tone)
    return made


def set_kind(widget: QWidget, kind: ButtonKind) -> None:
    """Change the look of a button."""
    widget.setProperty("kind", kind)
    restyle(widget)


def set_role(widget: QWidget, role: str) -> None:
    """Change what a widget is to the style sheet: `muted`, `title`, `badge`, ..."""
    widget.setProperty("role", role)
    restyle(widget)


def restyle(widget: QWidget) -> None:
    """Let the style sheet look at a widget's properties again."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)
    widget.update()


def pad_spin_box(box: QAbstractSpinBox) -> None:
    """Move the number of a spin box off its left edge, which the style sheet cannot do."""
    box.lineEdit().setTextMargins(theme.SPACE_S, 0, 0, 0)


def label(text: str = "", *, role: str = "", wrap: bool = False) -> QLabel:
    """A text in one of the styles of the theme (`title`, `heading`, `muted`, `small`, ...)."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if role:
        made.setProperty("role", role)
    return made


class ElidedLabel(QLabel):
    """One line of text that is shortened to its place; the whole text is its tooltip when it does not fit."""

    def __init__(
        self, text: str = "", *, elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._elide = elide
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show another text."""
        super().setText(text)
        self._update_tooltip()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As narrow as three letters."""
        return QSize(self.fontMetrics().averageCharWidth() * 4, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Another width may hide or show the end of the text."""
        super().resizeEvent(event)
        self._update_tooltip()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the text shortened to the width."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        rect = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), self._elide, rect.width())
        painter.drawText(rect, int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), text)

    def _update_tooltip(self) -> None:
        fits = self.fontMetrics().horizontalAdvance(self.text()) <= self.contentsRect().width()
        self.setToolTip("" if fits else self.text())


class PathLabel(ElidedLabel):
    """A path, shortened in the middle so that drive and file name stay readable."""

    def __init__(self, path: Path | None = None, parent: QWidget | None = None) -> None:
        super().__init__(str(path) if path else "", elide=Qt.TextElideMode.ElideMiddle, parent=parent)

    def set_path(self, path: Path | None) -> None:
        """Show another path, or nothing."""
        self.setText(str(path) if path else "")


def two_lines(text: str, metrics: QFontMetrics, width: int) -> list[str]:
    """A text in at most two lines, broken at a space where there is one, the second shortened."""
    if metrics.horizontalAdvance(text) <= width:
        return [text] if text else []
    first = len(text)
    low, high = 1, min(len(text), 200)
    while low < high:  # The longest beginning that fits.
        first = (low + high + 1) // 2
        if metrics.horizontalAdvance(text[:first]) <= width:
            low = first
        else:
            high = first - 1
    first = low
    space = text.rfind(" ", 1, first + 1)
    cut = space if space > first // 2 else first
    rest = text[cut:].lstrip()
    return [text[:cut].rstrip(), metrics.elidedText(rest[:200], Qt.TextElideMode.ElideRight, width)]
