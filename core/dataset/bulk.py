"""Operations on many captions at once. Nothing is written here: each gives the new text of the captions it changes.

Where an operation finds nothing to do, the caption stays as it is to the last blank. One whose tags change comes out as
`join_tags` writes it. Sentences are safe: what is no tag of its own is never taken out, and what would mix up the words
of a text leaves texts alone (see `is_prose`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.dataset.captions import join_tags, split_tags
from core.dataset.replacing import replacer
from core.dataset.statistics import TagCount, tag_counts
from core.dataset.tag_cache import key_of, keys_of, tags_of
from core.tagging.choice import KAOMOJI
from core.text import tr

_WORDS_OF_A_TAG = 5  # More words between two commas are a text.
_ENDS = frozenset(".。！？")
_SENTENCE = re.compile(r"[。！？]|[^\s,]+ [^\s,]+ [^,]*\.(?:\s|$)")  # Tags such as `love live!` end with signs too.


@dataclass(frozen=True, slots=True)
class AddTags:
    """Add the tags that a caption does not have yet. Without the trigger word in it, "after trigger" is the front."""

    tags: tuple[str, ...]
    place: Literal["front", "end", "after trigger"] = "end"
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class RemoveTags:
    """Take tags out, in every spelling."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplaceTag:
    """Put other tags in the place of one; where a caption has them already, they are not doubled."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ReplaceText:
    """Replace text wherever it is, also inside tags. As a pattern, `replace` may name groups: `\\1`, `\\g<name>`."""

    find: str
    replace: str
    is_regex: bool = False
    match_case: bool = False


@dataclass(frozen=True, slots=True)
class SortTags:
    """Order the tags by name, by how often the set has them, or as in `order` with the others behind.

    The first `keep_first` tags stay where they are; the trigger word is usually one of them.
    """

    by: Literal["alphabet", "frequency", "list"]
    order: tuple[str, ...] = ()
    keep_first: int = 0


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Take out tags that are there twice, in whatever spelling; the first one stays."""


@dataclass(frozen=True, slots=True)
class TriggerToFront:
    """Begin every caption with the trigger word; a text that has it somewhere among its words stays."""

    trigger: str


@dataclass(frozen=True, slots=True)
class UnderscoresToSpaces:
    """`long hair` for `long_hair`; faces such as `^_^` stay."""


@dataclass(frozen=True, slots=True)
class SpacesToUnderscores:
    """`long_hair` for `long hair`; texts stay."""


Operation = (
    AddTags
    | RemoveTags
    | ReplaceTag
    | ReplaceText
    | SortTags
    | Deduplicate
    | TriggerToFront
    | UnderscoresToSpaces
    | SpacesToUnderscores
)

_Change = Callable[[str], str]
"""From a caption to what it becomes."""


def apply(
    operation: Operation, captions: Mapping[Path, str], whole_set: Iterable[str] | None = None
) -> dict[Path, str]:
    """The new captions of the pictures whose caption changes.

    Args:
        operation: What to do.
        captions: The pictures to do it to; "" for one without a caption.
        whole_set: All captions, where those count and not only the ones to change: for `SortTags` by frequency.

    Raises:
        UserError: A pattern of `ReplaceText` is wrong or takes too long; see `core.dataset.replacing`.
    """
    change = _change_of(operation, captions.values() if whole_set is None else whole_set)
    known: dict[str, str] = {}
    changed = {}
    for path, caption in captions.items():
        new = known.get(caption)
        if new is None:
            new = known[caption] = change(caption)
        if new != caption:
            changed[path] = new
    return changed


def describe(operation: Operation, num_captions: int) -> str:
    """What was done, for the list of steps that can be undone: "Add smile to 12 captions"."""
    captions = tr("1 caption") if num_captions == 1 else tr("{count} captions", count=num_captions)
    match operation:
        case AddTags(tags=tags):
            return tr("Add {tags} to {captions}", tags=_listed(tags), captions=captions)
        case RemoveTags(tags=tags):
            return tr("Remove {tags} from {captions}", tags=_listed(tags), captions=captions)
        case ReplaceTag(old=old, new=new) if new.strip(" ,"):
            return tr("Replace {old} by {new} in {captions}", old=old, new=new, captions=captions)
        case ReplaceTag(old=old):
            return tr("Remove {tags} from {captions}", tags=old, captions=captions)
        case ReplaceText():
            return tr("Replace text in {captions}", captions=captions)
        case SortTags():
            return tr("Sort the tags of {captions}", captions=captions)
        case Deduplicate():
            return tr("Remove double tags from {captions}", captions=captions)
        case TriggerToFront(trigger=trigger):
            return tr("Put {tags} first in {captions}", tags=trigger, captions=captions)
        case UnderscoresToSpaces():
            return tr("Write spaces for underscores in {captions}", captions=captions)
        case SpacesToUnderscores():
            return tr("Write underscores for spaces in {captions}", captions=captions)


def common_tags(captions: Iterable[str]) -> list[TagCount]:
    """The tags of several captions in the order in which they first appear, with in how many of them they are."""
    first: dict[str, str] = {}
    counts: dict[str, int] = {}
    total = 0
    for caption in captions:
        total += 1
        for key, tag in zip(keys_of(caption), tags_of(caption), strict=True):
            first.setdefault(key, tag)
            counts[key] = counts.get(key, 0) + 1
    return [TagCount(tag, counts[key], total) for key, tag in first.items()]


