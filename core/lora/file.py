"""LoRA files: kohya's names in safetensors, alpha in every module, metadata that web UIs read, written atomically."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import UserError
from core.files import write_bytes
from core.models import is_lora
from core.safetensors_header import read_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FilePrecision = Literal["fp16", "bf16", "fp32"]


def save_lora(path: Path, tensors: Mapping[str, Tensor], precision: FilePrecision, metadata: Mapping[str, str]) -> None:
    """Write a LoRA file; a reader sees the old file or the whole new one.

    Args:
        path: Where it goes; its folder is made when missing.
        tensors: Weights and alphas by kohya's names.
        precision: Number format of all tensors, alphas included.
        metadata: The file's header; the two model hashes are added here.

    Raises:
        UserError: A weight is not a finite number, or does not fit into the number format.
    """
    import torch
    from safetensors.torch import save

    dtype = dtype_of(precision)
    converted: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        converted[name] = tensor.to("cpu", dtype).contiguous()
        if not bool(torch.isfinite(converted[name]).all()):
            raise UserError(
                "The LoRA holds a value that is not a number in {name}; it was not saved.",
                remedy="Continue from the last state with a lower learning rate, or with file precision fp32.",
                name=name,
            )
    kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    full = {**metadata, **model_hashes(converted, kept)}
    # Through memory: the library reports a full disk in words of its own, Python as what it is.
    write_bytes(path, save(converted, metadata=full))


def load_lora(path: Path) -> dict[str, Tensor]:
    """The tensors of a LoRA file in kohya's names, in float32.

    Raises:
        UserError: The file is missing, broken, or no such LoRA.
    """
    from safetensors.torch import load_file

    header = read_header(path)
    if not any(name.endswith(".lora_down.weight") for name in header.shapes):
        if is_lora(header):
            raise UserError(
                "{path} is a LoRA in a form that Kiln cannot read yet.",
                remedy="Choose a LoRA in kohya's form, as Kiln and SD-Trainer write it.",
                path=path,
            )
        raise UserError("{path} is not a LoRA.", remedy="Choose a LoRA file.", path=path)
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def dtype_of(precision: FilePrecision) -> torch.dtype:
    """The torch type of a number format."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def model_hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes by which web UIs know a LoRA again, over the file as it is with only its `ss_` metadata.

    Returns:
        `sshs_model_hash`: SHA-256 of everything after the header. `sshs_legacy_hash`: first 8 digits of the SHA-256
        of the 0x10000 bytes at 0x100000.
    """
    from safetensors.torch import save

    data = save(dict(tensors), metadata=dict(metadata))
    (length,) = struct.unpack("<Q", data[:8])
    return {
        "sshs_model_hash": hashlib.sha256(memoryview(data)[8 + length :]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(memoryview(data)[0x100000:0x110000]).hexdigest()[:8],
    }


def to_metadata(values: Mapping[str, object]) -> dict[str, str]:
    """All values as the strings that the format wants: nested ones as JSON, the rest as Python writes them."""
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
        for key, value in values.items()
    }
