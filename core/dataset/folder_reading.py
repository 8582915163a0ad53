"""Reading the pictures of one concept's folders, thousands of them in a moment: see `core.dataset.scan`."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from core.dataset import images
from core.dataset.captions import read_caption
from core.dataset.edits import Concept
from core.dataset.masks import is_mask_name
from core.dataset.records import ImageRecord, Problem
from core.errors import UserError

MAX_REPEATS = 1000
"""As in the settings; `2024_summer` is a year."""

_ALL_EXTENSIONS = images.EXTENSIONS | images.OTHER_EXTENSIONS
_DIGITS = re.compile(r"(\d+)")
_REPEATS = re.compile(r"(\d{1,9})_(.*)", re.DOTALL)


def repeats_of(folder_name: str) -> tuple[int, str] | None:
    """(repeats, class tokens) of a folder named like `10_name`, by the rule of sd-scripts; None for other names."""
    match = _REPEATS.match(folder_name)
    if match is None or not 1 <= int(match[1]) <= MAX_REPEATS:
        return None
    return int(match[1]), match[2].strip()


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Sorts `2.png` before `10.png`, without regard to case."""
    parts: list[str | int] = [*_DIGITS.split(name.casefold())]
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts), name


class FolderReading:
    """Reads the folders of one concept.

    `records`, `problems` and `folders`, those that have pictures, are what `read` found.
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
        """Read nothing yet.

        Args:
            concept: The folder, and what holds for its pictures.
            number: Which of the concepts it is.
            extension: Ending of the caption files.
            known: Pictures from an earlier look.
            own: The folders that are concepts, without links.
            read: Those that have been read so far, by whatever concept; those read here are added.
        """
        self.records: list[ImageRecord] = []
        self.problems: list[Problem] = []
        self.folders: list[Path] = []
        self._concept = concept
        self._number = number
        self._extension = extension
        self._known = known
        self._own = own
        self._read = read
        # Windows and macOS take `A.TXT` for the caption of `a.png`; elsewhere only the ending may differ in case.
        self._insensitive = sys.platform in ("win32", "darwin")

    def read(self) -> None:
        """Read all pictures of the concept, its own folder first.

        Raises:
            UserError: The folder, or one below it, cannot be read.
        """
        top = self._concept.folder
        for folder, entries in self._folders(top, entries_of(top)):
            place = os.path.realpath(folder)
            if place in self._read:
                continue
            self._read.add(place)
            before = len(self.records)
            self._read_folder(folder, entries)
            if len(self.records) > before:
                self.folders.append(folder)

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
                yield from self._folders(inner, entries_of(inner))
            else:
                yield inner, entries_of(inner)

    def _read_folder(self, folder: Path, entries: list[os.DirEntry[str]]) -> None:
        concept = self._concept
        repeats, words = repeats_of(folder.absolute().name) or (0, "")
        # Strings where they do: of ten thousand pictures, paths take as long to be made as captions to be read.
        inside = os.path.join(folder, "")  # noqa: PTH118
        named = {entry.name: entry for entry in entries}
        loose: dict[str, str] | None = None
        owners: dict[str, str] = {}
        for entry, stem, extension in _pictures(entries):
            path = folder / entry.name
            try:
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    continue  # A folder or a pipe called x.png.
                known = self._known.get(path) if self._known else None
                if known is not None and (known.changed_at, known.num_bytes) == (status.st_mtime, status.st_size):
                    size_px = known.size_px
                else:
                    known = None
                    if extension in images.OTHER_EXTENSIONS:
                        raise images.unsupported(path)
                    size_px = images.picture_size(inside + entry.name, is_file=True)
            except OSError:
                self.problems.append(images.problem_of(path, _unreachable(path)))
                continue
            except UserError as error:
                self.problems.append(images.problem_of(path, error))
                continue
            caption_name = stem + self._extension
            if caption_name not in named:
                if loose is None:
                    loose = self._loose(named)
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
                caption, problem = read_caption(inside + caption_name) if caption_entry is not None else (None, "")
            owner = owners.setdefault(caption_name.casefold() if self._insensitive else caption_name, entry.name)
            if owner is not entry.name:
                shared = _shared(entry.name, owner, caption_name)
                self.problems.append(images.problem_of(path, shared, excludes=False))
            self.records.append(
                ImageRecord(
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
            )

    def _loose(self, names: Iterable[str]) -> dict[str, str]:
        """The names that may be those of captions, by what is the same in all of their spellings."""
        ending = self._extension.casefold()
        likely = sorted((name for name in names if name.casefold().endswith(ending)), reverse=True)
        return {_loosely(name, self._insensitive): name for name in likely}


def _pictures(entries: Iterable[os.DirEntry[str]]) -> list[tuple[os.DirEntry[str], str, str]]:
    """The pictures among some files in natural order, with the stem and the ending of their names."""
    found = []
    for entry in entries:
        stem, dot, ending = entry.name.rpartition(".")
        extension = dot + ending.lower()
        if extension in _ALL_EXTENSIONS and not is_mask_name(entry.name):
            found.append((natural_key(entry.name), entry, stem, extension))
    found.sort(key=lambda picture: picture[0][1])  # By name first: that is nearly it, and far quicker to compare.
    found.sort(key=lambda picture: picture[0])
    return [picture[1:] for picture in found]


def _is_named(entry: os.DirEntry[str]) -> bool:
    is_possible = entry.is_dir(follow_symlinks=False) or entry.is_symlink()
    return is_possible and repeats_of(entry.name) is not None and entry.is_dir()


def _stamp(entry: os.DirEntry[str]) -> tuple[float, int]:
    """When a caption was written last, and its size; zeros for one that is not there after all: that is found then."""
    try:
        status = entry.stat()
    except OSError:
        return 0.0, 0
    return status.st_mtime, status.st_size


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, hidden things left out."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError as error:
        raise UserError(
            "The folder {folder} does not exist.",
            remedy="Check that it was not moved or renamed, and choose it again.",
            failure="pictures_missing",
            folder=folder,
        ) from error
    except NotADirectoryError as error:
        raise UserError(
            "{folder} is a file, not a folder.",
            remedy="Choose the folder that the pictures are in.",
            failure="pictures_missing",
            folder=folder,
        ) from error
    except PermissionError as error:
        raise UserError(
            "The folder {folder} may not be read.",
            remedy="Give yourself the right to read it, or copy the pictures to a folder of your own.",
            failure="pictures_missing",
            folder=folder,
        ) from error
    except OSError as error:
        raise UserError(
            "The folder {folder} could not be read: {error}.",
            remedy="Check the drive and the connection to it, then try again.",
            failure="drive_gone",
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


def _shared(name: str, other: str, caption_name: str) -> UserError:
    """For a picture that differs from another one only in its ending."""
    return UserError(
        "{name} and {other} share one caption, {caption}.",
        remedy="Rename one of the pictures, so that each can have its own.",
        name=name,
        other=other,
        caption=caption_name,
    )
