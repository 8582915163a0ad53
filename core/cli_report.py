"""The command `kiln report`: one zip about a problem, without names of people, pictures and folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli_words import Parser, here
from core.console import Reporter
from core.report import collect, file_name, save
from core.run_folder import RunFolder
from core.text import tr


def add_report(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln report` and its options."""
    report = verbs.add_parser("report", help=tr("write a report of a problem, without personal names, to send on"))
    report.add_argument(
        "run", type=Path, nargs="?", metavar="RUN", help=tr("output folder or run folder; without one, of Kiln itself")
    )
    report.add_argument("--output", type=Path, metavar="FILE.zip", help=tr("without it, in the current folder"))
    report.add_argument(
        "--with-names", action="store_true", help=tr("leave names of pictures, prompts and captions in")
    )


def write_report(options: argparse.Namespace, reporter: Reporter) -> None:
    """Write the report and say where it is and what it holds.

    Raises:
        UserError: There is no such run.
        OSError: It cannot be written there.
    """
    run = RunFolder.find(here(options.run)) if options.run else None
    parts = collect(run, with_names=options.with_names)
    target = here(options.output) if options.output else Path.cwd() / file_name()
    save(parts, target)
    reporter.say(tr("The report is in {path}.", path=target))
    reporter.say(tr("It holds {parts}. Look into it before you send it on.", parts=", ".join(p.name for p in parts)))
