"""Looking through folders of pictures: what is usable, and what is wrong with the rest. Only headers are read."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.dataset import images
from core.dataset.captions import read_caption
from core.dataset.edits import Concept, Dataset, dataset_of, load_dataset
from core.dataset.records import ImageRecord, Problem, Scan
from core.errors import UserError

_ALL_EXTENSIONS = images.EXTENSIONS | images.OTHER_EXTENSIONS
MAX_REPEATS = 1000  # As in the settings; `2024_summer` is a year.


def scan_folder(folder: Path, *, caption_extension: str = ".txt") -> Scan:
    """The pictures of one folder with nothing decided about them; see `scan_dataset`.

    Raises:
        UserError: As `scan_dataset`.
    """
    return scan_dataset(Dataset.of_folder(folder), caption_extension=caption_extension)


def scan_job(folder: Path, edits: Path, *, caption_extension: str = ".txt") -> Scan:
    """The pictures that a job works on.

    Args:
        folder: What the settings name.
        edits: The dataset file with further folders and decisions; `Path()` for none.
        caption_extension: Ending of the caption files where a concept does not name its own.

    Raises:
        UserError: As `scan_dataset`; the dataset file cannot be read, or belongs to another folder.
    """
    if edits == Path():
        return scan_folder(folder, caption_extension=caption_extension)
    content, notice = load_dataset(edits)
    dataset = dataset_of(content)
    if dataset.folder != folder:
        raise UserError(
            "The dataset file {path} is about {other}, not about {folder}.",
            remedy="Choose that folder, or take dataset.edits out of the settings.",
            path=edits,
            other=dataset.folder,
            folder=folder,
        )
    scan = scan_dataset(dataset, caption_extension=caption_extension)
    if notice:
        problem = Problem(path=edits, message=notice, remedy="", excludes=False)
        scan = dataclasses.replace(scan, problems=(problem, *scan.problems))
    return scan


def concepts_of_job(folder: Path, edits: Path) -> tuple[Concept, ...]:
    """The folders that `scan_job` looks through.

    Raises:
        UserError: The dataset file cannot be read.
    """
    return Dataset.of_folder(folder).concepts if edits == Path() else load_dataset(edits)[0].concepts


def scan_dataset(
    dataset: Dataset, *, caption_extension: str = ".txt", known: Mapping[Path, ImageRecord] | None = None
) -> Scan:
    """The pictures of all folders of a dataset in natural order: those in a folder, then those in its sub-folders.

    A sub-folder named like `10_name` gives its pictures 10 repeats and `name` as class word, and so does the folder
    itself when it is named so, unless the concept says otherwise. Other sub-folders are left alone unless the concept
    includes them; links to folders, hidden files and caches always are. A folder that is a concept of its own is not
    also read as a part of another one, and none is read twice, whatever name a link gives it.

    Args:
        dataset: The folders and what was decided.
        caption_extension: Ending of the caption files where a concept does not name its own, with its dot.
        known: Pictures from an earlier look by path; those that have not changed since are not opened again.

    Raises:
        UserError: The first folder is missing, is a file or may not be read, or there is no picture at all.
    """
    records: list[ImageRecord] = []
    problems: list[Problem] = []
    own = {os.path.realpath(concept.folder) for concept in dataset.concepts}
    read: set[str] = set()
    for number, concept in enumerate(dataset.concepts):
        if os.path.realpath(concept.folder) in read:
            problems.append(images.problem_of(concept.folder, _is_there_already(concept.folder), excludes=False))
            continue
        reading = _Reading(concept, number, concept.caption_extension or caption_extension, known or {}, own, read)
        try:
            found = reading.pictures()
        except UserError as error:
            if number == 0:
                raise
            problems.append(images.problem_of(concept.folder, error))
            continue
        for item in found:
            (records if isinstance(item, ImageRecord) else problems).append(item)  # type: ignore[arg-type]
    if not records and not any(problem.path.suffix.lower() in images.EXTENSIONS for problem in problems):
        raise _no_pictures(dataset.folder, _entries(dataset.folder), problems)
    problems += _shared_captions(records)
    problems.sort(key=lambda problem: (problem.path.parent != dataset.folder, natural_key(str(problem.path))))
    return Scan(folder=dataset.folder, records=tuple(records), problems=tuple(problems), pictures=dataset.pictures)


def usable(scan: Scan) -> tuple[ImageRecord, ...]:
    """The pictures of a scan that are not left out, for a job that needs at least one.

    Raises:
        UserError: None of the pictures can be used.
    """
    used = tuple(record for record in scan.records if not scan.edits(record.path).excluded)
    if scan.records and not used:
        raise UserError(
            "All {number} pictures of {folder} are left out.",
            remedy="Take some of them back in on the Dataset page.",
            number=len(scan.records),
            folder=scan.folder,
        )
    if not scan.records:
        raise UserError(
            "None of the pictures in {folder} can be used; {number} were found. The first: {problem}",
            remedy="Replace the damaged files, or choose another folder.",
            number=len(scan.problems),
            folder=scan.folder,
            problem=scan.problems[0].message,
        )
    return used


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


class _Reading:
    """Reads the folders of one concept.

    `own` are the folders that are concepts, `read` those that have been read so far, without links.
    """

    def __init__(
        self,
        concept: Concept,
        number: int,
        extension: str,
        known: Mapping[Path, ImageRecord],
        own: set[str],
        read: set[str],
    ) -> None:
        self._concept = concept
        self._number = number
        self._extension = extension
        self._known = known
        self._own = own
        self._read = read
        # Windows and macOS take `A.TXT` for the caption of `a.png`; elsewhere only the ending may differ in case.
        self._insensitive = sys.platform in ("win32", "darwin")

    def pictures(self) -> list[ImageRecord | Problem]:
        """All pictures of the concept, its own folder first.

        Raises:
            UserError: The folder cannot be read.
        """
        top = self._concept.folder
        found: list[ImageRecord | Problem] = []
        for folder, entries in self._folders(top, _entries(top)):
            place = os.path.realpath(folder)
            if place in self._read:
                continue
            self._read.add(place)
            repeats, words = repeats_of(folder.absolute().name) or (0, "")
            found += self._pictures_in(folder, entries, repeats, words)
        return found

    def _folders(self, folder: Path, entries: list[os.DirEntry[str]]) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
        """The folder and those below it that belong to the concept."""
        yield folder, entries
        deep = self._concept.include_subfolders
        # Links to folders are followed only where the name asks for it: they may lead back up.
        below = [entry for entry in entries if (deep and entry.is_dir(follow_symlinks=False)) or _is_named(entry)]
        for entry in sorted(below, key=lambda entry: natural_key(entry.name)):
            inner = folder / entry.name
            if os.path.realpath(inner) in self._own:
                continue
            if deep and not entry.is_symlink():
                yield from self._folders(inner, _entries(inner))
            else:
                yield inner, _entries(inner)

    def _pictures_in(
        self, folder: Path, entries: list[os.DirEntry[str]], repeats: int, words: str
    ) -> Iterator[ImageRecord | Problem]:
        concept = self._concept
        named = {entry.name: entry for entry in entries}
        loose = {_loosely(name, self._insensitive): name for name in sorted(named, reverse=True)}
        pictures = [
            (natural_key(entry.name), entry, extension)
            for entry in entries
            if (extension := os.path.splitext(entry.name)[1].lower()) in _ALL_EXTENSIONS  # noqa: PTH122 - thousands
        ]
        pictures.sort(key=lambda picture: picture[0])
        for _, entry, extension in pictures:
            path = folder / entry.name
            try:
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    continue  # A folder or a pipe called x.png.
                known = self._known.get(path)
                if known is not None and (known.changed_at, known.num_bytes) == (status.st_mtime, status.st_size):
                    size_px = known.size_px
                else:
                    known = None
                    if extension in images.OTHER_EXTENSIONS:
                        raise images.unsupported(path)
                    size_px = images.picture_size(path)
            except OSError:
                yield images.problem_of(path, _unreachable(path))
                continue
            except UserError as error:
                yield images.problem_of(path, error)
                continue
            caption_name = path.stem + self._extension
            if caption_name not in named:
                caption_name = loose.get(_loosely(caption_name, self._insensitive), caption_name)
            caption_entry = named.get(caption_name)
            stamp = _stamp(caption_entry) if caption_entry is not None else (0.0, 0)
            caption: str | None
            if (
                known is not None
                and known.caption_path.name == caption_name
                and (known.caption_changed_at, known.caption_bytes) == stamp
            ):
                caption_path, caption, problem = known.caption_path, known.caption, known.caption_problem
            else:
                caption_path = folder / caption_name
                caption, problem = read_caption(caption_path) if caption_entry is not None else (None, "")
            yield ImageRecord(
                path=path,
                size_px=size_px,
                caption_path=caption_path,
                caption=caption,
                caption_problem=problem,
                repeats=concept.repeats or repeats,
                class_tokens=concept.class_word or words,
                num_bytes=status.st_size,
                changed_at=status.st_mtime,
                caption_changed_at=stamp[0],
                caption_bytes=stamp[1],
                concept=self._number,
                trigger_word=concept.trigger_word,
                is_regularization=concept.is_regularization,
            )


def _is_named(entry: os.DirEntry[str]) -> bool:
    return repeats_of(entry.name) is not None and entry.is_dir()


def _stamp(entry: os.DirEntry[str]) -> tuple[float, int]:
    """When a caption was written last, and its size; zeros for one that is not there after all: that is found then."""
    try:
        status = entry.stat()
    except OSError:
        return 0.0, 0
    return status.st_mtime, status.st_size


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


def _loosely(name: str, insensitive: bool) -> str:
    stem, extension = os.path.splitext(name)  # noqa: PTH122 - thousands of them
    return (stem.casefold() if insensitive else stem) + extension.casefold()


def _unreachable(path: Path) -> UserError:
    return UserError(
        "{name} is a link to a file that is not there.",
        remedy="Delete the link, or bring the file back.",
        name=path.name,
    )


def _is_there_already(folder: Path) -> UserError:
    return UserError(
        "{folder} is in the dataset twice; its pictures are used once.",
        remedy="Take one of the two folders out of the dataset.",
        folder=folder,
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
