"""What a change does to a caption, in colours: what goes is struck through, what comes stands out."""

from __future__ import annotations

import html
import re
from difflib import SequenceMatcher
from typing import Literal

from app.theme import Tokens

Kind = Literal["same", "gone", "new"]
MOST_WORDS = 5  # A tag has hardly more.
MOST_SAME = 48  # A longer piece that stays is shortened.
MOST_COMPARED = 4000  # Characters; longer captions are compared as far as this.


def caption_diff(before: str, after: str) -> list[tuple[Kind, str]]:
    """The words of both captions in order, in pieces: those that stay, those that go, those that come."""
    texts = before[:MOST_COMPARED], after[:MOST_COMPARED]
    by_tag = all(_is_tags(text) for text in texts)
    old, new = (_pieces(text, by_tag) for text in texts)
    parts: list[tuple[Kind, str]] = []
    matcher = SequenceMatcher(None, _as_inner(old), _as_inner(new), autojunk=False)
    for step, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        gone, come = "".join(old[old_start:old_end]), "".join(new[new_start:new_end])
        if step == "equal":
            parts.append(("same", come))
            continue
        if gone:
            parts.append(("gone", gone))
        if come:
            parts.append(("new", come))
    return parts


def diff_html(parts: list[tuple[Kind, str]], tokens: Tokens) -> str:
    """The pieces as rich text for a label."""
    shown = []
    for number, (kind, text) in enumerate(parts):
        if kind == "new" and number and parts[number - 1][0] == "gone" and text[:1] not in (" ", ","):
            shown.append(" ")
        if kind == "same":
            shown.append(html.escape(_shortened(text, number == 0, number == len(parts) - 1)))
        elif kind == "gone":
            shown.append(f'<s style="color:{tokens.danger}">{html.escape(_marked(text))}</s>')
        else:
            mark = f"color:{tokens.success};background:{tokens.success_soft}"
            shown.append(f'<span style="{mark}">{html.escape(_marked(text))}</span>')
    return "".join(shown)


def _pieces(caption: str, by_tag: bool) -> list[str]:
    """Tags or words, each with the blanks and commas before it."""
    return re.findall(r"[\s,]*[^,]+|[\s,]+$" if by_tag else r"[\s,]*[^\s,]+|[\s,]+$", caption)


def _is_tags(caption: str) -> bool:
    """Whether a caption reads as a list of tags; sentences are compared word by word."""
    return all(len(part.split()) <= MOST_WORDS for part in caption.split(","))


def _as_inner(pieces: list[str]) -> list[str]:
    """The first word as if it stood behind a comma, so that one put before it is all that is new."""
    return [f", {pieces[0]}", *pieces[1:]] if pieces else []


def _marked(text: str) -> str:
    return text if len(text) <= 4 * MOST_SAME else text[: 4 * MOST_SAME] + "…"


def _shortened(text: str, is_first: bool, is_last: bool) -> str:
    """A piece that stays: of a long one the parts beside the changes."""
    if len(text) <= MOST_SAME:
        return text
    half = MOST_SAME // 2
    return ("" if is_first else text[:half]) + "…" + ("" if is_last else text[-half:])
