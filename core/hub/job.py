"""The job that brings a model of the catalogue onto this machine."""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.control import Control
from core.errors import UserError
from core.events import DownloadProgress, Event, Finished, JobStarted, Notice, StageStarted
from core.hub import manifest
from core.hub.catalog import ModelCard, folder_of, is_here, model_card
from core.hub.download import PART, Got, Limits, fetch, hash_of, part_of
from core.hub.folder import models_folder
from core.hub.listing import list_files, load_libraries
from core.hub.sources import (
    Listing,
    Refusal,
    RemoteFile,
    Source,
    SourceError,
    check_online,
    refused,
    sources_for,
    title_of,
)
from core.hub.waiting import Cancelled, Silence, patiently, pause
from core.locks import only_run
from core.text import tr

if TYPE_CHECKING:
    from core.jobs import DownloadJob

_EVENT_EVERY_S = 0.2
_SPEED_OVER_S = 5.0
_SPARE_BYTES = 64_000_000
"""What must stay free on the disk."""


def download_model(job: DownloadJob, control: Control, limits: Limits | None = None) -> Iterator[Event]:
    """Bring a model into the folder of models, or the rest of it.

    One that is here already is read once, and no server is asked unless something in it is damaged. `job.folder` is
    another folder of models. With the source `auto` the next one is tried when one does not answer or fails; a `Notice`
    says so, and what one source began, another one completes. `Finished.output` is the folder of the model. When the
    user stops it, what came so far stays for the next time.

    Raises:
        UserError: Unknown model, no source that gives it whole, no space, downloads are turned off, or another download
            of it is going on.
        OSError: The folder cannot be written.
    """
    card = model_card(job.model)
    root = models_folder() if job.folder == Path() else job.folder
    target = folder_of(card, root)
    yield JobStarted(job="download")
    try:
        if not (is_here(card, root) and (yield from _is_intact(card, target, control))):
            check_online()
            target.mkdir(parents=True, exist_ok=True)
            with _only_download(card, target):
                yield from _from_any(card, sources_for(card, job.source), target, control, limits or Limits())
    except Cancelled:
        yield Finished(stopped=True)
        return
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise _no_space(card, target, 0) from error
        raise
    yield Finished(output=target)


def _is_intact(card: ModelCard, target: Path, control: Control) -> Generator[Event, None, bool]:
    """Read a model that is here, and compare it with what was downloaded."""
    yield StageStarted(stage="verify")
    entries = manifest.read(target, card.key).values()
    progress = _Progress(sum(entry.size_bytes for entry in entries))
    for entry in entries:
        if not (yield from progress.follow(entry, hash_of(target / entry.name, entry, control))):
            yield Notice(level="warning", message=tr("{file} is damaged and comes again.", file=entry.name))
            return False
    return True


