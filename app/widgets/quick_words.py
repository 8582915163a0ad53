"""The sum and the time of a run, in words."""

from __future__ import annotations

from pathlib import Path

from app.speed import Duration
from app.wording import duration_text
from core.config import TrainConfig
from core.dataset.records import Scan
from core.quick import RunLength
from core.text import sentences, tr


def is_exact(config: TrainConfig, length: RunLength) -> bool:
    """Whether all batches are full, so that the sum is right to the last step."""
    return length.num_shown * length.epochs == _all_steps(length) * _batch(config)


def _all_steps(length: RunLength) -> int:
    """The steps of all epochs, as if there were no limit."""
    return length.steps_per_epoch * length.epochs


def _is_limited(length: RunLength) -> bool:
    return length.total_steps < _all_steps(length)


def _batch(config: TrainConfig) -> int:
    return config.training.batch_size * config.training.gradient_accumulation


def sum_text(config: TrainConfig, length: RunLength) -> str:
    """The sum from pictures to steps, and the limit where that ends it.

    Where parts do not divide evenly the result is rounded up, and so marked.
    """
    parts = []
    if length.num_images and length.num_shown % length.num_images == 0:
        repeats = length.num_shown // length.num_images
        pictures = length.num_images
        parts.append(tr("1 picture") if pictures == 1 else tr("{number} pictures", number=pictures))
        parts.append(tr("1 repeat") if repeats == 1 else tr("{number} repeats", number=repeats))
    else:
        parts.append(tr("{number} pictures with repeats", number=length.num_shown))
    parts.append(tr("1 epoch") if length.epochs == 1 else tr("{number} epochs", number=length.epochs))
    whole = tr(
        "{product} ÷ batch {batch} {equals} {steps} steps",
        product=" × ".join(parts),
        batch=_batch(config),
        equals="=" if is_exact(config, length) else "≈",
        steps=_all_steps(length),
    )
    return tr("{sum}, limited to {number}", sum=whole, number=length.total_steps) if _is_limited(length) else whole


def held_out_text(number: int) -> str:
    """How many pictures are not in the sum."""
    return tr("1 more is held out.") if number == 1 else tr("{number} more are held out.", number=number)


def notes_text(config: TrainConfig, length: RunLength, duration: Duration | None) -> str:
    """What the sum leaves unsaid: why it ends early or is rounded, what is held out, and how long that takes."""
    notes = []
    if _is_limited(length):
        notes.append(tr("The limit of steps ends the run earlier."))
    elif not is_exact(config, length):
        notes.append(tr("Rounded, because in each epoch the last batch is filled up."))
    if length.num_held_out:
        notes.append(held_out_text(length.num_held_out))
    return sentences(*notes, time_text(duration))


def time_text(duration: Duration | None) -> str:
    """How long that takes, as far as it is known."""
    if duration is None:
        return tr("How long that takes is known after the first steps on this machine.")
    time = duration_text(duration.seconds)
    if duration.is_scaled:
        return tr("About {time} on this machine, worked out from a run with other settings.", time=time)
    return tr("About {time} on this machine, going by the last run.", time=time)


def folder_state(folder: Path, scan: Scan | None, *, is_scanning: bool) -> tuple[str, bool]:
    """What there is to say of the picture folder, and whether something is wrong with it."""
    if folder == Path():
        return tr("Drop the folder with your pictures here: 10 to 50 of one character are a good start."), False
    if is_scanning:
        return tr("Looking at the pictures…"), False
    if not folder.is_dir():
        return tr("There is no folder {folder}.", folder=folder), True
    if scan is None or scan.folder != folder:
        return tr("Looking at the pictures…"), False
    if not scan.records:
        return tr("There is no picture in this folder."), True
    return _contents_text(scan), False


def _contents_text(scan: Scan) -> str:
    """How many pictures there are, how many of them have captions, and what cannot be used."""
    used = [record for record in scan.records if not scan.edits(record.path).excluded]
    captions = sum(bool(record.caption) for record in used)
    number = len(used)
    pictures = tr("1 picture") if number == 1 else tr("{number} pictures", number=number)
    text = tr("{pictures}, {captions} with a caption", pictures=pictures, captions=captions)
    if left_out := len(scan.records) - number:
        text += tr(", left out: {number}", number=left_out)
    if unusable := sum(problem.excludes for problem in scan.problems):
        text += tr(", files that cannot be used: {number}", number=unusable)
    if not any(record.caption for record in used if not record.is_regularization):
        text += tr(". Tag them first in the Tagger tab: captions make the LoRA much better.")
    return text
