"""What this machine has and how busy it is: graphics cards, memory, processor, disk. Never raises, and needs no torch.

What cannot be known is None: a laptop may not tell its power, a shared memory its size. A driver can take its time to
answer, or never answer after a card broke down: whoever has something better to do asks in a thread of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.space import free_bytes

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A graphics card, as the driver numbers them (by their place on the bus)."""

    index: int
    name: str
    total_bytes: int | None = None
    used_bytes: int | None = None
    use_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The machine at one moment. `disk_free_bytes` is what this user may still write on the disk that was asked for."""

    cards: tuple[Card, ...] = ()
    ram_total_bytes: int | None = None
    ram_used_bytes: int | None = None
    cpu_percent: float | None = None
    disk_free_bytes: int | None = None


def reading(disk: Path) -> Reading:
    """Everything at once.

    Args:
        disk: A folder on the disk that is asked for; it need not exist yet.
    """
    total, used = memory()
    return Reading(
        cards=graphics_cards(),
        ram_total_bytes=total,
        ram_used_bytes=used,
        cpu_percent=processor_percent(),
        disk_free_bytes=disk_free(disk),
    )


def memory() -> tuple[int | None, int | None]:
    """Bytes of main memory, in all and in use; what is only kept for speed counts as free."""
    import psutil

    try:
        state = psutil.virtual_memory()
    except (OSError, RuntimeError):  # In some containers there is no /proc/meminfo.
        return None, None
    return int(state.total), int(state.total - state.available)


def disk_free(folder: Path) -> int | None:
    """Bytes that this user may still write there; None when the disk does not answer."""
    try:
        return free_bytes(folder)
    except OSError:
        return None


class _Processor:
    """How busy the processor was between two questions, whichever threads ask them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[float, float] | None = None

    def percent(self) -> float | None:
        """Share of all cores that was at work since the last question; None at the first one."""
        import psutil

        try:
            times = psutil.cpu_times()
        except (OSError, RuntimeError):
            return None
        # On Linux, the time of guests is a part of the user's.
        total = float(sum(times)) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        busy = total - float(times.idle) - getattr(times, "iowait", 0.0)
        with self._lock:
            last, self._last = self._last, (total, busy)
        if last is None or total <= last[0]:
            return None
        return float(min(max(100 * (busy - last[1]) / (total - last[0]), 0.0), 100.0))


processor_percent = _Processor().percent


class _Driver:
    """NVIDIA's library, opened once. A machine without its driver has no cards, and is not asked again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: Any = None
        self._was_tried = False

    def library(self) -> Any:
        """The module `pynvml` when it works, else None."""
        with self._lock:
            if not self._was_tried:
                self._was_tried = True
                self._library = _open_library()
            return self._library


def _open_library() -> Any:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # No driver, one without this library, or one that does not fit it: all mean that nobody answers.
        return None
    return pynvml


_driver = _Driver()


def _ask(question: Callable[..., T], *arguments: object) -> T | None:
    """The answer of the driver, or None: it may not support the question, or the card may be gone."""
    try:
        return question(*arguments)
    except Exception:  # Its own errors, and those of a library that is older than the question.
        return None


def graphics_cards() -> tuple[Card, ...]:
    """The NVIDIA cards; empty without one or without its driver."""
    nvml = _driver.library()
    if nvml is None:
        return ()
    cards = []
    for index in range(_ask(nvml.nvmlDeviceGetCount) or 0):
        handle = _ask(nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            cards.append(_card(nvml, index, handle))
    return tuple(cards)


def _card(nvml: Any, index: int, handle: Any) -> Card:
    name = _ask(nvml.nvmlDeviceGetName, handle) or "NVIDIA"
    space = _ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    use = _ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    temperature = _ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    power_mw = _ask(nvml.nvmlDeviceGetPowerUsage, handle)
    limit_mw = _ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    return Card(
        index=index,
        name=name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name),
        total_bytes=int(space.total) if space else None,
        used_bytes=int(space.used) if space else None,
        use_percent=float(use.gpu) if use else None,
        temperature_c=float(temperature) if temperature else None,  # A card at 0 degrees is one that does not tell.
        power_w=power_mw / 1000 if power_mw else None,
        power_limit_w=limit_mw / 1000 if limit_mw else None,
    )


def driver_version() -> str:
    """The version of NVIDIA's driver, or an empty text."""
    nvml = _driver.library()
    version = _ask(nvml.nvmlSystemGetDriverVersion) if nvml else None
    return version.decode("ascii", "replace") if isinstance(version, bytes) else str(version or "")


def main_card(cards: Sequence[Card] | None = None) -> Card | None:
    """The card that a training takes, or None without one.

    That is the one named first in `CUDA_VISIBLE_DEVICES`, where it names one by its number on the bus, else the one
    with the most memory: CUDA puts the strongest card first, and the driver does not say which it takes for that.

    Args:
        cards: The cards of this machine; they are asked for when left out.
    """
    cards = graphics_cards() if cards is None else cards
    wish = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not cards or (wish is not None and wish.strip() in ("", "-1")):
        return None
    first = (wish or "").split(",")[0].strip()
    if first.isdigit() and (os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or _are_alike(cards)):
        return next((card for card in cards if card.index == int(first)), None)
    return max(cards, key=lambda card: (card.total_bytes or 0, -card.index))


def _are_alike(cards: Sequence[Card]) -> bool:
    """Whether the order of cards is the same by place and by strength."""
    return len({(card.name, card.total_bytes) for card in cards}) == 1
