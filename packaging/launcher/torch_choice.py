"""Which PyTorch to install, and from where.

The builds of PyTorch 2.13 are CUDA 12.6 (cards from Maxwell to Hopper) and CUDA 13.0 (Turing and newer, Blackwell
included); CUDA 12.8 ended with 2.11. A driver runs every CUDA of its own major version and all older ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.machine import Machine

TORCH_VERSION = "2.13.0"
OVERRIDE = "KILN_TORCH_INDEX"
OFFICIAL = "https://download.pytorch.org/whl/"
MIRROR = "https://mirrors.nju.edu.cn/pytorch/whl/"

CUDA_13_DRIVER = (580,)
CUDA_12_8_DRIVER = (570,)
CUDA_12_DRIVER = (525,)
TURING = (7, 5)
BLACKWELL = (10, 0)


@dataclass(frozen=True)
class TorchSource:
    """A PyTorch to install: for which device, from which extra index (empty: plain pip), which version."""

    device: str
    index: str = ""
    requirement: str = f"torch=={TORCH_VERSION}"

    @property
    def title(self) -> str:
        """'CPU', 'CUDA 13.0', 'Apple GPU' or the index given by the user."""
        build = re.search(r"/cu(\d\d)(\d)/?$", self.index)
        if build is not None:
            return f"CUDA {build[1]}.{build[2]}"
        return {"cpu": "CPU", "mps": "Apple GPU", "cuda": "NVIDIA GPU"}.get(self.device, self.index or "PyPI")


PLAIN = TorchSource("any")


def sources(machine: Machine, override: str | None) -> list[TorchSource]:
    """What to try, best first. Plain pip is not in the list unless it is the choice; it is what remains."""
    if override is not None:
        return [TorchSource("any", override.strip())]
    if machine.gpus:
        return [TorchSource("cuda", OFFICIAL + build) for build in cuda_builds(machine)]
    if machine.system == "darwin":
        return [TorchSource("mps" if machine.processor == "arm64" else "cpu")]
    return [TorchSource("cpu", OFFICIAL + "cpu")]


def cuda_builds(machine: Machine) -> list[str]:
    """Names of the CUDA builds that run on all of this machine's cards with its driver, best first."""
    driver = next((gpu.driver for gpu in machine.gpus if gpu.driver is not None), None)
    capabilities = [gpu.capability for gpu in machine.gpus if gpu.capability is not None]
    weakest = min(capabilities, default=TURING)
    strongest = max(capabilities, default=TURING)
    if weakest < TURING:
        return ["cu126"]
    if driver is None or driver >= CUDA_13_DRIVER:
        return ["cu130", "cu126"] if strongest < BLACKWELL else ["cu130", "cu128"]
    if strongest >= BLACKWELL:
        return ["cu128", "cu130"]
    return ["cu126", "cu128"]


def driver_is_too_old(machine: Machine) -> bool:
    """True if no build can use the cards before the user updates the driver."""
    driver = next((gpu.driver for gpu in machine.gpus if gpu.driver is not None), None)
    if driver is None:
        return False
    is_blackwell = any(gpu.capability is not None and gpu.capability >= BLACKWELL for gpu in machine.gpus)
    return driver < (CUDA_12_8_DRIVER if is_blackwell else CUDA_12_DRIVER)
