"""Filling in the form of a caption, `{trigger}, {tags}. {sentence}`: what is empty goes with its separators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter

from core.dataset.captions import tidy

_EDGES = re.compile(r"([\s,.;:|/，。；：、]*)(.*?)([\s,.;:|/，。；：、]*)", re.DOTALL)
_ENDS = ".!?。！？"


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[tuple[str, str], ...]:
    """(kind, text) of each part in order; kinds are "separator", "words" and "field"."""
    parts: list[tuple[str, str]] = []
    for literal, field, _, _ in Formatter().parse(template):
        found = _EDGES.fullmatch(literal)
        before, words, after = found.groups() if found else ("", literal, "")
        parts += [("separator", before), ("words", words), ("separator", after)]
        if field is not None:
            parts.append(("field", field))
    return tuple((kind, text) for kind, text in parts if text)


@lru_cache(maxsize=64)
def own_text(template: str) -> tuple[str, ...]:
    """What a template says itself: `photo of` in `photo of {trigger}, {tags}`, and `|` in `{trigger} | {tags}`.

    Commas and full stops are left out: they separate tags and sentences in every caption.
    """
    own = dict.fromkeys(text if kind == "words" else text.strip() for kind, text in _parts(template) if kind != "field")
    return tuple(text for text in own if text.strip(",. "))


def fill(template: str, values: Mapping[str, str], *, bare: bool = False) -> str:
    """A caption, as one tidy line.

    A separator is written only between two things that are there. The end of a sentence is not written twice, and a
    sentence that goes on with a comma loses its full stop.

    Args:
        template: With fields in braces.
        values: What to put into the fields; "" for nothing.
        bare: Leave the template's own words out, for what is added to a caption that has them already.
    """
    if not any(values.values()):
        return ""
    caption, separator = "", ""
    ends_sentence = False  # So far; a tag such as `._.` does not.
    is_gap = False  # The last field was empty: what separates it from the next thing is not needed.
    for kind, text in _parts(template):
        if kind == "separator":
            if not is_gap:
                separator = text
            continue
        if kind == "words" and bare:
            separator, is_gap = ", ", True
            continue
        value = text if kind == "words" else values.get(text, "")
        is_gap = not value
        if is_gap:
            continue
        if caption and ends_sentence:
            if separator.strip() in (".", "。"):
                separator = " "
            elif separator.strip() in (",", "，"):
                caption = caption.rstrip(".。")
        caption = caption + separator + value if caption else value
        ends_sentence = text == "sentence" and value.endswith(tuple(_ENDS))
        separator = ""
    if not is_gap and not bare and not (ends_sentence and separator.strip() in (".", "。")):
        caption += separator.rstrip()
    return tidy(caption)
