"""The device that a training will take, known without torch: its kind, name and memory."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from core.machine import main_card, memory
from core.text import tr

DeviceKind = Literal["cuda", "mps", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a run computes. Memory is the card's own, or the machine's; None where it is not known."""

    kind: DeviceKind
    name: str = ""
    total_bytes: int | None = None
    free_bytes: int | None = None

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return self.name or tr("this machine")


def training_device(wish: str = "auto") -> Device:
    """The device that a run with this wish will take. May take a moment: a driver is asked.

    Args:
        wish: As in the settings: `auto`, `cuda`, `mps` or `cpu`.
    """
    card = main_card() if wish in ("auto", "cuda") and torch_has_cuda() else None
    if card is not None:
        name = re.sub(r"^NVIDIA (GeForce )?", "", card.name)
        free = None if card.total_bytes is None or card.used_bytes is None else card.total_bytes - card.used_bytes
        return Device(kind="cuda", name=name, total_bytes=card.total_bytes, free_bytes=free)
    total, used = memory()
    free = None if total is None or used is None else total - used
    is_apple = sys.platform == "darwin" and platform.machine() == "arm64" and wish != "cpu"
    return Device(kind="mps" if is_apple else "cpu", total_bytes=total, free_bytes=free)


@cache
def torch_has_cuda() -> bool:
    """Whether the installed PyTorch was built for NVIDIA cards, read from its version file without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return False
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True  # A frozen program keeps its modules elsewhere; the card alone decides.
    found = re.search(r"^cuda(?:\s*:[^=]*)?\s*=\s*(.+)$", text, re.MULTILINE)
    return found is None or found[1].strip() != "None"
