"""What the project does beside the window: read a dataset, look for changes, find out what was written. No Qt here."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.history import bytes_of_changes
from core.dataset.caption_edits import Written, finish_journals
from core.dataset.caption_journal import Journal, journals
from core.dataset.captions import decode_caption, read_caption
from core.dataset.edits import (
    Concept,
    Dataset,
    DatasetFile,
    PictureEdits,
    dataset_file_of,
    dataset_of,
    load_dataset,
)
from core.dataset.records import Glimpse, ImageRecord, Scan
from core.errors import UserError, explain
from core.files import remove_left_overs
from core.text import sentences, tr

if TYPE_CHECKING:
    from core.dataset.scan import DatasetReading

NUM_SHOWN_FIRST = 200
"""More pictures than a large screen shows; fewer are read in no time."""

TELL_S = 0.1
"""Between two words about how far the reading is."""

MOST_JOURNALS = 20
"""So many earlier changes to many captions can be taken back after a restart."""


def same_caption(one: ImageRecord, other: ImageRecord) -> bool:
    """Whether two records of a picture hold the same caption; a missing one is the same as an empty one."""
    unreadable = [record.caption is None and bool(record.caption_problem) for record in (one, other)]
    return (one.caption or "") == (other.caption or "") and unreadable[0] == unreadable[1]


def read_again(record: ImageRecord) -> ImageRecord:
    """A picture with what is in its caption file now."""
    changed_at, num_bytes = _stamp(record.caption_path)
    caption, problem = read_caption(record.caption_path)
    return dataclasses.replace(
        record, caption=caption, caption_problem=problem, caption_changed_at=changed_at, caption_bytes=num_bytes
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What was written, and the pictures with what is in their caption files now."""

    written: Written
    records: tuple[tuple[ImageRecord, ImageRecord], ...]
    """Each picture as it was known, and as it is now."""
    num_bytes: int

    @classmethod
    def of(cls, records: Sequence[ImageRecord], written: Written, *, is_on_disk: bool = True) -> Done:
        """Look which of some pictures have other captions now. Two pictures may share one.

        Args:
            records: What is known of the pictures.
            written: What became of their captions, or will.
            is_on_disk: The files hold it by now, so that their times can be asked for.
        """
        after = {change.path: change.after for change in written.changes}
        unsure = {*written.foreign, *written.failed}
        changed = []
        for record in records:
            if record.caption_path in unsure:
                changed.append((record, read_again(record)))
            elif record.caption_path in after:
                now = _with_caption(record, after[record.caption_path])
                changed.append((record, _with_stamp(now) if is_on_disk else now))
        return cls(written, tuple(changed), bytes_of_changes(written.changes))


def _with_caption(record: ImageRecord, data: bytes | None) -> ImageRecord:
    if data and not record.caption_problem and data == (record.caption or "").encode():
        return record  # Told before that it would be so.
    caption, problem = (None, "") if data is None else decode_caption(data, record.caption_path.name)
    return dataclasses.replace(record, caption=caption, caption_problem=problem)


def _with_stamp(record: ImageRecord) -> ImageRecord:
    changed_at, num_bytes = _stamp(record.caption_path)
    return dataclasses.replace(record, caption_changed_at=changed_at, caption_bytes=num_bytes)


def _stamp(path: Path) -> tuple[float, int]:
    """When a caption was written last, and its bytes; zeros when there is none."""
    try:
        status = os.stat(str(path))  # noqa: PTH116 - as text, because there may be thousands
    except OSError:
        return 0.0, 0
    return status.st_mtime, status.st_size


