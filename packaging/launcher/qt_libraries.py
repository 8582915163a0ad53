"""Shared libraries of the Linux system that Qt needs beside its own wheel."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher import system_packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Library:
    """A library and the packages that bring it; zypper's names are those of dnf, near enough to search for."""

    file: str
    apt: str
    dnf: str
    pacman: str

    def package(self, manager: str | None) -> str:
        """Its package for this package manager."""
        return {"dnf": self.dnf, "zypper": self.dnf, "pacman": self.pacman}.get(manager or "", self.apt)


BASE = (
    Library("libEGL.so.1", "libegl1", "libglvnd-egl", "libglvnd"),
    Library("libGL.so.1", "libgl1", "libglvnd-glx", "libglvnd"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "glib2", "glib2"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    Library("libdbus-1.so.3", "libdbus-1-3", "dbus-libs", "dbus"),
    Library("libfontconfig.so.1", "libfontconfig1", "fontconfig", "fontconfig"),
)
"""Without these QtGui cannot be imported, with or without a screen."""

X11 = (
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor", "xcb-util-cursor"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm", "xcb-util-wm"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms", "xcb-util-keysyms"),
    Library("libxcb-image.so.0", "libxcb-image0", "xcb-util-image", "xcb-util-image"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "xcb-util-renderutil", "xcb-util-renderutil"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "libxcb", "libxcb"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "libxcb", "libxcb"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon-x11"),
)
"""Without these there is no window on X11."""

CHINESE_FONT = {"apt-get": "fonts-noto-cjk", "dnf": "google-noto-sans-cjk-fonts", "pacman": "noto-fonts-cjk"}


def uses_x11(variables: Mapping[str, str]) -> bool:
    """True if a window would be opened on X11."""
    platform = variables.get("QT_QPA_PLATFORM", "")
    if platform:
        return platform.startswith("xcb")
    return bool(variables.get("DISPLAY")) and not variables.get("WAYLAND_DISPLAY")


def has_screen(variables: Mapping[str, str]) -> bool:
    """True if a window can be opened, as far as the variables tell."""
    return bool(variables.get("QT_QPA_PLATFORM") or variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY"))


def missing(libraries: Iterable[Library]) -> list[Library]:
    """Those that do not load; other systems than Linux bring all that Qt needs."""
    return [library for library in libraries if not loads(library.file)] if sys.platform == "linux" else []


def loads(file: str) -> bool:
    """True if the dynamic loader finds it."""
    try:
        ctypes.CDLL(file, mode=getattr(os, "RTLD_LAZY", 0))
    except OSError:
        return False
    return True


def packages_for(libraries: Iterable[Library]) -> list[str]:
    """The packages that bring them, each once."""
    return list(dict.fromkeys(library.package(system_packages.manager()) for library in libraries))
