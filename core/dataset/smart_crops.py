"""What smart crops keep whole, for jobs: as it was measured before, or measured now."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path

from core.control import Control
from core.dataset.checking import known_facts, measured
from core.dataset.edits import Fit
from core.dataset.geometry import Box
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
    facts, stamps = known_facts(record.path for record in records)
    missing = [path for path in stamps if path not in facts]
    if missing:
        yield StageStarted(stage="check", total=len(missing))
        begun, done = time.monotonic(), 0
        for batch in measured(missing, stamps, control):
            facts.update(batch)
            done += len(batch)
            yield StageProgress(stage="check", done=done, total=len(missing), elapsed_s=time.monotonic() - begun)
    return {path: found.subject for path, found in facts.items()}
