"""Where paths of other programs lead on this machine: relative to the file, to the trainer's folder, or re-rooted."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.config.toml import with_home

_MOST_LEVELS_UP = 3
"""SD-Trainer keeps settings two folders below its own; further up, a folder of that name is another one."""

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


class Places:
    """Finds the files that a settings file names."""

    def __init__(self, home: Path, roots: tuple[tuple[Path, Path], ...] = ()) -> None:
        """Remember from where to look.

        Args:
            home: The folder of the settings file, absolute.
            roots: Folders that are elsewhere now, as (old, new).
        """
        self._home = home
        self.roots = roots

    def of(self, text: str) -> Path:
        """Where a path leads; it need not exist. Absolute, but for one of another system such as `D:/x` on Linux."""
        text = text.strip()
        path = with_home(Path(text))
        if not self.is_there(path) and (_WINDOWS.match(text) or "/" not in text):
            path = with_home(Path(text.replace("\\", "/")))
        if not path.is_absolute() and not _is_foreign(path):
            path = self._beside_the_trainer(path)
        for old, new in self.roots:
            rest = _below(path, old)
            # What is still where it was stays there, unless it is at the new place, too.
            if rest is not None and (not self.is_there(path) or self.is_there(new / rest)):
                path = new / rest
        return path

    def is_there(self, path: Path) -> bool:
        """Whether something is at a path; one that the system refuses as a name is not there."""
        try:
            return path.is_absolute() and path.exists()
        except (OSError, ValueError):
            return False

    def _beside_the_trainer(self, path: Path) -> Path:
        """A relative path from the file's folder or a near folder above it in which it exists."""
        for folder in (self._home, *self._home.parents[:_MOST_LEVELS_UP]):
            if self.is_there(folder / path):
                return _tidy(folder / path)
        # SD-Trainer keeps its settings in config/autosave and config/, and starts in the folder above.
        home = self._home
        if home.name == "autosave":
            home = home.parent
        return _tidy((home.parent if home.name == "config" else home) / path)


def _is_foreign(path: Path) -> bool:
    """Whether it is an absolute path of Windows on another system."""
    return os.name != "nt" and _WINDOWS.match(str(path)) is not None


def _below(path: Path, folder: Path) -> Path | None:
    """What comes after `folder` in a path, or None when it lies elsewhere. Names of Windows may differ in case."""
    parts, above = path.parts, folder.parts
    if os.name == "nt" or _is_foreign(path):
        same = [part.casefold() for part in parts[: len(above)]] == [part.casefold() for part in above]
    else:
        same = parts[: len(above)] == above
    return Path(*parts[len(above) :]) if same else None


def _tidy(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - takes `..` out without following links
