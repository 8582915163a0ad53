"""From what models saw to a caption: which tags are written, how they are spelled, what becomes of the old caption."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from core.dataset.captions import split_tags, tag_key, tidy
from core.tagging.base import LEAST_SCORE, ScoredTag, Seen
from core.tagging.options import pair_of
from core.tagging.template import fill, own_text
from core.tagging.texts import cut_out, glued, is_prose, without_tags

if TYPE_CHECKING:
    from core.tagging.options import TagOptions

# Tags that are faces: their underscores are eyes and mouths.
KAOMOJI = frozenset(
    "0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||".split()  # noqa: SIM905
)
LEAST_CHARACTER_CUT = 0.15
"""Where the cut is found for each picture, a name less certain than this is a guess among thousands."""

_Tags = dict[str, str]
"""Tags by key, in their order and each once."""

_NEVER = 2.0
_NAMES = ("character", "copyright")
_ENDS = ".!?;:。！？；，、"
_AFTER_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？；，、])\s*")
_BEFORE, _BEHIND = r"(?:^|,\s*|[.!?;:]\s+|[。！？；，、]\s*)", r"(?=[.!?;:]*(?:\s|,|$)|[。！？；，、])"
"""What a tag may stand between in a text."""


def choose_tags(tags: Iterable[ScoredTag], options: TagOptions) -> list[ScoredTag]:
    """The tags to write, in their order, names as the tagger spells them.

    Every category needs its own threshold. Ratings are left out; with `options.ratings` the most certain one stands
    last. Without `options.characters` there is no name of a character or a series.
    """
    rules = _rules(options)
    tags = list(tags)
    cuts = rules.cuts
    if options.mcut:
        cuts = {**cuts, "general": mcut([tag.score for tag in tags if tag.category == "general"])}
        if options.characters:
            names = mcut([tag.score for tag in tags if tag.category == "character"])
            cuts["character"] = max(names, LEAST_CHARACTER_CUT)
    other = options.other_threshold
    chosen = [tag for tag in tags if tag.score >= cuts.get(tag.category, other)]
    if options.exclude:
        chosen = [tag for tag in chosen if not rules.is_excluded(tag.name)]
    if options.order == "name":
        chosen.sort(key=lambda tag: _key(tag.name))
    else:
        chosen.sort(key=lambda tag: -tag.score)
    if options.ratings:
        ratings = [tag for tag in tags if tag.category == "rating"]
        if ratings:
            rating = max(ratings, key=lambda tag: tag.score)
            chosen += [rating] * (not rules.is_excluded(rating.name))
    return chosen


def least_score(options: TagOptions) -> float:
    """No tag with less than this counts."""
    if options.mcut or options.ratings:
        return LEAST_SCORE
    thresholds = options.threshold, options.character_threshold, options.copyright_threshold, options.other_threshold
    return min(thresholds)


def mcut(scores: Sequence[float]) -> float:
    """The threshold at the widest gap of the scores of one picture (maximum cut thresholding, Largeron et al. 2012).

    The scores in order have a widest gap between two neighbours; its middle is the threshold. Scores below
    `LEAST_SCORE` are not kept, so that the next lower one is not known: `LEAST_SCORE` stands for it, and is the
    threshold when there is no score at all. Of the thousands of tags that a tagger knows some are always close to it;
    with only a few tags the cut can differ from that of all scores.
    """
    ordered = [*sorted(scores, reverse=True), LEAST_SCORE]
    if len(ordered) == 1:
        return LEAST_SCORE
    high, low = max(pairwise(ordered), key=lambda pair: pair[0] - pair[1])
    return (high + low) / 2


def spelled(name: str, replace_underscores: bool, escape_brackets: bool = False) -> str:
    """A tag as it is written: `long hair` for `long_hair`, but `^_^` stays.

    Commas are left out: they would make two tags of one, and a name of nothing else becomes "". Brackets are escaped
    only when asked: the backslash is the syntax of prompts, and a trainer would learn it literally.
    """
    if replace_underscores and name not in KAOMOJI:
        name = name.replace("_", " ").strip() or name
    if "," in name:
        name = " ".join(name.replace(",", " ").split())
    return re.sub(r"([()])", r"\\\1", name) if escape_brackets else name


def caption_of(seen: Seen, old: str, options: TagOptions) -> str:
    """The caption of a picture, as one tidy line.

    Doing it again with its own result as the old caption changes nothing.

    Args:
        seen: What the models saw.
        old: The caption so far, or "".
        options: All choices. "prepend" and "append" leave the text of the old caption as it is, but for pruned tags,
            and add what it lacks; "merge" makes one list where both captions are one, and does as "append" where
            one of them holds sentences alone.
    """
    rules = _rules(options)
    if old and options.on_existing == "keep":
        return old
    trigger = rules.trigger if "{trigger}" in options.template else {}
    added = _without(rules.added, trigger)
    tags = _without(_new_tags(seen, options, rules), trigger.keys() | added.keys())
    sentence = tidy(seen.sentence) if options.wants_sentence else ""
    old = _pruned(tidy(old), rules) if options.prune else tidy(old)
    if not old or options.on_existing == "replace":
        return _filled(options, trigger, added, tags, sentence)

    rest = cut_out(sentence.rstrip(".。"), old)  # Its full stop may be gone for a comma behind it.
    has_own = rest != old
    known = _known([old, rest] if has_own else [old], options, [*tags, *trigger, *added])
    tags = _without(tags, known)
    if has_own:
        sentence = ""
    # A template with a text of its own says something, too.
    is_list = options.wants_tags and not (has_own or own_text(options.template) or is_prose(old))
    if options.on_existing == "merge" and is_list:
        parts = split_tags(old) if "(" in old else filter(None, map(str.strip, old.split(",")))  # Which is quicker.
        listed = _first_of_each([(_key(tag), tag) for tag in parts])
        inside = known - listed.keys()  # Said already, as a part of something longer.
        trigger, added = _without(trigger, inside), _without(added, inside)
        listed = _without(listed, trigger.keys() | added.keys())
        return _filled(options, trigger, added, {**listed, **tags}, sentence, bare=True)
    trigger, added = _without(trigger, known), _without(added, known)
    if options.on_existing == "prepend":
        return glued(_filled(options, trigger, added, tags, sentence, bare=True), old)
    behind = fill(options.template, {"tags": _joined(tags), "sentence": sentence}, bare=True)
    return glued(
        _joined(trigger, added), glued(old, behind, is_sentence=bool(sentence) and behind.startswith(sentence))
    )


# --- rules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rules:
    """What follows from the options alone. `cuts` are thresholds by category; `written` is what becomes of a name."""

    cuts: dict[str, float]
    trigger: _Tags
    added: _Tags
    is_excluded: Callable[[str], bool]
    is_pruned: Callable[[str], bool]
    written: Callable[[str], tuple[tuple[str, str], ...]]


@lru_cache(maxsize=16)
def _rules(options: TagOptions) -> _Rules:
    cuts = {
        "general": options.threshold,
        "character": options.character_threshold,
        "copyright": options.copyright_threshold,
        "rating": _NEVER,
    }
    if not options.characters:
        cuts |= dict.fromkeys(_NAMES, _NEVER)
    replaced = {}
    for before, after in filter(None, map(pair_of, options.replace)):
        replaced[_key(before)] = split_tags(after)
    is_excluded, is_pruned = _matcher(options.exclude), _matcher(options.prune)

    @cache
    def written(name: str) -> tuple[tuple[str, str], ...]:
        """(key, tag) for a name, or several where it is replaced by them; none when it is not to be in captions."""
        if is_pruned(name):
            return ()
        tags = replaced.get(_key(name)) or [spelled(name, options.replace_underscores, options.escape_brackets)]
        return tuple((_key(tag), tag) for tag in tags if tag and not (is_pruned(tag) or is_excluded(tag)))

    return _Rules(
        cuts=cuts,
        trigger={_key(tag): tag for tag in split_tags(tidy(options.trigger_word))},
        added={_key(tag): tag for tag in split_tags(tidy(", ".join(options.add)))},
        is_excluded=is_excluded,
        is_pruned=is_pruned,
        written=written,
    )


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a tag is one of these, in whatever spelling; `*` stands for any letters, also none."""
    keys = {key for pattern in patterns if (key := _key(pattern))}
    loose = [re.split(r"\*+", key) for key in keys if "*" in key]

    @lru_cache(maxsize=1 << 16)
    def matches(tag: str) -> bool:
        key = _key(tag)
        return key in keys or any(_fits(key, pieces) for pieces in loose)

    return matches