def is_prose(caption: str) -> bool:
    """Whether a caption holds sentences, alone or among tags: a long piece between commas, or the end of a sentence."""
    if any(tag.count(" ") >= _WORDS_OF_A_TAG for tag in tags_of(caption)):
        return True
    return not _ENDS.isdisjoint(caption) and _SENTENCE.search(caption) is not None


def _change_of(operation: Operation, all_captions: Iterable[str]) -> _Change:
    match operation:
        case AddTags():
            return _adding(operation)
        case RemoveTags(tags=tags):
            return _replacing_tags(dict.fromkeys(map(key_of, _each(tags)), ()))
        case ReplaceTag(old=old, new=new):
            return _replacing_tags({key_of(old): tuple(split_tags(new))})
        case ReplaceText(find=find, replace=replace, is_regex=is_regex, match_case=match_case):
            return replacer(find, replace, is_regex, match_case)
        case SortTags():
            return _sorting(operation, all_captions)
        case Deduplicate():
            return _without_doubles
        case TriggerToFront(trigger=trigger):
            return _beginning_with(trigger)
        case UnderscoresToSpaces():
            return lambda caption: _respelled(caption, _with_spaces)
        case SpacesToUnderscores():
            return lambda caption: caption if is_prose(caption) else _respelled(caption, _with_underscores)


def _each(tags: Iterable[str]) -> list[str]:
    """Tags, when one of the strings holds several."""
    return [tag for written in tags for tag in split_tags(written)]


def _adding(operation: AddTags) -> _Change:
    wanted = _each(operation.tags)
    trigger = [key_of(tag) for tag in split_tags(operation.trigger)]

    def change(caption: str) -> str:
        keys = keys_of(caption)
        new = [tag for tag in wanted if key_of(tag) not in keys]
        if not new:
            return caption
        tags = tags_of(caption)
        place = 0
        if operation.place == "end":
            place = len(tags)
        elif operation.place == "after trigger":
            place = max((keys.index(key) + 1 for key in trigger if key in keys), default=0)
        return join_tags([*tags[:place], *new, *tags[place:]])

    return change


def _replacing_tags(new_tags: Mapping[str, tuple[str, ...]]) -> _Change:
    """Puts the new tags in the place of those with a key; none take it out."""

    def change(caption: str) -> str:
        old = tags_of(caption)
        new: list[str] = []
        for tag, key in zip(old, keys_of(caption), strict=True):
            new.extend(new_tags.get(key, (tag,)))
        return caption if new == list(old) else join_tags(new)

    return change


def _sorting(operation: SortTags, all_captions: Iterable[str]) -> _Change:
    by_name = operation.by == "alphabet"
    if operation.by == "frequency":
        ranked = [found.tag for found in tag_counts(all_captions)]
    else:
        ranked = _each(operation.order)
    ranks: dict[str, int] = {}
    for rank, tag in enumerate(ranked):
        ranks.setdefault(key_of(tag), rank)

    def place(tag: str) -> str | int:
        return key_of(tag) if by_name else ranks.get(key_of(tag), len(ranks))

    def change(caption: str) -> str:
        if is_prose(caption):
            return caption
        old = list(tags_of(caption))
        kept = old[: operation.keep_first]
        new = [*kept, *sorted(old[len(kept) :], key=place)]
        return caption if new == old else join_tags(new)

    return change


def _without_doubles(caption: str) -> str:
    tags = tags_of(caption)
    # Without a double tag, only blanks and commas are missing.
    return caption if _letters("".join(tags)) == _letters(caption) or is_prose(caption) else join_tags(tags)


def _letters(caption: str) -> str:
    return "".join(caption.replace(",", " ").split())


def _beginning_with(trigger: str) -> _Change:
    wanted = split_tags(trigger)
    keys = tuple(map(key_of, wanted))
    among_words = re.compile(rf"(?<!\w){re.escape(trigger.strip())}(?!\w)", re.IGNORECASE)

    def change(caption: str) -> str:
        found = keys_of(caption)
        if not wanted or found[: len(keys)] == keys:
            return caption
        if is_prose(caption) and not set(keys) <= set(found) and among_words.search(caption):
            return caption
        spelled = dict(zip(found, tags_of(caption), strict=True))
        return join_tags([*(spelled.get(key, tag) for key, tag in zip(keys, wanted, strict=True)), *tags_of(caption)])

    return change


def _respelled(caption: str, spell: Callable[[str], str]) -> str:
    old = tags_of(caption)
    new = [spell(tag) for tag in old]
    return caption if new == list(old) else join_tags(new)


def _with_spaces(tag: str) -> str:
    return tag if tag in KAOMOJI or not any(map(str.isalpha, tag)) else tag.replace("_", " ")


def _with_underscores(tag: str) -> str:
    return tag.replace(" ", "_")


def _listed(tags: Iterable[str]) -> str:
    """The first tags, and a sign that there are more."""
    each = _each(tags)
    return ", ".join(each[:3]) + (" …" if len(each) > 3 else "")
