"""Reading tensors out of the files of a base model, mapped into memory: the system reads what is used."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.checkpoints.pickled import WRAPPERS, is_pickled, torch_safe_globals
from core.checkpoints.refusals import damaged
from core.checkpoints.sources import TensorAt

MAPPED_BYTES = 256 * 1024 * 1024
"""So much may be read of mapped files before they are let go."""


class TensorReader:
    """Keeps files open while many tensors are read; what was read stays usable afterwards.

    The system counts what was read of a mapped file as memory of this process until the file is closed. So files are
    opened anew from time to time: of tensors that are copied or used up one by one, only so much counts at a time.
    """

    def __init__(self) -> None:
        """Nothing open yet."""
        self._files: dict[Path, Any] = {}
        self._whole: set[Path] = set()
        self._open = contextlib.ExitStack()
        self._read_bytes = 0

    def __enter__(self) -> TensorReader:
        """Itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the files."""
        self._files.clear()
        self._open.close()

    def read(self, tensor: TensorAt) -> Tensor:
        """A tensor in the number format of its file and the shape of diffusers; a change of it stays in memory.

        Raises:
            UserError: The file is damaged.
            OSError: It cannot be read.
        """
        if self._read_bytes > MAPPED_BYTES:
            self._files = {path: self._files[path] for path in self._whole}
            self._open.close()
            self._read_bytes = 0
        if tensor.file not in self._files:
            self._files[tensor.file] = self._opened(tensor.file)
        file = self._files[tensor.file]
        try:
            found: Tensor = file[tensor.key] if isinstance(file, dict) else file.get_tensor(tensor.key)
        except (KeyError, SafetensorError) as error:
            raise damaged(tensor.file) from error
        self._read_bytes += found.nbytes
        if tensor.change == "squeeze":
            return found.reshape(found.shape[:2])
        if tensor.change == "transpose":
            return found.T.contiguous()
        if tensor.change:
            return found.chunk(3)[int(tensor.change[-1])]
        return found

    def _opened(self, path: Path) -> Any:
        with path.open("rb") as file:
            start = file.read(9)
        if is_pickled(start):
            is_zip = start.startswith(b"PK")
            if not is_zip:
                self._whole.add(path)  # In memory already: reading it again would cost more than it saves.
            return _pickled(path, is_zip=is_zip)
        try:
            return self._open.enter_context(safe_open(path, framework="pt"))
        except SafetensorError as error:
            raise damaged(path) from error


def _pickled(path: Path, *, is_zip: bool) -> dict[str, Tensor]:
    """The tensors of an old checkpoint by the names that its header has for them.

    PyTorch's first format cannot be mapped: such a file is read whole.

    Raises:
        UserError: It is damaged.
        RuntimeError: The memory is not enough.
    """
    try:
        with torch.serialization.safe_globals(torch_safe_globals()):
            value = torch.load(path, map_location="cpu", mmap=is_zip, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        from core.training.recovery import is_memory_error

        if is_memory_error(error):
            raise
        raise damaged(path) from error
    wrapped = next((value[key] for key in WRAPPERS if isinstance(value, dict) and key in value), value)
    return dict(_flat(wrapped, ""))


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Tensor):
                yield f"{prefix}{key}", inner
            else:
                yield from _flat(inner, f"{prefix}{key}.")
