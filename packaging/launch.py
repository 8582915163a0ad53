#!/usr/bin/env python3
# -*- coding: utf-8 -*-
# ruff: noqa: UP009, UP030, RUF005, PTH100, PTH110, PTH118, PTH123
"""Starts Kiln: sets up its environment where needed, then opens the window or runs a verb (see `--help`).

This file alone must be readable by every Python since 2.7, so that an old one hands over to a newer one, or ends with
a sentence instead of a SyntaxError. Everything else is in `launcher/`, for Python 3.10 and newer.
"""

import os
import subprocess
import sys

OLDEST = (3, 10)
NEWEST = (3, 14)  # The newest with ready-made packages for everything Kiln needs.
PREFERRED = ("3.12", "3.13", "3.11", "3.10", "3.14")
MAC_FOLDER = "/Library/Frameworks/Python.framework/Versions/{0}/bin"
MORE_FOLDERS = ["/opt/homebrew/bin", "/usr/local/bin"] + [MAC_FOLDER.format(version) for version in PREFERRED]


def other_python():
    # type: () -> list[str] | None
    """The command of another installed Python that Kiln can use, or None."""
    folders = os.environ.get("PATH", "").split(os.pathsep) + MORE_FOLDERS
    for version in PREFERRED:
        if os.name == "nt":
            commands = [["py", "-" + version]]
        else:
            paths = [os.path.join(folder, "python" + version) for folder in folders]
            commands = [[path] for path in paths if os.path.exists(path)]
        for command in commands:
            if is_usable(command):
                return command
    return None


def is_usable(command):
    # type: (list[str]) -> bool
    """True if this Python starts and can make virtual environments (Debian leaves that out)."""
    try:
        with open(os.devnull, "w") as nowhere:
            code = subprocess.call(command + ["-c", "import ensurepip, venv"], stdout=nowhere, stderr=nowhere)
    except OSError:
        return False
    return code == 0


def hand_over(command):
    # type: (list[str]) -> int
    """Run this same command line with another Python and end as it ends."""
    arguments = command + [os.path.abspath(__file__)] + sys.argv[1:]
    if os.name == "nt":
        return subprocess.call(arguments)
    os.execv(arguments[0], arguments)
    return 1


def start():
    # type: () -> int
    """Check the version first; nothing else of Kiln may be imported before."""
    version = tuple(sys.version_info[:2])
    if not OLDEST <= version <= NEWEST:
        found = other_python()
        if found is not None:
            sys.stderr.write("Python {0}.{1} -> {2}\n".format(version[0], version[1], " ".join(found)))
            sys.stderr.flush()
            return hand_over(found)
    if version < OLDEST:
        sys.stderr.write(
            "Kiln needs Python 3.10 or newer; this is Python {0}.{1}.\n"
            "Install Python 3.12 from https://www.python.org/downloads/ and start Kiln again.\n"
            "Kiln 需要 Python 3.10 或更新版本，当前是 Python {0}.{1}。\n"
            "请从 https://www.python.org/downloads/ 安装 Python 3.12，然后重新启动 Kiln。\n".format(*version)
        )
        return 1
    from launcher.main import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
