"""Captions: reading any encoding that people's files are in, writing UTF-8 so that it can be taken back, tags."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from core.text import tr

MAX_BYTES = 4_000_000  # A longer file is no caption.
_USUAL_BYTES = 1 << 14

_INVISIBLE = dict.fromkeys((*range(9), *range(14, 28), 0x7F, 0x200B, 0x2060, 0xFEFF))


def read_caption(path: Path | str) -> tuple[str | None, str]:
    """The caption of a file, and a sentence about what is wrong with the file.

    Returns:
        The text, or None when there is no file or none that can be read; and the sentence, or "" when all is well. Text
        and sentence come together when the text is usable but the file is not as it should be (empty, GBK).
    """
    try:
        # Without a buffer, and without room for the longest caption in every read: there may be thousands of files.
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            data = file.read(_USUAL_BYTES) or b""
            if not data and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None, tr("{name} is not a text file.", name=_name(path))
            while len(data) >= _USUAL_BYTES and len(data) <= MAX_BYTES and (more := file.read(MAX_BYTES)):
                data += more
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, tr("{name} could not be read: {error}.", name=_name(path), error=error.strerror or str(error))
    return decode_caption(data, path)


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file as `open` does, but never waits for somebody to write into a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode_caption(data: bytes, path: Path | str) -> tuple[str | None, str]:
    """As `read_caption`, for what a file holds; of its path only the name is used."""
    if len(data) > MAX_BYTES:
        return None, tr("{name} is too long for a caption.", name=_name(path))
    text, encoding = _decode(data)
    if text is None:
        return None, tr("{name} is not a text file.", name=_name(path))
    caption = tidy(text)
    if not caption:
        return "", tr("{name} is empty.", name=_name(path))
    if encoding:
        return caption, tr(
            "{name} is not UTF-8; it was read as {encoding} and will be saved as UTF-8 when you edit it.",
            name=_name(path),
            encoding=encoding,
        )
    return caption, ""


def _name(path: Path | str) -> str:
    return os.path.basename(path)  # noqa: PTH119 - it may be a string


def _decode(data: bytes) -> tuple[str | None, str]:
    """The text, or None; and the name of its encoding, or "" for one that needs no mention."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        attempts = [("utf-16", "")]
    elif (zeros := data.count(0)) * 3 > len(data):  # English in UTF-16 has a zero in every second place.
        little = data[1::2].count(0) > data[::2].count(0)
        attempts = [("utf-16-le" if little else "utf-16-be", "UTF-16")]
    else:
        data = data.removeprefix(codecs.BOM_UTF8)  # The codec that does so takes five times as long.
        attempts = [("utf-8", "")] if zeros else [("utf-8", ""), ("gb18030", "GBK")]
    for encoding, label in attempts:
        try:
            return data.decode(encoding), label
        except UnicodeDecodeError:
            continue
    return None, ""


def tidy(text: str) -> str:
    """One line with only the whitespace that means something.

    Runs of blanks become one space and invisible characters go. Lines are joined: after a comma or the end of a
    sentence with a space, else with ", ", because people put one tag per line.
    """
    text = text.strip()
    if text.isprintable() and "  " not in text:
        return text  # One line as a rule, and nothing in it that would have to go.
    caption = ""
    for line in text.splitlines():
        line = " ".join(line.translate(_INVISIBLE).split())
        if caption and line:
            caption += (
                " " if caption.endswith((",", ".", ";", ":", "!", "?", "，", "。", "、", "；", "！", "？")) else ", "
            )
        caption += line
    return caption


@dataclass(frozen=True, slots=True)
class CaptionChange:
    """One caption file that was written: what it held before and after, byte for byte; None where there was no file."""

    path: Path
    before: bytes | None
    after: bytes | None


def bytes_of(path: Path) -> bytes | None:
    """What a file holds, or None when there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # Three times as fast as `Path.read_bytes`.
    except FileNotFoundError:
        return None
    try:
        return read_whole(handle, os.fstat(handle).st_size)
    finally:
        os.close(handle)


def read_whole(handle: int, num_bytes: int) -> bytes:
    """What is in an open file from here to its end, which is expected after `num_bytes`."""
    data = os.read(handle, num_bytes + 1)
    if len(data) != num_bytes:  # It is just being written.
        while more := os.read(handle, _USUAL_BYTES):
            data += more
    return data


def split_tags(caption: str) -> list[str]:
    """The tags of a caption in their order, each once.

    Commas separate, except inside brackets that are closed, as in `(red hair, blue eyes:1.2)`; brackets that are
    escaped or alone, as in `miru \\(kiln\\)` or `:(`, are ordinary characters. Tags stay spelled as they are.
    """
    return _unique(part.strip() for part in _split(caption))


def join_tags(tags: Iterable[str]) -> str:
    """A caption of tags in their order, each once, separated by ", "; empty ones are left out."""
    return ", ".join(_unique(tag.strip(" ,\t\r\n") for tag in tags))


@lru_cache(maxsize=1 << 17)
def tag_key(tag: str) -> str:
    """What spellings of one tag have in common: `Long_Hair` and `long hair`, `miru \\(kiln\\)` and `miru_(kiln)`."""
    return " ".join(re.sub(r"\\([()\\])", r"\1", tag).replace("_", " ").casefold().split())


def _unique(tags: Iterable[str]) -> list[str]:
    seen: dict[str, str] = {}
    for tag in tags:
        if tag:
            seen.setdefault(tag_key(tag) or tag, tag)
    return list(seen.values())


def _split(caption: str) -> list[str]:
    if "(" not in caption:
        return caption.split(",")
    opened: list[int] = []
    commas: list[int] = []
    for place, character in enumerate(caption):
        if character == ",":
            commas.append(place)
        elif character in "()" and caption[max(0, place - 1)] != "\\":
            if character == "(":
                opened.append(place)
            elif opened:
                start = opened.pop()
                while commas and commas[-1] > start:  # These stand inside a closed pair.
                    commas.pop()
    edges = [-1, *commas, len(caption)]
    return [caption[start + 1 : end] for start, end in pairwise(edges)]
