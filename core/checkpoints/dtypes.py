"""Number formats by the names that safetensors files have for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.safetensors_header import DTYPE_BITS

if TYPE_CHECKING:
    import torch

_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""Formats of weights that are used as they are, or cast."""


def bytes_of(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of a tensor in a file.

    Raises:
        KeyError: The format is not known.
    """
    return math.prod(shape) * DTYPE_BITS[dtype] // 8


def torch_dtype(dtype: str) -> torch.dtype:
    """The torch type of a format.

    Raises:
        KeyError: torch has none, or Kiln does not use it.
    """
    import torch

    found: torch.dtype = getattr(torch, _TORCH_NAMES[dtype])
    return found


def dtype_name(dtype: torch.dtype) -> str:
    """The name that safetensors files have for a torch type.

    Raises:
        KeyError: They have none.
    """
    return {theirs: ours for ours, theirs in _TORCH_NAMES.items()}[str(dtype).removeprefix("torch.")]
