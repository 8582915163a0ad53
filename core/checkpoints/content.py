"""A key of what a part of a base model holds, for what is computed with it and kept.

A text encoder is read for it once: where that takes long, the key is kept among the user's files with size and time of
the files that it was made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from core.cache import content_hash, key_of
from core.checkpoints.reading import TensorReader
from core.checkpoints.sources import PartSource
from core.files import write_text
from core.paths import user_data_folder

_LONG_S = 1.0
_MOST_KEPT = 200


def content_key(source: PartSource) -> str:
    """A hash of the weights and the configuration of a part.

    Raises:
        UserError: A file is damaged.
        OSError: A file cannot be read.
    """
    stamp = key_of(_described(source), *(_stamp(source)))
    if (kept := _kept().get(stamp)) is not None:
        return kept
    started = time.monotonic()
    key = _of_folder(source) if source.config_file is not None else _of_tensors(source)
    if time.monotonic() - started > _LONG_S:
        _keep(stamp, key)
    return key


def _described(source: PartSource) -> str:
    """All about a part but its numbers."""
    tensors = [
        (name, tensor.shape, tensor.dtype, tensor.change, tensor.key) for name, tensor in sorted(source.tensors.items())
    ]
    return json.dumps([source.config, tensors], sort_keys=True)


def _stamp(source: PartSource) -> Iterator[object]:
    for file in [*source.files, *([source.config_file] if source.config_file else [])]:
        status = file.stat()
        yield from (file.resolve(), status.st_size, status.st_mtime_ns)


def _of_folder(source: PartSource) -> str:
    """Of a part that has its files to itself."""
    assert source.config_file is not None
    return key_of(*(content_hash(file) for file in source.files), content_hash(source.config_file))


def _of_tensors(source: PartSource) -> str:
    """Of a part of a file that holds others too."""
    digest = hashlib.blake2b(json.dumps(source.config, sort_keys=True).encode(), digest_size=20)
    with TensorReader() as reader:
        for name, tensor in sorted(source.tensors.items()):
            digest.update(json.dumps([name, tensor.dtype, tensor.shape]).encode())
            numbers = reader.read(tensor).contiguous().reshape(-1)
            digest.update(numbers.view(torch.uint8).numpy().data)
    return key_of(digest.hexdigest())


def _kept() -> dict[str, str]:
    """Keys by stamp; a file that is damaged counts as none."""
    try:
        found = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(stamp: str, key: str) -> None:
    latest = list(_kept().items())[1 - _MOST_KEPT :]
    with contextlib.suppress(OSError):  # It is computed again then.
        write_text(_place(), json.dumps({**dict(latest), stamp: key}))


def _place() -> Path:
    return user_data_folder() / "cache" / "models.json"
