"""How Chinese is typed on a keyboard: pinyin without tones, with v for ü."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

from core.paths import RESOURCES

PINYIN = RESOURCES / "tag_lists" / "pinyin.json"


@dataclass(frozen=True, slots=True)
class Pinyin:
    """The syllables of a text in one piece, the place where each begins, and the first letter of each."""

    text: str
    starts: tuple[int, ...]
    initials: str


def pinyin_of(text: str) -> Pinyin:
    """The pinyin of a text. What is not Chinese stays, in small letters; other signs than letters and digits go."""
    syllables = syllables_of(text) or [""]
    starts, place = [], 0
    for syllable in syllables:
        starts.append(place)
        place += len(syllable)
    return Pinyin("".join(syllables), tuple(starts), "".join(syllable[:1] for syllable in syllables))


def syllables_of(text: str) -> list[str]:
    """The syllables of a text, and what stands between them in pieces of ASCII letters and digits.

    A character whose reading is not known is left out.
    """
    reader, readings = _table()
    found: list[str] = []
    for piece in reader.findall(text.lower()):
        found += readings.get(piece, "").split() or ([piece] if piece.isascii() else [])
    return found


def is_readable(text: str) -> bool:
    """Whether the reading of each Chinese character of a text is known."""
    _, readings = _table()
    return all(character.isascii() or character in readings for character in text)


@cache
def _table() -> tuple[re.Pattern[str], dict[str, str]]:
    """What parts a text into pieces, and the syllables of each piece."""
    content = json.loads(PINYIN.read_text(encoding="utf-8"))
    readings = {character: syllable for syllable, all_of_it in content["syllables"].items() for character in all_of_it}
    phrases: dict[str, str] = content["phrases"]
    readings |= phrases
    longest_first = "|".join(sorted(map(re.escape, phrases), key=len, reverse=True))
    return re.compile(rf"{longest_first}|[a-z0-9]+|[^\x00-\x7f]"), readings
