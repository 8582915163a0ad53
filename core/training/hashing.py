"""The hashes of the base model that a LoRA file names, worked out beside the training."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

_LEGACY_START, _LEGACY_BYTES = 0x100000, 0x10000
_CHUNK_BYTES = 4 * 1024 * 1024


class FileHashes:
    """Hashes single files in a thread of its own; a folder has none. The thread ends with the process."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Begin.

        Args:
            files: What to hash, in this order.
        """
        self._found: dict[Path, tuple[str, str]] = {}
        wanted = [file for file in files if file.is_file()]
        self._thread = threading.Thread(target=self._work, args=(wanted,), name="hashes of the base", daemon=True)
        if wanted:
            self._thread.start()

    def of(self, file: Path) -> tuple[str, str] | None:
        """The old hash of web UIs (8 digits) and the SHA-256 of a file; None while they are not known."""
        return self._found.get(file)

    def wait(self) -> None:
        """Until all are known, or a file could not be read."""
        if self._thread.is_alive():
            self._thread.join()

    def _work(self, files: list[Path]) -> None:
        for file in files:
            try:
                self._found[file] = hashes_of(file)
            except OSError:  # A drive that went away: the training says so where it matters, the file has no hash.
                continue


def hashes_of(file: Path) -> tuple[str, str]:
    """The old hash of web UIs, over 64 KiB at 1 MiB, and the SHA-256 of the whole file.

    Raises:
        OSError: The file cannot be read.
    """
    whole, legacy = hashlib.sha256(), hashlib.sha256()
    with file.open("rb") as opened:
        opened.seek(_LEGACY_START)
        legacy.update(opened.read(_LEGACY_BYTES))
        opened.seek(0)
        while chunk := opened.read(_CHUNK_BYTES):
            whole.update(chunk)
    return legacy.hexdigest()[:8], whole.hexdigest()
