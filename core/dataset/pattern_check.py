"""Telling patterns that take forever on a short text, such as `(a+)+$`, from those that do not.

Python's matcher tries every way to divide a text among nested or overlapping repetitions: their number doubles with
each letter (`(a+)+`, `(a|ab)*`), or grows with a power of the length (`.*.*.*`). The check is careful: it refuses some
patterns that would do no harm, and hardly a pattern that people write for captions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_WIDE_REPEATS = 2
"""Repetitions without an end, of what reaches over words and commas; each one more costs the length of the text."""

MOST_REPEATS = 6
"""As above, of anything; those of letters or digits end with a word."""

_PIECE = re.compile(
    r"""(?P<escape>\\.)
    | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<open>\((?:\?(?:P?<\w+>|P=\w+|<?[=!]|\#[^)]*|[:>]|[a-zA-Z-]+[:)]?))?)
    | (?P<close>\))
    | (?P<repeat>[*+?]|\{\d*,?\d*\})(?P<manner>[?+]?)
    | (?P<either>\|)
    | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class _Group:
    """What is inside a pair of brackets: whether its length varies, and how each of its branches begins."""

    varies: bool = False
    begins: list[str] = field(default_factory=lambda: [""])


def is_explosive(pattern: str) -> bool:
    """Whether a pattern, which must be one that compiles, may take forever on an ordinary caption."""
    groups = [_Group()]
    closed: _Group | None = None  # The group that ended just now.
    last = ""  # What a repetition would repeat, unless that is a group.
    run = ""  # What was repeated without an end just before it.
    num_wide = num_open = 0
    for piece in _PIECE.finditer(pattern):
        kind = piece.lastgroup
        group = groups[-1]
        if kind == "manner":
            least, most = _repetition(piece["repeat"])
            if (most is None or most > 1) and closed is not None and (closed.varies or _overlap(closed.begins)):
                return True
            group.varies |= least != most
            if most is None:
                if last and run and (last == run or (_is_wide(last) and _is_wide(run))):
                    return True
                num_open += 1
                num_wide += closed is not None or _is_wide(last)
                run = last
            elif least:
                run = ""
            last, closed = "", None
            continue
        if last:  # It stands between two repetitions and keeps them apart.
            run = ""
        last, closed = "", None
        if kind == "open":
            group.begins[-1] = group.begins[-1] or "("  # A group may begin with anything.
            groups.append(_Group())
        elif kind == "close":
            closed = groups.pop()
            groups[-1].varies |= closed.varies or _overlap(closed.begins)
        elif kind == "either":
            group.begins.append("")
            run = ""
        else:
            group.begins[-1] = group.begins[-1] or piece[0].casefold()
            last = piece[0]
    return num_wide > MOST_WIDE_REPEATS or num_open > MOST_REPEATS


def _is_wide(piece: str) -> bool:
    """Whether a repeated piece may reach over blanks and commas, and so over a whole caption."""
    if piece.startswith("[^"):
        return not any(sign in piece for sign in (",", " ", r"\s"))
    return piece == "." or any(sign in piece for sign in (r"\S", r"\W", r"\D"))


def _repetition(sign: str) -> tuple[int, int | None]:
    """How often at least and at most; None is without an end."""
    if sign in "*+?":
        return int(sign == "+"), 1 if sign == "?" else None
    low, comma, high = sign[1:-1].partition(",")
    if not low and not comma:  # `{}` is plain text.
        return 1, 1
    least = int(low or 0)
    return least, (int(high) if high else None) if comma else least


def _overlap(begins: list[str]) -> bool:
    """Whether two branches of a group may match at the same place; only ordinary first letters tell them apart."""
    plain = all(len(begin) == 1 and (begin.isalnum() or begin in " ,-_") for begin in begins)
    return len(begins) > 1 and (not plain or len(set(begins)) < len(begins))
