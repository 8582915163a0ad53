"""Tokens of ChatGLM3: the pieces of its sentencepiece model, then special tokens, numbered behind the last piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.checkpoints.refusals import damaged, missing

LENGTH = 256
"""Tokens that Kolors was trained with: captions are padded or cut to so many, the two in front included."""

SPECIAL = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
FRONT = ("[gMASK]", "sop")
"""What every caption begins with."""


class GlmTokenizer:
    """Captions to token ids.

    Special tokens written in a caption are text like any other.
    """

    def __init__(self, file: Path) -> None:
        """Open a sentencepiece model.

        Args:
            file: `tokenizer.model` of the base model.

        Raises:
            UserError: It is missing or damaged.
        """
        from sentencepiece import SentencePieceProcessor

        self.file = file
        try:
            # By content: the library opens no file whose path has letters beyond the system's own on Windows.
            self._model: Any = SentencePieceProcessor(model_proto=file.read_bytes())
        except FileNotFoundError as error:
            raise missing(file) from error
        except RuntimeError as error:
            raise damaged(file) from error
        first = int(self._model.get_piece_size())
        self.special = {token: first + number for number, token in enumerate(SPECIAL)}
        """Ids of the special tokens."""
        self.pad = max(0, int(self._model.unk_id()))
        """Id of the padding: that of the unknown piece."""

    @property
    def size(self) -> int:
        """Number of different ids."""
        return int(self._model.get_piece_size()) + len(SPECIAL)

    def pieces(self, caption: str) -> list[int]:
        """The ids of a caption alone, however many."""
        ids: list[int] = self._model.encode(caption)
        return ids

    def read(self, caption: str) -> list[int]:
        """The ids that the text encoder reads, without padding: two in front, then as much as fits."""
        return [*(self.special[token] for token in FRONT), *self.pieces(caption)][:LENGTH]

    def __getstate__(self) -> dict[str, Any]:
        """For copies: the file, which is opened anew."""
        return {"file": self.file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file of the original."""
        self.__init__(state["file"])  # type: ignore[misc]
