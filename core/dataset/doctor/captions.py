"""What is wrong with captions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from core.dataset.doctor.findings import DoctorOptions, Finding, Fix, finding
from core.dataset.images import EXTENSIONS, OTHER_EXTENSIONS
from core.dataset.records import ImageRecord
from core.text import tr

_PICTURES = EXTENSIONS | OTHER_EXTENSIONS


def caption_findings(records: Sequence[ImageRecord], options: DoctorOptions) -> list[Finding]:
    """Captions that are missing, empty, unreadable, in an old encoding, too long, or shared by two pictures."""
    found: list[Finding] = []
    owners: dict[Path, ImageRecord] = {}
    for record in records:
        owner = owners.setdefault(record.caption_path, record)
        if owner is not record:
            found.append(_shared(record, owner))
        else:
            found += _own_findings(record, options)
    return found


def _own_findings(record: ImageRecord, options: DoctorOptions) -> Iterator[Finding]:
    path, caption = record.path, record.caption
    if caption is None and not record.caption_problem:
        if record.is_regularization:
            return  # Pictures of the class alone are described by the class word.
        yield finding(
            "no_caption",
            path,
            tr("{name} has no caption.", name=path.name),
            tr("Let the tagger write one, or write it yourself."),
        )
    elif caption is None:
        yield finding(
            "caption_unreadable",
            path,
            record.caption_problem,
            tr("Write the caption anew, or let the tagger do it."),
        )
    elif not caption:
        yield finding(
            "empty_caption",
            path,
            tr("The caption of {name} is empty.", name=path.name),
            tr("Let the tagger write one, or write it yourself."),
        )
    else:
        if record.caption_problem:
            fix = Fix(title=tr("Save as UTF-8"), captions=((path, caption),), is_safe=True)
            yield finding(
                "caption_not_utf8",
                path,
                record.caption_problem,
                tr("Save it as UTF-8, so that other programs read the same words."),
                fix=fix,
            )
        number = options.count_tokens(caption) if options.count_tokens is not None else 0
        if number > options.max_tokens:
            yield finding(
                "caption_too_long",
                path,
                tr(
                    "The caption of {name} has {number} tokens; the model reads the first {most}.",
                    name=path.name,
                    number=number,
                    most=options.max_tokens,
                ),
                tr("Put what matters most in front, or leave out what the picture does not need."),
            )


def _shared(record: ImageRecord, owner: ImageRecord) -> Finding:
    return finding(
        "shared_caption",
        record.path,
        tr(
            "{name} and {other} share one caption, {caption}.",
            name=record.path.name,
            other=owner.path.name,
            caption=record.caption_path.name,
        ),
        tr("Rename one of the pictures, so that each can have its own."),
        others=(owner.path,),
    )


def orphan_captions(folders: Iterable[Path], caption_extension: str = ".txt") -> list[Path]:
    """Caption files that lie beside no picture of their name. Folders that cannot be read have none.

    Args:
        folders: The folders that pictures were found in; those below them are not looked into.
        caption_extension: Ending of the caption files, with its dot.
    """
    found: list[Path] = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError:
            continue
        parts = [os.path.splitext(name) for name in names]  # noqa: PTH122 - thousands of them
        pictures = {stem.casefold() for stem, extension in parts if extension.lower() in _PICTURES}
        alone = (
            stem + extension
            for stem, extension in parts
            if extension.lower() == caption_extension.lower() and stem.casefold() not in pictures
        )
        found += (folder / name for name in sorted(alone))
    return found


def orphan_findings(orphans: Sequence[Path]) -> list[Finding]:
    """One finding for each caption without a picture."""
    return [
        finding(
            "orphan_caption",
            path,
            tr("{name} lies beside no picture of its name.", name=path.name),
            tr("Rename it to match its picture, or delete it; training passes it over."),
        )
        for path in orphans
    ]
