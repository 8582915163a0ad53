"""The environment `.venv`: where its parts are, what was installed, and whether that still holds."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.machine import numbers_of

if TYPE_CHECKING:
    from collections.abc import Collection

SCHEMA = 1
OLDEST_PYTHON = (3, 10)
SCRIPTS = "Scripts" if sys.platform == "win32" else "bin"


@dataclass(frozen=True)
class Layout:
    """Paths of one copy of Kiln."""

    root: Path

    @property
    def venv(self) -> Path:
        """The environment."""
        return self.root / ".venv"

    @property
    def scripts(self) -> Path:
        """Where its programs are."""
        return self.venv / SCRIPTS

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / ("python.exe" if sys.platform == "win32" else "python")

    @property
    def stamp(self) -> Path:
        """Written last: what was installed."""
        return self.venv / "kiln-setup.json"

    @property
    def lock(self) -> Path:
        """Held during a set-up."""
        return self.venv / "setup.lock"

    @property
    def log(self) -> Path:
        """What pip said."""
        return self.venv / "setup.log"

    @property
    def constraints(self) -> Path:
        """Keeps the chosen torch when the other packages are installed."""
        return self.venv / "constraints.txt"

    @property
    def site_packages(self) -> Path | None:
        """Where packages are, if the environment is there."""
        if sys.platform == "win32":
            place = self.venv / "Lib" / "site-packages"
            return place if place.is_dir() else None
        return next(self.venv.glob("lib/python3.*/site-packages"), None)


@dataclass(frozen=True)
class Stamp:
    """What the last finished set-up did.

    `base` is the interpreter behind the environment, `override` the user's index for torch (None: not set).
    """

    root: str
    project: str
    extras: tuple[str, ...]
    python: str
    base: str
    device: str
    index: str
    requirement: str
    torch: str
    torch_wanted: str
    override: str | None
    schema: int = SCHEMA


class State(Enum):
    """How the environment stands against what is wanted."""

    READY = "ready"
    ABSENT = "absent"
    INTERRUPTED = "interrupted"
    CHANGED = "changed"
    MOVED = "moved"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """A state, and the stamp if there is one to go by."""

    state: State
    stamp: Stamp | None = None


def project_hash(root: Path) -> str:
    """Changes when what pip makes of pyproject.toml changes; comments and tool settings do not count."""
    kept = []
    section = ""
    for line in (root / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        bare = line.strip()
        if bare.startswith("[") and bare.endswith("]") and not bare.startswith('["'):
            section = bare.strip("[]")
        if bare and not bare.startswith("#") and section.startswith(("build-system", "project", "tool.setuptools")):
            kept.append(bare)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def build_requirements(root: Path) -> list[str]:
    """What building the project needs: `requires` of its build system."""
    content = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^requires\s*=\s*(\[.*?\])", content, re.MULTILINE | re.DOTALL)
    return [str(name) for name in ast.literal_eval(found[1])] if found is not None else ["setuptools"]


def examine(layout: Layout, extras: Collection[str], override: str | None, torch_wanted: str) -> Finding:
    """Judge the environment by its stamp and a few file times; starts no process where all is well.

    An override that is not set wants no particular torch: what was chosen once stays.
    """
    if not (layout.venv / "pyvenv.cfg").exists():
        return Finding(State.ABSENT if not _has_packages(layout) else State.BROKEN)
    stamp = read_stamp(layout.stamp)
    if not layout.python.exists():
        return Finding(State.BROKEN, stamp)
    if stamp is None:
        is_usable = (numbers_of(python_version(layout)) or ()) >= OLDEST_PYTHON
        return Finding(State.INTERRUPTED if is_usable else State.BROKEN)
    is_moved = not same_place(stamp.root, layout.root)
    if (is_moved or base_of(layout) != stamp.base) and python_version(layout) != stamp.python:
        return Finding(State.BROKEN, stamp)
    if is_moved:
        return Finding(State.MOVED, stamp)
    is_same = (
        stamp.project == project_hash(layout.root)
        and set(extras) <= set(stamp.extras)
        and (override is None or override == stamp.override)
        and stamp.torch_wanted == torch_wanted
    )
    return Finding(State.READY if is_same else State.CHANGED, stamp)


def _has_packages(layout: Layout) -> bool:
    return layout.scripts.exists() or layout.site_packages is not None


def same_place(stamped: str, root: Path) -> bool:
    """True if the folder is where it was, or is another name of the same folder."""
    if stamped == str(root):
        return True
    try:
        return Path(stamped).samefile(root)
    except OSError:
        return False


def base_of(layout: Layout) -> str:
    """The interpreter that the environment leans on; empty if unknown."""
    if sys.platform != "win32":
        return os.path.realpath(layout.python)
    try:
        lines = (layout.venv / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    settings = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    home = Path(settings.get("home", "-"))
    return str(home) if home.is_dir() else ""


def python_version(layout: Layout) -> str:
    """'3.11' if the environment's interpreter starts and has pip; empty if not."""
    question = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [str(layout.python), "-I", "-c", question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def base_python() -> str:
    """The Python behind this one: an environment may be deleted, while this runs or later."""
    base = str(getattr(sys, "_base_executable", ""))
    return base if Path(base).is_file() else sys.executable


def read_stamp(path: Path) -> Stamp | None:
    """The stamp, or None if it is missing, damaged or of another schema."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            return None
        return Stamp(**{**content, "extras": tuple(content["extras"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write it so that it is either there in full or not at all."""
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(asdict(stamp), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def installed_version(layout: Layout, package: str) -> str:
    """Version of an installed package ('' if it is not there), without asking pip."""
    place = layout.site_packages
    if place is None:
        return ""
    found = next(place.glob(f"{package}-*.dist-info"), None)
    return found.name.removesuffix(".dist-info").split("-", 1)[1] if found is not None else ""


def drop_half_installed(layout: Layout) -> list[str]:
    """Forget packages whose installation was cut off, so that pip installs them again; returns their names.

    pip writes RECORD last. A package without it counts as installed for pip, although files may be missing.
    """
    place = layout.site_packages
    if place is None:
        return []
    half = [folder for folder in place.glob("*.dist-info") if not (folder / "RECORD").exists()]
    for folder in half:
        shutil.rmtree(folder)
    return sorted(folder.name.split("-", 1)[0] for folder in half)


def clear(layout: Layout) -> None:
    """Delete the environment except for the lock and the log, which may be open.

    Raises:
        OSError: Something in it is in use or protected.
    """
    for entry in layout.venv.iterdir():
        if entry in (layout.lock, layout.log):
            continue
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink()
            continue
        try:
            shutil.rmtree(entry)
        except PermissionError:  # Windows refuses to delete files that are marked read-only.
            for path in entry.rglob("*"):
                path.chmod(stat.S_IRWXU)
            shutil.rmtree(entry)


def relocate(layout: Layout, old_root: str) -> None:
    """Let the scripts of a moved environment name their new place (pip writes absolute paths into them)."""
    old = str(Path(old_root) / ".venv").encode()
    new = str(layout.venv).encode()
    for script in layout.scripts.iterdir():
        if script.is_symlink() or not script.is_file() or script.suffix == ".exe":
            continue
        content = script.read_bytes()
        if old not in content or b"\0" in content:
            continue
        content = content.replace(old, new)
        first, _, rest = content.partition(b"\n")
        if first.startswith(b"#!/") and new in first and (b" " in new or len(first) > 127):
            # The kernel takes no spaces in this line; a shell, for which Python's rest is a string, does.
            first = b"#!/bin/sh\n'''exec' \"" + first[2:] + b'" "$0" "$@"\n' + b"' '''"
        script.write_bytes(first + b"\n" + rest)
