"""What the Tagger page says about a run, in sentences."""

from __future__ import annotations

from app.tagging import Tagging
from app.wording import duration_text
from core.events import CaptionsPlanned, StageProgress
from core.tagging.options import TagOptions
from core.text import language, tr


def forecast(total: int, captioned: int, options: TagOptions) -> str:
    """What a run would do to existing captions, or why there is nothing to do.

    Args:
        total: Pictures to be tagged.
        captioned: How many of them have a caption.
        options: What is chosen.
    """
    if not total:
        return tr("There is no picture in this folder that could be tagged.")
    if not captioned:
        return tr("No picture has a caption yet. Captions are text files beside the pictures.")
    if options.on_existing == "keep":
        if captioned == total:
            if total == 1:
                return tr("The picture has a caption; choose Replace to write it anew.")
            return tr("All {n} pictures have captions; choose Replace to write them anew.", n=total)
        return tr("Already with a caption: {n}. They are kept.", n=captioned)
    if options.on_existing == "replace":
        return tr("Captions to be replaced: {n}. Undo brings them back.", n=captioned)
    return tr("Captions that get more tags: {n}. Undo takes those away again.", n=captioned)


def counts_text(counts: CaptionsPlanned) -> str:
    """Such as: 28 new, 2 changed, 1 failed."""
    parts = [
        tr("{n} new", n=counts.new) if counts.new else "",
        tr("{n} changed", n=counts.changed) if counts.changed else "",
        tr("{n} unchanged", n=counts.unchanged) if counts.unchanged else "",
        tr("{n} kept", n=counts.kept) if counts.kept else "",
        tr("{n} failed", n=counts.failed) if counts.failed else "",
    ]
    return ("，" if language() == "zh" else ", ").join(part for part in parts if part)


def progress_text(progress: StageProgress) -> str:
    """How far it is, how fast, and how long it takes."""
    parts = [tr("{done} of {total}", done=progress.done, total=progress.total)]
    if progress.elapsed_s > 0 and progress.done and progress.total:
        speed = progress.done / progress.elapsed_s
        parts.append(tr("{speed} pictures per second", speed=f"{speed:.1f}" if speed < 20 else f"{speed:.0f}"))
        if progress.done < progress.total:
            parts.append(tr("{time} left", time=duration_text((progress.total - progress.done) / speed)))
    return " · ".join(parts)


def running_texts(tagging: Tagging) -> tuple[str, str]:
    """Headline and sentence of a run."""
    look = tagging.look
    if look.is_stopping:
        return tr("Stopping…"), tr("Nothing is written.")
    if tagging.phase == "planning":
        return tr("Putting the captions together…"), ""
    if tagging.phase == "writing":
        return tr("Writing captions"), progress_text(tagging.writes.progress) if tagging.writes.progress else ""
    headline = {
        "load": tr("Loading the tagger…"),
        "scan": tr("Reading the pictures…"),
        "tag": tr("Looking at the pictures"),
    }.get(look.stage, tr("Starting…"))
    is_known = look.stage == "tag" and look.progress is not None and look.progress.total
    return headline, progress_text(look.progress) if is_known and look.progress is not None else ""


def resting_texts(tagging: Tagging, problem: str) -> tuple[str, str]:
    """Headline and sentence while nothing runs.

    Args:
        tagging: What was done and what would be.
        problem: Why nothing can be started with these options, or "".
    """
    next_run = problem or forecast(len(tagging.records), tagging.num_captioned, tagging.options)
    if tagging.failure is not None:
        return tagging.failure.message, tagging.failure.remedy
    if tagging.phase == "summary" and tagging.planned is not None:
        counts = tagging.planned.counts
        if tagging.planned.num_changes:
            return tr("To be written: {counts}", counts=counts_text(counts)), tr("Nothing is written yet.")
        return tr("There is nothing to write: {counts}", counts=counts_text(counts)), ""
    if tagging.has_new_choice and tagging.planned is not None:
        return tr("The new choice: {counts}", counts=counts_text(tagging.planned.counts)), tr(
            "It takes the place of what the tagger wrote, and is not written yet."
        )
    if tagging.phase == "done" and tagging.done is not None:
        return tr("Done: {counts}", counts=counts_text(tagging.done.counts)), problem
    return tagging.told, next_run


def start_text(tagging: Tagging) -> str:
    """What the main button says."""
    number = tagging.num_to_look_at
    if not number or (tagging.phase == "done" and number == len(tagging.records)):
        return tr("Tag again") if tagging.records else tr("Tag pictures")
    return tr("Tag 1 picture") if number == 1 else tr("Tag {n} pictures", n=number)
