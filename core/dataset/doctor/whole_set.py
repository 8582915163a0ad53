"""What is wrong with a set as a whole: its size, its shapes, its backgrounds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.dataset.doctor.findings import DoctorOptions, Finding, finding
from core.dataset.facts import ImageFacts
from core.dataset.records import ImageRecord
from core.text import tr

LONG_SHAPE = 1.6
"""Ratio of the longer to the shorter side from which a shape is called long."""
PLAIN_BORDER = 0.7
"""Share of its border that a background must cover to be the background of a picture."""
SAME_COLOUR = 24
"""Levels of a channel within which two backgrounds are one."""


def whole_set_findings(
    records: Sequence[ImageRecord], facts: Mapping[Path, ImageFacts], options: DoctorOptions
) -> list[Finding]:
    """Findings about each concept; those that only show what the model knows already are left alone."""
    concepts: dict[int, list[ImageRecord]] = {}
    for record in records:
        if not record.is_regularization:
            concepts.setdefault(record.concept, []).append(record)
    found: list[Finding] = []
    for members in concepts.values():
        folder = Path(os.path.commonpath([record.path.parent for record in members]))
        found += _number_findings(folder, len(members), options)
        if len(members) >= options.least_images:
            found += _shape_findings(folder, members, options)
            found += _background_findings(folder, members, facts, options)
    return found


def _number_findings(folder: Path, number: int, options: DoctorOptions) -> Iterator[Finding]:
    if number < options.least_images:
        yield finding(
            "too_few",
            folder,
            tr("{folder} has only 1 picture.", folder=folder.name)
            if number == 1
            else tr("{folder} has only {number} pictures.", folder=folder.name, number=number),
            tr("Add more if you can; {least} to 50 different ones teach a character well.", least=options.least_images),
        )
    elif number > options.most_images:
        yield finding(
            "too_many",
            folder,
            tr("{folder} has {number} pictures.", folder=folder.name, number=number),
            tr("That is right for a style; for one character, the best 50 teach faster and as well."),
        )


def _shape_findings(folder: Path, records: Sequence[ImageRecord], options: DoctorOptions) -> Iterator[Finding]:
    wide = sum(record.size_px[0] >= LONG_SHAPE * record.size_px[1] for record in records)
    tall = sum(record.size_px[1] >= LONG_SHAPE * record.size_px[0] for record in records)
    if len(records) > 1 and max(wide, tall) > options.same_shape_share * len(records):
        yield finding(
            "one_shape",
            folder,
            tr("{number} of {total} pictures are much wider than tall.", number=wide, total=len(records))
            if wide > tall
            else tr("{number} of {total} pictures are much taller than wide.", number=tall, total=len(records)),
            tr("Add or crop some to other shapes, or the LoRA may draw badly in others."),
        )


def _background_findings(
    folder: Path, records: Sequence[ImageRecord], facts: Mapping[Path, ImageFacts], options: DoctorOptions
) -> Iterator[Finding]:
    measured = [facts[record.path] for record in records if record.path in facts]
    plain = Counter(one.background for one in measured if one.background_share >= PLAIN_BORDER)
    # Of a few colours each counts with its neighbours, so that JPEG and paper do not part what is one background.
    number = max(
        (
            sum(
                count
                for colour, count in plain.items()
                if max(abs(a - b) for a, b in zip(colour, candidate, strict=True)) <= SAME_COLOUR
            )
            for candidate, _ in plain.most_common(20)
        ),
        default=0,
    )
    if len(measured) >= options.least_images and number > options.dominated_share * len(measured):
        yield finding(
            "one_background",
            folder,
            tr("{number} of {total} pictures have the same plain background.", number=number, total=len(measured)),
            tr("The LoRA learns the background, too. Add other ones, or name the background in the captions."),
        )
