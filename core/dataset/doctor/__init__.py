"""The dataset doctor: looks at what was scanned and measured, and says what is wrong and what would mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.dataset.doctor.captions import caption_findings, orphan_captions, orphan_findings
from core.dataset.doctor.findings import (
    PROBLEMS,
    DoctorOptions,
    Finding,
    Fix,
    Kind,
    ProblemCode,
    Severity,
)
from core.dataset.doctor.likeness import likeness_findings
from core.dataset.doctor.pictures import file_findings, picture_findings
from core.dataset.doctor.whole_set import whole_set_findings
from core.dataset.facts import ImageFacts
from core.dataset.records import ImageRecord, Problem

__all__ = [
    "PROBLEMS",
    "DoctorOptions",
    "Finding",
    "Fix",
    "Kind",
    "ProblemCode",
    "Severity",
    "examine",
    "orphan_captions",
]

_ORDER = {code: place for place, code in enumerate(PROBLEMS)}


def examine(
    records: Sequence[ImageRecord],
    problems: Sequence[Problem],
    facts: Mapping[Path, ImageFacts],
    options: DoctorOptions,
    orphans: Sequence[Path] = (),
) -> list[Finding]:
    """Judge a dataset. No file is touched, and nothing is measured.

    Args:
        records: The scanned pictures; those that are left out are not judged.
        problems: What the scan had to say.
        facts: Measured facts by path, also of files in `problems`; pictures without are judged by their record alone.
        options: What the pictures are for, and what was decided about them.
        orphans: Caption files without a picture; see `orphan_captions`.

    Returns:
        The findings in the order of `PROBLEMS`, within a problem in that of the records.
    """
    used = [record for record in records if not options.edits(record.path).excluded]
    problems = [problem for problem in problems if not options.edits(problem.path).excluded]
    found = file_findings(used, problems, facts)
    # What cannot be decoded has no facts to judge by, and no other fault matters until it is out.
    sound = [record for record in used if record.path not in facts or not facts[record.path].error]
    measured = [(record, facts[record.path]) for record in sound if record.path in facts]
    found += picture_findings(sound, facts, options)
    found += likeness_findings(measured, options)
    found += caption_findings(sound, options)
    found += orphan_findings(orphans)
    found += whole_set_findings(sound, facts, options)
    return sorted(found, key=lambda one: _ORDER[one.problem])
