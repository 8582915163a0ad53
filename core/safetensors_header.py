"""Looking into a safetensors file without loading it: names, shapes, metadata, and whether it is all there."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError

MAX_HEADER_BYTES = 100 * 1024 * 1024
"""As in the safetensors format: a longer header means that this is another kind of file."""


@dataclass(frozen=True, slots=True)
class Header:
    """Tensor name -> shape, and the file's metadata."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked against the size of the file.

    Raises:
        UserError: The file is missing, another kind of file, or shorter than its header says (half a download).
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
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
    if len(raw) < length:
        if not raw.startswith(b"{"):
            raise _no_model(path)
        raise _cut_off(path, size, None)
    try:
        entries: dict[str, Any] = json.loads(raw)
        metadata = entries.pop("__metadata__", {})
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _no_model(path) from error
    if size < 8 + length + end:
        raise _cut_off(path, size, 8 + length + end)
    return Header(shapes, metadata)


def _no_model(path: Path) -> UserError:
    return UserError(
        "{path} is not a safetensors file.",
        remedy="Choose a file in that format, or a model folder.",
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
