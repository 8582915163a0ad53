"""Trigger word and traits: what the trigger word is to stand for, and which tags go so that it learns them.

A caption shares a picture out among its words. What a tag names is learned with that tag and can be asked for, or left
out, by prompt afterwards; what no tag names is learned with the trigger word and comes whenever the trigger word does.
So tags of what never changes are pruned: one word then brings the whole character. The price is that a prompt can
hardly change what was pruned.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.dataset.pinyin import is_readable, syllables_of
from core.dataset.scan import repeats_of
from core.dataset.tag_cache import key_of
from core.dataset.tag_names import common_tags
from core.tagging.trait_words import GROUPS, Group, group_of

Target = Literal["character", "style", "object"]
"""What is trained."""

LISTED_SHARE = 0.2
"""Tags on a smaller part of the pictures are no trait but an exception, and are not listed."""

PROPOSED_SHARE = 0.5
"""From here on a tag belongs to what is trained. Not higher, because pictures from behind or from afar lack eyes."""

WORN_SHARE = 0.9
"""The same for what can be taken off."""

NEUTRAL_TRIGGER = "mylora"
_SUFFIX = "zk"  # Begins no word, and glued to one it makes tokens that the word alone does not have.
_LONGEST = 20
_WORN: tuple[Group, ...] = ("accessories", "clothes")
_GROUPS: dict[Target, tuple[Group, ...]] = {
    "character": ("hair", "eyes", "face", "body", "animal", *_WORN),
    "style": ("style", "quality"),
    "object": ("thing", *_WORN),
}
_EMPTY_WORDS = frozenset(
    """
    a and by copy crop cropped crops data dataset datasets download downloads edited export final folder for
    image images img imgs input jpg lora model my new of old output photo photos pic pics picture pictures png
    prepared raw reg regularization resized set source tagged test the train training untitled webp 图 图像 图片 图集
    数据 数据集 新建文件夹 照片 素材 训练 训练集 训练图 角色 模型 画风
    """.split()  # noqa: SIM905 - words are easier to read this way
)
"""What folders are called whatever is in them."""


@dataclass(frozen=True, slots=True)
class Trait:
    """A tag that may be pruned: on how many pictures it is, which part of all tagged ones that is, and what it names.

    `is_proposed` says whether pruning it is good for most people.
    """

    tag: str
    number: int
    share: float
    group: Group
    is_proposed: bool


def propose_traits(
    tags_of_pictures: Iterable[Collection[str]],
    target: Target,
    trigger_word: str = "",
    pruned: Collection[str] = (),
) -> tuple[Trait, ...]:
    """The tags that the trigger word could stand for, by group, the most frequent first.

    - Of a character: hair, eyes, face, body, animal parts. Half of the pictures are enough. Clothes and accessories are
      listed too, but proposed only when they are on nine of ten pictures. A tag that was left by mistake costs a few
      words in the prompt; one that was pruned by mistake costs a new training, because the clothes cannot be changed
      any more. Where a character hardly ever wears anything else, there are no pictures to learn the change from, and
      pruning costs nothing.
    - Of a style: words for medium, drawing and quality. What is in the pictures stays named, so that the style does
      not bring it along.
    - Of an object: the words for things, among them clothes, when half of the pictures have them. People, places, views
      and poses stay named.

    How many people there are (1girl, solo), views, poses, faces and backgrounds differ from picture to picture and are
    never listed.

    Args:
        tags_of_pictures: The tags of each picture in any spelling; pictures without tags do not count.
        target: What is trained.
        trigger_word: Tags of this text are no traits.
        pruned: These are listed in any case.
    """
    groups = _GROUPS[target]
    spellings: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    total = 0
    for tags in tags_of_pictures:
        if tags:
            total += 1
            spellings.update(tags)
            numbers.update({key_of(tag) for tag in tags})
    spelled: dict[str, str] = {}
    for tag, _ in spellings.most_common():
        spelled.setdefault(key_of(tag), tag)
    chosen = {key_of(tag): tag for tag in pruned}
    own = {key_of(word) for word in trigger_word.split(",")} - chosen.keys()
    found = []
    for key in dict.fromkeys((*numbers, *chosen)):
        number = numbers[key]
        group = group_of(key)
        is_trait = group in groups and key not in own and number >= LISTED_SHARE * total
        if is_trait or key in chosen:
            share = number / total if total else 0.0
            least = WORN_SHARE if target == "character" and group in _WORN else PROPOSED_SHARE
            tag = spelled.get(key) or chosen[key]
            found.append(Trait(tag, number, share, group or "thing", is_trait and share >= least))
    found.sort(key=lambda trait: (GROUPS.index(trait.group), -trait.number, trait.tag))
    return tuple(found)


def propose_trigger(folder: Path, tags: Collection[str] = ()) -> str:
    """A word of its own for what is trained: no tag and no part of one, or it would bring what it means already.

    It comes from the folder's name without a number of repeats, in small letters, Chinese as pinyin: `10_Miru Kiln
    girl` gives `mirukiln`. A name that means something gets an ending that makes another word of it; one that says
    nothing gives a neutral word. The same folder always gives the same word.

    Args:
        folder: With the pictures; need not exist.
        tags: Tags that are known besides the common ones, for example those of the tagger.
    """
    name = folder.absolute().name
    _, words = repeats_of(name) or (0, name)
    known = {word for tag in (*common_tags(), *tags) for word in (key_of(tag), *_words_of(tag))}
    spoken = [word for word in _words_of(words) if not word.isdecimal() and word not in _EMPTY_WORDS]
    latin = [word for word in map(_in_letters, spoken) if len(word) > 1]
    own = [word for word in latin if word not in known] or latin[:1]
    trigger = ""
    for word in own:
        if len(trigger + word) <= _LONGEST:
            trigger += word
    trigger = trigger or "".join(own)[:_LONGEST] or NEUTRAL_TRIGGER
    return trigger if trigger not in known else trigger + _SUFFIX


def _words_of(text: str) -> list[str]:
    """The words of a name in small letters: what stands between other signs."""
    return re.findall(r"[^\W_]+", text.casefold())


def _in_letters(word: str) -> str:
    """A word in ASCII letters and digits, without accents; "" where that is not known."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
    return "".join(syllables_of(plain)) if is_readable(plain) else ""
