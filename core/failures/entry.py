"""What an entry of the catalogue is made of, and how it recognises a technical error."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.config.model import TrainConfig

FixAction = Literal[
    "",
    "continue",
    "retry",
    "free_space",
    "open_folder",
    "open_doctor",
    "choose_model",
    "download_model",
    "choose_pictures",
    "choose_output",
    "check_pictures",
    "other_name",
]
"""What a button does beside changing settings:

`continue` goes on from the last state, `retry` starts again, `free_space` and `open_folder` show the output folder,
`open_doctor` checks the installation, `choose_*` and `download_model` lead to the field or the list concerned,
`check_pictures` opens the pictures' own doctor, `other_name` takes a free name for the LoRA and starts.
"""


@dataclass(frozen=True, slots=True)
class Fix:
    """One way out, as a button.

    `changes` are (`section.name` -> new value), where a function makes the value from the settings as they are.
    """

    title: str
    changes: Mapping[str, object | Callable[[TrainConfig], object]] = field(default_factory=dict)
    action: FixAction = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A technical error, taken apart for the catalogue. `names` are those of its class and the classes above."""

    names: frozenset[str] = frozenset()
    text: str = ""
    number: int | None = None
    windows_number: int | None = None
    place: str = ""
    package: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Trouble:
        """The error itself, without its causes."""
        text = str(error)
        names = frozenset(kind.__name__ for kind in type(error).__mro__)
        number, place = None, ""
        if isinstance(error, OSError):
            # Of a rename, the second name is the one that the user knows. Those of SSL count errors in their own way.
            number = None if "SSLError" in names else error.errno
            place = _as_text(error.filename2 or error.filename)
        return cls(
            names=names,
            text=text,
            number=number,
            windows_number=getattr(error, "winerror", None) or _windows_number(text),
            place=place,
            package=(error.name or "").partition(".")[0] if isinstance(error, ImportError) else "",
        )

    @classmethod
    def of_log(cls, text: str) -> Trouble:
        """What the end of a log tells: its last exception and all that follows, else its last lines."""
        lines = text.splitlines()
        starts = [number for number, line in enumerate(lines) if _EXCEPTION.match(line)]
        lines = lines[starts[-1] :] if starts else lines[-_LAST_LINES:]
        found = _EXCEPTION.match(lines[0]) if lines else None
        names = frozenset({found[1].rpartition(".")[2]}) if found else frozenset()
        rest = "\n".join(lines)
        package = re.search(r"No module named '([^'.]+)", rest)
        return cls(
            names=names,
            text=rest,
            windows_number=_windows_number(rest),
            package=package[1] if package else "",
        )


_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Exit))(?::|$)")
_LAST_LINES = 8

Matcher = Callable[[Trouble], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A known failure. Its texts are English templates; `{place}` and `{package}` are filled where they are known.

    `title` names it in a few words, `message` says what happened, `why` how that comes, `remedy` what to do, and
    `remedy_in_training` the same where a training failed, which has a state to continue from and settings to change.
    Failures that only Kiln's own code notices bring their own message and remedy, and have no matcher.
    """

    key: str
    title: str
    why: str
    message: str = ""
    remedy: str = ""
    remedy_in_training: str = ""
    fixes: tuple[Fix, ...] = ()
    match: Matcher | None = None
    place: Callable[[Trouble], str] = lambda trouble: trouble.place


def said(*patterns: str) -> Matcher:
    """Whether the text of an error holds one of the patterns, in any case of letters."""
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda trouble: pattern.search(trouble.text) is not None


def named(*names: str) -> Matcher:
    """Whether an error is of one of these classes, or of one below."""
    wanted = frozenset(names)
    return lambda trouble: not wanted.isdisjoint(trouble.names)


def numbered(numbers: Iterable[int | None] = (), *, windows: Iterable[int] = ()) -> Matcher:
    """Whether the system gave one of these numbers (`errno`), or Windows one of its own (`winerror`)."""
    wanted, wanted_windows = frozenset(numbers) - {None}, frozenset(windows)
    return lambda trouble: (
        trouble.windows_number in wanted_windows or (trouble.number in wanted and trouble.number is not None)
    )


def either(*matchers: Matcher) -> Matcher:
    """Whether one of them matches."""
    return lambda trouble: any(match(trouble) for match in matchers)


def both(*matchers: Matcher) -> Matcher:
    """Whether all of them match."""
    return lambda trouble: all(match(trouble) for match in matchers)


def _windows_number(text: str) -> int | None:
    found = re.search(r"\[WinError (\d+)\]", text)
    return int(found[1]) if found else None


def _as_text(name: object) -> str:
    if isinstance(name, bytes):
        return name.decode(sys.getfilesystemencoding(), "replace")
    return "" if name is None or isinstance(name, int) else str(name)


def thing_in_the_way(trouble: Trouble) -> str:
    """The part of a path that exists and is no folder."""
    path = Path(trouble.place)
    for part in (path, *path.parents):
        try:
            if part.exists() and not part.is_dir():
                return str(part)
        except OSError:
            continue
    return trouble.place
