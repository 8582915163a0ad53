"""The header of any file of weights, safetensors or an old checkpoint, told by how the file begins."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

from core.checkpoints.pickled import PICKLED_ENDINGS, PickledHeader, is_pickled, read_pickled_header, small_tensor
from core.safetensors_header import DTYPE_BITS, Header, read_header

_MOST_BYTES = 1 << 16
_SCALES = (".scale_weight", ".weight_scale", ".comfy_quant", "scaled_fp8", ".absmax", ".quant_map", ".qweight")
"""Ends of the names of what quantised weights have to be multiplied with, or looked up in."""


def read_weights_header(path: Path) -> Header:
    """Names, shapes and number formats of what is in a file, whatever its name ends in.

    Raises:
        UserError: It is missing, damaged, unsafe, or another kind of file.
        OSError: It cannot be read.
    """
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(9)
        if is_pickled(start) or (path.suffix.lower() in PICKLED_ENDINGS and start[8:] != b"{"):
            return read_pickled_header(path)
    return read_header(path)


def read_numbers(path: Path, header: Header, name: str) -> list[float] | None:
    """The numbers of a small tensor, read by its place; None where it is not there, not small or of another format.

    Raises:
        OSError: The file cannot be read.
    """
    dtype = header.dtypes.get(name, "")
    num_bytes = prod(header.shapes.get(name, ())) * DTYPE_BITS.get(dtype, 8) // 8
    if dtype not in ("F16", "BF16", "F32", "F64") or num_bytes > _MOST_BYTES:
        return None
    data: bytes | None = None
    if name in header.spans:
        with path.open("rb") as file:
            file.seek(header.spans[name][0])
            data = file.read(num_bytes)
    elif isinstance(header, PickledHeader):
        data = small_tensor(path, header, name, _MOST_BYTES)
    if data is None or len(data) < num_bytes:
        return None
    if dtype == "BF16":  # The upper half of 32 bits.
        halves = struct.unpack(f"<{num_bytes // 2}H", data)
        data, dtype = struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)), "F32"
    code = {"F16": "e", "F32": "f", "F64": "d"}[dtype]
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def weight_formats(header: Header) -> frozenset[str]:
    """The number formats of the matrices and convolutions in a file, and `scaled` where these are no plain numbers."""
    formats = {
        header.dtypes[name] for name, shape in header.shapes.items() if len(shape) > 1 and name.endswith(".weight")
    }
    return frozenset(formats | ({"scaled"} if any(name.endswith(_SCALES) for name in header.shapes) else set()))
