"""What common tags are called in Chinese, and what a tag that is being typed may become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

from core.dataset.pinyin import Pinyin, pinyin_of
from core.dataset.statistics import TagCount
from core.dataset.tag_cache import key_of
from core.paths import RESOURCES
from core.tagging.choice import spelled

NAMES = RESOURCES / "tag_lists" / "zh_CN.json"
LEAST_PINYIN = 2  # One letter begins too many names.


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A tag to write: in how many captions of the set it is (0 for none), and its Chinese name or ""."""

    tag: str
    count: int
    chinese: str


def chinese_name(tag: str) -> str:
    """What a tag is called in Chinese, in whatever spelling it comes; "" when that is not known."""
    name = _table().get(key_of(tag))
    return name.chinese if name else ""


def common_tags() -> tuple[str, ...]:
    """The tags that have a Chinese name."""
    return tuple(name.tag for name in _table().values())


def search(text: str) -> list[str]:
    """The common tags that have a text in their English or Chinese name, then those whose name is typed like it.

    In both parts, those that begin with it come first.
    """
    needle = key_of(text)
    tags = common_tags()
    found = (_best(tags, wanted, len(tags)) for wanted in (_by_name(needle), _by_pinyin(needle)))
    return list(dict.fromkeys(tags[place] for places in found for place in places))


def suggestions(
    prefix: str,
    counts: Sequence[TagCount],
    tagger_tags: Sequence[str] = (),
    limit: int = 12,
    replace_underscores: bool = True,
) -> list[Suggestion]:
    """What the beginning of a tag may become: tags of the set, then those of the tagger, then other common ones.

    Within each of these, tags that begin with the text come first, then those with a word that does, then those that
    have it elsewhere. Chinese names count as well as the tags. Behind all of them come, in the same order, the tags
    whose Chinese name is typed like the text, as `changfa` or `cf`.

    Args:
        prefix: What was typed so far; empty text gives the most frequent tags of the set.
        counts: The tags of the set, from `tag_counts`.
        tagger_tags: The tagger's list, the most frequent first.
        limit: The most suggestions.
        replace_underscores: Spell tags that the set does not have with spaces for underscores.
    """
    needle = key_of(prefix)
    table = _table()
    found: dict[str, Suggestion] = {}

    def add(tag: str, count: int) -> None:
        key = key_of(tag)
        if len(found) < limit and key not in found:
            name = table.get(key)
            found[key] = Suggestion(tag, count, name.chinese if name else "")

    own = [count.tag for count in (counts if needle else counts[:limit])]
    others = (tagger_tags, common_tags()) if needle else ()
    for wanted in (_by_name(needle), _by_pinyin(needle)):
        for place in _best(own, wanted, limit + len(found)):
            add(own[place], counts[place].count)
        for tags in others:
            if len(found) < limit:
                # Some of the best may be there already.
                for place in _best(tags, wanted, limit + len(found)):
                    add(spelled(tags[place], replace_underscores), 0)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Tags whose key has a text (None for no text), and keys that match otherwise, each with its rank, 0 to 2."""

    needle: str | None
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Name:
    tag: str
    chinese: str


@cache
def _table() -> dict[str, _Name]:
    """The common tags by key."""
    names: dict[str, str] = json.loads(NAMES.read_text(encoding="utf-8"))
    return {key_of(tag): _Name(tag, chinese) for tag, chinese in names.items()}


@cache
def _typed() -> dict[str, Pinyin]:
    """How the Chinese names are typed, by key."""
    return {key: pinyin_of(name.chinese) for key, name in _table().items()}


def _best(tags: Sequence[str], wanted: _Wanted, limit: int) -> list[int]:
    """The places of the best matches: the lowest rank first, and each in their order."""
    needle, known = wanted.needle, wanted.ranks
    keys = enumerate(map(key_of, tags))  # Most do not match: these are left out at the speed of a comprehension.
    if needle is None:
        found = [(place, known[key]) for place, key in keys if key in known]
    else:
        found = [
            (place, min(_rank(needle, key), known.get(key, 2))) for place, key in keys if needle in key or key in known
        ]
    found.sort(key=itemgetter(1))
    return [place for place, _ in found[:limit]]


def _by_name(needle: str) -> _Wanted:
    """Tags by themselves and, for what is not ASCII, by their Chinese names.

    Those that begin with the text are best, then those with a word that does.
    """
    if needle.isascii():
        return _Wanted(needle, {})
    names = _table().items()
    return _Wanted(needle, {key: _rank(needle, name.chinese) for key, name in names if needle in name.chinese})


def _by_pinyin(needle: str) -> _Wanted:
    """Tags by how their Chinese names are typed: in full, or the first letter of each syllable.

    Whole names are best, then those that begin with the text, then those of which some syllable does.
    """
    typed = needle.replace(" ", "").replace("'", "")
    if not (typed.isascii() and typed.isalpha()) or len(typed) < LEAST_PINYIN:
        return _Wanted(None, {})
    near = [item for item in _typed().items() if typed in item[1].text or item[1].initials.startswith(typed)]
    ranks = ((key, _pinyin_rank(typed, pinyin)) for key, pinyin in near)
    return _Wanted(None, {key: rank for key, rank in ranks if rank is not None})


def _pinyin_rank(typed: str, pinyin: Pinyin) -> int | None:
    if typed in (pinyin.text, pinyin.initials):
        return 0
    if pinyin.text.startswith(typed) or pinyin.initials.startswith(typed):
        return 1
    place = pinyin.text.find(typed)
    while place >= 0:
        if place in pinyin.starts:  # A syllable is not typed from its middle.
            return 2
        place = pinyin.text.find(typed, place + 1)
    return None


def _rank(needle: str, text: str) -> int:
    if text.startswith(needle):
        return 0
    return 1 if f" {needle}" in text or f"({needle}" in text else 2
