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
from core.checkpoints.sources import TensorAt
from core.errors import UserError


class TensorReader:
    """Keeps files open while many tensors are read; what was read stays usable afterwards."""

    def __init__(self) -> None:
        """Nothing open yet."""
        self._files: dict[Path, Any] = {}
        self._open = contextlib.ExitStack()

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
        if tensor.file not in self._files:
            self._files[tensor.file] = self._opened(tensor.file)
        file = self._files[tensor.file]
        try:
            found: Tensor = file[tensor.key] if isinstance(file, dict) else file.get_tensor(tensor.key)
        except (KeyError, SafetensorError) as error:
            raise _damaged(tensor.file) from error
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
            return _pickled(path, is_zip=start.startswith(b"PK"))
        try:
            return self._open.enter_context(safe_open(path, framework="pt"))
        except SafetensorError as error:
            raise _damaged(path) from error


def _pickled(path: Path, *, is_zip: bool) -> dict[str, Tensor]:
    """The tensors of an old checkpoint by the names that its header has for them.

    PyTorch's first format cannot be mapped: such a file is read whole.
    """
    try:
        with torch.serialization.safe_globals(torch_safe_globals()):
            value = torch.load(path, map_location="cpu", mmap=is_zip, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise _damaged(path) from error
    wrapped = next((value[key] for key in WRAPPERS if isinstance(value, dict) and key in value), value)
    return dict(_flat(wrapped, ""))


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Tensor):
                yield f"{prefix}{key}", inner
            else:
                yield from _flat(inner, f"{prefix}{key}.")


def _damaged(path: Path) -> UserError:
    return UserError("{path} is damaged.", remedy="Download the model again.", failure="model_damaged", path=path)
