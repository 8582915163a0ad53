"""Files that the user throws away go to the trash of the system, from where they can be brought back. Nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QFile

from core.dataset.records import Scan
from core.errors import UserError


def move_to_trash(images: Iterable[Path], scan: Scan) -> list[UserError]:
    """Move pictures, each with its caption file, to the trash of the system. To be called when the user asks for it.

    What the trash does not take stays where it is. A caption file that another, staying picture shares stays, too, and
    so does that of a picture that stays. It may be called from any thread.

    Args:
        images: Pictures of the scan, or files that it found a problem with.
        scan: The open dataset, which knows the caption files.

    Returns:
        What could not be moved, one error for each file.
    """
    images = list(dict.fromkeys(images))
    captions = {record.path: record.caption_path for record in scan.records}
    leaving = set(images)
    failures: list[UserError] = []
    for image in images:
        if (error := _move(image)) is not None:
            failures.append(error)
            leaving.discard(image)
    shared = {caption for image, caption in captions.items() if image not in leaving}
    going = dict.fromkeys(captions[image] for image in images if image in leaving and image in captions)
    for caption in going:
        if caption not in shared and _is_there(caption) and (error := _move(caption)) is not None:
            failures.append(error)
    return failures


def move_to_trash_as_is(paths: Iterable[Path]) -> list[UserError]:
    """Move files or whole folders to the trash of the system, without looking for what belongs to them.

    It may be called from any thread.

    Returns:
        What could not be moved, one error for each; it stays where it is.
    """
    failures = []
    for path in paths:
        if not _is_there(path) or (_has_a_name_for_qt(path) and QFile.moveToTrash(str(path))):
            continue
        failures.append(
            UserError(
                "{name} could not be moved to the trash.",
                remedy="This drive may have no trash, or a file in it is open or protected. Delete it yourself in "
                "the file manager.",
                name=path.name,
            )
        )
    return failures


def _move(path: Path) -> UserError | None:
    if not _is_there(path):
        return UserError(
            "{name} is not there any more.",
            remedy="Read the folder again; the file was moved or deleted.",
            name=path.name,
        )
    if not _has_a_name_for_qt(path):
        return UserError(
            "{name} stays: its name has letters that the trash cannot take.",
            remedy="Rename the file, or move it away with the program that made it.",
            name=path.name,
        )
    if not QFile.moveToTrash(str(path)):
        return UserError(
            "{name} could not be moved to the trash.",
            remedy="This drive may have no trash, or the file is open or protected. "
            "Exclude the picture instead, or move the file yourself.",
            name=path.name,
        )
    return None


def _is_there(path: Path) -> bool:
    """Whether there is a file, or a link that leads nowhere."""
    return path.is_symlink() or path.exists()


def _has_a_name_for_qt(path: Path) -> bool:
    """Whether Qt can name a file. It would take another one for a path with bytes that are no text."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