def _fits(text: str, pieces: Sequence[str]) -> bool:
    """Whether a text begins with the first piece, ends with the last and has the others between, in their order."""
    first, *middle, last = pieces
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True


@lru_cache(maxsize=1 << 17)
def _key(tag: str) -> str:
    """As `tag_key`, also the same for a tag with commas and its spelling without them."""
    return tag_key(tag.replace(",", " ")) or tag


def _new_tags(seen: Seen, options: TagOptions, rules: _Rules) -> _Tags:
    if not options.wants_tags:
        return {}
    written = rules.written
    return _first_of_each([pair for tag in choose_tags(seen.tags, options) for pair in written(tag.name)])


def _first_of_each(pairs: list[tuple[str, str]]) -> _Tags:
    tags = dict(pairs)
    if len(tags) < len(pairs):  # The last of equal ones stands in the place of the first.
        for key, tag in reversed(pairs):
            tags[key] = tag
    return tags


def _without(tags: _Tags, known: Collection[str]) -> _Tags:
    """The tags whose keys are not among these."""
    return {key: tag for key, tag in tags.items() if key not in known} if known else tags


def _joined(*tags: _Tags) -> str:
    return ", ".join(tag for some in tags for tag in some.values())


# --- texts --------------------------------------------------------------------------------------------------------


