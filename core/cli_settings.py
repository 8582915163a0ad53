"""The command `kiln settings`: what another program's settings mean in Kiln, and the way back to kohya's scripts."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from core.cli_words import Parser, here
from core.config import TrainConfig, load_config, save_config, with_values
from core.console import Reporter
from core.dataset.edits import save_dataset
from core.errors import UserError
from core.imports import (
    Imported,
    OwnSettingsError,
    apply,
    dataset_file,
    read_settings,
    rerooted,
    save_kohya,
    source_title,
)
from core.text import tr

_WIDEST_VALUE = 40
"""Longer values are cut on a terminal."""


def add_settings(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln settings` and its options."""
    settings = verbs.add_parser("settings", help=tr("bring settings of another program over, or take Kiln's along"))
    settings.add_argument(
        "file", type=Path, metavar="FILE", help=tr("settings of another program, a LoRA file, or settings of Kiln")
    )
    settings.add_argument("--to", type=Path, metavar="CONFIG.toml", help=tr("write them as settings of Kiln"))
    settings.add_argument(
        "--kohya", type=Path, metavar="OUT.toml", help=tr("write them as settings of kohya's scripts")
    )
    settings.add_argument(
        "--root",
        nargs=2,
        type=Path,
        action="append",
        default=[],
        metavar=("OLD", "NEW"),
        help=tr("folder of the other machine, and the one that it is here; may be repeated"),
    )


def settings(options: argparse.Namespace, reporter: Reporter) -> None:
    """Show what a file means, and write what is asked for. Existing files stay as they are.

    Raises:
        UserError: The file holds no settings, or a file to write exists already.
    """
    path = here(options.file)
    targets = [here(target) for target in (options.to, options.kohya) if target is not None]
    for target in targets:
        if target.exists():
            raise UserError("{path} exists already.", remedy="Choose another name.", path=target)
    try:
        config = _imported(path, options, reporter)
    except OwnSettingsError:
        if not options.kohya:
            raise
        config = load_config(path)
    written: list[Path] = []
    if options.to:
        save_config(config, here(options.to))
        written.append(here(options.to))
    if options.kohya:
        written += save_kohya(config, here(options.kohya))
    for file in written:
        reporter.say(tr("Written: {path}", path=file))


def _imported(path: Path, options: argparse.Namespace, reporter: Reporter) -> TrainConfig:
    """Show what another program's file means; returns the settings that it makes."""
    imported = read_settings(path)
    for old, new in options.root:
        imported = rerooted(imported, old, here(new))
    _show(imported, reporter)
    config = apply(imported, TrainConfig())
    return _with_dataset_file(imported, config, here(options.to)) if options.to else config


def _with_dataset_file(imported: Imported, config: TrainConfig, target: Path) -> TrainConfig:
    """The settings with the file of their folders beside them, when they need one."""
    content = dataset_file(imported)
    if content is None:
        return config
    place = target.with_name(f"{target.stem}.dataset.json")
    if place.exists():
        raise UserError("{path} exists already.", remedy="Choose another name.", path=place)
    save_dataset(place, content)
    return with_values(config, {"dataset.edits": place})


def _show(imported: Imported, reporter: Reporter) -> None:
    if sys.stdout.isatty():
        _tell(imported, reporter)
        return
    for line in _lines(imported):
        print(json.dumps(line, default=str), flush=True)  # ASCII: a path may hold bytes that are no text.


def _lines(imported: Imported) -> list[dict[str, object]]:
    """One JSON object for each finding; the first tells what the file is."""
    lines: list[dict[str, object]] = [{"kind": "source", "source": imported.source, "file": imported.file}]
    lines += [
        {
            "kind": "mapped",
            "source_key": item.source_key,
            "value": _plain(item.value),
            "key": item.key,
            "new_value": item.new_value,
            "note": item.note,
            "is_assumed": item.is_assumed,
        }
        for item in imported.mapped
    ]
    lines += [
        {
            "kind": "ignored",
            "source_key": item.source_key,
            "value": _plain(item.value),
            "reason": item.reason,
            "is_harmless": item.is_harmless,
        }
        for item in imported.ignored
    ]
    lines += [{"kind": "path", "key": item.key, "path": item.path, "exists": item.exists} for item in imported.paths]
    return lines


def _plain(value: object) -> object:
    """A value as JSON has it, which knows no infinite numbers."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _tell(imported: Imported, reporter: Reporter) -> None:
    reporter.say(f"{source_title(imported.source)}: {imported.file}")
    reporter.say("\n" + tr("Taken over ({number})", number=len(imported.mapped)))
    rows = [
        (item.source_key, _cut(item.value) if not item.is_assumed else "", f"{item.key} = {_cut(item.new_value)}")
        for item in imported.mapped
    ]
    _table(rows, [item.note for item in imported.mapped], reporter)
    lost = [item for item in imported.ignored if not item.is_harmless]
    if lost:
        reporter.say("\n" + tr("Left out ({number})", number=len(lost)))
        _table([(item.source_key, _cut(item.value)) for item in lost], [item.reason for item in lost], reporter)
    if len(lost) < len(imported.ignored):
        number = len(imported.ignored) - len(lost)
        reporter.say(
            "\n"
            + tr("{number} more need nothing: they are empty or off, or Kiln does the same by itself.", number=number)
        )
    if missing := imported.missing:
        reporter.say("\n" + tr("Not on this machine ({number})", number=len(missing)))
        _table([(item.key, str(item.path)) for item in missing], ["" for _ in missing], reporter)


def _table(rows: Sequence[tuple[str, ...]], notes: list[str], reporter: Reporter) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row, note in zip(rows, notes, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        reporter.say(f"  {cells}".rstrip())
        if note:
            reporter.say(f"      {note}")


def _cut(value: object) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    words = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    words = words.replace("\n", " ")
    return words if len(words) <= _WIDEST_VALUE else words[: _WIDEST_VALUE - 1] + "…"
