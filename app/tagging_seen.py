"""What models saw in the pictures of a folder, kept in the window so that a threshold can be moved without a pause."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast, get_args

from core.dataset.records import ImageRecord
from core.events import PictureTagged
from core.tagging.base import Category, ScoredTag, Seen
from core.tagging.options import TagOptions

_AT_ONCE = 500
"""So many pictures are read from the store at a time: read whole, they would take ten times the memory they need."""


class _Packed(NamedTuple):
    """The tags of a picture as numbers of names, the scores beside them; and the picture it was when it was seen."""

    names: array[int]
    scores: array[float]
    sentence: str
    changed_at: float
    num_bytes: int
    is_whole: bool


class SeenPictures(Mapping[Path, Seen]):
    """What is known of each picture, in a few bytes per tag; a `Seen` is made when it is asked for.

    `read` fills it from the store. Any thread may use it.
    """

    def __init__(self) -> None:
        self._names: list[tuple[str, Category]] = []
        self._numbers: dict[tuple[str, Category], int] = {}
        self._pictures: dict[Path, _Packed] = {}
        self._asked: set[Path] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._pictures)

    def __getitem__(self, image: Path) -> Seen:
        return self._unpacked(self._pictures[image], 0.0)

    def above(self, least_score: float) -> Mapping[Path, Seen]:
        """The same with the tags of at least a score only, which is faster when few of many tags are needed."""
        return _Above(self, least_score)

    def put(self, record: ImageRecord, seen: Seen, *, is_whole: bool = True) -> None:
        """Keep what was seen in a picture, until the store knows better where that is not the whole of it."""
        numbers = self._numbers
        names = array("I")
        with self._lock:
            for tag in seen.tags:
                name = tag.name, tag.category
                number = numbers.get(name)
                if number is None:
                    self._names.append(name)
                    number = numbers[name] = len(self._names) - 1
                names.append(number)
        scores = array("d", [tag.score for tag in seen.tags])
        self._pictures[record.path] = _Packed(
            names, scores, seen.sentence, record.changed_at, record.num_bytes, is_whole
        )

    def fill(self, records: Sequence[ImageRecord], live: Mapping[Path, PictureTagged]) -> None:
        """Where the store could not keep what was seen, take what the run itself said: the tags it would write."""
        for record in records:
            event = live.get(record.path)
            if event is not None and event.outcome != "kept" and record.path not in self._pictures:
                tags = tuple(ScoredTag(name, score, _category(kind)) for name, score, kind in event.tags)
                self.put(record, Seen(tags, event.sentence), is_whole=False)

    def expire(self) -> None:
        """Something looked at pictures: the store may know those by now that it did not know."""
        self._asked.clear()

    def read(self, options: TagOptions, records: Sequence[ImageRecord]) -> None:
        """Ask the store for pictures that are not known, or not as they are now."""
        from core.tagging.scores import seen_by

        wanted = iter([record for record in records if not self._is_known(record)])
        while chunk := list(islice(wanted, _AT_ONCE)):
            found = seen_by(options, chunk)
            for record in chunk:
                seen = found.get(record.path)
                if seen is not None:
                    self.put(record, seen)
                    continue
                self._asked.add(record.path)
                if not self._is_of(record):
                    self._pictures.pop(record.path, None)

    def _is_known(self, record: ImageRecord) -> bool:
        is_whole = self._is_of(record) and self._pictures[record.path].is_whole
        return is_whole or record.path in self._asked

    def _is_of(self, record: ImageRecord) -> bool:
        """Whether what is known is about the picture as it is now."""
        packed = self._pictures.get(record.path)
        return packed is not None and (packed.changed_at, packed.num_bytes) == (record.changed_at, record.num_bytes)

    def _unpacked(self, packed: _Packed, least_score: float) -> Seen:
        known = self._names
        tags = [
            ScoredTag(known[number][0], score, known[number][1])
            for number, score in zip(packed.names, packed.scores, strict=True)
            if score >= least_score
        ]
        return Seen(tuple(tags), packed.sentence)


def _category(name: str) -> Category:
    return cast(Category, name) if name in get_args(Category) else "other"


class _Above(Mapping[Path, Seen]):
    def __init__(self, whole: SeenPictures, least_score: float) -> None:
        self._whole = whole
        self._least_score = least_score

    def __len__(self) -> int:
        return len(self._whole)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._whole)

    def __getitem__(self, image: Path) -> Seen:
        return self._whole._unpacked(self._whole._pictures[image], self._least_score)
