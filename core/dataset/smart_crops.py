"""What smart crops keep whole, for jobs: as it was measured before, or measured now."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from core.control import Control
from core.dataset.edits import Fit
from core.dataset.facts import ImageFacts, measure
from core.dataset.facts_cache import get_many, put_many, stamp_of
from core.dataset.geometry import Box
from core.dataset.parallel import in_order, num_cores
from core.dataset.records import ImageRecord, Scan
from core.events import Event, StageProgress, StageStarted


def smart_records(scan: Scan, fit: Fit) -> list[ImageRecord]:
    """The pictures that are cropped around their subject, when `fit` is the fit of the run."""
    edited = ((record, scan.edits(record.path)) for record in scan.records)
    return [record for record, edits in edited if not edits.excluded and (edits.fit or fit) == "smart"]


def subjects_of(records: Sequence[ImageRecord], control: Control) -> Generator[Event, None, dict[Path, Box | None]]:
    """Find the subjects of some pictures, on all cores; what was found before is taken from the cache.

    Returns:
        The box of each picture's subject, None where nothing stands out or the picture cannot be read. After a stop,
        only those that were found until then.
    """
    stamps = {record.path: stamp for record in records if (stamp := stamp_of(record.path)) is not None}
    facts = get_many(stamps)
    missing = [path for path in stamps if path not in facts]
    if missing:
        yield StageStarted(stage="check", total=len(missing))
        begun = time.monotonic()
        measured: dict[Path, ImageFacts] = {}
        with closing(in_order(measure, missing, workers=num_cores())) as measuring:
            for done, (path, result) in enumerate(measuring, start=1):
                measured[path] = result.result()
                yield StageProgress(stage="check", done=done, total=len(missing), elapsed_s=time.monotonic() - begun)
                if control.stop_requested:
                    break
        put_many((path, stamps[path], found) for path, found in measured.items())
        facts |= measured
    return {path: found.subject for path, found in facts.items()}
