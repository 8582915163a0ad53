"""The job that writes fitted copies of a folder of pictures, with their captions, to another folder."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from core.control import Control
from core.dataset.edits import Concept
from core.dataset.fitting import FitOptions, FitPlan, fit_image, plans_of
from core.dataset.images import load_image
from core.dataset.parallel import in_order, num_cores
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import MAX_REPEATS, concepts_of_job, repeats_of, scan_job, usable
from core.dataset.smart_crops import smart_records, subjects_of
from core.dataset.statistics import repeats_per_epoch
from core.errors import UserError, explain
from core.events import Event, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.files import replacing, write_text
from core.text import sentences

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.jobs import PrepareJob

_NOT_COUNTED = frozenset({".ds_store", "thumbs.db", "desktop.ini"})  # What systems leave in folders that people open.
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
_LONGEST_WORDS = 50


def prepare_folder(job: PrepareJob, control: Control) -> Iterator[Event]:
    """Write every picture that is not left out, or each of its crops, at its training size, and its caption.

    The copies of one plain folder lie in the target itself. Pictures with repeats of their own or of their folder go to
    a sub-folder like `10_name`, so that they keep them; of several folders all do, with the repeats that they would be
    trained with. The name is that of such a folder, else the class word, the trigger word, or the name of the folder.
    Regularization pictures go to such folders in `reg`, which is to be added as a folder of its own. The sources are
    only read. A picture that cannot be used is named in a `Notice`, and the job goes on. `Finished.output` is the
    target.

    Raises:
        UserError: No usable picture; the target is in use, lies badly, or cannot be written.
    """
    started = time.monotonic()
    scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    records = usable(scan)
    concepts = concepts_of_job(job.folder, job.edits)
    target = _target(job, scan, concepts)
    yield JobStarted(job="prepare", num_images=len(records))
    for problem in scan.problems:
        yield Notice(level="warning", message=sentences(problem.message, problem.remedy), image=problem.path)
    options = FitOptions.of(job)
    subjects = yield from subjects_of(smart_records(scan, job.fit), control)

    def plans(record: ImageRecord) -> tuple[FitPlan, ...]:
        return plans_of(record.size_px, options, scan.edits(record.path), subjects.get(record.path))

    def copy(item: tuple[ImageRecord, list[tuple[FitPlan, Path]]]) -> None:
        record, parts = item
        image = load_image(record)
        for plan, place in parts:
            with replacing(place) as temporary:
                _save(fit_image(image, plan), temporary, job)
            if record.caption and job.captions:
                write_text(place.with_suffix(job.caption_extension), record.caption)

    yield StageStarted(stage="prepare", total=len(records))
    begun = time.monotonic()
    done = 0
    folders = _folders(records, scan, concepts, target)
    planned = ((record, plans(record), folder) for record, folder in zip(records, folders, strict=True))
    items = _places(planned, job.format)
    with closing(in_order(copy, items, workers=num_cores())) as copies:  # Closed, no copy is under way any more.
        for done, ((record, _), copied) in enumerate(copies, start=1):
            try:
                copied.result()
            except UserError as error:
                yield Notice(level="warning", message=sentences(error.message, error.remedy), image=record.path)
            except OSError as error:
                raise explain(error) or error from error
            yield StageProgress(stage="prepare", done=done, total=len(records), elapsed_s=time.monotonic() - begun)
            if control.stop_requested:
                break
    yield Finished(output=target, stopped=done < len(records), elapsed_s=time.monotonic() - started)


def _save(image: Image, path: Path, job: PrepareJob) -> None:
    if job.format == "jpg":
        image.save(path, format="JPEG", quality=job.quality, subsampling=0)  # Coloured lines stay sharp.
    elif job.format == "webp":
        image.save(path, format="WEBP", quality=job.quality)
    else:
        image.save(path, format="PNG", compress_level=4)


def _target(job: PrepareJob, scan: Scan, concepts: Sequence[Concept]) -> Path:
    """The target folder, made if need be and empty."""
    target = job.target.resolve()
    deep = {concept.folder.resolve() for concept in concepts if concept.include_subfolders}
    sources = {concept.folder.resolve() for concept in concepts}
    for source in sources | {record.path.parent.resolve() for record in scan.records}:
        if source == target:
            raise UserError(
                "The prepared pictures cannot go into the folder of the originals.",
                remedy="Choose a new, empty folder for them.",
            )
        if (target.parent == source and repeats_of(target.name)) or (source in deep and source in target.parents):
            raise UserError(
                "{target} would become a part of the pictures in {source}.",
                remedy="Choose a new, empty folder outside of it.",
                target=target.name,
                source=source,
            )
    try:
        job.target.mkdir(parents=True, exist_ok=True)
        others = [name for name in os.listdir(job.target) if name.lower() not in _NOT_COUNTED]  # noqa: PTH208
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            "{folder} is a file, not a folder.", remedy="Choose a new, empty folder.", folder=job.target
        ) from error
    except OSError as error:
        raise explain(error) or error from error
    if others:
        raise UserError(
            "{target} is not empty; it holds {name}, for example.",
            remedy="Choose a new, empty folder, so that nothing of yours is overwritten.",
            target=job.target,
            name=min(others),
        )
    return job.target


def _folders(records: Sequence[ImageRecord], scan: Scan, concepts: Sequence[Concept], target: Path) -> list[Path]:
    """The folder that the copies of each picture go to."""
    decided = [(record, scan.edits(record.path)) for record in records]
    is_plain = not any(record.concept or record.is_regularization for record in records)
    if is_plain:
        repeats = [edits.repeats or record.repeats for record, edits in decided]
    else:
        repeats = [min(number, MAX_REPEATS) for number in repeats_per_epoch(decided, 0)]
    return [
        (target / "reg" if record.is_regularization else target) / _name(record, number, concepts[record.concept])
        if number
        else target
        for record, number in zip(records, repeats, strict=True)
    ]


def _name(record: ImageRecord, repeats: int, concept: Concept) -> str:
    """A folder's name by kohya's convention, with what it means for training."""
    parent = record.path.parent.absolute().name
    if repeats_of(parent) == (repeats, record.class_tokens):
        return parent
    words = record.class_tokens or concept.trigger_word or concept.folder.absolute().name
    return f"{repeats}_{_NOT_IN_NAMES.sub('_', words)[:_LONGEST_WORDS].strip(' .')}"


def _places(
    plans: Iterable[tuple[ImageRecord, tuple[FitPlan, ...], Path]], extension: str
) -> Iterator[tuple[ImageRecord, list[tuple[FitPlan, Path]]]]:
    """Where each copy goes. `a.jpg` and `a.png` become `a.png` and `a_2.png`, also where case makes no difference."""
    taken: set[str] = set()
    for record, parts, folder in plans:
        places = []
        for plan in parts:
            for number in count(1):
                name = record.path.stem if number == 1 else f"{record.path.stem}_{number}"
                place = folder / f"{name}.{extension}"
                if (key := str(place.with_suffix("")).casefold()) not in taken:
                    taken.add(key)
                    places.append((plan, place))
                    break
        yield record, places
