"""How many tokens CLIP reads a caption as, from the tokenizer's merges alone; see `TokenCounter`."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from core.errors import UserError
from core.paths import RESOURCES

CLIP_MERGES = RESOURCES / "models" / "clip" / "merges.txt.gz"

CHUNK = 75
"""Tokens of a caption that CLIP reads at once, without start and end."""

PIECES = "tokenizer.model"
"""The file of a tokenizer of another kind, that of Kolors."""

_SPECIAL = re.compile(r"<\|startoftext\|>|<\|endoftext\|>")
# The separators 0x1c to 0x1f are blanks for Python only. Letters and digits side by side are parted in `_words`.
_BLANKS = re.compile(r"[^\S\x1c-\x1f]+")
_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W_]+|(?:[^\w\s]|[_\x1c-\x1f])+")
_MOST_KEPT = 100_000


def _byte_characters() -> list[str]:
    """For each byte the character that stands for it in merges: itself where it is printable, else one from 256 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_CHARACTERS = _byte_characters()


class TokenCounter:
    """Counts tokens as CLIP does (Radford et al. 2021, arXiv:2103.00020): lower case, words, byte pairs within a word.

    It counts what `transformers.CLIPTokenizer` (of version 5) makes of a text, without start and end. Words are kept,
    so that a caption costs little more than finding its blanks. One counter may serve several threads.
    """

    most: int | None = None
    """How many tokens are read, where that is no question of the settings."""

    def __init__(self, merges: Iterable[str]) -> None:
        """Take merges such as `h air</w>`, the first learned first."""
        self._ranks = {merge: rank for rank, merge in enumerate(merges)}
        self._kept: dict[str, int] = {}

    @classmethod
    def from_files(cls, merges: Path) -> TokenCounter:
        """Read a `merges.txt`, plain or as `.gz`, or a `tokenizer.json`.

        A vocabulary is not needed: what it leaves out is one unknown token per byte, and counts the same.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no such file.
        """
        data = merges.read_bytes()
        if merges.suffix == ".json":
            return cls(_merges_of_json(data))
        text = (gzip.decompress(data) if merges.suffix == ".gz" else data).decode("utf-8")
        lines = text.split("\n")
        if lines[0].startswith("#version"):
            del lines[0]
        found = [line.rstrip("\r") for line in lines if line.strip()]
        if any(line.count(" ") != 1 for line in found[:10]) or not any(line.endswith("</w>") for line in found):
            raise ValueError("no merges of CLIP")
        return cls(found)

    def count(self, text: str) -> int:
        """The number of tokens, without start and end."""
        kept = self._kept
        total = 0
        for part in _BLANKS.split(text):  # No token reaches over a blank.
            number = kept.get(part)
            total += self._count_part(part) if number is None else number
        return total

    @staticmethod
    def chunks(num_tokens: int) -> int:
        """How many pieces of 75 tokens a caption is read in; at least one."""
        return max(1, -(-num_tokens // CHUNK))

    def _count_part(self, part: str) -> int:
        number = len(_SPECIAL.findall(part))
        for plain in _SPECIAL.split(part):
            for word in _words(plain):
                symbols = [_CHARACTERS[byte] for byte in word.encode("utf-8", "replace")]
                symbols[-1] += "</w>"
                number += len(self._merged(symbols))
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[part] = number
        return number

    def _merged(self, symbols: list[str]) -> list[str]:
        """The symbols after all merges, the first learned first, from the left."""
        ranks, never = self._ranks, len(self._ranks)
        while len(symbols) > 1:
            best, place = min(
                (ranks.get(f"{symbols[place]} {symbols[place + 1]}", never), place) for place in range(len(symbols) - 1)
            )
            if best == never:
                break
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        return symbols


def _words(text: str) -> Iterator[str]:
    """What is read as one word each: letters, single digits, runs of signs, endings such as `'s`."""
    if text.isascii():
        text = text.lower()
    else:  # Each letter for itself, so a sigma at the end of a word becomes no final one.
        text = unicodedata.normalize("NFC", text).replace("Σ", "σ").lower()
    for piece in _PIECES.findall(text):
        if piece.isalpha() or not piece[0].isalnum():
            yield piece
        else:
            yield from _letters_and_digits(piece)


def _letters_and_digits(piece: str) -> Iterator[str]:
    """Runs of letters, and each digit or other number for itself."""
    start = 0
    for place, character in enumerate(piece):
        if not character.isalpha():
            if start < place:
                yield piece[start:place]
            yield character
            start = place + 1
    if start < len(piece):
        yield piece[start:]


def _merges_of_json(data: bytes) -> list[str]:
    content = json.loads(data)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or model.get("end_of_word_suffix") != "</w>":
        raise ValueError("no tokenizer of CLIP")
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def counter_for(tokenizer_folder: Path | None) -> TokenCounter:
    """The counter for a base model's tokenizer folder; where that has no file that tells the merges, CLIP's own.

    Raises:
        UserError: The files of the folder are damaged or of another kind of tokenizer.
    """
    if tokenizer_folder is not None:
        for name in ("merges.txt", "tokenizer.json"):
            file = tokenizer_folder / name
            if file.is_file():
                return _counter_of(file)
        if (tokenizer_folder / PIECES).is_file():
            return _piece_counter_of(tokenizer_folder / PIECES)
    return _counter_of(CLIP_MERGES)


@lru_cache(maxsize=4)
def _counter_of(file: Path) -> TokenCounter:
    try:
        return TokenCounter.from_files(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "The tokenizer file {path} cannot be read.",
            remedy="Check that the base model is complete, or copy it again.",
            path=file,
        ) from error


class PieceCounter(TokenCounter):
    """Counts the tokens of Kolors, which reads captions with a sentencepiece model."""

    def __init__(self, file: Path) -> None:
        """Open the model.

        Raises:
            UserError: It is missing or damaged.
        """
        from core.families.glm_tokens import FRONT, LENGTH, GlmTokenizer

        super().__init__(())
        self._tokenizer = GlmTokenizer(file)
        self.most = LENGTH - len(FRONT)

    def count(self, text: str) -> int:
        """The number of tokens, without those in front."""
        return len(self._tokenizer.pieces(text))


@lru_cache(maxsize=2)
def _piece_counter_of(file: Path) -> TokenCounter:
    return PieceCounter(file)
