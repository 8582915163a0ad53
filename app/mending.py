"""The fixes that the doctor proposes, as steps that can be taken back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.project import Project
from core.dataset.doctor import PROBLEMS, Finding, ProblemCode
from core.dataset.edits import Crop, PictureEdits
from core.text import tr


@dataclass(frozen=True, slots=True)
class Mending:
    """What fixes come to: decisions and captions of pictures, and the name of the step for undo, "" for nothing."""

    name: str
    edits: Mapping[Path, PictureEdits]
    captions: Mapping[Path, str]


def mending_of(project: Project, findings: Sequence[Finding]) -> Mending:
    """What the fixes of findings come to now.

    Pictures that are gone, left out or cropped by now stay as they are, and so do captions that were edited since they
    were judged; those are judged again.
    """
    fixes = [(finding.problem, finding.fix) for finding in findings if finding.fix is not None]
    excluded: dict[Path, PictureEdits] = {}
    problems: set[ProblemCode] = set()
    for problem, fix in fixes:
        for image in fix.exclude:
            edits = project.edits(image)
            if project.record(image) is not None and not edits.excluded:
                excluded[image] = edits.model_copy(update={"excluded": True})
                problems.add(problem)
    cropped: dict[Path, PictureEdits] = {}
    for _, fix in fixes:
        for image, box in fix.crop:
            edits = project.edits(image)
            if project.record(image) is not None and not (edits.excluded or edits.crops or image in excluded):
                cropped[image] = edits.model_copy(update={"crops": (Crop(box=box),)})
    captions = {image: text for _, fix in fixes for image, text in fix.captions if _is_as_judged(project, image, text)}
    decided = excluded | cropped
    if decided and captions:
        name = tr("Fix {n} problems", n=len(decided) + len(captions))
    elif captions:
        name = _captions_name(list(captions))
    else:
        name = _edits_name(list(excluded), list(cropped), problems) if decided else ""
    return Mending(name, decided, captions)


def _is_as_judged(project: Project, image: Path, text: str) -> bool:
    """Whether a caption still has the words that a fix would write, and still not in the way it should have them."""
    record = project.record(image)
    return record is not None and record.caption == text and bool(record.caption_problem)


def _edits_name(excluded: Sequence[Path], cropped: Sequence[Path], problems: Collection[ProblemCode]) -> str:
    if excluded and cropped:
        return tr("Exclude pictures: {n}, trim: {trimmed}", n=len(excluded), trimmed=len(cropped))
    if len(excluded) == 1:
        return tr("Exclude {name}", name=excluded[0].name)
    if len(problems) == 1:
        title = PROBLEMS[next(iter(problems))].title()
        return tr("Exclude {n} pictures: {problem}", n=len(excluded), problem=title)
    if excluded:
        return tr("Exclude {n} pictures", n=len(excluded))
    if len(cropped) == 1:
        return tr("Trim the bars of {name}", name=cropped[0].name)
    return tr("Trim the bars of {n} pictures", n=len(cropped))


def _captions_name(captions: Sequence[Path]) -> str:
    if len(captions) == 1:
        return tr("Rewrite the caption of {name}", name=captions[0].name)
    return tr("Rewrite {n} captions", n=len(captions))
