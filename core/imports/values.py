"""Values as other programs write them: numbers in quotes, words for nothing, lists as text."""

from __future__ import annotations

import ast
import contextlib
import math
import re
from collections.abc import Iterator, Mapping

from core.text import tr


class UnfitError(ValueError):
    """A value that cannot be taken over; the text is a sentence for the user."""


def is_empty(value: object) -> bool:
    """Whether a value says nothing: empty text, an empty list, null."""
    return value is None or (
        isinstance(value, (str, list, tuple, dict)) and not (value.strip() if isinstance(value, str) else value)
    )


def is_off(value: object) -> bool:
    """Whether a value says that the option is not used."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "0", "0.0", "false", "none", "no", "off")
    return value is None or value is False or value in (0, 0.0) or is_empty(value)


def number(value: object) -> float:
    """A finite number, also from text.

    Raises:
        UnfitError: It is none.
    """
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(found := float(value)):
                return found
    raise UnfitError(tr("{value} is not a number.", value=shown(value)))


def whole(value: object) -> int:
    """A whole number; 2.0 and "2" are fine.

    Raises:
        UnfitError: It is none.
    """
    found = number(value)
    if found != int(found):
        raise UnfitError(tr("{value} is not a whole number.", value=shown(value)))
    return int(found)


def flag(value: object) -> bool:
    """True or false, also as text and as 1 or 0.

    Raises:
        UnfitError: It is neither.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "1", "1.0", "yes", "on"):
        return True
    if word in ("false", "0", "0.0", "no", "off", "none", ""):
        return False
    raise UnfitError(tr("{value} is neither true nor false.", value=shown(value)))


def text(value: object) -> str:
    """A text.

    Raises:
        UnfitError: It is a list or a table.
    """
    if isinstance(value, (list, tuple, dict)) or value is None:
        raise UnfitError(tr("{value} is not a text.", value=shown(value)))
    return str(value)


def shown(value: object) -> str:
    """A value as a short text for a sentence."""
    words = value if isinstance(value, str) else repr(value)
    return words if len(words) <= 80 else words[:79] + "…"


def numbers(value: object) -> list[float]:
    """Several numbers: a list, or text such as `512,768`, `(0.9, 0.99)` or `512x512`.

    Raises:
        UnfitError: One of them is no number, or there is none.
    """
    if isinstance(value, str):
        parts: list[object] = [*re.split(r"[\s,x×;]+", value.strip().strip("()[]").strip().rstrip(","))]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        parts = [value]
    if not parts:
        raise UnfitError(tr("{value} is not a number.", value=shown(value)))
    return [number(part) for part in parts]


def options(value: object) -> Iterator[tuple[str, object]]:
    """The `name=value` pairs of `optimizer_args` and `network_args`: a list, a table, or one text with spaces.

    A part without `=` comes with the value None.
    """
    if isinstance(value, Mapping):
        yield from ((str(name), inner) for name, inner in value.items())
        return
    if isinstance(value, str):
        found = _literal(value) if value.strip().startswith(("{", "[")) else None
        if isinstance(found, (Mapping, list)):
            yield from options(found)
            return
        value = re.split(r"[\s;]+(?=[\w.]+\s*=)", value.strip())
    for part in value if isinstance(value, (list, tuple)) else [value]:
        name, equals, inner = str(part).strip().partition("=")
        if name:
            yield name.strip(), inner.strip().strip("\"'") if equals else None


def _literal(value: str) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
