"""What a set of pictures is made of: tags and their company, sizes and shapes, and how often each folder is shown."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.dataset.buckets import assign
from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.geometry import Size
from core.dataset.records import ImageRecord, automatic_repeats
from core.dataset.tag_cache import key_of, keys_of, tags_of

SIDES_PX = (256, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 3072, 4096)
"""Edges between the bars of the size histogram."""

_SQUARE = 1.05  # Up to this ratio of long to short side a picture counts as square.


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag, in how many captions it is, and of how many."""

    tag: str
    count: int
    total: int

    @property
    def is_in_all(self) -> bool:
        """Whether every caption has the tag."""
        return self.count == self.total


@dataclass(frozen=True, slots=True)
class Companion:
    """A tag beside another one.

    `share` is the part of the captions with the other tag that have this one too, 0 to 1. `lift` is that share divided
    by the tag's share of all captions: above 1 the two seek each other, below 1 they avoid each other.
    """

    tag: str
    count: int
    share: float
    lift: float


@dataclass(frozen=True, slots=True)
class SizeBar:
    """Pictures with as many pixels as a square whose side is at least `from_px` and below `to_px`; None is no limit."""

    from_px: int
    to_px: int | None
    count: int


@dataclass(frozen=True, slots=True)
class BucketCount:
    """How many pictures go to a bucket."""

    bucket: Size
    count: int


@dataclass(frozen=True, slots=True)
class Shapes:
    """Pictures that are clearly taller than wide, about square, and clearly wider than tall; and their buckets."""

    portrait: int
    square: int
    landscape: int
    buckets: tuple[BucketCount, ...]


@dataclass(frozen=True, slots=True)
class ConceptSum:
    """What one folder brings to an epoch. Each crop counts as a picture; `repeats` is that of most pictures."""

    concept: int
    num_images: int
    repeats: int
    shown_per_epoch: int
    is_regularization: bool


def tag_counts(captions: Iterable[str]) -> list[TagCount]:
    """All tags, the most frequent first and of equals the one seen first, each spelled as it is most often."""
    spellings: Counter[str] = Counter()
    total = 0
    for caption in captions:
        spellings.update(tags_of(caption))
        total += 1
    counts: dict[str, int] = {}
    spelled: dict[str, tuple[str, int]] = {}
    for tag, count in spellings.items():
        key = key_of(tag)
        counts[key] = counts.get(key, 0) + count
        if key not in spelled or count > spelled[key][1]:
            spelled[key] = (tag, count)
    found = [TagCount(spelled[key][0], count, total) for key, count in counts.items()]
    return sorted(found, key=lambda tag: -tag.count)


def together_with(captions: Iterable[str], tag: str) -> list[Companion]:
    """The tags that stand beside a tag, those in most of its captions first, of equals the rarest first."""
    wanted = key_of(tag)
    captions = list(captions)
    beside: Counter[str] = Counter()
    num_with = 0
    for caption in captions:
        keys = keys_of(caption)
        if wanted in keys:
            beside.update(keys)
            num_with += 1
    del beside[wanted]
    everywhere = {key_of(found.tag): found for found in tag_counts(captions)}
    companions = []
    for key, count in beside.items():
        found = everywhere[key]
        share = count / num_with
        companions.append(Companion(found.tag, count, share, share * found.total / found.count))
    return sorted(companions, key=lambda companion: (-companion.count, -companion.lift))


def size_histogram(sizes: Iterable[Size]) -> list[SizeBar]:
    """Pictures by the side of a square with as many pixels, which compares with the resolution of a training.

    Bars reach from the smallest to the largest picture; those between may be empty.
    """
    bars: Counter[int] = Counter()
    for (width, height), count in Counter(sizes).items():
        bars[bisect_right(SIDES_PX, (width * height) ** 0.5)] += count
    if not bars:
        return []
    edges = (0, *SIDES_PX, None)
    return [SizeBar(edges[bar] or 0, edges[bar + 1], bars[bar]) for bar in range(min(bars), max(bars) + 1)]


def shape_histogram(sizes: Iterable[Size], buckets: Sequence[Size] = ()) -> Shapes:
    """Pictures by shape and by bucket.

    Args:
        sizes: (width, height) of each picture.
        buckets: The training sizes; empty for shapes only.

    Returns:
        The shapes; the buckets that get pictures, in the order given.
    """
    portrait = square = landscape = 0
    filled: Counter[Size] = Counter()
    for size, count in Counter(sizes).items():
        ratio = size[0] / size[1]
        if ratio > _SQUARE:
            landscape += count
        elif ratio < 1 / _SQUARE:
            portrait += count
        else:
            square += count
        if buckets:
            filled[assign(size, buckets)] += count
    counted = tuple(BucketCount(bucket, filled[bucket]) for bucket in buckets if filled[bucket])
    return Shapes(portrait, square, landscape, counted)


def repeats_per_epoch(pictures: Sequence[tuple[ImageRecord, PictureEdits]], asked: int) -> list[int]:
    """How often each picture is shown in an epoch: its own number, else its folder's, else those asked for.

    Regularization pictures without a number of their own are shown about as often as all the others together. Each crop
    of a picture is shown as often as the picture would be.

    Args:
        pictures: All pictures that are trained, with what was decided about them.
        asked: Repeats of the run; 0 takes `automatic_repeats`.
    """
    learned = [(record, edits) for record, edits in pictures if not record.is_regularization]
    flat = asked or automatic_repeats(len(learned))
    num_shown = sum((edits.repeats or record.repeats or flat) * (len(edits.crops) or 1) for record, edits in learned)
    num_prior = sum(len(edits.crops) or 1 for record, edits in pictures if record.is_regularization)
    prior = max(1, round(num_shown / num_prior)) if num_prior else 1
    return [
        edits.repeats or record.repeats or (prior if record.is_regularization else flat) for record, edits in pictures
    ]


def concept_sums(
    records: Iterable[ImageRecord], edits: Mapping[Path, PictureEdits] | None = None, asked_repeats: int = 0
) -> list[ConceptSum]:
    """What each folder brings to an epoch, in the order of the folders; one without pictures to train is left out.

    Args:
        records: The pictures of all folders.
        edits: Decisions by picture; excluded pictures do not count.
        asked_repeats: Repeats of the run; 0 takes `automatic_repeats`.
    """
    decided = edits or {}
    all_pictures = [(record, decided.get(record.path, UNTOUCHED)) for record in records]
    used = [(record, choice) for record, choice in all_pictures if not choice.excluded]
    folders: defaultdict[int, list[tuple[ImageRecord, int, int]]] = defaultdict(list)
    for (record, choice), repeats in zip(used, repeats_per_epoch(used, asked_repeats), strict=True):
        folders[record.concept].append((record, len(choice.crops) or 1, repeats))
    return [
        ConceptSum(
            concept=concept,
            num_images=sum(views for _, views, _ in pictures),
            repeats=Counter(repeats for _, _, repeats in pictures).most_common(1)[0][0],
            shown_per_epoch=sum(views * repeats for _, views, repeats in pictures),
            is_regularization=pictures[0][0].is_regularization,
        )
        for concept, pictures in sorted(folders.items())
    ]
