"""What common tags are called in Chinese, and what a tag that is being typed may become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from core.dataset.statistics import TagCount
from core.dataset.tag_cache import key_of
from core.paths import RESOURCES
from core.tagging.choice import spelled

NAMES = RESOURCES / "tag_names" / "zh_CN.json"


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


def search(text: str) -> list[str]:
    """The common tags that have a text in their English or Chinese name; those that begin with it come first."""
    needle = key_of(text)
    tags = [name.tag for name in _table().values()]
    return [tags[place] for place in _best(needle, _named(needle), tags, len(tags))]


def suggestions(
    prefix: str,
    counts: Sequence[TagCount],
    tagger_tags: Sequence[str] = (),
    limit: int = 12,
    replace_underscores: bool = True,
) -> list[Suggestion]:
    """What the beginning of a tag may become: tags of the set, then those of the tagger, then other common ones.

    Within each of these, tags that begin with the text come first, then those with a word that does, then those that
    have it elsewhere. Chinese names count as well as the tags.

    Args:
        prefix: What was typed so far; empty text gives the most frequent tags of the set.
        counts: The tags of the set, from `tag_counts`.
        tagger_tags: The tagger's list, the most frequent first.
        limit: The most suggestions.
        replace_underscores: Spell tags that the set does not have with spaces for underscores.
    """
    needle = key_of(prefix)
    table = _table()
    named = _named(needle)
    found: dict[str, Suggestion] = {}

    def add(tag: str, count: int) -> None:
        key = key_of(tag)
        if len(found) < limit and key not in found:
            name = table.get(key)
            found[key] = Suggestion(tag, count, name.chinese if name else "")

    for place in _best(needle, named, [count.tag for count in counts], limit):
        add(counts[place].tag, counts[place].count)
    others = (tagger_tags, [name.tag for name in table.values()]) if needle else ()
    for tags in others:
        if len(found) < limit:
            # Some of the best may be there already.
            for place in _best(needle, named, tags, limit + len(found)):
                add(spelled(tags[place], replace_underscores), 0)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Name:
    tag: str
    chinese: str


@cache
def _table() -> dict[str, _Name]:
    """The common tags by key."""
    names: dict[str, str] = json.loads(NAMES.read_text(encoding="utf-8"))
    return {key_of(tag): _Name(tag, chinese) for tag, chinese in names.items()}


def _best(needle: str, named: Mapping[str, int], tags: Sequence[str], limit: int) -> list[int]:
    """The places of the best matches: begin with it, have a word that does, have it inside; each in their order.

    `named` are the keys of tags that match by their Chinese names, from `_named`.
    """
    ranks: tuple[list[int], ...] = ([], [], [])
    for place, tag in enumerate(tags):
        key = key_of(tag)
        if needle in key or key in named:
            rank = ranks[min(_rank(needle, key), named.get(key, 2))]
            if len(rank) < limit:
                rank.append(place)
                if len(ranks[0]) == limit:
                    break
    return [place for rank in ranks for place in rank][:limit]


def _rank(needle: str, text: str) -> int:
    if text.startswith(needle):
        return 0
    return 1 if f" {needle}" in text or f"({needle}" in text else 2


def _named(needle: str) -> dict[str, int]:
    """The keys of tags whose Chinese name has the text, with how well it matches. ASCII is looked for in tags only."""
    if needle.isascii():
        return {}
    return {key: _rank(needle, name.chinese) for key, name in _table().items() if needle in name.chinese}
