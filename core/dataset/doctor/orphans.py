"""Captions without a picture in all folders of a dataset, each of which may have an ending of its own for captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.dataset.doctor.captions import orphan_captions
from core.dataset.edits import Concept
from core.dataset.records import Scan


def orphans_of(scan: Scan, concepts: Sequence[Concept], caption_extension: str = ".txt") -> list[Path]:
    """Captions without a picture in all folders that have pictures, each with the ending of its concept.

    Args:
        scan: The pictures.
        concepts: The folders that were scanned.
        caption_extension: Ending of the caption files where a concept does not name its own, with its dot.
    """
    folders: dict[Path, str] = {}
    for record in scan.records:
        if record.concept < len(concepts):  # The window may have fewer by now than were scanned.
            folders.setdefault(record.path.parent, concepts[record.concept].caption_extension or caption_extension)
    return [
        orphan
        for ending in dict.fromkeys(folders.values())
        for orphan in orphan_captions([folder for folder, its in folders.items() if its == ending], ending)
    ]
