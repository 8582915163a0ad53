"""Prompts for previews, made from the tags of the pictures: a portrait, the whole figure, something other to wear."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from core.dataset.captions import join_tags
from core.dataset.tag_cache import key_of, tags_of
from core.quick_facts import Facts
from core.sampling import default_prompts
from core.tagging.trait_words import group_of

_TRAIT_SHARE = 0.5
_WORN_SHARE = 0.3
_MOST_TRAITS, _MOST_WORN = 6, 4
_PEOPLE = frozenset("1girl 1boy 1other solo".split())  # noqa: SIM905 - words are easier to read this way
_OTHER_CLOTHES = ("white shirt", "blue jeans")
_OTHER_DRESS = ("black coat", "red scarf")
_LOOKS = ("hair", "eyes", "face", "body", "animal")


def preview_prompts(
    facts: Facts, trigger: str, absorbed: Collection[str] = (), *, small: bool = False
) -> tuple[str, ...]:
    """Three prompts, each with the trigger word first; none without captions and trigger word.

    Args:
        facts: What the pictures show.
        trigger: The trigger word, or "".
        absorbed: Tags that the trigger word stands for; prompts leave them out, as captions do in training.
        small: The base model is the starter model, which draws only what its captions are made of.
    """
    if not facts.captions and not trigger:
        return ()
    if facts.target is None or small or not facts.captions:
        gone = {key_of(tag) for tag in absorbed}
        captions = default_prompts(trigger, list(facts.captions))
        kept = (join_tags(tag for tag in tags_of(caption) if key_of(tag) not in gone) for caption in captions)
        return _unique(_with(trigger, [caption]) for caption in kept)
    made = {"character": _of_character, "style": _of_style, "object": _of_object}[facts.target](facts, absorbed)
    return _unique(_with(trigger, tags) for tags in made)


def _of_character(facts: Facts, absorbed: Collection[str]) -> list[list[str]]:
    gone = {key_of(tag) for tag in absorbed}
    people = [found.tag for found in facts.counts if key_of(found.tag) in _PEOPLE and found.count * 2 >= found.total]
    looks = _common(facts, _LOOKS, _TRAIT_SHARE, gone)[:_MOST_TRAITS]
    worn = _common(facts, ("clothes", "accessories"), _WORN_SHARE, gone)[:_MOST_WORN]
    wears = {key_of(tag) for tag in worn}
    other = next(one for one in (_OTHER_CLOTHES, _OTHER_DRESS) if wears.isdisjoint(map(key_of, one)))
    return [
        [*people, *looks, *worn, "portrait", "looking at viewer", "smile"],
        [*people, *looks, *worn, "full body", "standing", "outdoors"],
        [*people, *looks, *other, "upper body", "indoors"],
    ]


def _of_style(facts: Facts, _absorbed: Collection[str]) -> list[list[str]]:
    return [
        ["1girl", "solo", "upper body", "looking at viewer"],
        ["1boy", "solo", "full body", "standing", "street"],
        ["scenery", "no humans", "sky", "tree"],
    ]


def _of_object(facts: Facts, absorbed: Collection[str]) -> list[list[str]]:
    gone = {key_of(tag) for tag in absorbed}
    things = _common(facts, ("thing",), _TRAIT_SHARE, gone)[:_MOST_TRAITS]
    return [
        [*things, "simple background", "white background"],
        [*things, "outdoors", "grass"],
        [*things, "indoors", "table", "still life"],
    ]


def _common(facts: Facts, groups: Collection[str], share: float, gone: Collection[str]) -> list[str]:
    """The most frequent tags of some groups, without those that the trigger word stands for."""
    return [
        found.tag
        for found in facts.counts
        if found.count >= share * found.total and key_of(found.tag) not in gone and group_of(found.tag) in groups
    ]


def _with(trigger: str, tags: Iterable[str]) -> str:
    """One prompt, the trigger word first and only once."""
    own = [key_of(tag) for tag in tags_of(trigger)]
    rest = [tag for text in tags for tag in tags_of(text) if key_of(tag) not in own]
    return join_tags([trigger, *rest] if trigger else rest)


def _unique(prompts: Iterable[str]) -> tuple[str, ...]:
    return tuple(prompt for prompt in dict.fromkeys(prompts) if prompt)
