"""What a report tells about the machine: versions, memory, cards, disks, and what paths look like."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from core import __version__
from core.machine import driver_version, graphics_cards, memory
from core.text import language

PATIENCE_S = 5.0
_PACKAGES = (
    "torch torchvision diffusers transformers peft accelerate safetensors huggingface_hub tokenizers onnxruntime "
    "onnxruntime-gpu onnxruntime-directml PySide6-Essentials pyqtgraph numpy pillow pydantic psutil nvidia-ml-py "
    "pytorch-optimizer bitsandbytes xformers triton tensorboardX requests urllib3"
)
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_LAUNCH_BLOCKING PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF "
    "PYTORCH_ENABLE_MPS_FALLBACK OMP_NUM_THREADS HF_HUB_OFFLINE KILN_LANGUAGE LANG LC_ALL QT_QPA_PLATFORM "
    "XDG_SESSION_TYPE RANK WORLD_SIZE"
)
_VARIABLES_SET = "HTTP_PROXY HTTPS_PROXY ALL_PROXY HF_ENDPOINT HF_HOME HF_TOKEN PYTHONPATH KILN_HOME WSL_DISTRO_NAME"
"""Of these, only whether they are there: their values name places and people."""


def environment(places: Mapping[str, Path]) -> str:
    """Everything about the machine that decides how a run goes, one `name: value` a line.

    Args:
        places: Folders by what they are for; told are free space and what their paths look like.
    """
    lines = [
        f"Kiln: {__version__}",
        f"system: {platform.platform()}",
        f"machine: {platform.machine()}, {os.cpu_count()} processors, {_processor()}",
        f"Python: {platform.python_version()}, {'frozen' if getattr(sys, 'frozen', False) else 'in an environment'}",
        f"language: {language()}, locale {locale.getlocale()}, files {sys.getfilesystemencoding()}, "
        f"texts {locale.getpreferredencoding(False)}",
        f"memory: {_memory()}",
        f"graphics cards: {_patiently(_cards)}",
        *(f"disk of {name}: {_patiently(lambda place=place: _disk(place))}" for name, place in places.items()),  # type: ignore[misc]
        *(f"path of {name}: {_spelling(place)}" for name, place in places.items()),
        *(f"package: {line}" for line in _packages()),
        *(f"variable: {name} = {os.environ[name]}" for name in _VARIABLES.split() if name in os.environ),
        *(f"variable: {name} is set" for name in _VARIABLES_SET.split() if os.environ.get(name)),
    ]
    return "\n".join(lines)


def _patiently(question: Callable[[], str]) -> str:
    """The answer of something that may be broken, and then never answers."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(question()), name="question", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return answers[0] if answers else "no answer"


def _cards() -> str:
    cards = ", ".join(str(card) for card in graphics_cards())
    return f"{cards or 'none'}, driver {driver_version() or 'none'}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> str:
    import psutil

    total, used = memory()
    if total is None or used is None:
        return "unknown"
    swap = psutil.swap_memory()
    main, swapped = (f"{a / 2**30:.1f} of {b / 2**30:.1f} GiB" for a, b in ((used, total), (swap.used, swap.total)))
    return f"{main} used, swap {swapped}"


def _disk(place: Path) -> str:
    """Space and kind of the disk that a folder is on, or will be on."""
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        return f"does not answer ({error.strerror})"
    return f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free, {_file_system(place)}"


def _file_system(place: Path) -> str:
    import psutil

    around = [part for part in psutil.disk_partitions(all=True) if place.resolve().is_relative_to(part.mountpoint)]
    nearest = max(around, key=lambda part: len(part.mountpoint), default=None)
    return str(nearest.fstype) if nearest and nearest.fstype else "file system unknown"


def _spelling(place: Path) -> str:
    text = str(place)
    remarks = [f"{len(text)} signs", "there" if place.exists() else "missing"]
    if not text.isascii():
        remarks.append("not only ASCII")
    if " " in text:
        remarks.append("with spaces")
    if text.startswith(("\\\\", "//")):
        remarks.append("on a server")
    return ", ".join(remarks)


def _packages() -> list[str]:
    lines = []
    for name in _PACKAGES.split():
        try:
            lines.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return lines
