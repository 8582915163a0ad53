"""Numbers about a set of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.dataset.edits import Crop, PictureEdits
from core.dataset.records import ImageRecord
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


def record(name: str, concept: int = 0, repeats: int = 0, is_regularization: bool = False) -> ImageRecord:
    path = Path(name)
    return ImageRecord(
        path=path, size_px=(64, 64), caption_path=path.with_suffix(".txt"), concept=concept, repeats=repeats,
        is_regularization=is_regularization,
    )  # fmt: skip


def test_tags_are_counted_over_spellings_and_spelled_as_most_often() -> None:
    captions = ["long_hair, hat", "Long Hair, smile, hat, hat", "long hair", "long hair", ""]
    assert tag_counts(captions) == [TagCount("long hair", 4, 5), TagCount("hat", 2, 5), TagCount("smile", 1, 5)]
    assert tag_counts([]) == []


def test_companions_with_share_and_lift() -> None:
    captions = ["hat, rain, coat", "Hat, rain", "coat", "coat, sun"]
    assert together_with(captions, "hat") == [
        Companion("rain", 2, 1.0, 2.0),
        Companion("coat", 1, 0.5, pytest.approx(2 / 3)),
    ]
    assert together_with(captions, "snow") == []


def test_sizes_in_bars_without_gaps() -> None:
    bars = size_histogram([(512, 512), (639, 639), (1024, 1024), (300, 900), (9000, 9000)])
    assert bars[0] == SizeBar(512, 640, 3) and bars[-1] == SizeBar(4096, None, 1)
    assert [bar.to_px for bar in bars[:-1]] == [bar.from_px for bar in bars[1:]]
    assert sum(bar.count for bar in bars) == 5 and SizeBar(1024, 1280, 1) in bars
    assert size_histogram([(10, 10)]) == [SizeBar(0, 256, 1)] and size_histogram([]) == []


def test_shapes_and_buckets() -> None:
    sizes = [(512, 768), (500, 510), (1000, 1000), (1600, 900), (512, 768)]
    buckets = ((512, 768), (640, 640), (768, 512), (1024, 256))
    expected = (BucketCount((512, 768), 2), BucketCount((640, 640), 2), BucketCount((768, 512), 1))
    assert shape_histogram(sizes, buckets) == Shapes(2, 2, 1, expected)
    assert shape_histogram(sizes) == Shapes(2, 2, 1, ())


def test_what_each_folder_brings_to_an_epoch() -> None:
    records = [record("a"), record("b"), record("c"), record("d", 1, 10), record("e", 2, is_regularization=True)]
    edits = {
        Path("b"): PictureEdits(excluded=True),
        Path("c"): PictureEdits(repeats=2, crops=(Crop(box=(0, 0, 9, 9)), Crop(box=(1, 1, 9, 9)))),
    }
    assert concept_sums(records, edits) == [
        ConceptSum(0, 3, 7, 7 + 2 * 2, False),
        ConceptSum(1, 1, 10, 10, False),
        ConceptSum(2, 1, 21, 21, True),  # As often as the others.
    ]
    assert concept_sums(records, asked_repeats=3)[0] == ConceptSum(0, 3, 3, 9, False)
    assert concept_sums([]) == []


def test_regularization_is_shown_as_often_as_the_rest_with_crops_on_either_side() -> None:
    records = [record("a"), record("b"), record("x", 1, is_regularization=True), record("y", 1, is_regularization=True)]
    two, three = (tuple(Crop(box=(0, 0, 9, 9 + index)) for index in range(number)) for number in (2, 3))
    edits = {Path("a"): PictureEdits(crops=three), Path("x"): PictureEdits(crops=two)}
    learned, prior = concept_sums(records, edits, asked_repeats=6)
    assert learned.shown_per_epoch == prior.shown_per_epoch == 24
