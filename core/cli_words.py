"""What the commands share: their parser, paths as they are typed, and sentences for wrong words."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from core.config.toml import with_home
from core.errors import UserError
from core.text import tr

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _tr_plural(one: str, many: str, count: int) -> str:
    return tr(one if count == 1 else many)


# argparse takes its own sentences, and the headings of its help, through these two private names of its module; this
# changes them for every parser of the process.
vars(argparse).update(_=tr, ngettext=_tr_plural)


class WrongUseError(UserError):
    """The command line itself is wrong, not what it works on."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        raise WrongUseError(
            "{message}.",
            remedy="Add --help to see what there is.",
            message=message[0].upper() + message[1:].rstrip("."),
        )


def as_wrong_use(error: UserError) -> WrongUseError:
    """The same two sentences, about the command line."""
    return WrongUseError("{problem}", remedy="{way_out}", problem=error.message, way_out=error.remedy)


@contextlib.contextmanager
def checked(own_names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn a value out of range into a sentence about the option that was typed.

    Args:
        own_names: Field -> option, where this is not its name: `sampling.denoising_steps` -> `--steps`.
    """
    from pydantic import ValidationError

    from core.config.fields import problems_of

    own_names = own_names or {}
    try:
        yield
    except WrongUseError:
        raise
    except UserError as error:
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            raise
        problem = cause.errors()[0]
        key = ".".join(str(part) for part in problem["loc"][:2])
        raise _out_of_range(own_names.get(key, f"--{key}"), problem, problems_of(cause)[key]) from error
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        option = own_names.get(name, "--" + name.replace("_", "-"))
        raise _out_of_range(option, problem, tr("Allowed: {rule}.", rule=_rule(problem))) from error


def _out_of_range(option: str, problem: ErrorDetails, remedy: str) -> WrongUseError:
    value = problem.get("input")
    words = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    return WrongUseError(
        "{option} cannot be {value}.", remedy="{rule}", option=option, value=words or '""', rule=remedy
    )


def _rule(problem: ErrorDetails) -> str:
    """What is allowed, in the user's language where Kiln or a limit says it."""
    from core.config.fields import number_words

    limits = problem.get("ctx", {})
    match problem["type"]:
        case "value_error":
            return str(limits["error"]).rstrip(".")
        case "less_than_equal":
            return tr("up to {high}", high=number_words(limits["le"]))
        case "greater_than_equal":
            return tr("from {low}", low=number_words(limits["ge"]))
        case "greater_than":
            return tr("above {low}", low=number_words(limits["gt"]))
        case "finite_number":
            return tr("a number")
        case _:
            return problem["msg"]


def here(path: Path) -> Path:
    """The path as an absolute one, `~` understood: a run must not depend on the folder it was started from."""
    return Path(os.path.abspath(with_home(path)))  # noqa: PTH100 - takes `..` out without following links


def base_here(path: Path) -> Path:
    """The path of a base model as an absolute one; `starter` stands for the one that Kiln comes with."""
    from core.paths import STARTER_MODEL

    return STARTER_MODEL if str(path) == "starter" else here(path)


def here_or_none(path: Path) -> Path:
    """As `here`; `Path()` stands for nothing given."""
    return here(path) if path != Path() else path


def whole_number(text: str) -> int:
    """The whole number that was typed; argparse makes a sentence of the error, with the option's name in it."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(tr("{text} is not a whole number", text=text.strip() or '""')) from None


def number(text: str) -> float:
    """The number that was typed, with a fraction or without; errors as in `whole_number`."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(tr("{text} is not a number", text=text.strip() or '""')) from None


def tags_in(text: str) -> tuple[str, ...]:
    """What stands between commas, also Chinese ones."""
    return tuple(part.strip() for part in text.replace("，", ",").split(",") if part.strip())
