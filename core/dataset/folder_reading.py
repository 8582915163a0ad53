"""Reading the pictures of one concept's folders, thousands of them in a moment: see `core.dataset.scan`."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from core.dataset import images
from core.dataset.captions import read_caption
from core.dataset.edits import Concept
from core.dataset.masks import is_mask_name
from core.dataset.records import ImageRecord, Problem
from core.errors import UserError

MAX_REPEATS = 1000
"""As in the settings; `2024_summer` is a year."""

_TOLD_AT_ONCE = 16
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


class _Picture(NamedTuple):
    """A file that may be a picture, with the parts of its name; the extension in small letters."""

    entry: os.DirEntry[str]
    stem: str
    extension: str


class _Listing:
    """The files of one folder, and what is worked out once for all of its pictures."""

    def __init__(self, folder: Path, entries: Iterable[os.DirEntry[str]]) -> None:
        self.folder = folder
        self.named = {entry.name: entry for entry in entries}
        self.pictures = _pictures(self.named.values())
        self.repeats, self.words = repeats_of(folder.absolute().name) or (0, "")
        # Strings where they do: of ten thousand pictures, paths take as long to be made as captions to be read.
        self.inside = os.path.join(folder, "")  # noqa: PTH118
        self.loose: dict[str, str] | None = None


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
        listed: set[str],
    ) -> None:
        """List the files of all folders, the concept's own first; no picture is opened.

        Args:
            concept: The folder, and what holds for its pictures.
            number: Which of the concepts it is.
            extension: Ending of the caption files.
            known: Pictures from an earlier look.
            own: The folders that are concepts, without links.
            listed: Those that were listed so far, by whatever concept; those of this one are added.

        Raises:
            UserError: The folder, or one below it, cannot be read.
        """
        self.records: list[ImageRecord] = []
        self.problems: list[Problem] = []
        self.folders: list[Path] = []
        self._concept = concept
        self._number = number
        self._extension = extension
        self._known = known
        self._own = own
        # Windows and macOS take `A.TXT` for the caption of `a.png`; elsewhere only the ending may differ in case.
        self._insensitive = sys.platform in ("win32", "darwin")
        self._listings: list[_Listing] = []
        for folder, entries in self._folders(concept.folder, entries_of(concept.folder)):
            place = os.path.realpath(folder)
            if place not in listed:
                listed.add(place)
                self._listings.append(_Listing(folder, entries))
        self.num_pictures = sum(len(listing.pictures) for listing in self._listings)

    def place_of(self, image: Path) -> int | None:
        """Which of the pictures one is, counted from 0; None when it is not among them."""
        before = 0
        for listing in self._listings:
            if listing.folder == image.parent:
                names = (picture.entry.name for picture in listing.pictures)
                return next((before + place for place, name in enumerate(names) if name == image.name), None)
            before += len(listing.pictures)
        return None

    def glimpse(self, first: int, end: int) -> list[ImageRecord]:
        """Read some of the pictures ahead, without a trace in what `read` finds.

        Args:
            first: Which picture to begin with.
            end: The one behind the last.
        """
        pictures = ((listing, picture) for listing in self._listings for picture in listing.pictures)
        records = (self._read_picture(*wanted, []) for wanted in islice(pictures, first, end))
        return [record for record in records if record is not None]

    def read(self) -> Iterator[int]:
        """Read all pictures; tells every now and then how many more are done."""
        for listing in self._listings:
            before, done = len(self.records), 0
            owners: dict[str, str] = {}
            for picture in listing.pictures:
                if (record := self._read_picture(listing, picture, self.problems)) is not None:
                    self._find_shared(owners, record, picture.entry.name)
                    self.records.append(record)
                done += 1
                if done == _TOLD_AT_ONCE:
                    yield done
                    done = 0
            yield done
            if len(self.records) > before:
                self.folders.append(listing.folder)

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

    def _read_picture(self, listing: _Listing, picture: _Picture, problems: list[Problem]) -> ImageRecord | None:
        """A picture with its caption, or None when it cannot be used; why not is added to the problems."""
        concept, entry = self._concept, picture.entry
        path = listing.folder / entry.name
        try:
            status = entry.stat()
            if not stat.S_ISREG(status.st_mode):
                return None  # A folder or a pipe called x.png.
            known = self._known.get(path) if self._known else None
            if known is not None and (known.changed_at, known.num_bytes) == (status.st_mtime, status.st_size):
                size_px = known.size_px
            else:
                known = None
                if picture.extension in images.OTHER_EXTENSIONS:
                    raise images.unsupported(path)
                size_px = images.picture_size(listing.inside + entry.name, is_file=True)
        except OSError:
            problems.append(images.problem_of(path, _unreachable(path)))
            return None
        except UserError as error:
            problems.append(images.problem_of(path, error))
            return None
        caption_name = picture.stem + self._extension
        if caption_name not in listing.named:
            if listing.loose is None:
                listing.loose = self._loose(listing.named)
            caption_name = listing.loose.get(_loosely(caption_name, self._insensitive), caption_name)
        caption_entry = listing.named.get(caption_name)
        stamp = _stamp(caption_entry) if caption_entry is not None else (0.0, 0)
        caption: str | None
        if (
            known is not None
            and known.caption_path.name == caption_name
            and (known.caption_changed_at, known.caption_bytes) == stamp
        ):
            caption_path, caption, problem = known.caption_path, known.caption, known.caption_problem
        else:
            caption_path = listing.folder / caption_name
            caption, problem = read_caption(listing.inside + caption_name) if caption_entry is not None else (None, "")
        return ImageRecord(
            path=path,
            size_px=size_px,
            caption_path=caption_path,
            caption=caption,
            caption_problem=problem,
            repeats=concept.repeats or listing.repeats,
            class_tokens=concept.class_word or listing.words,
            num_bytes=status.st_size,
            changed_at=status.st_mtime,
            caption_changed_at=stamp[0],
            caption_bytes=stamp[1],
            concept=self._number,
            trigger_word=concept.trigger_word,
            is_regularization=concept.is_regularization,
        )

    def _find_shared(self, owners: dict[str, str], record: ImageRecord, name: str) -> None:
        """Tell when a picture has the caption of another one.

        Args:
            owners: The first picture of each caption of the folder, by the caption's name.
            record: The picture.
            name: That of its file.
        """
        caption_name = record.caption_path.name
        owner = owners.setdefault(caption_name.casefold() if self._insensitive else caption_name, name)
        if owner is not name:
            shared = _shared(name, owner, caption_name)
            self.problems.append(images.problem_of(record.path, shared, excludes=False))

    def _loose(self, names: Iterable[str]) -> dict[str, str]:
        """The names that may be those of captions, by what is the same in all of their spellings."""
        ending = self._extension.casefold()
        likely = sorted((name for name in names if name.casefold().endswith(ending)), reverse=True)
        return {_loosely(name, self._insensitive): name for name in likely}


def _pictures(entries: Iterable[os.DirEntry[str]]) -> list[_Picture]:
    """The pictures among some files in natural order."""
    found = []
    for entry in entries:
        stem, dot, ending = entry.name.rpartition(".")
        extension = dot + ending.lower()
        if extension in _ALL_EXTENSIONS and not is_mask_name(entry.name):
            found.append((natural_key(entry.name), _Picture(entry, stem, extension)))
    found.sort(key=lambda picture: picture[0][1])  # By name first: that is nearly it, and far quicker to compare.
    found.sort(key=lambda picture: picture[0])
    return [picture for _, picture in found]


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