def positions_of(scan: Scan) -> dict[Path, int]:
    """Where each picture is among the records: with thousands of them that takes a moment beside the window."""
    return {record.path: row for row, record in enumerate(scan.records)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A dataset as it was read. `content` is what was decided about it, None when that was known already.

    `refusal` says why its file must be left alone, "" as a rule. `journals` are earlier changes to many captions that
    can be taken back, the oldest first.
    """

    scan: Scan
    positions: dict[Path, int]
    content: DatasetFile | None = None
    refusal: str = ""
    notice: str = ""
    journals: tuple[Journal, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Some pictures of a folder that is still being read, and what was decided about it before.

    `picture` is the one that was looked at last, if it is among them.
    """

    folder: Path
    glimpse: Glimpse
    pictures: Mapping[Path, PictureEdits]
    picture: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many files that may be pictures are read, of how many."""

    done: int
    total: int


Tell = Callable[[Arrival | Progress], None]


def open_dataset(folder: Path, dataset: Dataset | None, extension: str, tell: Tell) -> Opened:
    """Read the pictures of a folder, and first what was decided about it before, unless that is given.

    Args:
        folder: The folder.
        dataset: What was decided about it, when it is open already.
        extension: Ending of the caption files.
        tell: Told how far it is; and before, when there are many pictures in a folder that was not open, some of them.

    Raises:
        UserError: The folder is missing or cannot be read, or there is no picture in it.
    """
    from core.dataset.scan import DatasetReading
    from core.quick_facts import facts_of

    if dataset is not None:
        scan = _read(DatasetReading(dataset, caption_extension=extension), tell)
        return Opened(scan=scan, positions=positions_of(scan))
    content, refusal, notice = _content_of(folder)
    notice = sentences(notice, _finish(folder))
    decided = dataset_of(content)
    reading = DatasetReading(decided, caption_extension=extension)
    _tell_first(content.view, decided, reading, tell)
    scan = _read(reading, tell)
    facts_of(scan)  # The window asks for them as soon as it has the pictures.
    for place in scan.folders:
        with contextlib.suppress(OSError):  # A folder that may not be written has none of Kiln's.
            remove_left_overs(place)
    earlier = [journal for journal in journals(folder) if journal.can_be_taken_back]
    # To the oldest generation: looking for garbage among so many pictures again and again would stop the window.
    gc.freeze()
    gc.unfreeze()
    return Opened(
        scan=scan,
        positions=positions_of(scan),
        content=content,
        refusal=refusal,
        notice=notice,
        journals=tuple(reversed(earlier[:MOST_JOURNALS])),
    )


def _tell_first(view: Mapping[str, object], decided: Dataset, reading: DatasetReading, tell: Tell) -> None:
    """Show the pictures that the user will see first, unless all of them are read in no time.

    Only in the order of the folder: any other one is known when all pictures are.
    """
    if reading.num_pictures <= NUM_SHOWN_FIRST or view.get("order", "name") != "name":
        return
    last = Path(str(view["picture"])) if view.get("picture") else None
    glimpse = reading.glimpse(NUM_SHOWN_FIRST, last)
    is_there = any(record.path == last for record in glimpse.records)
    if glimpse.records:
        tell(
            Arrival(
                folder=decided.folder,
                glimpse=glimpse,
                pictures=decided.pictures,
                picture=last if is_there else None,
            )
        )


def _read(reading: DatasetReading, tell: Tell) -> Scan:
    """Read all pictures, and tell now and then how far that is."""
    told_at = time.monotonic()

    def progressed(done: int) -> None:
        nonlocal told_at
        if (now := time.monotonic()) - told_at >= TELL_S:
            told_at = now
            tell(Progress(done=done, total=reading.num_pictures))

    return reading.read(progressed)


def _finish(folder: Path) -> str:
    """Complete what was being written when Kiln ended, and say so; or why that is not possible."""
    told = []
    try:
        for journal in finish_journals(folder):
            if journal.is_back:
                text = tr(
                    "Kiln ended while it was taking captions back ({name}). That is complete now.", name=journal.name
                )
            else:
                text = tr(
                    "Kiln ended while it was writing captions ({name}). That is complete now; Undo takes it back.",
                    name=journal.name,
                )
            told.append(text)
    except (OSError, UserError) as error:
        known = explain(error)
        told.append(str(known or error))
    return sentences(*told)


def _content_of(folder: Path) -> tuple[DatasetFile, str, str]:
    """What was decided about a folder, why that must be left alone, and a sentence about what went wrong."""
    path = dataset_file_of(folder)
    fresh = DatasetFile(concepts=(Concept(folder=folder),))
    try:
        content, notice = load_dataset(path)
        return content, "", notice
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return fresh, "", ""
        if error.__cause__ is None:  # From a newer version: it is good, only not for this one.
            return fresh, sentences(error.message, error.remedy), ""
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged.json"))
        return fresh, "", error.message


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What other programs changed: other pictures (a new scan), or only captions."""

    scan: Scan | None = None
    positions: dict[Path, int] = dataclasses.field(default_factory=dict)
    captions: tuple[ImageRecord, ...] = ()


def look(scan: Scan, dataset: Dataset, extension: str) -> Look:
    """Compare what is on the disk with what is known of it.

    Raises:
        UserError: The folder is gone or cannot be read.
    """
    from core.dataset.scan import scan_dataset

    known = {record.path: record for record in scan.records}
    try:
        now = scan_dataset(dataset, caption_extension=extension, known=known)
    except UserError:
        if scan.folder.is_dir():  # The last picture was taken out.
            return Look(scan=dataclasses.replace(scan, records=(), problems=()))
        raise
    if [_without_caption(record) for record in now.records] != [_without_caption(record) for record in scan.records]:
        return Look(scan=now, positions=positions_of(now))
    if now.problems != scan.problems:
        return Look(scan=now, positions=positions_of(now))
    pairs = zip(now.records, scan.records, strict=True)
    return Look(captions=tuple(new for new, old in pairs if not same_caption(new, old)))


def _without_caption(record: ImageRecord) -> tuple[object, ...]:
    return record.path, record.size_px, record.changed_at, record.num_bytes, record.caption_path
