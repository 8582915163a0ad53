"""Errors in the user's words: what happened in one sentence, and what to do about it."""

from __future__ import annotations

import errno
import traceback

from core.text import tr


class UserError(Exception):
    """Something the user can understand and mend. The technical error, if any, is its `__cause__`."""

    def __init__(self, message: str, /, *, remedy: str, failure: str = "", **fields: object) -> None:
        """Fill and translate both sentences.

        Args:
            message: English template of one plain sentence: what went wrong.
            remedy: English template of one plain sentence: what to do.
            failure: Key of the failure in `core.failures`, for the buttons that mend it; empty when it has none.
            fields: Values for the `{places}` of both templates.
        """
        self.message = tr(message, **fields)
        self.remedy = tr(remedy, **fields)
        self.failure = failure
        super().__init__(self.message)

    def __str__(self) -> str:
        """Both sentences, for logs and terminals."""
        return f"{self.message} {self.remedy}"


def explain(error: BaseException) -> UserError | None:
    """The user's words for a technical failure that is known, or None.

    A `UserError` explains itself; errors that nobody has met yet give None and are treated as bugs.
    """
    if isinstance(error, UserError):
        return error
    name = type(error).__name__
    text = str(error)
    if name == "OutOfMemoryError" or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return _because(
            error,
            UserError(
                "The memory is not enough for these settings.",
                remedy="Set the batch size to 1, turn gradient checkpointing on, or lower the resolution.",
            ),
        )
    if isinstance(error, MemoryError):
        return _because(
            error,
            UserError("This machine ran out of memory.", remedy="Close other programs or lower the resolution."),
        )
    if isinstance(error, OSError):
        return _explain_os_error(error)
    if "no kernel image is available" in text or ("sm_" in text and "not compatible" in text):
        return _because(
            error,
            UserError(
                "The installed PyTorch does not support this graphics card.",
                remedy="Update the graphics driver, then run the set-up again: python packaging/launch.py setup",
            ),
        )
    return None


def _explain_os_error(error: OSError) -> UserError | None:
    # Of a rename, the second name is the one that the user knows.
    place = str(error.filename2 or error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return _because(
            error,
            UserError(
                "The disk is full: {place} could not be written.",
                remedy="Free some space or choose another output folder, then continue the run.",
                place=place or tr("a file"),
            ),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _because(
            error,
            UserError(
                "Kiln has no right to open {place}.",
                remedy="Give yourself the right to it, or choose a folder of your own, for example in your documents.",
                place=place or tr("a file"),
            ),
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return _because(
            error,
            UserError(
                "{place} is a file where a folder is needed.",
                remedy="Choose another folder.",
                place=_file_in_the_way(place),
            ),
        )
    if error.errno == errno.ENAMETOOLONG:
        return _because(
            error,
            UserError("The path {place} is too long.", remedy="Choose a shorter name or folder.", place=place),
        )
    if error.errno == errno.ENOENT and place:
        return _because(
            error,
            UserError("{place} is missing.", remedy="Check that the file was not moved or renamed.", place=place),
        )
    return None


def _file_in_the_way(place: str) -> str:
    """The part of a path that exists and is no folder."""
    from pathlib import Path

    path = Path(place)
    return str(next((part for part in (path, *path.parents) if part.exists() and not part.is_dir()), path))


def _because(cause: BaseException, error: UserError) -> UserError:
    error.__cause__ = cause
    return error


def details(error: BaseException) -> str:
    """The full traceback with causes, for the log and the folded part of the error card."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
