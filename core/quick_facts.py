"""What the pictures say about the LoRA that is to be made of them: how many there are, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import repeats_of
from core.dataset.statistics import TagCount, tag_counts
from core.dataset.tag_cache import key_of, keys_of, tags_of
from core.tagging.trait_words import group_of
from core.tagging.traits import Target, propose_traits

_MOST_CAPTIONS = 300
"""More say no more, and the window waits for it."""

_PEOPLE_SHARE, _FEW_SHARE = 0.6, 0.2
_THING_SHARE = 0.7
_LEAST_TRAITS = 2
_LEAST_FOR_STYLE = 8
_LONGEST_TAG = 40
_PEOPLE = frozenset(map(key_of, ("1girl", "1boy", "1other", "2girls", "2boys", "multiple girls", "multiple boys")))
_CHARACTERS = ("girl", "boy", "woman", "man", "person", "character", "女孩", "男孩", "人物", "角色", "女性", "男性")
_STYLES = ("style", "art style", "artstyle", "画风", "风格")
_CLASSES: dict[str, Target] = {**dict.fromkeys(_CHARACTERS, "character"), **dict.fromkeys(_STYLES, "style")}


@dataclass(frozen=True, slots=True)
class Facts:
    """What counts for the choice of settings.

    `num_pictures` are those to learn; `num_shown` counts their crops; `target` is what they are of, None when nobody
    knows; `trigger` is the word that the folder's name gives; `has_own_repeats` says that a folder like `10_name` or
    the user already said how often each is shown. `captions` is a sample, evenly taken.
    """

    num_pictures: int = 0
    num_shown: int = 0
    target: Target | None = None
    trigger: str = ""
    has_own_repeats: bool = False
    captions: tuple[str, ...] = ()
    counts: tuple[TagCount, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Tag key -> part of the captions that have it."""
        return {key_of(found.tag): found.count / found.total for found in self.counts}


def facts_of(scan: Scan | None) -> Facts:
    """The facts of a dataset; those of regularization folders show what is there already and do not count.

    Those of the last data set are kept: several parts of the window ask for them, and very many pictures take a while.
    """
    global _last
    if scan is None:
        return Facts()
    last = _last  # Another thread may work out those of another data set meanwhile.
    if last is None or last[0] is not scan:
        _last = last = scan, _facts_of(scan)
    return last[1]


_last: tuple[Scan, Facts] | None = None


def _facts_of(scan: Scan) -> Facts:
    learned = [record for record in scan.records if not record.is_regularization]
    num_shown, has_own = len(learned), any(record.repeats for record in learned)
    if scan.pictures:
        learned = [record for record in learned if not scan.edits(record.path).excluded]
        num_shown = sum(len(scan.edits(record.path).crops) or 1 for record in learned)
        has_own = any(record.repeats or scan.edits(record.path).repeats for record in learned)
    captions = _sample([record.caption for record in learned if record.caption])
    return Facts(
        num_pictures=len(learned),
        num_shown=num_shown,
        target=_target_of(learned, captions),
        trigger=_trigger_of(learned, scan.folders),
        has_own_repeats=has_own,
        captions=tuple(captions),
        counts=tuple(tag_counts(captions)),
    )


def _sample(captions: Sequence[str]) -> list[str]:
    step = max(1, -(-len(captions) // _MOST_CAPTIONS))
    return list(captions[::step])


def _trigger_of(learned: Sequence[ImageRecord], folders: Sequence[Path]) -> str:
    """`name` for a folder called `10_name`; only what names all of the pictures: one sub-folder's name does not.

    Args:
        learned: The pictures that count.
        folders: All folders with pictures. With a single one there is no need to ask each of ten thousand pictures.
    """
    common = ""
    for folder in folders if len(folders) == 1 and learned else map(_folder_of, learned):
        word = _word_of(folder)
        if not word or (common and word != common):
            return ""
        common = word
    return common


def _folder_of(record: ImageRecord) -> Path:
    return record.path.parent


@lru_cache(maxsize=256)
def _word_of(folder: Path) -> str:
    """`name` for a folder called `10_name`, else nothing."""
    return (repeats_of(folder.absolute().name) or (0, ""))[1]


def _target_of(learned: Sequence[ImageRecord], captions: Sequence[str]) -> Target | None:
    """Character, style or object, where the class word or the tags say so clearly."""
    classes = {record.class_tokens.strip().casefold() for record in learned if record.class_tokens}
    if len(classes) == 1 and (known := _CLASSES.get(classes.pop())):
        return known
    if not captions or _is_prose(captions):
        return None
    total = len(captions)
    people = sum(not _PEOPLE.isdisjoint(keys_of(caption)) for caption in captions) / total
    tags = [tags_of(caption) for caption in captions]
    if people >= _PEOPLE_SHARE:
        traits = [trait for trait in propose_traits(tags, "character") if trait.is_proposed]
        if sum(trait.group in ("hair", "eyes", "animal", "body") for trait in traits) >= _LEAST_TRAITS:
            return "character"
        return "style" if total >= _LEAST_FOR_STYLE else None
    counts = tag_counts(captions)
    things = [found for found in counts if found.count >= _THING_SHARE * total and group_of(found.tag) == "thing"]
    if people <= _FEW_SHARE and things:
        return "object"
    return "style" if total >= _LEAST_FOR_STYLE and not things else None


def _is_prose(captions: Sequence[str]) -> bool:
    """Whether captions are sentences, where a tag is half a sentence long."""
    tags = [tag for caption in captions[:20] for tag in tags_of(caption)]
    return bool(tags) and sum(map(len, tags)) / len(tags) > _LONGEST_TAG
