"""Packages of the Linux distribution: installed where that is possible without asking, else named in full."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[[Sequence[str]], tuple[int, str]]

APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120")
MANAGERS = {
    "apt-get": "apt-get install -y --no-install-recommends",
    "dnf": "dnf install -y",
    "pacman": "pacman -S --needed",
    "zypper": "zypper install",
}


def manager() -> str | None:
    """The package manager of this Linux, if it is one we know."""
    if sys.platform != "linux":
        return None
    return next((name for name in MANAGERS if shutil.which(name) is not None), None)


def can_install() -> bool:
    """True where packages can be installed without a password: root on Debian, Ubuntu and their like."""
    return manager() == "apt-get" and sys.platform != "win32" and os.geteuid() == 0


def install(names: Sequence[str], run: Run) -> bool:
    """Install packages with apt-get; True if that worked."""
    run([*APT, "update"])  # May fail for one of several sources and still be enough.
    status, _ = run([*APT, "install", "-y", "--no-install-recommends", *names])
    return status == 0


def command_for(names: Sequence[str]) -> str:
    """The command that installs the packages on this Linux."""
    is_root = sys.platform != "win32" and os.geteuid() == 0
    return ("" if is_root else "sudo ") + MANAGERS[manager() or "apt-get"] + " " + " ".join(names)
