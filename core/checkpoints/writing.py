"""Writing safetensors files tensor by tensor, so that a file of 7 GB needs the memory of its largest tensor."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from core.checkpoints.dtypes import bytes_of, torch_dtype
from core.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

_ALIGNMENT = 8


class Entry(NamedTuple):
    """A tensor to write: `dtype` as safetensors say it (F16, BF16, F32 ...), `load` gives it when its turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    load: Callable[[], Tensor]


class TensorWriter:
    """Fills a safetensors file whose header is written; the tensors come in any order, each once."""

    def __init__(
        self, file: IO[bytes], entries: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
    ) -> None:
        """Write the header.

        Args:
            file: Open for writing, at its beginning.
            entries: Name, number format (as safetensors say it) and shape of every tensor.
            metadata: Texts to keep in the file.

        Raises:
            ValueError: Two tensors have one name.
        """
        self._file = file
        self._places: dict[str, tuple[int, str, tuple[int, ...]]] = {}
        self.written: set[str] = set()
        table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        known = [(name, dtype, tuple(shape)) for name, dtype, shape in entries]
        end = 0
        # As in the format: wide numbers first, so that every tensor begins where its numbers may.
        for name, dtype, shape in sorted(known, key=lambda entry: (-bytes_of((1,), entry[1]), entry[0])):
            if name in self._places:
                raise ValueError(f"two tensors are called {name}")
            self._places[name] = (end, dtype, shape)
            start, end = end, end + bytes_of(shape, dtype)
            table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        header = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
        header += b" " * (-len(header) % _ALIGNMENT)
        self._data_start = 8 + len(header)
        file.write(struct.pack("<Q", len(header)) + header)

    @property
    def order(self) -> list[str]:
        """The names as they lie in the file: written in this order, the disk is written from front to back."""
        return list(self._places)

    def write(self, name: str, tensor: Tensor) -> None:
        """Write a tensor, cast to the number format that the header says.

        Raises:
            ValueError: Its shape is not the one in the header, or it was written before.
        """
        offset, dtype, shape = self._places[name]
        if tuple(tensor.shape) != shape or name in self.written:
            raise ValueError(f"{name} cannot be written: {tuple(tensor.shape)} for {shape}")
        self._file.seek(self._data_start + offset)
        self._file.write(_raw(tensor.detach().to("cpu", torch_dtype(dtype)).contiguous()))
        self.written.add(name)

    def check(self) -> None:
        """Make sure that the file is whole.

        Raises:
            ValueError: A tensor was not written.
        """
        if missing := [name for name in self._places if name not in self.written]:
            raise ValueError(f"{len(missing)} tensors were not written, the first is {missing[0]}")


def _raw(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, without a copy."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data


@contextlib.contextmanager
def tensor_writer(
    path: Path, entries: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> Iterator[TensorWriter]:
    """A writer of a file that appears at `path` once all its tensors are written, and else not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        writer = TensorWriter(file, entries, metadata or {})
        yield writer
        writer.check()


def write_streamed(
    path: Path,
    entries: Iterable[tuple[str, str, tuple[int, ...], Callable[[], Tensor]]],
    metadata: Mapping[str, str] | None = None,
    told: Callable[[int], None] | None = None,
) -> None:
    """Write a safetensors file tensor by tensor; it appears at `path` when it is whole.

    Args:
        path: The file; an older one there is replaced.
        entries: What goes into it (`Entry`); each is loaded when its turn comes and let go then.
        metadata: Texts to keep in the file.
        told: Is called after each tensor with the bytes that it had.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
        ValueError: A tensor has another shape than its entry says, or two have one name.
    """
    all_entries = [Entry(*entry) for entry in entries]
    by_name = {entry.name: entry for entry in all_entries}
    with tensor_writer(path, [entry[:3] for entry in all_entries], metadata) as writer:
        for name in writer.order:
            entry = by_name[name]
            writer.write(name, entry.load())
            if told is not None:
                told(bytes_of(entry.shape, entry.dtype))
