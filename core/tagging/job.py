"""The job that tags a folder: look at every picture, write its caption beside it."""

from __future__ import annotations

import errno
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from core.control import Control
from core.dataset.caption_ending import refuse_pictures
from core.dataset.captions import bytes_of, decode_caption
from core.dataset.images import load_image
from core.dataset.parallel import in_order
from core.dataset.records import ImageRecord
from core.dataset.scan import scan_job, usable
from core.errors import UserError, explain
from core.events import Event, Finished, JobStarted, Notice, PictureTagged, StageProgress, StageStarted
from core.files import write_text
from core.paths import STARTER_TAGGER
from core.tagging.backup import CaptionBackup
from core.tagging.base import ScoredTag, Tagger, load_tagger
from core.tagging.choice import choose_tags, compose
from core.text import tr

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.jobs import TagJob, TagOptions


def tag_folder(job: TagJob, control: Control) -> Iterator[Event]:
    """Tag every picture of a folder; captions are written one by one, each complete or not at all.

    With `on_existing="keep"` pictures that have a caption are not even opened; an empty caption file counts as none. A
    picture that cannot be read is named in a `Notice`, and the job goes on. `Finished.output` is the backup for
    `undo_tagging`, or None when no caption was written.

    Raises:
        UserError: No usable picture, no usable tagger, or captions cannot be written there.
    """
    started = time.monotonic()
    options = job.options
    scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    records = usable(scan)
    yield JobStarted(job="tag", num_images=len(records))
    for problem in scan.problems:
        yield Notice(level="warning", message=f"{problem.message} {problem.remedy}", image=problem.path)
    waiting: list[ImageRecord] = []
    for record in _one_per_caption(records):
        if options.on_existing == "keep" and record.caption:
            yield PictureTagged(image=record.path, caption=record.caption, written=False)
        elif options.on_existing == "keep" and record.caption is None and record.caption_problem:
            yield _left_alone(record, record.caption_problem)
        else:
            waiting.append(record)
    stopped = False
    with CaptionBackup() as backup:
        if waiting:
            for folder in dict.fromkeys(record.caption_path.parent for record in waiting):
                _check_writable(folder)
            yield StageStarted(stage="load")
            tagger = load_tagger(STARTER_TAGGER if options.tagger == Path() else options.tagger)
            yield Notice(message=tr("Tagging on {device}.", device=tagger.device))
            try:
                stopped = yield from _tag(waiting, tagger, options, backup, control)
            except UserError:
                if backup.path is not None:
                    yield Notice(message=tr("What the captions were before is kept in {file}.", file=backup.path))
                raise
        else:
            yield Notice(message=tr("All pictures have a caption already; nothing was changed."))
    yield Finished(output=backup.path, stopped=stopped, elapsed_s=time.monotonic() - started)


def _tag(
    records: list[ImageRecord], tagger: Tagger, options: TagOptions, backup: CaptionBackup, control: Control
) -> Generator[Event, None, bool]:
    """Tag the pictures in their order; returns whether it was stopped before the last one."""
    least_score = min(options.threshold, options.character_threshold)

    def look(batch: list[ImageRecord]) -> list[list[ScoredTag] | UserError]:
        unreadable: dict[int, UserError] = {}
        scored = iter(tagger.tag(_opened(batch, unreadable), least_score=least_score))
        return [unreadable[index] if index in unreadable else next(scored) for index in range(len(batch))]

    yield StageStarted(stage="tag", total=len(records))
    begun, done = time.monotonic(), 0
    batches = (records[start : start + tagger.batch_size] for start in range(0, len(records), tagger.batch_size))
    # Decoding, resizing and inference of several batches run at once; only the writing happens here, one by one.
    with closing(in_order(look, batches, workers=tagger.parallel_calls)) as looked_at:
        for batch, seen in looked_at:
            for record, outcome in zip(batch, seen.result(), strict=True):
                if control.stop_requested:
                    return True
                if isinstance(outcome, UserError):
                    yield Notice(level="warning", message=f"{outcome.message} {outcome.remedy}", image=record.path)
                else:
                    yield _write(record, outcome, options, backup)
                done += 1
                elapsed_s = time.monotonic() - begun
                yield StageProgress(stage="tag", done=done, total=len(records), elapsed_s=elapsed_s)
    return False


def _one_per_caption(records: tuple[ImageRecord, ...]) -> list[ImageRecord]:
    """Without the pictures whose caption belongs to another one too, which the scan has told."""
    first: dict[Path, ImageRecord] = {}
    for record in records:
        first.setdefault(record.caption_path, record)
    return list(first.values())


def _opened(records: list[ImageRecord], unreadable: dict[int, UserError]) -> Iterator[Image]:
    """The pictures, one decoded at a time; those that cannot be read go into the dictionary by their place."""
    for index, record in enumerate(records):
        try:
            yield load_image(record)
        except UserError as error:
            unreadable[index] = error


def _write(record: ImageRecord, scored: list[ScoredTag], options: TagOptions, backup: CaptionBackup) -> Event:
    """Write one caption; the file is read once more, because somebody may have edited it since the scan."""
    path = record.caption_path
    refuse_pictures(path)
    options = options.model_copy(update={"trigger_word": _trigger_word(record, options)})
    try:
        before = bytes_of(path)
        old, problem = ("", "") if before is None else decode_caption(before, path.name)
        if old is None and options.on_existing != "replace":
            return _left_alone(record, problem)
        caption = compose(choose_tags(scored, options), old or "", options)
        if not caption:
            message = tr("No tag of {name} reached the threshold; it has no caption.", name=record.path.name)
            return Notice(level="warning", message=message, image=record.path)
        if before == caption.encode():
            return PictureTagged(image=record.path, caption=caption, written=False)
        if old and options.on_existing == "keep":
            return PictureTagged(image=record.path, caption=old, written=False)
        backup.keep(path, before, caption.encode())
        write_text(path, caption)
    except PermissionError as error:  # One file that another program holds; the folder itself was tried before.
        message = tr("The caption {name} could not be written: {error}.", name=path.name, error=error.strerror)
        return Notice(level="warning", message=message, image=record.path)
    except OSError as error:
        raise explain(error) or error from error
    return PictureTagged(image=record.path, caption=caption)


def _trigger_word(record: ImageRecord, options: TagOptions) -> str:
    """The trigger word of the picture's folder, else that of the options; none for regularization pictures.

    Those show what the words meant before, which is what `core.training.data.full_caption` trains them as.
    """
    return "" if record.is_regularization else record.trigger_word or options.trigger_word


def _left_alone(record: ImageRecord, problem: str) -> Notice:
    message = problem + " " + tr("It was left as it is.")
    return Notice(level="warning", message=message, image=record.path)


def _check_writable(folder: Path) -> None:
    """Find out before the first picture is looked at whether captions can be written to a folder."""
    probe = folder / f".kiln-{secrets.token_hex(6)}.probe"
    try:
        write_text(probe, "")
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise explain(error) or error from error
        raise UserError(
            "Captions cannot be written to {folder}.",
            remedy="Copy the pictures to a folder that you may write to, for example in your documents.",
            folder=folder,
        ) from error
