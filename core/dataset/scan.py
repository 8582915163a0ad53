"""Looking through a folder of pictures: what is usable, and what is wrong with the rest. Only headers are read."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.dataset import images
from core.dataset.captions import read_caption
from core.dataset.records import ImageRecord, Problem, Scan
from core.errors import UserError

MAX_REPEATS = 1000  # As in the settings; `2024_summer` is a year.


def scan_folder(folder: Path, *, caption_extension: str = ".txt") -> Scan:
    """The pictures of a folder in natural order: those in it, then those in its sub-folders named like `10_name`.

    Such a sub-folder gives its pictures 10 repeats and `name` as class tokens, and so does the folder itself when it is
    named so. Other sub-folders, anything deeper, hidden files and caches are left alone.

    Args:
        folder: What the user chose.
        caption_extension: Ending of the caption files, with its dot.

    Raises:
        UserError: The folder is missing, is a file, may not be read, or has no picture in it.
    """
    entries = _entries(folder)
    own = repeats_of(folder.absolute().name) or (0, "")
    groups = [_Group(folder, *own, entries)]
    folders = [entry.name for entry in entries if repeats_of(entry.name) and entry.is_dir()]
    for name in sorted(folders, key=natural_key):
        groups.append(_Group(folder / name, *(repeats_of(name) or (0, "")), _entries(folder / name)))
    records: list[ImageRecord] = []
    problems: list[Problem] = []
    for group in groups:
        for found in _pictures(group, caption_extension):
            if isinstance(found, ImageRecord):
                records.append(found)
            else:
                problems.append(found)
    if not records and not any(problem.path.suffix.lower() in images.EXTENSIONS for problem in problems):
        raise _no_pictures(folder, entries, problems)
    problems += _shared_captions(records)
    problems.sort(key=lambda problem: (problem.path.parent != folder, natural_key(str(problem.path))))
    return Scan(folder=folder, records=tuple(records), problems=tuple(problems))


def usable(scan: Scan) -> tuple[ImageRecord, ...]:
    """The pictures of a scan, for a job that needs at least one.

    Raises:
        UserError: None of the pictures can be used.
    """
    if not scan.records:
        raise UserError(
            "None of the pictures in {folder} can be used; {number} were found. The first: {problem}",
            remedy="Replace the damaged files, or choose another folder.",
            number=len(scan.problems),
            folder=scan.folder,
            problem=scan.problems[0].message,
        )
    return scan.records


def repeats_of(folder_name: str) -> tuple[int, str] | None:
    """(repeats, class tokens) of a folder named like `10_name`, by the rule of sd-scripts; None for other names."""
    match = re.match(r"(\d{1,9})_(.*)", folder_name, re.DOTALL)
    if match is None or not 1 <= int(match[1]) <= MAX_REPEATS:
        return None
    return int(match[1]), match[2].strip()


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Sorts `2.png` before `10.png`, without regard to case."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


@dataclass(frozen=True, slots=True)
class _Group:
    """One folder level with what its name says."""

    folder: Path
    repeats: int
    class_tokens: str
    entries: list[os.DirEntry[str]]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, hidden things left out."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError as error:
        raise UserError(
            "The folder {folder} does not exist.",
            remedy="Check that it was not moved or renamed, and choose it again.",
            folder=folder,
        ) from error
    except NotADirectoryError as error:
        raise UserError(
            "{folder} is a file, not a folder.", remedy="Choose the folder that the pictures are in.", folder=folder
        ) from error
    except PermissionError as error:
        raise UserError(
            "The folder {folder} may not be read.",
            remedy="Give yourself the right to read it, or copy the pictures to a folder of your own.",
            folder=folder,
        ) from error
    except OSError as error:
        raise UserError(
            "The folder {folder} could not be read: {error}.",
            remedy="Check the drive and the connection to it, then try again.",
            folder=folder,
            error=error.strerror or str(error),
        ) from error


def _pictures(group: _Group, caption_extension: str) -> Iterator[ImageRecord | Problem]:
    names = {entry.name for entry in group.entries}
    # Windows and macOS take `A.TXT` for the caption of `a.png`; elsewhere only the ending may differ in case.
    insensitive = sys.platform in ("win32", "darwin")
    loose = {_loosely(name, insensitive): name for name in sorted(names, reverse=True)}
    for entry in sorted(group.entries, key=lambda entry: natural_key(entry.name)):
        extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - thousands of them
        if extension not in images.EXTENSIONS and extension not in images.OTHER_EXTENSIONS:
            continue
        path = group.folder / entry.name
        try:
            status = entry.stat()
            if not stat.S_ISREG(status.st_mode):
                continue  # A folder or a pipe called x.png.
            if extension in images.OTHER_EXTENSIONS:
                raise images.unsupported(path)
            size_px = images.picture_size(path)
        except OSError:
            yield images.problem_of(path, _unreachable(path))
            continue
        except UserError as error:
            yield images.problem_of(path, error)
            continue
        caption_name = path.stem + caption_extension
        caption_path = group.folder / (
            caption_name if caption_name in names else loose.get(_loosely(caption_name, insensitive), caption_name)
        )
        caption, caption_problem = read_caption(caption_path) if caption_path.name in names else (None, "")
        yield ImageRecord(
            path=path,
            size_px=size_px,
            caption_path=caption_path,
            caption=caption,
            caption_problem=caption_problem,
            repeats=group.repeats,
            class_tokens=group.class_tokens,
            num_bytes=status.st_size,
            changed_at=status.st_mtime,
        )


def _loosely(name: str, insensitive: bool) -> str:
    stem, extension = os.path.splitext(name)  # noqa: PTH122 - thousands of them
    return (stem.casefold() if insensitive else stem) + extension.casefold()


def _unreachable(path: Path) -> UserError:
    return UserError(
        "{name} is a link to a file that is not there.",
        remedy="Delete the link, or bring the file back.",
        name=path.name,
    )


def _shared_captions(records: list[ImageRecord]) -> list[Problem]:
    """Pictures that differ only in their ending have one caption file between them."""
    first: dict[Path, ImageRecord] = {}
    problems = []
    for record in records:
        other = first.setdefault(record.caption_path, record)
        if other is not record:
            error = UserError(
                "{name} and {other} share one caption, {caption}.",
                remedy="Rename one of the pictures, so that each can have its own.",
                name=record.path.name,
                other=other.path.name,
                caption=record.caption_path.name,
            )
            problems.append(images.problem_of(record.path, error, excludes=False))
    return problems


def _no_pictures(folder: Path, entries: list[os.DirEntry[str]], problems: list[Problem]) -> UserError:
    if problems:
        return UserError(
            "There is no picture in {folder} that Kiln can read; {name} is of another kind.",
            remedy="Save the pictures as PNG or JPG with a picture program.",
            folder=folder,
            name=problems[0].path.name,
        )
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        if entry.is_dir() and _has_pictures(entry):
            return UserError(
                "There is no picture in {folder} itself, only in sub-folders such as {subfolder}.",
                remedy="Open the sub-folder, or rename it to 10_{subfolder} if each picture is to be used 10 times.",
                folder=folder,
                subfolder=entry.name,
            )
    return UserError(
        "There is no picture in {folder}.",
        remedy="Choose the folder with your pictures: JPG, PNG, WebP, BMP, GIF or AVIF.",
        folder=folder,
    )


def _has_pictures(folder: os.DirEntry[str]) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(os.path.splitext(entry.name)[1].lower() in images.EXTENSIONS for entry in entries)  # noqa: PTH122
    except OSError:
        return False
