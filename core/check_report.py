"""The dataset doctor on the command line: findings as text on a terminal, as JSON lines in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from core.console import Reporter
from core.control import Control
from core.dataset.doctor import PROBLEMS, DoctorOptions, Finding, examine
from core.dataset.doctor.orphans import orphans_of
from core.dataset.facts import ImageFacts
from core.dataset.fitting import FitOptions
from core.dataset.scan import concepts_of_job, scan_job
from core.events import Event, Failed, Finished, PicturesMeasured
from core.jobs import CheckJob, run_to_end
from core.text import sentences, tr

MOST_NAMED = 20
"""So many files of one problem are named on a terminal."""


def check(job: CheckJob, fit: FitOptions, control: Control) -> Iterator[Event | Finding]:
    """What the doctor finds, after the events of measuring; then `Finished` or `Failed`.

    Args:
        job: The pictures.
        fit: What they are to be brought to: small pictures are judged by it.
        control: Where a wish to stop arrives; then nothing is judged.
    """
    facts: dict[Path, ImageFacts] = {}
    for event in run_to_end(job, control):
        if isinstance(event, PicturesMeasured):
            facts |= {Path(values["path"]): ImageFacts.from_json(values) for values in event.facts}
            continue
        if isinstance(event, Finished) and not event.stopped:
            yield from _findings(job, fit, facts)
        yield event


def _findings(job: CheckJob, fit: FitOptions, facts: dict[Path, ImageFacts]) -> list[Finding]:
    scan = scan_job(job.folder, job.edits, caption_extension=job.caption_extension)
    options = DoctorOptions(fit=fit, pictures=scan.pictures)
    orphans = orphans_of(scan, concepts_of_job(job.folder, job.edits), job.caption_extension)
    return examine(scan.records, scan.problems, facts, options, orphans)


def show(events: Iterable[Event | Finding], reporter: Reporter) -> tuple[bool, bool]:
    """Print findings, progress on a terminal only. Returns whether it failed, and whether it was stopped.

    In a pipe every line is a finding, so that a program need not tell lines apart; a failure is a line with `failed`.
    """
    live = sys.stdout.isatty()
    findings: list[Finding] = []
    failed = stopped = False
    for event in events:
        if isinstance(event, Finding):
            findings.append(event)
        elif isinstance(event, Failed):
            failed = True
            reporter.show(event)
        elif isinstance(event, Finished):
            stopped = event.stopped
        elif live:
            reporter.show(event)
    if not live:
        for finding in findings:
            print(_line(finding), flush=True)
    elif findings or not (failed or stopped):
        _tell(findings, reporter)
    return failed, stopped


def _line(finding: Finding) -> str:
    values = {
        "file": str(finding.path),
        "problem": finding.problem,
        "severity": finding.severity,
        "message": finding.message,
        "remedy": finding.remedy,
        "others": [str(path) for path in finding.others],
    }
    return json.dumps(values)  # ASCII: a file name may hold bytes that are no text.


def _tell(findings: list[Finding], reporter: Reporter) -> None:
    if not findings:
        reporter.say(tr("Nothing to mend: all pictures and captions are sound."))
    for problem, group in groupby(findings, key=lambda finding: finding.problem):
        members = list(group)
        reporter.say(f"\n{PROBLEMS[problem].title()} ({len(members)})")
        same_remedy = len(members) > 1 and len({finding.remedy for finding in members}) == 1
        for finding in members[:MOST_NAMED]:
            reporter.say("  " + (finding.message if same_remedy else sentences(finding.message, finding.remedy)))
        if len(members) > MOST_NAMED:
            reporter.say("  " + tr("and {number} more", number=len(members) - MOST_NAMED))
        if same_remedy:
            reporter.say(f"  → {members[0].remedy}")
