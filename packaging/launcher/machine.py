"""What this computer is, as far as it decides which PyTorch fits; asked without importing torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

QUERY = ("--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA card as nvidia-smi tells it; what an old driver does not tell is None."""

    name: str
    driver: tuple[int, ...] | None = None
    capability: tuple[int, int] | None = None
    memory_mib: int | None = None


@dataclass(frozen=True)
class Machine:
    """System as in `sys.platform`, processor as in wheel names, Python as in `sys.version_info[:2]`."""

    system: str
    processor: str
    gpus: tuple[Gpu, ...] = ()
    python: tuple[int, ...] = (3, 12)
    free_threaded: bool = False
    bits: int = 64


def this_machine() -> Machine:
    """The computer this runs on."""
    return Machine(
        system=sys.platform,
        processor=normal_processor(platform.machine()),
        gpus=find_gpus(),
        python=sys.version_info[:2],
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        bits=64 if sys.maxsize > 2**32 else 32,
    )


def normal_processor(name: str) -> str:
    """'AMD64' -> 'x86_64', 'aarch64' -> 'arm64': one name for each kind."""
    lowered = name.lower()
    return {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}.get(lowered, lowered)


def find_nvidia_smi() -> str | None:
    """Path of nvidia-smi, which comes with the driver."""
    found = shutil.which("nvidia-smi")
    if found is not None:
        return found
    places = [Path("/usr/lib/wsl/lib/nvidia-smi")]
    if sys.platform == "win32":
        places = [
            Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvidia-smi.exe"),
            Path(os.environ.get("PROGRAMFILES", r"C:\Program Files"), "NVIDIA Corporation", "NVSMI", "nvidia-smi.exe"),
        ]
    return next((str(place) for place in places if place.exists()), None)


def find_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA cards of this machine; empty without card or driver."""
    if sys.platform == "darwin":
        return ()
    program = find_nvidia_smi()
    if program is None:
        return ()
    found = parse_query(_output_of(program, *QUERY))
    return found or parse_list(_output_of(program, "-L"))


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def parse_query(output: str) -> tuple[Gpu, ...]:
    """Cards from the answer to `QUERY`; what says '[N/A]' stays None."""
    gpus = []
    for line in output.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 3)]
        if len(parts) != 4 or not parts[0]:
            continue
        name, driver, capability, memory = parts
        numbers = numbers_of(capability)
        gpus.append(
            Gpu(
                name=name,
                driver=numbers_of(driver),
                capability=(numbers[0], numbers[1]) if numbers is not None and len(numbers) == 2 else None,
                memory_mib=int(memory) if memory.isdigit() else None,
            )
        )
    return tuple(gpus)


def parse_list(output: str) -> tuple[Gpu, ...]:
    """Cards from `nvidia-smi -L`: 'GPU 0: NVIDIA GeForce GTX 1060 (UUID: GPU-…)'."""
    return tuple(
        Gpu(name=line.split(":", 1)[1].split(" (UUID", 1)[0].strip())
        for line in output.splitlines()
        if line.startswith("GPU ") and ":" in line
    )


def numbers_of(version: str) -> tuple[int, ...] | None:
    """'580.65.06' -> (580, 65, 6); None for what is no version."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None
