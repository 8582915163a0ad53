"""Old checkpoints (.ckpt, .pt, .pth, .bin): names, shapes and number formats, without PyTorch, and running nothing.

Such a file is a zip with a pickle in it, and a pickle may ask the reader to run anything. Kiln reads it as data
(`core.checkpoints.pickle_machine`), knows the few names that PyTorch itself writes, and refuses every other by name.
The weights themselves are loaded by PyTorch with `weights_only`, which `torch_safe_globals` helps over the harmless
names that old training programs left in their files.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from core.checkpoints.pickle_machine import ForbiddenNameError, UnreadablePickleError, read_pickle
from core.checkpoints.pickle_names import LARGEST, NAMES, NUMPY_SCALARS, STUBS, Storage, TensorPlace, storage_of
from core.errors import UserError
from core.safetensors_header import DTYPE_BITS, Header

PICKLED_ENDINGS = (".ckpt", ".pt", ".pth", ".bin")

WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict")
"""Keys below which training programs keep the weights, in the order in which they are looked for."""

_MOST_PICKLE_BYTES = 1 << 26
_MOST_ENTRIES = 200_000
_LONGEST_NAME = 2000
_DEPTH = 4
_MAGIC = 0x1950A86A20F9469CFC6C
"""What files of PyTorch before 1.6 begin with."""


@dataclass(frozen=True, slots=True)
class PickledHeader(Header):
    """The header of an old checkpoint; `spans` is empty where it is a zip.

    `metadata` holds the plain values beside the weights, such as `global_step`. `places` go by the names of the
    tensors. `archive` is the name of the folder in the zip, "" in files of PyTorch before 1.6, which are none.
    """

    places: dict[str, TensorPlace]
    archive: str


def is_pickled(start: bytes) -> bool:
    """Whether a file that begins with these nine bytes is read here.

    Safetensors begin with the length of their header, whose first byte may be anything, and the header with `{`.
    """
    return start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{"


def torch_safe_globals() -> list[Any]:
    """What `torch.serialization.safe_globals` is to be given, for files that `read_pickled_header` has read."""
    import _codecs

    import numpy

    scalar = numpy.float64(0.0).__reduce__()[0]
    stubs: list[Any] = [(type(name.rpartition(".")[2], (), {}), name) for name in STUBS]
    numbers = [numpy.dtype, *(type(numpy.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool"))]
    return [*stubs, *((scalar, name) for name in NUMPY_SCALARS), *numbers, (_codecs.encode, "_codecs.encode")]


def read_pickled_header(path: Path) -> PickledHeader:
    """What an old checkpoint holds. Nothing in it is run.

    Raises:
        UserError: It is no such file, damaged, or asks for something that is no part of a checkpoint.
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start == b"PK\x03\x04":
                return _of_zip(path)
            if start[:1] != b"\x80":
                raise UnreadablePickleError("another kind of file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _of_old_file(data)
    except ForbiddenNameError as error:
        raise UserError(
            "{path} is not safe: it asks to run {name} when it is opened. Kiln ran nothing of it.",
            remedy="Get the model as a safetensors file, from a source that you trust.",
            failure="model_unsafe",
            path=path,
            name=_shown(error.name),
        ) from error
    except UnreadablePickleError as error:
        raise UserError(
            "{path} is damaged, or not a checkpoint that PyTorch wrote.",
            remedy="Download it again, or get the model as a safetensors file.",
            failure="model_damaged",
            path=path,
        ) from error


@contextlib.contextmanager
def _zip_of(path: Path) -> Iterator[zipfile.ZipFile]:
    """An open zip.

    Raises:
        UnreadablePickleError: It is damaged or cut off, whatever Python says of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        struct.error,
        ValueError,
        KeyError,
        IndexError,
        EOFError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise UnreadablePickleError(str(error)) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # A place before the file's beginning.
            raise UnreadablePickleError(str(error)) from error
        raise


def _of_zip(path: Path) -> PickledHeader:
    with _zip_of(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        pickles = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
        is_plain = len(sizes) == len(archive.infolist()) and not any(
            entry.compress_type for entry in archive.infolist()
        )
        if len(pickles) != 1 or not is_plain:
            raise UnreadablePickleError("another kind of zip")
        # What its table claims is not there, or twice in one place.
        if sum(sizes.values()) > path.stat().st_size:
            raise UnreadablePickleError("cut off")
        if sizes[pickles[0]] > _MOST_PICKLE_BYTES:
            raise UnreadablePickleError("too long")
        data = archive.read(pickles[0])
        folder = pickles[0].partition("/")[0]
        if archive.getinfo(pickles[0]).file_size != len(data):
            raise UnreadablePickleError("cut off")
        if f"{folder}/byteorder" in sizes and archive.read(f"{folder}/byteorder") != b"little":
            raise UnreadablePickleError("of a machine with another order of bytes")
    value, _ = read_pickle(data, 0, NAMES, storage_of)
    tensors, plain = _contents(value)
    for place in tensors.values():
        _check(place, sizes.get(f"{folder}/data/{place.storage}", -1))
    return _header(tensors, plain, {}, folder)


def _of_old_file(data: Any) -> PickledHeader:
    """A file of PyTorch before 1.6: a magic number, a version, facts, the value, the storages' keys, the storages."""
    magic, place = read_pickle(data, 0, NAMES, storage_of)
    if magic != _MAGIC:
        raise UnreadablePickleError("another kind of file")
    _, place = read_pickle(data, place, NAMES, storage_of)
    _, place = read_pickle(data, place, NAMES, storage_of)
    seen: dict[str, Storage] = {}

    def storage(reference: tuple[Any, ...]) -> Storage:
        found = storage_of(reference)
        return seen.setdefault(found.key, found)

    value, place = read_pickle(data, place, NAMES, storage)
    keys, place = read_pickle(data, place, NAMES, storage)
    starts: dict[str, int] = {}
    if not isinstance(keys, list):
        raise UnreadablePickleError("no list of storages")
    for key in keys:
        known = seen.get(key) if isinstance(key, str) else None
        if known is None or len(data) < place + 8:
            raise UnreadablePickleError("cut off")
        starts[key] = place + 8
        place += 8 + known.num_numbers * DTYPE_BITS[known.dtype] // 8
    if len(data) < place:
        raise UnreadablePickleError("cut off")
    tensors, plain = _contents(value)
    spans = {}
    for name, tensor in tensors.items():
        if tensor.storage not in starts:
            raise UnreadablePickleError("a storage is missing")
        size = DTYPE_BITS[seen[tensor.storage].dtype] // 8
        _check(tensor, seen[tensor.storage].num_numbers * size)
        if tensor.is_in_order:
            begin = starts[tensor.storage] + tensor.start * DTYPE_BITS[tensor.dtype] // 8
            spans[name] = (begin, begin + prod(tensor.shape) * DTYPE_BITS[tensor.dtype] // 8)
    return _header(tensors, plain, spans, "")


def _header(
    tensors: Mapping[str, TensorPlace], plain: dict[str, str], spans: dict[str, tuple[int, int]], archive: str
) -> PickledHeader:
    return PickledHeader(
        shapes={name: place.shape for name, place in tensors.items()},
        metadata=plain,
        dtypes={name: place.dtype for name, place in tensors.items()},
        spans=spans,
        data_start=0,
        places=dict(tensors),
        archive=archive,
    )


def small_tensor(path: Path, header: PickledHeader, name: str, most_bytes: int) -> bytes | None:
    """The bytes of a small tensor of a zip; None where it is larger, damaged, or does not lie in one piece."""
    place = header.places[name]
    size = DTYPE_BITS[place.dtype] // 8
    num_bytes = prod(place.shape) * size
    if num_bytes > most_bytes or not place.is_in_order or not header.archive:
        return None
    try:
        with _zip_of(path) as archive, archive.open(f"{header.archive}/data/{place.storage}") as record:
            record.seek(place.start * size)
            return record.read(num_bytes)
    except UnreadablePickleError:
        return None  # The tensors themselves are checked when they are loaded.


def _contents(value: Any) -> tuple[dict[str, TensorPlace], dict[str, str]]:
    """All tensors in a value by their names, joined with dots, and the plain values beside them."""
    if not isinstance(value, dict):
        value = {"": value}
    plain = {key: str(inner) for key, inner in value.items() if isinstance(key, str) and _is_plain(inner)}
    for wrapper in WRAPPERS:
        if isinstance(value.get(wrapper), dict):
            value = value[wrapper]
            break
    tensors: dict[str, TensorPlace] = {}
    for number, (name, inner) in enumerate(_entries(value, "", _DEPTH)):
        if number >= _MOST_ENTRIES or len(name) > _LONGEST_NAME:
            raise UnreadablePickleError("too much")
        if isinstance(inner, TensorPlace):
            tensors[name] = inner
    return tensors, plain


def _is_plain(value: object) -> bool:
    """Whether it is a short text or a number that is not out of all bounds."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_NAME
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST)


def _entries(value: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """What is in a dictionary and in those in it, by name."""
    for key, inner in value.items():
        if isinstance(key, int) and abs(key) >= LARGEST:
            raise UnreadablePickleError("a number out of all bounds")
        yield f"{prefix}{key}", inner
        if isinstance(inner, dict) and depth:
            yield from _entries(inner, f"{prefix}{key}.", depth - 1)


def _check(place: TensorPlace, storage_bytes: int) -> None:
    """Make sure that a tensor lies inside its storage.

    Raises:
        UnreadablePickleError: It does not, or there is no such storage.
    """
    last, number = place.start, prod(place.shape)
    if number:
        last += 1 + sum((side - 1) * stride for side, stride in zip(place.shape, place.strides, strict=True))
    # A few numbers shown many times over would be a huge tensor once it is loaded.
    if storage_bytes < 0 or max(last, number) * DTYPE_BITS[place.dtype] > storage_bytes * 8:
        raise UnreadablePickleError("cut off")


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")[:100]