def _only_download(card: ModelCard, target: Path) -> contextlib.ExitStack:
    """Holds the lock of a model's folder; made anew for each download.

    Raises:
        UserError: Another process holds it, or the disk cannot lock files.
        OSError: The folder cannot be written.
    """
    stack = contextlib.ExitStack()
    try:
        stack.enter_context(only_run(target))
    except UserError as error:
        raise UserError(
            "{title} is being downloaded already.",
            remedy="Wait for its end, or cancel it where it was started.",
            title=card.title,
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise UserError(
            "The disk of {folder} cannot lock files.", remedy="Choose another folder for models.", folder=target
        ) from error
    return stack


def _from_any(
    card: ModelCard, sources: tuple[Source, ...], target: Path, control: Control, limits: Limits
) -> Iterator[Event]:
    """Download from the first source that can."""
    problems: list[UserError] = []
    silent: list[UserError] = []
    load_libraries()
    for source, following in zip(sources, (*sources[1:], None), strict=True):
        try:
            yield StageStarted(stage="connect")
            listing = yield from _list(card, source, following is None, control, limits)
            yield from _download(card, listing, target, control, limits)
            return
        except SourceError as error:
            problem = error.problem
        except Refusal as error:
            problem = refused(error, card, source).problem
        except Silence as error:
            problem = UserError(
                "{source} does not answer.",
                remedy="Check the connection and the proxy, or choose another source.",
                source=title_of(source),
            )
            problem.__cause__ = error
            silent.append(problem)
        problems.append(problem)
        if following is not None:
            message = tr("{problem} Kiln tries {source} instead.", problem=problem.message, source=title_of(following))
            yield Notice(level="warning", message=message)
    telling = [problem for problem in problems if problem not in silent]
    if len(problems) > 1 and not telling:
        raise UserError(
            "None of the sources answers: {sources}.",
            remedy="Check the connection and the proxy of this machine, then try again.",
            sources=", ".join(title_of(source) for source in sources),
        ) from problems[0].__cause__
    raise (telling or problems)[0]


def _list(
    card: ModelCard, source: Source, is_last: bool, control: Control, limits: Limits
) -> Generator[Event, None, Listing]:
    answer_s = limits.last_answer_s if is_last else limits.answer_s
    attempts = limits.attempts if is_last else 2
    for attempt in range(1, attempts + 1):
        try:
            return patiently(lambda: list_files(card, source, answer_s), control, answer_s)
        except Refusal as error:
            if not error.is_passing or attempt == attempts:
                raise
            wait_s = limits.wait_s(attempt, error.wait_s)
            if wait_s > answer_s and not is_last:  # The next source is there sooner.
                raise
            source_title, seconds = title_of(source), max(1, round(wait_s))
            yield Notice(
                message=tr(
                    "{source} asks for patience; Kiln tries again in {seconds} s.", source=source_title, seconds=seconds
                )
                if error.status == 429
                else tr(
                    "{source} answers with the error {status}; Kiln tries again in {seconds} s.",
                    source=source_title,
                    status=error.status,
                    seconds=seconds,
                )
            )
            for _ in pause(wait_s, control):
                pass
    raise AssertionError("unreachable")


def _download(card: ModelCard, listing: Listing, target: Path, control: Control, limits: Limits) -> Iterator[Event]:
    """Bring all files of a listing into the folder, then mark the model as whole.

    What an earlier download left is replaced; another file that is in the way gets another name.
    """
    earlier = manifest.read(target, card.key)
    yield Notice(message=tr("Downloading from {source}.", source=title_of(listing.source)))
    progress = _Progress(sum(file.size_bytes for file in listing.files))
    entries: list[manifest.Entry] = []
    missing: list[RemoteFile] = []
    there = [file for file in listing.files if _has_size(target / file.name, file)]
    if there:
        yield StageStarted(stage="verify")
    for file in listing.files:
        sha256 = ""
        if file in there:
            sha256 = yield from progress.follow(file, hash_of(target / file.name, file, control))
        if sha256:
            entries.append(manifest.Entry(file.name, file.size_bytes, sha256))
        else:
            missing.append(file)
            progress.forget(file)
    _check_space(card, target, missing)
    yield StageStarted(stage="download", total=progress.total_bytes)
    for file in missing:
        place = target / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = _free_name(place) if place.exists() and file.name not in earlier else None
        sha256 = yield from progress.follow(file, fetch(file, place, control, limits, aside))
        if aside is not None:
            message = tr("Another {file} was there already; it is called {name} now.", file=file.name, name=aside.name)
            yield Notice(level="warning", message=message)
        entries.append(manifest.Entry(file.name, file.size_bytes, sha256))
    manifest.write(target, card.key, listing.origin, entries)
    with contextlib.suppress(OSError):  # The model is whole; what another program holds goes the next time.
        for left_over in target.rglob(PART.format("*")):
            left_over.unlink(missing_ok=True)


def _free_name(path: Path) -> Path:
    """A name beside a file that says whose it is."""
    names = (path.with_name(f"{path.name}.mine{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def _has_size(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes


def _check_space(card: ModelCard, target: Path, files: list[RemoteFile]) -> None:
    needed = 0
    for file in files:
        part = part_of(target / file.name, file)
        needed += file.size_bytes - (part.stat().st_size if part.is_file() else 0)
    if needed > 0 and shutil.disk_usage(target).free < needed + _SPARE_BYTES:
        raise _no_space(card, target, needed)


def _no_space(card: ModelCard, target: Path, needed: int) -> UserError:
    if not needed:
        return UserError(
            "The disk became full while {title} was downloaded to {folder}.",
            remedy="Free some space and try again: the download goes on from where it is now.",
            title=card.title,
            folder=target,
        )
    return UserError(
        "{title} needs {needed} GB more, and {folder} has {free} GB left.",
        remedy="Free some space, or choose another folder for models.",
        title=card.title,
        needed=f"{needed / 1e9:.2f}",
        free=f"{shutil.disk_usage(target).free / 1e9:.2f}",
        folder=target,
    )


class _Progress:
    """Events about the whole model from the bytes of its files, not more than a few each second."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._done: dict[str, int] = {}
        self._marks: deque[tuple[float, int]] = deque()
        self._told = 0.0

    def follow(self, file: RemoteFile | manifest.Entry, work: Generator[Got, None, str]) -> Generator[Event, None, str]:
        """Run work on one file to its end; gives its result."""
        self._marks.clear()
        try:
            while True:
                got = next(work)
                now = time.monotonic()
                self._note(now, file, got)
                if now - self._told >= _EVENT_EVERY_S:
                    yield self._event(now, file)
        except StopIteration as end:
            self._done[file.name] = file.size_bytes
            yield self._event(time.monotonic(), file)
            return str(end.value)
        finally:
            work.close()

    def forget(self, file: RemoteFile) -> None:
        """A file on disk is not the right one."""
        self._done[file.name] = 0

    def _note(self, now: float, file: RemoteFile | manifest.Entry, got: Got) -> None:
        self._done[file.name] = got.num_bytes
        if not got.is_new or (self._marks and got.num_bytes < self._marks[-1][1]):
            self._marks.clear()  # It was on disk already, or starts over.
        self._marks.append((now, got.num_bytes))
        while self._marks[0][0] < now - _SPEED_OVER_S and len(self._marks) > 1:
            self._marks.popleft()

    def _event(self, now: float, file: RemoteFile | manifest.Entry) -> DownloadProgress:
        self._told = now
        (first_s, first), (last_s, last) = (self._marks[0], self._marks[-1]) if self._marks else ((now, 0), (now, 0))
        passed_s = last_s - first_s
        return DownloadProgress(
            file=file.name,
            done_bytes=sum(self._done.values()),
            total_bytes=self.total_bytes,
            bytes_per_s=(last - first) / passed_s if passed_s > 0 and last > first else None,
        )
