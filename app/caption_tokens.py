"""How many tokens captions have as they are trained: with the trigger word, in the tokenizer of the base model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import TrainConfig
from core.config.model import DatasetConfig
from core.dataset.captions import join_tags, split_tags
from core.dataset.records import ImageRecord
from core.dataset.tokens import CHUNK, PIECES, TokenCounter, counter_for
from core.errors import UserError
from core.training.captions import full_caption


def tokenizer_folder(config: TrainConfig) -> Path | None:
    """The tokenizer of the chosen base model; None where there is none, which means CLIP's own."""
    base = config.model.base
    if (base / "tokenizer").is_dir():
        return base / "tokenizer"
    return base / "text_encoder" if (base / "text_encoder" / PIECES).is_file() else None


@dataclass(frozen=True, slots=True)
class CaptionTokens:
    """Counts the tokens of captions under the settings of a run. `most` of them are read."""

    dataset: DatasetConfig
    counter: TokenCounter
    most: int = CHUNK

    @classmethod
    def of(cls, config: TrainConfig) -> CaptionTokens:
        """Read what is needed; that takes a moment the first time for each base model."""
        counter = _counter(tokenizer_folder(config))
        return cls(config.dataset, counter, counter.most or config.model.max_tokens)

    def count(self, record: ImageRecord) -> int:
        """The tokens that are trained with a picture."""
        return self.counter.count(full_caption(record, self.dataset))

    def num_learned(self, record: ImageRecord, tags: Sequence[str]) -> int | None:
        """How many tags of a picture's caption are learned in full, counted from its start; None when all are.

        Args:
            record: The picture.
            tags: Those of the caption as it is being edited.
        """
        text = full_caption(dataclasses.replace(record, caption=join_tags(tags)), self.dataset)
        if self.counter.count(text) <= self.most:
            return None
        trained = split_tags(text)
        learned = next(n for n in range(len(trained)) if self.counter.count(join_tags(trained[: n + 1])) > self.most)
        place = len(tags)
        for tag in reversed(trained[learned:]):  # From the end: words may stand in front, and tags may be absorbed.
            place = next((n for n in reversed(range(place)) if tags[n] == tag), 0)
        return place


def _counter(folder: Path | None) -> TokenCounter:
    """The counter of a base model; where its files are damaged, which the training page tells, CLIP's own."""
    try:
        return counter_for(folder)
    except UserError:
        return counter_for(None)
