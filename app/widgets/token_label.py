"""How many tokens a caption has, and how much of it is learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel

from app.background import Background
from app.caption_tokens import CaptionTokens, tokenizer_folder
from app.project import Project
from app.widgets.card import set_role
from core.config.model import DatasetConfig
from core.dataset.captions import split_tags
from core.dataset.records import ImageRecord
from core.dataset.tokens import CHUNK
from core.text import tr


class TokenLabel(QLabel):
    """Tags of a caption, and the tokens that the text encoder of the chosen base model gets with it.

    The trigger word in front counts, too. The counter is read in the background; until then only the tags are counted.
    """

    counter_ready = Signal()

    def __init__(self, project: Project) -> None:
        super().__init__()
        self.setWordWrap(True)
        self._project = project
        self._background = Background(self)
        self._tokens: CaptionTokens | None = None
        self._asked = self._wanted()
        self._record: ImageRecord | None = None
        self._text = ""
        self._words: str | None = None
        set_role(self, "small")
        project.config_changed.connect(self._on_config_changed)
        self._load()

    def set_caption(self, record: ImageRecord | None, text: str) -> None:
        """Count another caption: that of a picture, as it is being edited."""
        self._record, self._text, self._words = record, text, None
        self.retranslate()

    def show_words(self, words: str) -> None:
        """Say something else in the place of the numbers."""
        self._words = words
        self.retranslate()

    def num_learned(self, tags: Sequence[str]) -> int | None:
        """How many of the tags of a caption are learned in full; None when all are."""
        if self._tokens is None or self._record is None:
            return None
        return self._tokens.num_learned(self._record, tags)

    def retranslate(self) -> None:
        """Set the text in the language in use."""
        if self._words is not None:
            self.setText(self._words)
            self.setToolTip("")
            self._set_look("small")
            return
        num_tags = len(split_tags(self._text))
        parts = [tr("1 tag") if num_tags == 1 else tr("{n} tags", n=num_tags)]
        num_tokens = self._num_tokens()
        most = self._tokens.most if self._tokens is not None else CHUNK
        is_long = num_tokens > most
        if is_long:
            parts.append(tr("{tokens} tokens, only the first {most} are learned", tokens=num_tokens, most=most))
        elif self._tokens is not None:
            parts.append(tr("{tokens} of {most} tokens", tokens=num_tokens, most=most))
        self.setText(" · ".join(parts))
        self.setToolTip(
            tr(
                "The text encoder reads at most {most} tokens; a short word is one token, a long one several.",
                most=most,
            )
        )
        self._set_look("warning" if is_long else "small")

    def _set_look(self, role: str) -> None:
        if self.property("role") != role:
            set_role(self, role)

    def _num_tokens(self) -> int:
        if self._tokens is None or self._record is None:
            return 0
        return self._tokens.count(dataclasses.replace(self._record, caption=self._text))

    def _wanted(self) -> tuple[DatasetConfig, int, Path | None]:
        """What of the settings matters."""
        config = self._project.config
        return config.dataset, config.model.max_tokens, tokenizer_folder(config)

    def _on_config_changed(self) -> None:
        if self._wanted() != self._asked:
            self._load()

    def _load(self) -> None:
        config, asked = self._project.config, self._wanted()
        self._asked = asked
        self._background.start(lambda: CaptionTokens.of(config), lambda result: self._take(asked, result))

    def _take(self, asked: tuple[DatasetConfig, int, Path | None], result: CaptionTokens | Exception) -> None:
        if asked == self._asked and isinstance(result, CaptionTokens):
            self._tokens = result
            self.retranslate()
            self.counter_ready.emit()