def _filled(
    options: TagOptions, trigger: _Tags, added: _Tags, tags: _Tags, sentence: str, *, bare: bool = False
) -> str:
    """The template with everything in its place; the added tags stand before the others, or behind the trigger word."""
    template = options.template
    values = {"trigger": _joined(trigger), "tags": _joined(tags), "sentence": sentence}
    if options.wants_tags:
        values["tags"] = _joined(added, tags)
    elif "{trigger}" in template:
        values["trigger"] = _joined(trigger, added)
    else:
        return glued(_joined(added), fill(template, values, bare=bare))
    return fill(template, values, bare=bare)


def _known(texts: list[str], options: TagOptions, asked: Iterable[str]) -> set[str]:
    """The keys of all that a caption says, taken apart in every way in which it may have been put together.

    Args:
        texts: The caption, perhaps in several forms.
        options: All choices.
        asked: Keys that are looked for as a whole, too: `dr. stone` is taken apart where a sentence seems to end.
    """
    for mark in own_text(options.template):
        texts = texts + [text.replace(mark, ",") for text in texts if mark in text]
    known: set[str] = set()
    for text in texts:
        known.update(*map(_keys_in, text.split(",")))
        if "(" in text:  # Without brackets tags are split in the same way.
            known.update(*map(_keys_in, split_tags(text)))
    folded: list[str] = []
    for key in asked:
        if key in known or (pattern := _as_a_whole(key)) is None:
            continue
        folded = folded or [tag_key.__wrapped__(text) for text in texts]
        if any(map(pattern.search, folded)):
            known.add(key)
    return known


@lru_cache(maxsize=1 << 16)
def _keys_in(piece: str) -> frozenset[str]:
    """The keys of what stands between two commas, and of the sentences in it, each with and without its end."""
    found = (part.strip() for part in (piece, *_AFTER_SENTENCE.split(piece)))
    return frozenset(
        _key(spelling) for part in found for spelling in (part, part.removesuffix("."), part.rstrip(_ENDS))
    )


@lru_cache(maxsize=1 << 13)
def _as_a_whole(key: str) -> re.Pattern[str] | None:
    """What finds a tag in the key of a text; None for a tag that no end of a sentence can take apart."""
    return re.compile(_BEFORE + re.escape(key) + _BEHIND) if any(mark in key for mark in _ENDS) else None


def _pruned(old: str, rules: _Rules) -> str:
    """A caption without the pruned tags; the trigger word and what is added are none of them."""
    own = rules.trigger | rules.added
    return without_tags(old, lambda tag: rules.is_pruned(tag) and _key(tag) not in own, lambda tag: _key(tag) in own)
