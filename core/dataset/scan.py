"""Looking through folders of pictures: what is usable, and what is wrong with the rest. Only headers are read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from core.dataset import images
from core.dataset.edits import Concept, Dataset, dataset_of, load_dataset
from core.dataset.folder_reading import MAX_REPEATS, FolderReading, entries_of, natural_key, repeats_of
from core.dataset.records import Glimpse, ImageRecord, Problem, Scan
from core.errors import UserError

__all__ = [
    "MAX_REPEATS",
    "DatasetReading",
    "concepts_of_job",
    "natural_key",
    "repeats_of",
    "scan_dataset",
    "scan_folder",
    "scan_job",
    "usable",
]


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
    """All pictures of a dataset at once; see `DatasetReading`.

    Raises:
        UserError: The first folder is missing, is a file or may not be read, or there is no picture at all.
    """
    return DatasetReading(dataset, caption_extension=caption_extension, known=known).read()


class DatasetReading:
    """The pictures of all folders of a dataset in natural order: those in a folder, then those in its sub-folders.

    A sub-folder named like `10_name` gives its pictures 10 repeats and `name` as class word, and so does the folder
    itself when it is named so, unless the concept says otherwise. Other sub-folders are left alone unless the concept
    includes them; links to folders, hidden files and caches always are. A folder that is a concept of its own is not
    also read as a part of another one, and none is read twice, whatever name a link gives it.
    """

    def __init__(
        self, dataset: Dataset, *, caption_extension: str = ".txt", known: Mapping[Path, ImageRecord] | None = None
    ) -> None:
        """List all files; no picture is opened.

        Args:
            dataset: The folders and what was decided.
            caption_extension: Ending of the caption files where a concept does not name its own, with its dot.
            known: Pictures from an earlier look by path; those that have not changed since are not opened again.

        Raises:
            UserError: The first folder is missing, is a file or may not be read.
        """
        self._dataset = dataset
        self._readings: list[FolderReading] = []
        self._problems: list[Problem] = []
        own = {os.path.realpath(concept.folder) for concept in dataset.concepts}
        listed: set[str] = set()
        for number, concept in enumerate(dataset.concepts):
            if os.path.realpath(concept.folder) in listed:
                error = _is_there_already(concept.folder)
                self._problems.append(images.problem_of(concept.folder, error, excludes=False))
                continue
            extension = concept.caption_extension or caption_extension
            try:
                self._readings.append(FolderReading(concept, number, extension, known or {}, own, listed))
            except UserError as error:
                if number == 0:
                    raise
                self._problems.append(images.problem_of(concept.folder, error))
        self.num_pictures = sum(reading.num_pictures for reading in self._readings)
        """How many files there are that may be pictures."""

    def glimpse(self, most: int, around: Path | None = None) -> Glimpse:
        """Read a few of the pictures ahead.

        Args:
            most: How many.
            around: A picture that should be among them; without it, or when it is not there, they are the first ones.
        """
        first = min(max(0, self._place_of(around) - most // 2), max(0, self.num_pictures - most)) if around else 0
        records: list[ImageRecord] = []
        before = 0
        for reading in self._readings:
            records += reading.glimpse(max(0, first - before), max(0, first + most - before))
            before += reading.num_pictures
        return Glimpse(records=tuple(records), first=first, num_pictures=self.num_pictures)

    def _place_of(self, image: Path) -> int:
        """Which of all pictures one is, 0 when it is not among them."""
        before = 0
        for reading in self._readings:
            if (place := reading.place_of(image)) is not None:
                return before + place
            before += reading.num_pictures
        return 0

    def read(self, progressed: Callable[[int], object] | None = None) -> Scan:
        """Read all pictures.

        Args:
            progressed: Told every now and then how many of `num_pictures` are done.

        Raises:
            UserError: There is no picture at all.
        """
        done = 0
        for reading in self._readings:
            for more in reading.read():
                done += more
                if progressed is not None:
                    progressed(done)
        records = [record for reading in self._readings for record in reading.records]
        problems = [*self._problems, *(problem for reading in self._readings for problem in reading.problems)]
        folder = self._dataset.folder
        if not records and not any(problem.path.suffix.lower() in images.EXTENSIONS for problem in problems):
            raise _no_pictures(folder, entries_of(folder), problems)
        problems.sort(key=lambda problem: (problem.path.parent != folder, natural_key(str(problem.path))))
        return Scan(
            folder=folder,
            records=tuple(records),
            problems=tuple(problems),
            pictures=self._dataset.pictures,
            folders=tuple(place for reading in self._readings for place in reading.folders),
        )


def usable(scan: Scan) -> tuple[ImageRecord, ...]:
    """The pictures of a scan that are not left out, for a job that needs at least one.

    Raises:
        UserError: None of the pictures can be used.
    """
    used = tuple(record for record in scan.records if not scan.edits(record.path).excluded)
    if len(scan.records) == 1 and not used:
        raise UserError(
            "The only picture of {folder} is left out.",
            remedy="Take it back in on the Dataset page.",
            failure="pictures_damaged",
            folder=scan.folder,
        )
    if scan.records and not used:
        raise UserError(
            "All {number} pictures of {folder} are left out.",
            remedy="Take some of them back in on the Dataset page.",
            failure="pictures_damaged",
            number=len(scan.records),
            folder=scan.folder,
        )
    if not scan.records:
        raise UserError(
            "None of the pictures in {folder} can be used; {number} were found. The first: {problem}",
            remedy="Replace the damaged files, or choose another folder.",
            failure="pictures_damaged",
            number=len(scan.problems),
            folder=scan.folder,
            problem=scan.problems[0].message,
        )
    return used


def _is_there_already(folder: Path) -> UserError:
    return UserError(
        "{folder} is in the dataset twice; its pictures are used once.",
        remedy="Take one of the two folders out of the dataset.",
        folder=folder,
    )


def _no_pictures(folder: Path, entries: list[os.DirEntry[str]], problems: list[Problem]) -> UserError:
    if problems:
        return UserError(
            "There is no picture in {folder} that Kiln can read; {name} is of another kind.",
            remedy="Save the pictures as PNG or JPG with a picture program.",
            failure="no_pictures",
            folder=folder,
            name=problems[0].path.name,
        )
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        if entry.is_dir() and _has_pictures(entry):
            return UserError(
                "There is no picture in {folder} itself, only in sub-folders such as {subfolder}.",
                remedy="Open the sub-folder, or rename it to 10_{subfolder} if each picture is to be used 10 times.",
                failure="no_pictures",
                folder=folder,
                subfolder=entry.name,
            )
    return UserError(
        "There is no picture in {folder}.",
        remedy="Choose the folder with your pictures: JPG, PNG, WebP, BMP, GIF or AVIF.",
        failure="no_pictures",
        folder=folder,
    )


def _has_pictures(folder: os.DirEntry[str]) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(os.path.splitext(entry.name)[1].lower() in images.EXTENSIONS for entry in entries)  # noqa: PTH122
    except OSError:
        return False
