"""Compiled blocks of the denoiser: one compilation for all blocks of one kind, not one for the whole."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from core.text import tr

if TYPE_CHECKING:
    import torch


def compile_blocks(denoiser: Any, device: torch.device) -> str:
    """Have the repeated blocks of a denoiser compiled when they are first computed.

    Call it when the LoRA is in and all is on the device.

    Args:
        denoiser: A diffusers model.
        device: Where it computes.

    Returns:
        Why nothing is compiled, as a sentence; empty when it is.
    """
    if reason := _missing(device):
        return reason
    import torch

    # A block that the compiler cannot take, or only in too many shapes, computes as it always did.
    torch._dynamo.config.suppress_errors = True
    denoiser.compile_repeated_blocks()
    return ""


def _missing(device: torch.device) -> str:
    """What the compiler would need and does not have here."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            return tr("Blocks are not compiled: PyTorch finds no Triton for this card.")
    elif device.type == "cpu":
        if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
            return tr("Blocks are not compiled: there is no C++ compiler on this machine.")
    else:
        return tr("Blocks are not compiled: PyTorch does not do that on this device.")
    return ""
