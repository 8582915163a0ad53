"""A check of the installation: what the launcher's doctor says, as text."""

from __future__ import annotations

import os
import subprocess
import sys

from core.paths import RESOURCES
from core.report_environment import environment
from core.text import language

LIMIT_S = 300
_LOCALES = {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}


def check() -> str:
    """What is well and what is not, with remedies. Takes seconds, as it looks at the network and starts programs.

    Without the launcher, in a Kiln that was installed as a package, it is what a report tells about the machine.

    Raises:
        OSError: The launcher cannot be started.
        subprocess.TimeoutExpired: It did not end in time.
    """
    launcher = RESOURCES.parent / "packaging" / "launch.py"
    if not launcher.is_file() or getattr(sys, "frozen", False):
        return environment({"kiln": RESOURCES.parent})
    done = subprocess.run(
        [sys.executable, str(launcher), "doctor"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_S,
        check=False,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "LC_ALL": _LOCALES[language()], "PYTHONUTF8": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return done.stdout.strip()
