"""Base models that are on this machine already: Kiln's own, and those of ComfyUI, web UI and SD-Trainer.

The disk is not searched: only the usual places are looked at, a level or two deep, for folders with the names that
these programs have, within a few seconds. Nothing there is changed. What cannot be read is passed over.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError, explain
from core.model_places_store import stored, stored_files, write_store
from core.models import FAMILY_NAMES, FamilyName, describe_base, known_bases
from core.paths import RESOURCES
from core.text import language

SEARCH_S = 6.0
MOST_MODELS = 400
_MOST_NAMES = 2000
_DEPTH = 3
_LOOKS_VERSION = 1
"""Raised when files are told apart in another way, so that they are looked at anew."""

_ENDINGS = (".safetensors", ".sft", ".ckpt")
_PROGRAMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ComfyUI", r"comfy", ("models/checkpoints", "models/diffusers", "ComfyUI/models/checkpoints")),
    ("SD-Trainer", r"sd-?trainer|lora-?scripts", ("sd-models",)),
    ("Stability Matrix", r"stability-?matrix", ("Data/Models/StableDiffusion", "Models/StableDiffusion")),
    ("Web UI", r"web-?ui|forge|automatic|aki", ("models/Stable-diffusion", "webui/models/Stable-diffusion")),
)
"""What a program is called, what its folder's name has in it, and where its base models are in there."""

_AROUND = re.compile(
    r"ai|sd|aigc|stable[- ]?diffusion|programs?|apps?|tools?|software|.{0,4}(绘画|软件|绘世|工具).{0,4}", re.IGNORECASE
)
"""Folders that people keep such programs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A base model on this machine. `place` is the program whose it is, "" for Kiln's own.

    `problem` says why Kiln cannot train for it, "" when it can; then `family` is known.
    """

    path: Path
    place: str
    title: str
    size_bytes: int = 0
    family: FamilyName | None = None
    problem: str = ""
    is_starter: bool = False


def own_models() -> list[FoundModel]:
    """The starter model, then those that Kiln downloaded."""
    try:
        bases = known_bases()
    except (UserError, OSError):  # A damaged starter model must not hide the others; choosing it says what is wrong.
        return []
    return [
        FoundModel(
            path=base.path,
            place="",
            title=base.title,
            size_bytes=base.size_bytes,
            family=base.family,
            is_starter=base.is_starter,
        )
        for base in bases
    ]


def remembered_models() -> list[FoundModel]:
    """What the last search found, as far as it is still there and looked at in the time of a search."""
    until = time.monotonic() + SEARCH_S
    looks, found = _Looks(), []
    for place, text in stored("models")[:MOST_MODELS]:
        if time.monotonic() > until:
            break
        if _is_there(path := Path(text)):
            found.append(looks.at(path, place))
    return found


def search(roots: Iterable[Path] | None = None) -> list[FoundModel]:
    """Look at the folders that the user named, then at the usual places; takes some seconds at most.

    Args:
        roots: Where programs may be; None takes the usual places.
    """
    until = time.monotonic() + SEARCH_S
    seen: set[str] = set()
    found: list[FoundModel] = []
    looks = _Looks()
    places = itertools.chain(
        ((folder, str(folder)) for folder in added_folders()), _places(usual_roots() if roots is None else roots, until)
    )
    for folder, place in places:
        for path in _models_in(folder, until):
            if len(found) >= MOST_MODELS or time.monotonic() > until:
                break
            key = os.path.realpath(path)
            if key not in seen:
                seen.add(key)
                found.append(looks.at(path, place))
    with contextlib.suppress(OSError):  # Then the next session searches anew.
        write_store(added_folders(), [(model.place, model.path) for model in found], looks.taken)
    return found


class _Looks:
    """Looks at models; a single file that is as it was when it was looked at before is not opened again.

    `taken` are the looks by path: what tells that a file is the same, in which language and by which version it was
    looked at, its family or "", and why it is of no use or "".
    """

    def __init__(self) -> None:
        self._known = stored_files()
        self.taken: dict[str, list[object]] = {}

    def at(self, path: Path, place: str) -> FoundModel:
        """What is at a path, as `described` says."""
        try:
            status = path.stat()
        except OSError:
            return described(path, place)
        if not stat.S_ISREG(status.st_mode):
            return described(path, place)
        mark: list[object] = [status.st_size, status.st_mtime_ns, language(), _LOOKS_VERSION]
        known = self._known.get(str(path), [])
        family = next((name for name in FAMILY_NAMES if known[4:5] == [name]), None)
        problem = known[5] if len(known) == 6 and isinstance(known[5], str) else ""
        if known[:4] == mark and (family is None) == bool(problem):
            model = FoundModel(
                path=path,
                place=place,
                title=_title_of(path),
                size_bytes=status.st_size,
                family=family,
                problem=problem,
            )
        else:
            model = described(path, place)
        self.taken[str(path)] = [*mark, model.family or "", model.problem]
        return model


