"""Replacing text in captions, also by patterns (regular expressions), without letting one of them stop the program.

A search in one text cannot be interrupted. So patterns that can take forever on a short text are refused, very long
captions are left out, and between captions there is a limit to the time of the whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from core.dataset.captions import tidy
from core.dataset.pattern_check import is_explosive
from core.errors import UserError

TIME_LIMIT_S = 5.0
"""A pattern that is not through by then is given up."""

MOST_CHARACTERS = 2_000
"""Longer captions are not searched with patterns, as the time may grow with a power of the length."""


def check_pattern(find: str, replace: str = "", match_case: bool = False) -> None:
    """Make sure that a pattern and what replaces it can be used.

    Raises:
        UserError: The pattern is wrong, or could take forever; or the replacement names a group that is not there.
    """
    _compiled(find, replace, True, match_case)


def count_matches(
    captions: Iterable[str], find: str, is_regex: bool = False, match_case: bool = False
) -> tuple[int, int]:
    """In how many captions a text is found, and how often in all; (0, 0) for an empty text.

    Raises:
        UserError: The pattern is wrong or takes too long.
    """
    if not find:
        return 0, 0
    pattern = _compiled(find, "", is_regex, match_case)
    watch = _Watch()
    num_captions = num_matches = 0
    for caption in captions:
        watch.check()
        if is_regex and len(caption) > MOST_CHARACTERS:
            continue
        if found := sum(1 for _ in pattern.finditer(caption)):
            num_captions += 1
            num_matches += found
    return num_captions, num_matches


def replacer(find: str, replace: str, is_regex: bool = False, match_case: bool = False) -> Callable[[str], str]:
    """A function that gives a caption with all matches replaced, as one tidy line; without a match, the caption itself.

    The time limit counts from here on.

    Raises:
        UserError: The pattern is wrong; or, from the function, it takes too long.
    """
    pattern = _compiled(find, replace, is_regex, match_case)
    watch = _Watch()

    def change(caption: str) -> str:
        watch.check()
        if is_regex and len(caption) > MOST_CHARACTERS:
            return caption
        new = pattern.sub(replace if is_regex else lambda match: replace, caption)
        return caption if new == caption else tidy(new)

    return change


def _compiled(find: str, replace: str, is_regex: bool, match_case: bool) -> re.Pattern[str]:
    if not find:
        raise UserError("There is no text to look for.", remedy="Write what is to be replaced.")
    flags = 0 if match_case else re.IGNORECASE
    if not is_regex:
        return re.compile(re.escape(find), flags)
    try:
        pattern = re.compile(find, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(
            "This pattern cannot be read: {error}.",
            remedy="Correct it, or turn patterns off to look for these very signs.",
            error=str(error),
        ) from error
    if is_explosive(find):
        raise UserError(
            "This pattern could take forever: it repeats what repeats itself, or has too many signs such as * and +.",
            remedy="Take some of these signs out, for example write a+ for (a+)+.",
        )
    try:
        pattern.sub(replace, "")
    except (re.error, IndexError) as error:
        raise UserError(
            "The replacement cannot be used: {error}.",
            remedy="Write \\1 for the first group of the pattern, and \\\\ for a backslash.",
            error=str(error),
        ) from error
    return pattern


class _Watch:
    """The time since it was made."""

    def __init__(self) -> None:
        self._end = time.monotonic() + TIME_LIMIT_S

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise UserError(
                "This pattern takes too long: it was given up after {seconds} seconds, and nothing was changed.",
                remedy="Make it simpler, or choose fewer pictures.",
                seconds=round(TIME_LIMIT_S),
            )
