"""Line icons from `resources/icons`, drawn in the colours of the theme."""

from __future__ import annotations

from functools import cache
from typing import Literal

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap, QPixmapCache
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication

from app import theme
from core.paths import RESOURCES

FOLDER = RESOURCES / "icons"
Tone = Literal["text", "muted", "faint", "accent", "on_accent", "success", "warning", "danger"]
_PROPERTY = "kilnIcon"


def icon(name: str, size: int = 18, tone: Tone = "text") -> QIcon:
    """A line icon in a colour of the theme; empty when there is no drawing of that name.

    The colours are those of the moment; `set_icon` keeps an icon right when the theme changes.
    """
    found = QIcon()
    tokens = theme.tokens()
    for mode, colour in ((QIcon.Mode.Normal, getattr(tokens, tone)), (QIcon.Mode.Disabled, tokens.faint)):
        for ratio in (1, 2):
            drawn = pixmap(name, size, colour, ratio)
            if not drawn.isNull():
                found.addPixmap(drawn, mode)
    return found


def pixmap(name: str, size: int, colour: str, ratio: float = 1.0) -> QPixmap:
    """A drawing as a picture of size x size, its `currentColor` replaced; null when there is no such drawing."""
    source = _source(name)
    if not source:
        return QPixmap()
    key = f"kiln {name} {size} {colour} {ratio}"
    drawn = QPixmap()
    if QPixmapCache.find(key, drawn):
        return drawn
    drawn = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    renderer = QSvgRenderer(QByteArray(source.replace("currentColor", colour).encode()))
    renderer.setAspectRatioMode(Qt.AspectRatioMode.KeepAspectRatio)
    renderer.render(painter, QRectF(0, 0, drawn.width(), drawn.height()))
    painter.end()
    drawn.setDevicePixelRatio(ratio)
    QPixmapCache.insert(key, drawn)
    return drawn


def set_icon(button: QAbstractButton, name: str, size: int = 18, tone: Tone = "text") -> None:
    """Give a button an icon that follows the theme."""
    button.setProperty(_PROPERTY, f"{name} {size} {tone}")
    button.setIcon(icon(name, size, tone))
    button.setIconSize(QSize(size, size))


def app_icon() -> QIcon:
    """Kiln's own sign for title bar and task bar, in its own colours; empty while there is none."""
    path = FOLDER / "kiln.svg"
    return QIcon(str(path)) if path.is_file() else QIcon()


def _refresh() -> None:
    for widget in QApplication.allWidgets():
        wish = widget.property(_PROPERTY)
        if isinstance(wish, str) and isinstance(widget, QAbstractButton):
            name, size, tone = wish.split(" ")
            widget.setIcon(icon(name, int(size), tone))  # type: ignore[arg-type]


@cache
def _source(name: str) -> str:
    path = FOLDER / f"{name}.svg"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


theme.signals.changed.connect(_refresh)
