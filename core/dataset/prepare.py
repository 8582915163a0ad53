"""The job that writes fitted copies of a folder of pictures, with their captions, to another folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from core.control import Control
from core.dataset.fitting import FitOptions, FitPlan, fit_image, plans_of
from core.dataset.images import load_image
from core.dataset.parallel import in_order, num_cores
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import repeats_of, scan_job, usable
from core.dataset.smart_crops import smart_records, subjects_of
from core.errors import UserError, explain
from core.events import Event, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.files import replacing, write_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.jobs import PrepareJob

_NOT_COUNTED = frozenset({".ds_store", "thumbs.db", "desktop.ini"})  # What systems leave in folders that people open.


def prepare_folder(job: PrepareJob, control: Control) -> Iterator[Event]:
    """Write every picture that is not left out, or each of its crops, at its training size, and its caption.

    Pictures of a folder named like `10_name` go to a folder of that name. The sources are only read. A picture that
    cannot be used is named in a `Notice`, and the job goes on. `Finished.output` is the target.

    Raises:
        UserError: No usable picture; the target is in use, lies badly, or cannot be written.
    """
    started = time.monotonic()
    scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    records = usable(scan)
    target = _target(job, scan)
    yield JobStarted(job="prepare", num_images=len(records))
    for problem in scan.problems:
        yield Notice(level="warning", message=f"{problem.message} {problem.remedy}".strip(), image=problem.path)
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
    items = _places([(record, plans(record)) for record in records], target, job.format)
    with closing(in_order(copy, items, workers=num_cores())) as copies:  # Closed, no copy is under way any more.
        for done, ((record, _), copied) in enumerate(copies, start=1):
            try:
                copied.result()
            except UserError as error:
                yield Notice(level="warning", message=f"{error.message} {error.remedy}", image=record.path)
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


def _target(job: PrepareJob, scan: Scan) -> Path:
    """The target folder, made if need be and empty."""
    target = job.target.resolve()
    for source in {job.folder.resolve(), *(record.path.parent.resolve() for record in scan.records)}:
        if source == target:
            raise UserError(
                "The prepared pictures cannot go into the folder of the originals.",
                remedy="Choose a new, empty folder for them.",
            )
        if target.parent == source and repeats_of(target.name):
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


def _places(
    plans: Iterable[tuple[ImageRecord, tuple[FitPlan, ...]]], target: Path, extension: str
) -> Iterator[tuple[ImageRecord, list[tuple[FitPlan, Path]]]]:
    """Where each copy goes. `a.jpg` and `a.png` become `a.png` and `a_2.png`, also where case makes no difference."""
    taken: set[str] = set()
    for record, parts in plans:
        # Also when the source itself is named like 10_name: so its copies keep their repeats.
        parent = record.path.parent.absolute().name
        folder = target / parent if record.repeats and repeats_of(parent) else target
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
