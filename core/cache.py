"""Latents and text embeddings on disk, so that they are computed once.

Every entry is a small safetensors file named by a hash of all that changes its content: the picture's bytes, how it
is cropped and resized, and the VAE; or the caption, the text encoder, the tokenizer and the clip skip. Of models,
weights and configuration count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.files import write_bytes
from core.paths import user_data_folder

if TYPE_CHECKING:
    from torch import Tensor

VERSION = "1"
"""Changed whenever the same inputs would give other latents or embeddings."""

_BLOCK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_NUM_SAMPLES = 128


class DiskCache:
    """Tensors by key in one folder. A broken entry counts as missing, a folder that cannot be written costs time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_data_folder() / "cache"

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The tensors of a key, or None."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self._path(key)
        if not path.is_file():
            return None
        try:
            # Read, not mapped: a mapping for each entry would use up what the system allows, and lock files on Windows.
            tensors: dict[str, Tensor] = load(path.read_bytes())
            return tensors
        except (SafetensorError, OSError):
            return None  # Cut off by a full disk or another program: it is computed and written again.

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors under a key.

        Raises:
            OSError: The folder cannot be written.
        """
        from safetensors.torch import save

        write_bytes(self._path(key), save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def key_of(*parts: object) -> str:
    """A key of everything that changes the content."""
    return hashlib.blake2b("\0".join([VERSION, *map(str, parts)]).encode(), digest_size=20).hexdigest()


def content_hash(path: Path) -> str:
    """A hash of a whole file: a picture, or weights, of which a second reads about a gigabyte."""
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=20)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sampled_hash(path: Path) -> str:
    """A hash of a file's size, its beginning and places all over it: tells models apart in a blink.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=20)
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES * 8))
        for number in range(_NUM_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * number // (_NUM_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
