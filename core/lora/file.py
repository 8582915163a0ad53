"""LoRA files: kohya's names in safetensors, alpha in every module, metadata that web UIs read, written atomically."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.checkpoints.sources import family_title
from core.errors import UserError
from core.files import write_bytes
from core.lora.formats import named_for, read_lora
from core.lora.modules import OTHER_LEAVES, READABLE, by_module, kind_name, kind_of
from core.models import FamilyName

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
    from safetensors.torch import save

    dtype = dtype_of(precision)
    converted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        converted[name] = tensor.detach().to("cpu", dtype).contiguous()
        if not is_finite(converted[name]):
            raise _not_saved(name, precision, fits=not is_finite(tensor))
    kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    full = {**metadata, **model_hashes(converted, kept)}
    # Through memory: the library reports a full disk in words of its own, Python as what it is.
    write_bytes(path, save(converted, metadata=full))


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite numbers: one pass without a copy, twenty times as fast as asking each of them."""
    import torch

    if not tensor.numel():
        return True
    if tensor.is_floating_point() and tensor.element_size() == 1:
        tensor = tensor.float()  # Of formats of 8 bits nothing can be asked.
    low, high = torch.aminmax(tensor.detach())
    return math.isfinite(float(low)) and math.isfinite(float(high))


def _not_saved(name: str, precision: str, *, fits: bool) -> UserError:
    if fits:
        return UserError(
            "The LoRA holds a value that is not a number in {name}; it was not saved.",
            remedy="Continue from the last state with a lower learning rate, or with file precision fp32.",
            failure="not_a_number",
            name=name,
        )
    return UserError(
        "A weight in {name} is too large for {precision}; the LoRA was not saved.",
        remedy="Set the file precision to fp32 and continue; a lower learning rate keeps weights smaller.",
        failure="file_overflow",
        name=name,
        precision=precision,
    )


def load_lora(path: Path, *, alpha: float | None = None, family: FamilyName | None = None) -> dict[str, Tensor]:
    """The tensors of a LoRA file of any program, in kohya's and LyCORIS' names and float32, an alpha in every module.

    Args:
        path: The file.
        alpha: For modules whose alpha is not in the file.
        family: What it is to go with, where that is known; it decides on the names.

    Raises:
        UserError: The file is missing, broken, no LoRA, one for another family, one of a kind that Kiln cannot draw or
            train with, one that holds values that are not numbers, or one whose strength nobody knows without an
            alpha.
    """
    found = read_lora(path, alpha)
    # SDXL and Kolors have layers of the same sizes: nothing else would keep one from the other.
    if family and (own := found.family_for(family)) and own != family:
        raise UserError(
            "{path} was made for {family}, not for {other}.",
            remedy="Choose the base model that the LoRA was trained for.",
            failure="model_unsuited",
            path=path,
            family=family_title(own),
            other=family_title(family),
        )
    refuse_not_finite(path, found.tensors)
    if found.lacks_alpha:
        raise UserError(
            "{path} does not say its alpha, so nobody knows how strong it is.",
            remedy="Convert it with the LoRA tools first, and give the alpha that it was trained with.",
            path=path,
        )
    for module in by_module(found.tensors).values():
        kind = kind_of(module)
        if kind not in READABLE or not OTHER_LEAVES.isdisjoint(module):
            raise UserError(
                "{path} holds parts of the kind {kind}, which Kiln can neither draw nor train with.",
                remedy="Choose a LoRA, LoCon, DoRA, LoHa or LoKr file.",
                path=path,
                kind=kind_name(kind if kind not in READABLE else "norm"),
            )
    tensors = named_for(found.tensors, family) if family else found.tensors
    return {name: tensor.float() for name, tensor in tensors.items()}


def refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Make sure that all values of a file are numbers.

    Raises:
        UserError: Some are not.
    """
    if broken := [name for name, tensor in tensors.items() if not is_finite(tensor)]:
        raise UserError(
            "{path} is damaged: {number} of its tensors hold values that are not numbers, the first is {name}.",
            remedy="Use another file of the same training.",
            failure="model_damaged",
            path=path,
            number=len(broken),
            name=broken[0],
        )


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
