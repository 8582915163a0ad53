"""Text in which the words of a search are marked, and what a search looks through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QTextLayout, QTextOption
from PySide6.QtWidgets import QLabel, QWidget

from app import theme
from core.config import FieldSpec
from core.dataset.pinyin import pinyin_of
from core.text import catalogue

_RADIUS = 3.0


class MarkedLabel(QLabel):
    """A plain text; the words that were searched for have a soft ground."""

    def __init__(self, *, role: str, wrap: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        self.setProperty("role", role)
        self._words: tuple[str, ...] = ()

    def mark(self, words: Sequence[str]) -> None:
        """Mark these words, in whatever case they are written; none to mark nothing."""
        if tuple(words) != self._words:
            self._words = tuple(words)
            self.update()

    def marked(self) -> list[tuple[int, int]]:
        """Where the marked words are, as (start, end)."""
        if not self._words:
            return []
        pattern = "|".join(_where(word) for word in sorted(self._words, key=len, reverse=True))
        return [found.span() for found in re.finditer(pattern, self.text(), re.IGNORECASE)]

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """The ground of the marked words, then the text."""
        if places := self.marked():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.tokens().accent_soft))
            for place in self._grounds(places):
                painter.drawRoundedRect(place, _RADIUS, _RADIUS)
            painter.end()
        super().paintEvent(event)

    def _grounds(self, places: Sequence[tuple[int, int]]) -> list[QRectF]:
        """The rectangles of pieces of the text, broken into lines as the label breaks it."""
        room = self.contentsRect()
        layout = QTextLayout(self.text(), self.font())
        option = QTextOption()
        wraps = self.wordWrap()
        option.setWrapMode(QTextOption.WrapMode.WordWrap if wraps else QTextOption.WrapMode.NoWrap)
        layout.setTextOption(option)
        layout.beginLayout()
        height = 0.0
        while (line := layout.createLine()).isValid():
            line.setLineWidth(room.width())
            line.setPosition(QPointF(0, height))
            height += line.height()
        layout.endLayout()
        top = room.y() + max(0.0, (room.height() - height) / 2)
        found = []
        for number in range(layout.lineCount()):
            line = layout.lineAt(number)
            first, last = line.textStart(), line.textStart() + line.textLength()
            for start, end in places:
                if start < last and end > first:
                    left = _across(line.cursorToX(max(start, first)))
                    right = _across(line.cursorToX(min(end, last)))
                    found.append(QRectF(room.x() + left - 1, top + line.y(), right - left + 2, line.height()))
        return found


def _across(answer: object) -> float:
    """The place on the line; Qt gives the number alone or with the cursor it stands for."""
    return float(answer[0] if isinstance(answer, tuple) else answer)  # type: ignore[arg-type]


def _where(word: str) -> str:
    """The places of a searched word, as a pattern: where words begin, so that `noise` does not find each denoiser."""
    return (r"(?<![A-Za-z])" if re.match("[A-Za-z]", word) else "") + re.escape(word)


@cache
def _prose(spec: FieldSpec) -> str:
    """What is said of an option: key, title and description in both languages."""
    chinese = catalogue("zh_CN")
    texts = [spec.key, spec.title, spec.description, chinese.get(spec.title, ""), chinese.get(spec.description, "")]
    return "\n".join(texts).casefold()


@cache
def _names(spec: FieldSpec) -> str:
    """What an option is called elsewhere, and its choices: names that are found by any part of them."""
    return "\n".join([*spec.also, *spec.choices]).casefold()


@cache
def _spoken(spec: FieldSpec) -> str:
    """The Chinese title as it is typed on a keyboard: all of its pinyin, and the first letters."""
    pinyin = pinyin_of(catalogue("zh_CN").get(spec.title, ""))
    return f"{pinyin.text}\n{pinyin.initials}"


def is_found(spec: FieldSpec, words: Sequence[str]) -> bool:
    """Whether an option has all of the words (in small letters), or its Chinese title is typed so."""
    return all(
        re.search(_where(word), _prose(spec)) or word in _names(spec) or (word.isascii() and word in _spoken(spec))
        for word in words
    )


def names_found(spec: FieldSpec, words: Sequence[str]) -> list[str]:
    """The names of an option in other programs that have one of the words."""
    return [name for name in spec.also if any(word in name.casefold() for word in words)]
