"""The job that tags a folder: look at every picture, plan all captions, then write them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from core.control import Control
from core.dataset.edits import Concept, Dataset
from core.dataset.images import load_image
from core.dataset.parallel import in_order
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import scan_dataset, scan_job, usable
from core.errors import UserError
from core.events import CaptionsPlanned, Event, Finished, JobStarted, Notice, PictureTagged, StageProgress, StageStarted
from core.paths import STARTER_TAGGER
from core.tagging.base import Seen, Tagger, kind_of, load_tagger
from core.tagging.choice import choose_tags
from core.tagging.plan import CaptionPlan, Planner, one_per_caption, summary
from core.tagging.scores import ScoreStore, joined, packed, unpacked
from core.tagging.writing import check_writable, complete_earlier_runs, write_plans
from core.text import sentences, tr

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.jobs import TagJob
    from core.tagging.options import TagOptions

_AT_ONCE = 200
_KEPT_EVERY, _KEPT_EVERY_S = 50, 1.0
"""A process that is killed loses what it saw in so many pictures, or in this time."""

_Take = Callable[[ImageRecord, "Seen | UserError"], Iterable[Event]]
"""What happens when it is known what a model saw in a picture, or why it saw nothing."""


def tag_folder(job: TagJob, control: Control) -> Iterator[Event]:
    """Look at the pictures of a folder, plan their captions and write them; see `core.tagging.choice` for the captions.

    What models saw before is not looked at again. With `on_existing="keep"` pictures that have a caption are not looked
    at either; an empty caption file counts as none. A picture that cannot be read is named in a `Notice`, and the job
    goes on. Nothing is written before all pictures are known, so that stopping until then leaves everything as it was.
    `Finished.output` is the journal that takes the captions back, or None when none was written.

    Raises:
        UserError: No usable picture, no usable model, or captions cannot be written there.
    """
    started = time.monotonic()
    if job.write:
        yield from complete_earlier_runs(job.folder)
    scan = _scan(job)
    records = usable(scan)
    yield JobStarted(job="tag", num_images=len(records))
    for problem in scan.problems:
        yield Notice(level="warning", message=sentences(problem.message, problem.remedy), image=problem.path)
    num_unreadable = sum(problem.excludes and not scan.edits(problem.path).excluded for problem in scan.problems)

    planner = Planner(job.options)
    plans: list[CaptionPlan] = []
    waiting: list[ImageRecord] = []
    for record in one_per_caption(records):
        if planner.keeps(record) and not job.images:
            plans.append(planner.kept(record))
            yield from _told(plans[-1], None, planner)
        else:
            waiting.append(record)
    if waiting and job.write:
        check_writable(record.caption_path.parent for record in waiting)
    if not waiting:
        yield Notice(message=tr("All pictures have a caption already; nothing was changed."))
    elif (looked := (yield from _look(waiting, planner, job.options, plans, control))).is_stopped:
        kept = tr("Nothing was written. What was seen so far is kept, so that the next run goes on there.")
        yield Notice(message=kept if looked.is_kept else tr("Nothing was written."))
        yield Finished(stopped=True, elapsed_s=time.monotonic() - started, num_failed=num_unreadable)
        return
    planned = summary(plans, num_unreadable)
    yield planned
    if job.write:
        yield from _written(job, plans, planned, control, started)
    else:
        yield Finished(elapsed_s=time.monotonic() - started, num_failed=planned.failed)


def _written(
    job: TagJob, plans: list[CaptionPlan], planned: CaptionsPlanned, control: Control, started: float
) -> Iterator[Event]:
    outcome = yield from write_plans(plans, job.folder, control)
    yield Finished(
        output=outcome.journal,
        stopped=outcome.stopped,
        elapsed_s=time.monotonic() - started,
        num_failed=planned.failed + outcome.num_failed,
    )


def _scan(job: TagJob) -> Scan:
    """The pictures of the job, all or those that it names."""
    if job.edits == Path() and job.recursive:
        concept = Concept(folder=job.folder, include_subfolders=True)
        scan = scan_dataset(Dataset((concept,), {}), caption_extension=job.caption_extension)
    else:
        scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    if not job.images:
        return scan
    wanted = set(job.images)
    records = tuple(record for record in scan.records if record.path in wanted)
    problems = tuple(problem for problem in scan.problems if problem.path in wanted)
    if not records and not problems:
        raise UserError(
            "The chosen pictures are not in {folder} any more.",
            remedy="Open the folder again, then start once more.",
            folder=job.folder,
        )
    return dataclasses.replace(scan, records=records, problems=problems)


def _told(plan: CaptionPlan, seen: Seen | None, planner: Planner) -> Iterator[Event]:
    """What is said about a picture once its plan is made."""
    record = plan.record
    if plan.outcome != "failed":
        tags = choose_tags(seen.tags, planner.options_for(record)) if seen is not None else []
        yield PictureTagged(
            image=record.path,
            caption=plan.caption,
            outcome=plan.outcome,
            tags=tuple((tag.name, tag.score, tag.category) for tag in tags),
            sentence=seen.sentence if seen is not None else "",
        )
    if plan.problem:
        level: Literal["info", "warning"] = "warning" if plan.outcome == "failed" else "info"
        yield Notice(level=level, message=plan.problem, image=record.path)


class _Looked(NamedTuple):
    """How looking ended: whether it was stopped before all were known, and whether the store has what was seen."""

    is_stopped: bool
    is_kept: bool = True


def _look(
    records: list[ImageRecord], planner: Planner, options: TagOptions, plans: list[CaptionPlan], control: Control
) -> Generator[Event, None, _Looked]:
    """Look at pictures with the models that the template asks for, one model after the other, and plan their captions.

    Of the pictures that the first of two models saw only the packed form is kept until the second one saw them; behind
    that only the plans.

    Raises:
        UserError: A model is missing, of the wrong kind or damaged.
    """
    tagged: dict[Path, bytes] = {}

    def fail(record: ImageRecord, error: UserError) -> Iterator[Event]:
        plans.append(planner.failed(record, sentences(error.message, error.remedy)))
        return _told(plans[-1], None, planner)

    def take_tags(record: ImageRecord, seen: Seen | UserError) -> Iterable[Event]:
        if isinstance(seen, UserError):
            return fail(record, seen)
        tagged[record.path] = packed(seen)
        return ()

    def take(record: ImageRecord, seen: Seen | UserError) -> Iterable[Event]:
        if isinstance(seen, UserError):
            return fail(record, seen)
        if record.path in tagged:
            seen = joined(unpacked(tagged.pop(record.path)), seen)
        plans.append(planner.plan(record, seen))
        return _told(plans[-1], seen, planner)

    if options.wants_sentence and options.captioner == Path():
        raise UserError(
            "The captions are to hold sentences, but no sentence model is chosen.",
            remedy="Choose a sentence model, or a form of caption that has only tags.",
        )
    folder = STARTER_TAGGER if options.tagger == Path() else options.tagger
    # Before the first look: what a store remembers of the wrong kind of model would make captions of nothing.
    if options.wants_tags:
        _check_kind(folder, "tags")
    if options.wants_sentence:
        _check_kind(options.captioner, "sentence")
    looked = _Looked(is_stopped=False)
    if options.wants_tags:
        looked = yield from _look_with(folder, records, take_tags if options.wants_sentence else take, control)
        if options.wants_sentence:
            records = [record for record in records if record.path in tagged]
    if options.wants_sentence and not looked.is_stopped:
        stopped, is_kept = yield from _look_with(options.captioner, records, take, control)
        looked = _Looked(stopped, looked.is_kept and is_kept)
    return looked


def _look_with(
    folder: Path, records: list[ImageRecord], take: _Take, control: Control
) -> Generator[Event, None, _Looked]:
    """Look at pictures with the model of a folder; a store that cannot be used is told at the end."""
    with ScoreStore.open(folder) as store:
        is_stopped = yield from _look_at_all(store, folder, records, take, control)
        if store.problem:
            yield Notice(level="warning", message=store.problem)
        return _Looked(is_stopped, is_kept=not store.problem)


def _look_at_all(
    store: ScoreStore, folder: Path, records: list[ImageRecord], take: _Take, control: Control
) -> Generator[Event, None, bool]:
    """Look at pictures with the model of a folder, which is loaded only if it has not seen all of them before.

    Returns:
        Whether it was stopped before the last one.
    """
    begun, done = time.monotonic(), 0

    def progress() -> StageProgress:
        nonlocal done
        done += 1
        return StageProgress(stage="tag", done=done, total=len(records), elapsed_s=time.monotonic() - begun)

    unknown: list[ImageRecord] = []
    rest = iter(records)
    while batch := list(islice(rest, _AT_ONCE)):
        known = store.get(batch)
        if known and not done:
            yield StageStarted(stage="tag", total=len(records))
        for record in batch:
            if control.stop_requested:
                return True
            if record.path in known:
                yield from take(record, known[record.path])
                yield progress()
            else:
                unknown.append(record)
    if not unknown:
        return control.stop_requested
    yield StageStarted(stage="load")
    tagger = load_tagger(folder)
    yield Notice(message=tr("Tagging on {device}.", device=tagger.device))
    if tagger.note:
        yield Notice(message=tagger.note)
    yield StageStarted(stage="tag", total=len(records))
    if not done:
        begun = time.monotonic()
    keeper = _Keeper(store)
    try:
        with closing(_seen(unknown, tagger)) as pictures:
            for record, seen in pictures:
                if control.stop_requested:
                    return True
                if not isinstance(seen, UserError):
                    keeper.put(record, seen)
                yield from take(record, seen)
                yield progress()
    finally:
        keeper.flush()
        store.finish()
    return control.stop_requested


def _check_kind(folder: Path, gives: Literal["tags", "sentence"]) -> None:
    """Refuse a tagger where a sentence model is wanted, and the other way round; a folder without either is told later.

    Raises:
        UserError: The folder holds the other kind of model.
    """
    kind = kind_of(folder)
    if kind is None or kind.gives == gives:
        return
    if gives == "tags":
        raise UserError(
            "The model in {folder} writes sentences, not tags.",
            remedy="Choose it as the sentence model, and another one as the tagger.",
            folder=folder,
        )
    raise UserError(
        "The model in {folder} gives tags, not sentences.",
        remedy="Choose it as the tagger, and another one as the sentence model.",
        folder=folder,
    )


def _seen(records: list[ImageRecord], tagger: Tagger) -> Generator[tuple[ImageRecord, Seen | UserError], None, None]:
    """What a model sees in pictures, in their order. Decoding, resizing and inference of several batches run at once.

    A picture that cannot be read has its error.
    """

    def look(batch: list[ImageRecord]) -> list[Seen | UserError]:
        unreadable: dict[int, UserError] = {}
        seen = iter(tagger.look(_opened(batch, unreadable)))
        return [unreadable[index] if index in unreadable else next(seen) for index in range(len(batch))]

    batches = (records[start : start + tagger.batch_size] for start in range(0, len(records), tagger.batch_size))
    with closing(in_order(look, batches, workers=tagger.parallel_calls)) as looked_at:
        for batch, seen in looked_at:
            yield from zip(batch, seen.result(), strict=True)


def _opened(records: list[ImageRecord], unreadable: dict[int, UserError]) -> Iterator[Image]:
    """The pictures, one decoded at a time; those that cannot be read go into the dictionary by their place."""
    for index, record in enumerate(records):
        try:
            yield load_image(record)
        except UserError as error:
            unreadable[index] = error


class _Keeper:
    """Puts what was seen into the store, some pictures at a time: each transaction waits for the disk."""

    def __init__(self, store: ScoreStore) -> None:
        self._store = store
        self._waiting: list[tuple[ImageRecord, Seen]] = []
        self._kept_at = time.monotonic()

    def put(self, record: ImageRecord, seen: Seen) -> None:
        """Keep what was seen in a picture, now or in a moment."""
        self._waiting.append((record, seen))
        if len(self._waiting) >= _KEPT_EVERY or time.monotonic() - self._kept_at >= _KEPT_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Keep all that is waiting."""
        self._store.put(self._waiting)
        self._waiting.clear()
        self._kept_at = time.monotonic()
