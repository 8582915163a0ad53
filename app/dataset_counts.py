"""The numbers over the grid: how many pictures there are of each kind, and the dataset in one line."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from app.grid_filter import Only
from app.widgets.item_models import is_captioned
from core.dataset.records import Scan
from core.dataset.statistics import repeats_per_epoch
from core.text import tr


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures each of the usual questions finds, and what follows from that."""

    of: dict[Only, int]
    needs_captions: bool
    summary: str


def count(scan: Scan, repeats: int, to_look_at: Container[Path]) -> Counts:
    """Count the pictures of a dataset.

    Args:
        scan: The pictures and what was decided about them.
        repeats: As set by the user; 0 when chosen by the number of pictures.
        to_look_at: The pictures that something is wrong with, beyond what is good to know.
    """
    uncaptioned = problems = excluded = 0
    for record in scan.records:
        is_out = record.path in scan.pictures and scan.pictures[record.path].excluded
        excluded += is_out
        uncaptioned += not is_captioned(record)
        problems += record.path in to_look_at or (bool(record.caption_problem) and not is_out)
    of: dict[Only, int] = {
        "all": len(scan.records),
        "uncaptioned": uncaptioned,
        "problems": problems,
        "excluded": excluded,
    }
    return Counts(of, needs_captions(scan), summary(scan, repeats))


def needs_captions(scan: Scan) -> bool:
    """Whether a picture that is trained has no words. Those of the class alone, or with class words, need no more."""
    return any(
        not (
            is_captioned(record) or record.is_regularization or record.class_tokens or scan.edits(record.path).excluded
        )
        for record in scan.records
    )


def summary(scan: Scan, repeats: int = 0) -> str:
    """Pictures, sizes and repeats of a dataset in one line.

    Args:
        scan: What is in the folders.
        repeats: As set by the user; 0 when chosen by the number of pictures.
    """
    records = scan.records
    if not records:
        return tr("No pictures")
    used = [(record, edits) for record in records if not (edits := scan.edits(record.path)).excluded]
    parts = [tr("{n} pictures", n=len(records)) if len(records) != 1 else tr("1 picture")]
    if len(used) < len(records):
        parts.append(tr("{n} left out", n=len(records) - len(used)))
    captioned = sum(is_captioned(record) for record in records)
    if captioned in (0, len(records)):
        parts.append(tr("all with captions") if captioned else tr("no captions yet"))
    else:
        parts.append(tr("{n} with captions", n=captioned))
    sizes = sorted({record.size_px for record in records}, key=lambda size: (size[0] * size[1], size))
    small, large = (f"{width} × {height}" for width, height in (sizes[0], sizes[-1]))
    parts.append(f"{small} px" if small == large else tr("{small} to {large} px", small=small, large=large))
    named = sorted({(record.path.parent.name, record.repeats) for record in records if record.repeats})
    parts += [tr("{folder}: {n}× per epoch", folder=folder, n=number) for folder, number in named[:3]]
    if not named and used:
        parts.append(tr("each {n}× per epoch", n=repeats_per_epoch(used, repeats)[0]))
    return " · ".join(parts)
