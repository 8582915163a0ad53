"""Looking into a safetensors file without loading it: names, shapes, number formats, places, and whether all is there.

As strict as the format itself: whatever libraries would refuse later is refused here, in words.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from core.errors import UserError

MAX_HEADER_BYTES = 100 * 1024 * 1024
"""As in the safetensors format: a longer header means that this is another kind of file."""

DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
}
"""Bits of one number, by the format's own names."""

_MOST_DIMENSIONS = 16
_LONGEST_SIDE = 1 << 48
_GGUF = b"GGUF"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file of weights says of itself.

    `shapes`, `dtypes` (names as in `DTYPE_BITS`) and `spans` (first byte and the one after the last, in the file) go
    by the names of the tensors. `data_start` is where their bytes begin.
    """

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]
    dtypes: dict[str, str]
    spans: dict[str, tuple[int, int]]
    data_start: int


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked against the size of the file.

    Raises:
        UserError: The file is missing, another kind of file, damaged, or not as long as its header says (half a
            download).
        OSError: It cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(_GGUF):
                raise _is_gguf(path)
            length: int = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= MAX_HEADER_BYTES:
                raise _no_model(path)
            raw = file.read(length)
    except FileNotFoundError as error:
        raise UserError(
            "{path} is missing.",
            remedy="Check that the file was not moved or renamed.",
            failure="file_missing",
            path=path,
        ) from error
    if not raw.startswith(b"{"):
        raise _no_model(path)
    if len(raw) < length:
        raise _cut_off(path, size, None)
    header = _parsed(path, raw, 8 + length)
    end = max((span[1] for span in header.spans.values()), default=header.data_start)
    if size < end:
        raise _cut_off(path, size, end)
    if size > end:
        raise _damaged(path)
    return header


def _parsed(path: Path, raw: bytes, data_start: int) -> Header:
    """The header's own text, taken apart and checked in itself.

    Raises:
        UserError: It is no header, or one that contradicts itself.
    """
    try:
        entries = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_doubles)
        metadata = entries.pop("__metadata__", None) or {}
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        dtypes = {name: entry["dtype"] for name, entry in entries.items()}
        offsets = {name: entry["data_offsets"] for name, entry in entries.items()}
        texts = [*shapes, *metadata.keys(), *metadata.values()]
        "".join(texts).encode()  # Half a pair of surrogates is no text, and no file or message could hold it.
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise _no_model(path) from error
    for name, dtype in dtypes.items():
        if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
            raise UserError(
                "{path} keeps numbers in a format that Kiln does not know: {dtype}.",
                remedy="Choose a version of the model in fp16, bf16, fp32 or fp8.",
                failure="model_unsuited",
                path=path,
                dtype=str(dtype)[:40],
            )
        if not _fits(shapes[name], DTYPE_BITS[dtype], offsets[name]):
            raise _damaged(path)
    place = 0
    for start, end in sorted(offsets.values()):  # The format allows neither gaps nor bytes of two tensors.
        if start != place:
            raise _damaged(path)
        place = end
    spans = {name: (data_start + start, data_start + end) for name, (start, end) in offsets.items()}
    return Header(shapes, metadata, dtypes, spans, data_start)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the header.

    Raises:
        ValueError: A name is there twice; which one counts would depend on who reads it.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _fits(shape: Sequence[object], bits: int, offsets: object) -> bool:
    """Whether a tensor's place in the file is as long as its shape and number format say."""
    if len(shape) > _MOST_DIMENSIONS or not isinstance(offsets, list) or len(offsets) != 2:
        return False
    sides = [side for side in (*shape, *offsets) if type(side) is int and 0 <= side < _LONGEST_SIDE]
    if len(sides) != len(shape) + 2:
        return False
    start, end = sides[-2:]
    return bool((end - start) * 8 == prod(sides[:-2]) * bits)


def _no_model(path: Path) -> UserError:
    return UserError(
        "{path} is not a safetensors file.",
        remedy="Choose a file in that format, or a model folder.",
        failure="model_damaged",
        path=path,
    )


def _is_gguf(path: Path) -> UserError:
    return UserError(
        "{path} is a GGUF file: its weights are quantised, and a LoRA cannot be trained on these.",
        remedy="Choose a version of the model in fp16, bf16, fp32 or fp8.",
        failure="model_unsuited",
        path=path,
    )


def _damaged(path: Path) -> UserError:
    return UserError(
        "{path} is damaged: its header does not fit the data behind it.",
        remedy="Download the model again.",
        failure="model_damaged",
        path=path,
    )


def _cut_off(path: Path, size: int, whole: int | None) -> UserError:
    return UserError(
        "{path} is not complete: {size} MB of {whole} MB are there.",
        remedy="Download it again; a download that broke off leaves such a file.",
        failure="model_damaged",
        path=path,
        size=f"{size / 1e6:.1f}",
        whole=f"{whole / 1e6:.1f}" if whole else "?",
    )
