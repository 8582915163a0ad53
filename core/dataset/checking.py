"""The job that measures all pictures of a dataset, so that the doctor can judge them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.control import Control
from core.dataset.facts import ImageFacts, measure
from core.dataset.facts_cache import Stamp, get_many, put_many, stamp_of
from core.dataset.parallel import in_order, num_cores
from core.dataset.scan import scan_job
from core.events import Event, Finished, JobStarted, PicturesMeasured, StageProgress, StageStarted

if TYPE_CHECKING:
    from core.jobs import CheckJob

_BATCH_S = 0.1
_BATCH = 200


def check_folder(job: CheckJob, control: Control) -> Iterator[Event]:
    """Measure the pictures of a dataset, those that are left out and files that cannot be read among them.

    What is known from earlier comes at once, the rest as it is measured. Nothing is written but what is remembered for
    the next time. A stop leaves what has been measured.

    Raises:
        UserError: The folder or the dataset file cannot be read.
    """
    started = time.monotonic()
    paths = list(job.images) if job.images else _paths_of(job)
    yield JobStarted(job="check", num_images=len(paths))
    yield StageStarted(stage="check", total=len(paths))
    known, stamps = known_facts(paths)
    done = 0
    remembered = list(known.items())
    for start in range(0, len(remembered), _BATCH):
        batch = remembered[start : start + _BATCH]
        done += len(batch)
        yield _measured(batch)
    if known:
        yield _progress(done, len(paths), started)
    rest = [path for path in paths if path not in known]
    for batch in measured(rest, stamps, control):
        done += len(batch)
        yield _measured(batch)
        yield _progress(done, len(paths), started)
    yield Finished(stopped=done < len(paths), elapsed_s=time.monotonic() - started)


def _paths_of(job: CheckJob) -> list[Path]:
    scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    damaged = (problem.path for problem in scan.problems if problem.excludes)
    return list(dict.fromkeys((*(record.path for record in scan.records), *damaged)))


def known_facts(paths: Iterable[Path]) -> tuple[dict[Path, ImageFacts], dict[Path, Stamp]]:
    """What is remembered of files, and the present stamps of those that are there, for `measured`."""
    stamps = {path: stamp for path in paths if (stamp := stamp_of(path)) is not None}
    return get_many(stamps), stamps


def measured(
    paths: Sequence[Path], stamps: Mapping[Path, Stamp], control: Control
) -> Iterator[list[tuple[Path, ImageFacts]]]:
    """Measure files on all cores and remember what was found.

    Batches are handed over when there are many or some time has passed; a wish to stop ends with the batch at hand.

    Args:
        paths: What to measure.
        stamps: From `known_facts`, taken before.
        control: Where the wish arrives.
    """
    for batch in _batches(paths, control):
        put_many((path, stamps[path], facts) for path, facts in batch if path in stamps)
        yield batch


def _batches(paths: Sequence[Path], control: Control) -> Iterator[list[tuple[Path, ImageFacts]]]:
    batch: list[tuple[Path, ImageFacts]] = []
    handed_over = time.monotonic()
    with closing(in_order(measure, paths, workers=num_cores())) as results:
        for path, result in results:
            batch.append((path, result.result()))
            if len(batch) >= _BATCH or time.monotonic() - handed_over >= _BATCH_S or control.stop_requested:
                yield batch
                batch, handed_over = [], time.monotonic()
                if control.stop_requested:
                    return
    if batch:
        yield batch


def _measured(batch: Sequence[tuple[Path, ImageFacts]]) -> PicturesMeasured:
    entries: list[dict[str, Any]] = [{"path": str(path), **facts.to_json()} for path, facts in batch]
    return PicturesMeasured(facts=tuple(entries))


def _progress(done: int, total: int, started: float) -> StageProgress:
    return StageProgress(stage="check", done=done, total=total, elapsed_s=time.monotonic() - started)
