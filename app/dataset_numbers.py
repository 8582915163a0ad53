"""The numbers that the Dataset page draws: computed at once, beside the window, from what was scanned and decided."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.caption_tokens import CaptionTokens
from core.config import TrainConfig
from core.dataset.edits import Concept, PictureEdits
from core.dataset.fitting import FitOptions, plans_of
from core.dataset.geometry import Size
from core.dataset.records import ImageRecord, Scan
from core.dataset.statistics import (
    BucketCount,
    Companion,
    ConceptSum,
    Shapes,
    SizeBar,
    TagCount,
    concept_sums,
    shape_histogram,
    size_histogram,
    tag_counts,
    together_with,
)
from core.dataset.tag_cache import key_of, keys_of

MOST_TAGS = 30
_TAG_EDGES = (0, 1, 5, 10, 20, 30, 40)
_TOKEN_EDGES = (0, 1, 26, 51, 76, 151, 226)


@dataclass(frozen=True, slots=True)
class LengthBar:
    """Captions with at least `first` and at most `last` tags or tokens; None is no limit."""

    first: int
    last: int | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What the pictures come to that are not left out. Sizes are those after the turns that were decided.

    `tags` are the most frequent ones, `num_tags` counts all. `companions` stand beside the tag `beside`, which is ""
    when no caption has a tag. `folders` holds for each sum the folder and the names of those that its pictures are in.
    """

    num_images: int
    num_excluded: int
    num_captions: int
    num_tags: int
    tags: tuple[TagCount, ...]
    beside: str
    companions: tuple[Companion, ...]
    folders: tuple[tuple[Path, tuple[str, ...], ConceptSum], ...]
    sizes: tuple[SizeBar, ...]
    shapes: Shapes
    buckets: tuple[BucketCount, ...]
    tag_lengths: tuple[LengthBar, ...]
    token_lengths: tuple[LengthBar, ...]
    most_tokens: int


def numbers_of(scan: Scan, concepts: Sequence[Concept], config: TrainConfig, beside: str = "") -> Numbers:
    """All numbers.

    Args:
        scan: The pictures and what was decided about them.
        concepts: The folders of the scan.
        config: The settings of the run.
        beside: The tag whose company is wanted; "" takes the trigger word, or the most frequent tag where no caption
            has that.
    """
    dataset, tokens = config.dataset, CaptionTokens.of(config)
    used = [(record, edits) for record in scan.records if not (edits := scan.edits(record.path)).excluded]
    captions = [record.caption for record, _ in used if record.caption]
    counts = tag_counts(captions)
    tag = _beside(beside, [dataset.trigger_word, *(concept.trigger_word for concept in concepts)], counts)
    sizes = [_turned(record, edits) for record, edits in used]
    return Numbers(
        num_images=len(used),
        num_excluded=len(scan.records) - len(used),
        num_captions=len(captions),
        num_tags=len(counts),
        tags=tuple(counts[:MOST_TAGS]),
        beside=tag,
        companions=tuple(together_with(captions, tag)[:MOST_TAGS]) if tag else (),
        folders=_folders(scan, concepts, dataset.repeats),
        sizes=tuple(size_histogram(sizes)),
        shapes=shape_histogram(sizes),
        buckets=_buckets(used, FitOptions.of(dataset)),
        tag_lengths=_lengths((len(keys_of(record.caption or "")) for record, _ in used), _TAG_EDGES),
        token_lengths=_lengths((tokens.count(record) for record, _ in used), _TOKEN_EDGES),
        most_tokens=tokens.most,
    )


def _beside(wanted: str, trigger_words: Iterable[str], counts: Sequence[TagCount]) -> str:
    known = {key_of(count.tag): count.tag for count in counts}
    for tag in (wanted, *trigger_words):
        if tag and key_of(tag) in known:
            return known[key_of(tag)]
    return counts[0].tag if counts else ""


def _turned(record: ImageRecord, edits: PictureEdits) -> Size:
    width, height = record.size_px
    return (height, width) if edits.turn in (90, 270) else (width, height)


def _folders(
    scan: Scan, concepts: Sequence[Concept], asked_repeats: int
) -> tuple[tuple[Path, tuple[str, ...], ConceptSum], ...]:
    names: dict[int, dict[str, None]] = {}
    for record in scan.records:
        names.setdefault(record.concept, {})[record.path.parent.name] = None
    sums = concept_sums(scan.records, scan.pictures, asked_repeats)
    known = [total for total in sums if total.concept < len(concepts)]  # Folders may be going just now.
    return tuple((concepts[total.concept].folder, tuple(names[total.concept]), total) for total in known)


def _buckets(used: Iterable[tuple[ImageRecord, PictureEdits]], options: FitOptions) -> tuple[BucketCount, ...]:
    """Training sizes with so many pictures and crops, from the tallest to the widest."""
    alike = Counter((record.size_px, edits) for record, edits in used)
    filled: Counter[Size] = Counter()
    for (size_px, edits), count in alike.items():
        for plan in plans_of(size_px, options, edits):
            filled[plan.target_px] += count
    return tuple(BucketCount(size, filled[size]) for size in sorted(filled, key=lambda size: (size[0] / size[1], size)))


def _lengths(lengths: Iterable[int], edges: Sequence[int]) -> tuple[LengthBar, ...]:
    counts = Counter(bisect_right(edges, length) - 1 for length in lengths)
    lasts = [*(edge - 1 for edge in edges[1:]), None]
    bars = [LengthBar(first, last, counts[n]) for n, (first, last) in enumerate(zip(edges, lasts, strict=True))]
    while bars and not bars[-1].count:
        bars.pop()
    return tuple(bars)
