"""Errors in the user's words: what happened in one sentence, and what to do about it."""

from __future__ import annotations

import traceback

from core.failures import FAILURES, Failure, Trouble, code_text, find, key_of_exit
from core.text import sentences, tr


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
        return sentences(self.message, self.remedy)


def explain(error: BaseException, *, in_training: bool = False) -> UserError | None:
    """The user's words for a technical failure that is known, or None.

    A `UserError` explains itself; others are looked up in the catalogue (`core.failures`), and where an error was
    raised from another one, that too. Errors that nobody has met yet give None and are treated as bugs.

    Args:
        error: What happened.
        in_training: It ended a training, which can be continued and has settings of its own.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            return link
        trouble = Trouble.of(link)
        if known := find(trouble):
            place = known.place(trouble) or tr("a file")
            explained = _told(known, in_training, place=place, package=trouble.package)
            explained.__cause__ = error
            return explained
        link = link.__cause__
    return None


def crash_failure(code: int, log_tail: str, *, in_training: bool = False) -> UserError:
    """The user's words for a working process that ended without saying why.

    Args:
        code: Its exit code, as `subprocess` tells it.
        log_tail: The end of its log, where its last exception may stand.
        in_training: It was training.

    Returns:
        An error whose `failure` is empty when neither code nor log tells what happened.
    """
    trouble = Trouble.of_log(log_tail)
    known = FAILURES.get(key_of_exit(code))
    # What a library said before it gave up is more exact than how the process ended.
    if known is None or known.key == "crashed":
        known = find(trouble) or known
    if known is not None:
        return _told(known, in_training, place=tr("a file"), package=trouble.package, code=code_text(code))
    if in_training:
        return UserError(
            "The working process ended unexpectedly (code {code}).",
            remedy="Continue the run from its last state; the end of the log below may say why.",
            code=code_text(code),
        )
    return UserError(
        "The working process ended unexpectedly (code {code}).",
        remedy="Try again; the end of the log below may say why.",
        code=code_text(code),
    )


def _told(known: Failure, in_training: bool, **fields: object) -> UserError:
    remedy = known.remedy_in_training if in_training and known.remedy_in_training else known.remedy
    return UserError(known.message, remedy=remedy, failure=known.key, **fields)


def details(error: BaseException) -> str:
    """The full traceback with causes, for the log and the folded part of the error card."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
