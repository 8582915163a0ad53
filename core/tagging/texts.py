"""Captions that hold sentences: put together, searched and pruned without taking a sentence apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from core.dataset.captions import join_tags, split_tags, tidy

_MOST_WORDS_OF_A_TAG = 5
# Faces such as `._.` end with a full stop, and titles such as `love live!` with other marks.
_WANTS_SPACE = re.compile(r"(\w\w\.|[,;，；、。！？])$")
_PIECES = re.compile(r"(,\s*|[.!?](?:\s+|$)|[。！？]\s*)")


def is_prose(caption: str) -> bool:
    """Whether a caption holds sentences, or ends as one does."""
    from core.dataset.bulk import is_prose as has_sentences  # Late: that module spells tags by this package.

    return has_sentences(caption) or (caption[-1:] in ".。！？" and _WANTS_SPACE.search(caption) is not None)


def glued(first: str, second: str, *, is_sentence: bool = False) -> str:
    """Two texts as one, neither of them changed."""
    if not first or not second:
        return first or second
    if _WANTS_SPACE.search(first) or (first.endswith(("!", "?")) and is_prose(first)):
        return f"{first} {second}"
    return f"{first}. {second}" if is_sentence else f"{first}, {second}"


def cut_out(part: str, text: str) -> str:
    """A text with commas in place of a part, where that stands alone and is no piece of longer words."""
    left, start = "", 0
    while part and (place := text.find(part, start)) >= 0:
        end = place + len(part)
        is_alone = not (text[place - 1 : place].isalnum() or text[end : end + 1].isalnum())
        left += text[start:place] + ("," if is_alone else part)
        start = end
    return left + text[start:]


def without_tags(caption: str, goes: Callable[[str], bool], is_front: Callable[[str], bool]) -> str:
    """A caption without some tags. Sentences stay whole, and a caption without such a tag is not touched.

    Args:
        caption: One tidy line.
        goes: Whether a tag is to go.
        is_front: Whether a tag is the trigger word, or another one that may begin with a capital letter.
    """
    if not is_prose(caption):
        tags = split_tags(caption)
        left = [tag for tag in tags if not goes(tag)]
        return caption if len(left) == len(tags) else join_tags(left)
    # Texts at even places, what separates them at odd ones.
    pieces = _PIECES.split(caption)
    if not any(piece and goes(piece.strip()) for piece in pieces[::2]):
        return caption
    left_text = separator = ""
    is_whole = True
    for text, after, is_tag in _with_kind(pieces, is_front):
        if is_tag and text.strip() and goes(text.strip()):
            if left_text and separator.startswith(",") and not after.startswith(","):
                separator = after
            is_whole = False
            continue
        left_text += (separator if left_text else "") + text
        separator = after
    return caption if is_whole else tidy(left_text + separator).rstrip(",")


def _with_kind(pieces: Sequence[str], is_front: Callable[[str], bool]) -> Iterator[tuple[str, str, bool]]:
    """(text, separator behind it, whether it stands among tags) of the pieces of a caption with sentences.

    What lies between two ends of sentences is a list of tags, unless it is long between commas, or begins with a
    capital letter behind the trigger word.
    """
    places = range(0, len(pieces), 2)
    part: list[tuple[str, str]] = []
    for place in places:
        text, after = pieces[place], pieces[place + 1] if place + 1 < len(pieces) else ""
        part.append((text, after))
        if after.startswith(",") and place != places[-1]:
            continue
        own = [piece for piece, _ in part if not is_front(piece.strip())]
        is_text = any(len(piece.split()) > _MOST_WORDS_OF_A_TAG for piece in own) or (
            bool(own) and own[0][:1].isupper()
        )
        yield from ((piece, separator, not is_text) for piece, separator in part)
        part = []
