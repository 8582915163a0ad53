"""What `inspect` and `verify` found, as lines of text in the language in use."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.checkpoints.sources import family_title, part_title
from core.events import LoraReported
from core.text import tr

_WIDEST_VALUE = 90
_WIDEST_BAR = 24
_FORMATS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64"}


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A heading, rows of as many cells each, and sentences below them."""

    heading: str
    rows: tuple[tuple[str, ...], ...] = ()
    sentences: tuple[str, ...] = ()


def report_parts(event: LoraReported) -> list[ReportPart]:
    """All that was found about one file."""
    return (_inspected if event.tool == "inspect" else _verified)(event.reports[0])


def report_lines(event: LoraReported) -> list[str]:
    """The same as lines of a terminal, where Chinese signs are twice as wide as others."""
    lines: list[str] = []
    for part in report_parts(event):
        lines += [""] if lines else []
        lines += [part.heading, *_table(part.rows), *part.sentences]
    return lines


def _family_name(family: str | None) -> str:
    """What a LoRA is made for, in words."""
    if family is None:
        return tr("unknown")
    return family_title(family)  # type: ignore[arg-type]


def _part_name(part: str) -> str:
    """A part of the model by the beginning of its modules' names."""
    if part == "lora_unet":
        return part_title("denoiser")
    if part in ("lora_te", "lora_te1"):
        return part_title("text_encoder")
    return part_title("text_encoder_2") if part == "lora_te2" else part


def _rows_of(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of a report of `inspect` as titles and values, without blocks and metadata."""
    parts = ", ".join(f"{_part_name(part)} {number}" for part, number in report["parts"].items())
    rows = [
        (
            tr("File size"),
            f"{report['size_bytes'] / 1e6:,.1f} MB {_FORMATS.get(report['dtype'], report['dtype'])}".rstrip(),
        ),
        (tr("Made for"), _family_name(report["family"])),
        (tr("Names as of"), str(report["spelling"])),
        (tr("Modules"), f"{report['modules']} ({parts})"),
        (tr("Kinds"), _counted(report["kinds"])),
        (tr("Ranks"), _counted(report["ranks"])),
        (tr("Alphas"), _counted(report["alphas"]) if not report["lacks_alpha"] else tr("unknown")),
    ]
    if "norm" in report:
        rows.append((tr("Norm of all"), f"{report['norm']:.4g}"))
    rows.append(("SHA-256", str(report.get("sha256", ""))))
    if "data_sha256" in report:
        rows.append((tr("SHA-256 of the weights"), str(report["data_sha256"])))
    return [(title, value) for title, value in rows if value]  # Some kinds have no ranks.


def _inspected(report: Mapping[str, Any]) -> list[ReportPart]:
    parts = [ReportPart(str(report["file"]), tuple(_rows_of(report)))]
    if blocks := report.get("blocks"):
        most = max(block["norm"] for block in blocks) or 1.0
        rows = tuple(
            (
                str(block["block"]),
                f"{block['norm']:.4g}",
                str(block["modules"]),
                "█" * round(block["norm"] / most * _WIDEST_BAR),
            )
            for block in blocks
        )
        parts.append(ReportPart(tr("How much each block is changed (norm, modules)"), rows, _not_measured(report)))
    if metadata := report["metadata"]:
        texts = tuple((key, _cut(value)) for key, value in sorted(metadata.items()))
        parts.append(ReportPart(tr("Metadata ({number})", number=len(metadata)), texts))
    return parts


def _not_measured(report: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    if number := report.get("modules_unmeasured"):
        found.append(tr("{number} modules depend on the base model and were not measured.", number=number))
    if number := report.get("modules_not_finite"):
        found.append("✗ " + tr("{number} modules hold values that are not numbers.", number=number))
    return tuple(found)


def _verified(report: Mapping[str, Any]) -> list[ReportPart]:
    rows = (
        (tr("Made for"), _family_name(report["family"])),
        (tr("Base model"), f"{report['base']} ({_family_name(report['base_family'])})"),
        (tr("Modules"), tr("{number} of {total} fit", number=report["fitting"], total=report["modules"])),
    )
    problems = tuple(f"✗ {problem}" for problem in report["problems"])
    sound = ("✓ " + tr("The LoRA fits the base model, and its weights are sound."),)
    return [ReportPart(str(report["file"]), rows, problems or sound)]


def _counted(numbers: Mapping[str, int]) -> str:
    """`16` when all are the same, else `8 (12), 16 (180)`."""
    if len(numbers) == 1:
        return next(iter(numbers))
    return ", ".join(f"{value} ({number})" for value, number in numbers.items())


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        (
            "  " + "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    """Places on a terminal: Chinese signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _cut(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= _WIDEST_VALUE else line[: _WIDEST_VALUE - 1] + "…"
