"""How many tokens a caption has, and how much of it is learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel

from app.background import Background
from app.project import Project
from app.widgets.card import set_role
from core.dataset.captions import split_tags
from core.dataset.tokens import CHUNK, TokenCounter, counter_for
from core.errors import UserError
from core.text import tr


class TokenLabel(QLabel):
    """Tags and tokens of a caption, as the text encoder of the chosen base model counts them.

    The counter is read in the background; until then only the tags are counted.
    """

    counter_ready = Signal()

    def __init__(self, project: Project) -> None:
        super().__init__()
        self.setWordWrap(True)
        self._project = project
        self._background = Background(self)
        self._counter: TokenCounter | None = None
        self._folder: Path | None = None
        self._text = ""
        self._words: str | None = None
        set_role(self, "small")
        project.config_changed.connect(self._choose_counter)
        self._load(self._tokenizer())

    def set_caption(self, text: str) -> None:
        """Count another caption."""
        self._text, self._words = text, None
        self.retranslate()

    def show_words(self, words: str) -> None:
        """Say something else in the place of the numbers."""
        self._words = words
        self.retranslate()

    def num_learned(self, tags: Sequence[str]) -> int | None:
        """How many of the tags of a caption are learned in full; None when all are."""
        counter = self._counter
        if counter is None or counter.count(", ".join(tags)) <= CHUNK:
            return None
        return next(number for number in range(len(tags)) if counter.count(", ".join(tags[: number + 1])) > CHUNK)

    def retranslate(self) -> None:
        """Set the text in the language in use."""
        if self._words is not None:
            self.setText(self._words)
            self.setToolTip("")
            self._set_look("small")
            return
        num_tags = len(split_tags(self._text))
        parts = [tr("1 tag") if num_tags == 1 else tr("{n} tags", n=num_tags)]
        num_tokens = self._counter.count(self._text) if self._counter else 0
        is_long = num_tokens > CHUNK
        if is_long:
            parts.append(tr("{tokens} tokens, only the first {most} are learned", tokens=num_tokens, most=CHUNK))
        elif self._counter is not None:
            parts.append(tr("{tokens} of {most} tokens", tokens=num_tokens, most=CHUNK))
        self.setText(" · ".join(parts))
        self.setToolTip(
            tr(
                "The text encoder reads at most {most} tokens; a short word is one token, a long one several.",
                most=CHUNK,
            )
        )
        self._set_look("warning" if is_long else "small")

    def _set_look(self, role: str) -> None:
        if self.property("role") != role:
            set_role(self, role)

    def _tokenizer(self) -> Path | None:
        folder = self._project.config.model.base / "tokenizer"
        return folder if folder.is_dir() else None

    def _choose_counter(self) -> None:
        folder = self._tokenizer()
        if folder != self._folder:
            self._load(folder)

    def _load(self, folder: Path | None) -> None:
        self._folder = folder
        self._background.start(lambda: _counter(folder), lambda result: self._take(folder, result))

    def _take(self, folder: Path | None, result: TokenCounter | Exception) -> None:
        if folder == self._folder and isinstance(result, TokenCounter):
            self._counter = result
            self.retranslate()
            self.counter_ready.emit()


def _counter(folder: Path | None) -> TokenCounter:
    """The counter of a base model; where its files are damaged, which the training page tells, CLIP's own."""
    try:
        return counter_for(folder)
    except UserError:
        return counter_for(None)
