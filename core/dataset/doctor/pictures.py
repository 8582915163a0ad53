"""What is wrong with single files and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from core.dataset.doctor.findings import DoctorOptions, Finding, Fix, ProblemCode, finding, leave_out
from core.dataset.edits import PictureEdits
from core.dataset.facts import ImageFacts
from core.dataset.fitting import FitOptions, plans_of, turned_box
from core.dataset.geometry import Box, Size
from core.dataset.images import OTHER_EXTENSIONS
from core.dataset.records import ImageRecord, Problem
from core.text import tr

MUCH_TOO_SMALL = 1.5
"""From this enlargement on, what is learned is mostly blur."""
A_LITTLE_TOO_SMALL = 1.02

BLURRY = 0.27
"""`ImageFacts.sharpness` below this: even the sharpest edges are spread over four pixels of 640."""
DARK = 72
"""With hardly a pixel above this level, a picture is underexposed; a night has its lights."""
DARK_MIDDLE = 40
BRIGHT = 165
"""With hardly a pixel below this level, a picture is washed out; a pale drawing has its lines."""
BRIGHT_MIDDLE = 205
LEAST_QUALITY = 30
"""JPEG quality below which blocks show."""
BLOCKY = 0.6
TRANSPARENT = 0.002
"""Share of the pixels below which transparency is only a soft edge or a slip."""
_SPARE = 3  # Pixels by which a crop may reach into a bar before it is mentioned.

_CODES: dict[str, ProblemCode] = {
    "unreadable": "unreadable",
    "truncated": "truncated",
    "format": "not_readable_format",
}


def file_findings(
    records: Sequence[ImageRecord], problems: Sequence[Problem], facts: Mapping[Path, ImageFacts]
) -> list[Finding]:
    """Files that are no use: what the scan found by their headers, and what only their pixels told."""
    pictures = {record.path for record in records}
    found = []
    for problem in problems:
        if problem.path in pictures and not problem.excludes:
            continue  # Two pictures with one caption; `captions` tells this.
        path = problem.path
        known = facts.get(path)
        code: ProblemCode = _CODES.get(known.error, "unusable") if known is not None else "unusable"
        if path.suffix.lower() in OTHER_EXTENSIONS:
            code = "not_readable_format"
        found.append(finding(code, path, problem.message, problem.remedy))
    for record in records:
        known = facts.get(record.path)
        if known is not None and known.error:
            fix = leave_out(record.path, is_safe=True)
            found.append(finding(_CODES[known.error], record.path, known.message, known.remedy, fix=fix))
    return found


def picture_findings(
    records: Sequence[ImageRecord], facts: Mapping[Path, ImageFacts], options: DoctorOptions
) -> list[Finding]:
    """Pictures that open but are small, soft, badly lit, damaged, framed, or otherwise than they look."""
    found: list[Finding] = []
    for record in records:
        found += _size_findings(record, options)
        known = facts.get(record.path)
        if known is not None:
            found += _look_findings(record, known)
            found += _bar_findings(record, known, options.edits(record.path))
            found += _file_form_findings(record, known)
    return found


def _size_findings(record: ImageRecord, options: DoctorOptions) -> Iterator[Finding]:
    scale = _enlargement(record.size_px, options.fit, options.edits(record.path))
    if scale < A_LITTLE_TOO_SMALL:
        return
    yield finding(
        "tiny" if scale > MUCH_TOO_SMALL else "upscaled",
        record.path,
        tr(
            "{name} has {width} × {height} pixels and is enlarged {scale} times for training.",
            name=record.path.name,
            width=record.size_px[0],
            height=record.size_px[1],
            scale=f"{scale:.1f}" if scale >= 1.1 else f"{scale:.2f}",
        ),
        tr("Use a larger version of it, train at a lower resolution, or exclude it.")
        if scale > MUCH_TOO_SMALL
        else tr("This is fine for a few pictures; use a larger version if you have one."),
        fix=leave_out(record.path) if scale > MUCH_TOO_SMALL else None,
    )


@lru_cache(maxsize=4096)
def _enlargement(size_px: Size, fit: FitOptions, edits: PictureEdits) -> float:
    """How much the picture, or the smallest of its crops, is enlarged."""
    return max(plan.scale for plan in plans_of(size_px, fit, edits))


def _look_findings(record: ImageRecord, facts: ImageFacts) -> Iterator[Finding]:
    path, name = record.path, record.path.name
    darkest, _, middle, _, brightest = facts.brightness
    if facts.sharpness < BLURRY:
        yield finding(
            "blurry",
            path,
            tr("{name} has no sharp edge anywhere.", name=name),
            tr("Exclude it unless it is meant to be soft; the LoRA learns blur, too."),
            fix=leave_out(path),
        )
    if brightest < DARK and middle < DARK_MIDDLE:
        yield finding(
            "dark",
            path,
            tr("{name} is almost black: its brightest parts are at {percent} % of white.", name=name,
               percent=round(brightest / 2.55)),
            tr("Brighten it with a picture program, or exclude it."),
            fix=leave_out(path),
        )  # fmt: skip
    if darkest > BRIGHT and middle > BRIGHT_MIDDLE:
        yield finding(
            "bright",
            path,
            tr("{name} is washed out: even its darkest parts are at {percent} % of white.", name=name,
               percent=round(darkest / 2.55)),
            tr("Darken it with a picture program, or exclude it."),
            fix=leave_out(path),
        )  # fmt: skip
    if facts.jpeg_quality < LEAST_QUALITY or facts.blockiness > BLOCKY:
        yield finding(
            "jpeg_artefacts",
            path,
            tr("{name} was compressed so strongly that blocks show.", name=name),
            tr("Use the original of it, or exclude it; the LoRA learns the blocks, too."),
            fix=leave_out(path),
        )


def _bar_findings(record: ImageRecord, facts: ImageFacts, edits: PictureEdits) -> Iterator[Finding]:
    # What is transparent becomes white, and is no bar.
    if not any(facts.borders) or facts.transparent_share > TRANSPARENT:
        return
    left, top, right, bottom = facts.borders
    width, height = facts.size_px
    inside = turned_box((left, top, width - right, height - bottom), facts.size_px, edits.turn)
    if edits.crops and all(_is_within(crop.box, inside) for crop in edits.crops):
        return
    in_pairs = bool(left) == bool(right) and bool(top) == bool(bottom)
    yield finding(
        "letterbox",
        record.path,
        tr("{name} has bars of one colour at its edges.", name=record.path.name),
        tr("Trim them, or the LoRA draws them, too. The file itself stays as it is."),
        fix=None if edits.crops else Fix(title=tr("Trim the bars"), crop=((record.path, inside),), is_safe=in_pairs),
    )


def _is_within(box: Box, inside: Box) -> bool:
    return (
        box[0] >= inside[0] - _SPARE
        and box[1] >= inside[1] - _SPARE
        and box[2] <= inside[2] + _SPARE
        and box[3] <= inside[3] + _SPARE
    )


def _file_form_findings(record: ImageRecord, facts: ImageFacts) -> Iterator[Finding]:
    path, name = record.path, record.path.name
    if facts.orientation != 1:
        yield finding(
            "rotated",
            path,
            tr("{name} lies on its side or is mirrored, and a mark in the file says how to show it.", name=name),
            tr("Kiln turns it upright by itself; other programs may not."),
        )
    if facts.transparent_share > TRANSPARENT:
        yield finding(
            "transparent",
            path,
            tr("{name} is transparent in places.", name=name),
            tr("Kiln puts white behind it; save it on another background if you do not want that."),
        )
    if facts.frames > 1:
        yield finding(
            "animated",
            path,
            tr("{name} is animated and holds {number} pictures.", name=name, number=facts.frames),
            tr("Kiln uses the first one; save others as files of their own if you want them."),
        )