def described(path: Path, place: str) -> FoundModel:
    """What is at a path, with the reason when it is of no use. `describe_base` decides."""
    try:
        base = describe_base(path)
    except (UserError, OSError) as error:
        known = explain(error)
        return FoundModel(
            path=path,
            place=place,
            title=_title_of(path),
            size_bytes=_size_of(path),
            # The list shows where it is; the whole path would leave no room for the reason.
            problem=(known.message if known else str(error)).replace(str(path), path.name),
        )
    return FoundModel(
        path=path,
        place=place,
        title=_title_of(path),
        size_bytes=base.size_bytes,
        family=base.family,
    )


def _title_of(path: Path) -> str:
    return path.stem if path.suffix.lower() in _ENDINGS else path.name


def usual_roots() -> list[Path]:
    """Folders beside which people install such programs: around Kiln, home, and the drives on Windows."""
    kiln = RESOURCES.parent
    home = Path.home()
    roots = [kiln.parent, kiln.parent.parent, home]
    roots += [home / name for name in ("Documents", "Desktop", "Downloads", "桌面", "文档", "下载")]
    if sys.platform == "win32":
        roots += [Path(f"{letter}:/") for letter in "CDEFGHIJKLMNOPQRSTUVWXYZ"]
    else:
        roots += [Path("/opt"), Path("/workspace"), Path("/data"), Path("/mnt"), Path("/srv")]
    return list(dict.fromkeys(root for root in roots if root != Path(root.anchor) or sys.platform == "win32"))


def _places(roots: Iterable[Path], until: float) -> Iterator[tuple[Path, str]]:
    """Folders of base models in programs that lie in the roots, or one level deeper where people sort them."""
    for root in roots:
        if time.monotonic() > until:
            return
        for folder in _folders(root):
            yield from _of_program(folder)
            if _AROUND.fullmatch(folder.name):
                for inner in _folders(folder):
                    yield from _of_program(inner)


def _of_program(folder: Path) -> Iterator[tuple[Path, str]]:
    """The folders of base models of the program that a folder is named for, if it is one."""
    name = folder.name.casefold()
    for title, pattern, places in _PROGRAMS:
        if not re.search(pattern, name):
            continue
        for place in places:
            if _is_folder(folder / place):
                yield folder / place, title
        for inner in (folder, folder / "ComfyUI"):
            for extra in extra_paths(inner / "extra_model_paths.yaml"):
                yield extra, title
        return


def extra_paths(file: Path) -> list[Path]:
    """The folders of checkpoints that ComfyUI's `extra_model_paths.yaml` names, in the simple form it is shipped in."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: list[Path] = []
    base, many_from = "", -1
    for line in lines:
        text = line.split(" #")[0].rstrip()
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        indent = len(text) - len(text.lstrip())
        if indent == 0:
            base, many_from = "", -1  # Another program's part begins.
            continue
        key, colon, value = text.strip().partition(":")
        value = value.strip().strip("\"'")
        if many_from >= 0 and indent > many_from:
            found.append(_below(base, text.strip()))
            continue
        many_from = -1
        if colon and key == "base_path":
            base = value
        elif colon and key == "checkpoints":
            if value in ("|", ">", ""):
                many_from = indent
            else:
                found.append(_below(base, value))
    return [folder for folder in found if folder.is_absolute() and _is_folder(folder)]


def _below(base: str, path: str) -> Path:
    return Path(base, path).expanduser() if base else Path(path).expanduser()


def _models_in(folder: Path, until: float, depth: int = _DEPTH) -> Iterator[Path]:
    """Model files and diffusers folders, a few levels deep."""
    if time.monotonic() > until:
        return
    is_kolors = _is_file(folder / "unet" / "config.json") and _is_folder(folder / "text_encoder")
    if is_kolors or _is_file(folder / "model_index.json"):
        yield folder
        return
    names = _names(folder)
    for name in names:
        path = folder / name
        if path.suffix.lower() in _ENDINGS and _is_file(path):
            yield path
    if depth > 1:
        for name in names:
            if not name.startswith(".") and _is_folder(folder / name):
                yield from _models_in(folder / name, until, depth - 1)


def _folders(root: Path) -> list[Path]:
    return [root / name for name in _names(root) if not name.startswith((".", "$")) and _is_folder(root / name)]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, _MOST_NAMES))
    except (OSError, ValueError):  # Not there, or not for this user.
        return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_there(path: Path) -> bool:
    return _is_file(path) or _is_folder(path)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except (OSError, ValueError):
        return 0


def added_folders() -> list[Path]:
    """Folders that the user wants to be looked in, the latest first."""
    return [Path(path) for _, path in stored("folders")]


def add_folder(folder: Path) -> None:
    """Look in a folder from now on; one that is gone later is passed over.

    Raises:
        OSError: That cannot be written down.
    """
    folders = [folder, *(known for known in added_folders() if known != folder)]
    write_store(folders, [(place, Path(path)) for place, path in stored("models")], stored_files())
