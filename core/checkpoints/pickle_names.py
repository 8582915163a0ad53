"""What the names in a pickle of PyTorch stand for: tensors as places in a file, and nothing that could do anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from core.checkpoints.pickle_machine import PLAIN, Name, Opaque

LARGEST = 1 << 48
"""No number of a checkpoint's tensors reaches this."""

STUBS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
)
"""Classes that old training programs name in their files, as labels and nothing else."""

NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")

_STORAGES = {
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
    "torch.storage.UntypedStorage": "U8",
}
_DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}


@dataclass(frozen=True, slots=True)
class Storage:
    """A piece of memory that tensors lie in: its key in the file, and how many numbers of which format it holds."""

    key: str
    dtype: str
    num_numbers: int


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor's numbers are: in which of the file's storages, from which number on, and how far apart."""

    storage: str
    dtype: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_in_order(self) -> bool:
        """Whether its numbers lie one after the other, as those of a safetensors file do."""
        step = 1
        for side, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if side > 1 and stride != step:
                return False
            step *= side
        return True


def storage_of(reference: tuple[Any, ...]) -> Storage:
    """What a reference of PyTorch to a storage means."""
    kind, label, key, _, number = reference[:5]
    if kind != "storage" or not isinstance(label, Name) or not isinstance(key, str) or not _is_size(number):
        raise ValueError("an unknown reference")
    if len(reference) > 5 and reference[5] is not None:
        raise ValueError("a view of a storage")
    return Storage(key, _STORAGES[label.name], number)


def _tensor(arguments: tuple[Any, ...]) -> TensorPlace:
    storage, start, shape, strides = arguments[:4]
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("no tensor")
    if len(shape) != len(strides) or len(shape) > 16 or not all(map(_is_size, (start, *shape, *strides))):
        raise ValueError("no tensor")
    return TensorPlace(storage.key, storage.dtype, start, shape, strides)


def _tensor_of_dtype(arguments: tuple[Any, ...]) -> TensorPlace:
    label = arguments[6]
    if not isinstance(label, Name):
        raise ValueError("no number format")
    return replace(_tensor(arguments), dtype=_DTYPES[label.name])


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """A dictionary of its pairs, which are there only in files of Python 2."""
    pairs = arguments[0] if arguments else ()
    return {key: value for key, value in pairs if isinstance(key, PLAIN)}


def _parameter(arguments: tuple[Any, ...]) -> TensorPlace:
    if not isinstance(arguments[0], TensorPlace):
        raise ValueError("no tensor")
    return arguments[0]


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _label(_arguments: tuple[Any, ...]) -> NoReturn:
    """For names that stand for a number format, which nothing is made of."""
    raise ValueError("a number format was called")


def _nothing(_arguments: tuple[Any, ...]) -> Opaque:
    return Opaque()


NAMES: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered,
    "torch.nn.modules.container.ParameterDict": lambda _: {},
    "torch.Size": lambda arguments: tuple(arguments[0]),
    "torch.device": _nothing,
    "numpy.dtype": _nothing,
    "_codecs.encode": _nothing,
    **dict.fromkeys((*NUMPY_SCALARS, *STUBS), _nothing),
    **dict.fromkeys((*_STORAGES, *_DTYPES), _label),
}
