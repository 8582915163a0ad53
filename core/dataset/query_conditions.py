"""The conditions of the filter language: what each asks of a picture. `core.dataset.query` puts them together."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.dataset.doctor.findings import PROBLEMS
from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.geometry import Size
from core.dataset.query_errors import QueryError
from core.dataset.records import ImageRecord
from core.dataset.tag_cache import key_of, keys_of


@dataclass(frozen=True, slots=True)
class Item:
    """A picture as the filter sees it.

    `problems` are the codes of what was found wrong with it, `bucket` is the training size it goes to. `num_tokens`
    may be a function, so that tokens are counted only when they are asked for; None is unknown.
    """

    record: ImageRecord
    edits: PictureEdits = UNTOUCHED
    problems: frozenset[str] = frozenset()
    bucket: Size | None = None
    num_tokens: Callable[[], int] | int | None = None


Test = Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class _Key:
    """A condition: what it is made of its value, and whether the value consists of plain signs (numbers, names)."""

    make: Callable[[str, bool, int], Test]
    is_plain: bool = True
    values: tuple[str, ...] = ()


def condition(key: str, value: str, is_quoted: bool, position: int) -> Test:
    """The test of one condition, such as `tags` with `<5`.

    Raises:
        QueryError: The value has no meaning for the key.
    """
    return KEYS[key].make(value.strip(), is_quoted, position)


def values_of(key: str) -> tuple[str, ...]:
    """What a key may be followed by, where that is one of a few words."""
    return KEYS[key].values if key in KEYS else ()


def words(text: str) -> Test:
    """Whether a text is in the name of the picture or its folder, or in the caption, in capitals or not."""
    wanted = text.casefold()

    def test(item: Item) -> bool:
        record = item.record
        return wanted in _folded(record.caption or "") or wanted in _place(record.path)

    return test


@lru_cache(maxsize=32_768)
def _folded(text: str) -> str:
    return text.casefold()


@lru_cache(maxsize=32_768)
def _place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}".casefold()


def _needs_text(value: str, position: int, key: str, example: str) -> None:
    if not value:
        raise QueryError(
            "{key}: needs a text right after it, as in {example}.",
            position=position,
            remedy="Write it without a space after the colon.",
            key=key,
            example=example,
        )


def _tag(value: str, is_quoted: bool, position: int) -> Test:
    _needs_text(value, position, "tag", "tag:long_hair")
    wanted = key_of(value)
    if "*" not in wanted or is_quoted:
        return lambda item: wanted in keys_of(item.record.caption or "")
    pattern = re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", wanted)), re.DOTALL)
    known: dict[str, bool] = {}  # Sets have far fewer different tags than tags.

    def test(item: Item) -> bool:
        for key in keys_of(item.record.caption or ""):
            found = known.get(key)
            if found is None:
                found = known[key] = pattern.fullmatch(key) is not None
            if found:
                return True
        return False

    return test


def _caption(value: str, is_quoted: bool, position: int) -> Test:
    _needs_text(value, position, "caption", "caption:none")
    if value in ("none", "any") and not is_quoted:
        is_wanted = value == "any"
        return lambda item: bool(item.record.caption and item.record.caption.strip()) is is_wanted
    wanted = value.casefold()
    return lambda item: wanted in _folded(item.record.caption or "")


def _name(value: str, is_quoted: bool, position: int) -> Test:
    _needs_text(value, position, "name", "name:IMG_0012")
    wanted = value.casefold()
    return lambda item: wanted in item.record.path.name.casefold()


def _folder(value: str, is_quoted: bool, position: int) -> Test:
    _needs_text(value, position, "folder", "folder:portraits")
    wanted = value.casefold()
    return lambda item: wanted in item.record.path.parent.name.casefold()


def _bucket(value: str, is_quoted: bool, position: int) -> Test:
    match = re.fullmatch(r"(\d{1,6})[xX*](\d{1,6})", value, re.ASCII)
    if match is None:
        raise QueryError(
            "bucket: needs a size, as in bucket:512x768.",
            position=position,
            remedy="Write width and height in pixels with an x between them.",
        )
    wanted = (int(match[1]), int(match[2]))
    return lambda item: item.bucket == wanted


def _problem(value: str, is_quoted: bool, position: int) -> Test:
    _needs_text(value, position, "problem", "problem:any")
    if value in ("any", "none"):
        is_wanted = value == "any"
        return lambda item: bool(item.problems) is is_wanted
    wanted = re.sub(r"[\s-]+", "_", value.casefold())
    if wanted not in PROBLEMS:
        raise QueryError(
            "There is no problem called {name}. These are known: {names}.",
            position=position,
            remedy="Write one of them right after the colon, as in problem:blurry.",
            name=value,
            names=", ".join(PROBLEMS),
        )
    return lambda item: wanted in item.problems


_STATES: dict[str, Test] = {
    "excluded": lambda item: item.edits.excluded,
    "cropped": lambda item: bool(item.edits.crops),
    "edited": lambda item: item.edits is not UNTOUCHED and item.edits != UNTOUCHED,
    "regularization": lambda item: item.record.is_regularization,
}


def _is(value: str, is_quoted: bool, position: int) -> Test:
    if value.lower() not in _STATES:
        raise QueryError(
            "is: needs one of these words: {words}.",
            position=position,
            remedy="Write one of them right after the colon, as in is:excluded.",
            words=", ".join(_STATES),
        )
    return _STATES[value.lower()]


_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "≤": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "≥": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "": operator.eq,
}
_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
_COMPARISON = re.compile(rf"([<>]=?|==?|[≤≥]|){_NUMBER}", re.ASCII)
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}", re.ASCII)
_RATIO = re.compile(rf"([<>]=?|==?|[≤≥]|){_NUMBER}[:/]{_NUMBER}", re.ASCII)


def _number(key: str, measure: Callable[[Item], float | None]) -> _Key:
    def make(value: str, is_quoted: bool, position: int) -> Test:
        if match := _RANGE.fullmatch(value):
            low, high = float(match[1]), float(match[2])
            return lambda item: (number := measure(item)) is not None and low <= number <= high
        match = _COMPARISON.fullmatch(value)
        if match is None:
            raise QueryError(
                "{key}: needs a number, as in {key}:<5.",
                position=position,
                remedy="Before the number there may be <, <=, >, >= or nothing; {key}:2..4 is from 2 to 4.",
                key=key,
            )
        compare, wanted = _SIGNS[match[1]], float(match[2])
        return lambda item: (number := measure(item)) is not None and compare(number, wanted)

    return _Key(make)


def _size(item: Item) -> Size:
    """Width and height as they are after the turn that was decided."""
    width, height = item.record.size_px
    return (height, width) if item.edits.turn in (90, 270) else (width, height)


def _ratio(value: str, is_quoted: bool, position: int) -> Test:
    """Width by height, to two places: `1.5` and `3:2` are the same."""
    if (match := _RATIO.fullmatch(value)) and float(match[3]):
        value = f"{match[1]}{round(float(match[2]) / float(match[3]), 2)}"

    def measure(item: Item) -> float:
        width, height = _size(item)
        return round(width / height, 2)

    return _number("ratio", measure).make(value, is_quoted, position)


def _num_tokens(item: Item) -> int | None:
    number = item.num_tokens
    return number() if callable(number) else number


KEYS: dict[str, _Key] = {
    "tag": _Key(_tag, is_plain=False),
    "caption": _Key(_caption, is_plain=False, values=("any", "none")),
    "tags": _number("tags", lambda item: len(keys_of(item.record.caption or ""))),
    "tokens": _number("tokens", _num_tokens),
    "chars": _number("chars", lambda item: len(item.record.caption or "")),
    "name": _Key(_name, is_plain=False),
    "folder": _Key(_folder, is_plain=False),
    "bucket": _Key(_bucket),
    "width": _number("width", lambda item: _size(item)[0]),
    "height": _number("height", lambda item: _size(item)[1]),
    "ratio": _Key(_ratio),
    "repeats": _number("repeats", lambda item: item.edits.repeats or item.record.repeats),
    "problem": _Key(_problem, values=("any", "none")),
    "is": _Key(_is, values=tuple(_STATES)),
}
"""The conditions by what is written before the colon."""
