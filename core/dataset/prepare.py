"""The job that writes fitted copies of a folder of pictures, with their captions, to another folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.model import DatasetConfig
from core.control import Control
from core.dataset.buckets import assign, fit_image, training_sizes
from core.dataset.images import load_image
from core.dataset.parallel import in_order, num_cores
from core.dataset.records import ImageRecord
from core.dataset.scan import repeats_of, scan_folder, usable
from core.errors import UserError, explain
from core.events import Event, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.files import replacing, write_text

if TYPE_CHECKING:
    from core.jobs import PrepareJob

_NOT_COUNTED = frozenset({".ds_store", "thumbs.db", "desktop.ini"})  # What systems leave in folders that people open.


def prepare_folder(job: PrepareJob, control: Control) -> Iterator[Event]:
    """Write every usable picture as PNG at its training size, and its caption, to `job.target`.

    Pictures of a folder named like `10_name` go to a folder of that name. The sources are only read. A picture that
    cannot be used is named in a `Notice`, and the job goes on. `Finished.output` is the target.

    Raises:
        UserError: No usable picture; the target is in use, lies badly, or cannot be written.
    """
    started = time.monotonic()
    scan = scan_folder(job.folder)
    records = usable(scan)
    target = _target(job)
    yield JobStarted(job="prepare", num_images=len(records))
    for problem in scan.problems:
        yield Notice(level="warning", message=f"{problem.message} {problem.remedy}", image=problem.path)
    buckets = training_sizes(job.resolution, job.fit, job.bucket_step, DatasetConfig().max_aspect)

    def copy(plan: tuple[ImageRecord, Path]) -> None:
        record, place = plan
        image = load_image(record)
        with replacing(place) as temporary:
            fit_image(image, assign(image.size, buckets)).save(temporary, format="PNG", compress_level=4)
        if record.caption:
            write_text(place.with_suffix(".txt"), record.caption)

    yield StageStarted(stage="prepare", total=len(records))
    begun = time.monotonic()
    plans = zip(records, _places(records, target), strict=True)
    with closing(in_order(copy, plans, workers=num_cores())) as copies:  # Closed, no copy is under way any more.
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


def _target(job: PrepareJob) -> Path:
    """The target folder, made if need be and empty."""
    source, target = job.folder.resolve(), job.target.resolve()
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


def _places(records: tuple[ImageRecord, ...], target: Path) -> Iterator[Path]:
    """Where each copy goes. `a.jpg` and `a.png` become `a.png` and `a_2.png`, also where case makes no difference."""
    taken: set[Path] = set()
    for record in records:
        # Also when the source itself is named like 10_name: so its copies keep their repeats.
        folder = target / record.path.parent.absolute().name if record.repeats else target
        for number in count(1):
            name = record.path.stem if number == 1 else f"{record.path.stem}_{number}"
            place = folder / f"{name}.png"
            if (key := Path(str(place).casefold())) not in taken:
                taken.add(key)
                yield place
                break
