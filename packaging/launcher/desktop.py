"""The entry in the application menu of a Linux desktop."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launcher.commands import launcher_command
from launcher.console import say
from launcher.environment import base_python
from launcher.messages import text

STARTERS = {"win32": r"windows\Kiln.bat", "darwin": "macos/Kiln.command"}


def install(root: Path) -> int:
    """Write the entry; exit status."""
    if sys.platform != "linux":
        say(text("desktop_other", starter=STARTERS.get(sys.platform, "launch.py")))
        return 2
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")  # noqa: PTH111, PTH118
    place = Path(data) / "applications" / "kiln.desktop"
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".tmp")
    partial.write_text(entry(root, base_python()), encoding="utf-8")
    partial.chmod(0o755)  # Some desktops trust only entries that are executable.
    partial.replace(place)
    say(text("desktop_done", path=place))
    if not (root / ".venv" / "kiln-setup.json").exists():
        say(text("desktop_hint", command=launcher_command("setup")))
    return 0


def entry(root: Path, python: str) -> str:
    """The text of the entry (freedesktop.org, Desktop Entry Specification 1.5)."""
    command = f"{quoted(python)} {quoted(str(root / 'packaging' / 'launch.py'))}"
    return "\n".join(
        (
            "[Desktop Entry]",
            "Type=Application",
            "Version=1.5",
            "Name=Kiln",
            "Name[zh_CN]=丹炉 Kiln",
            "GenericName=LoRA Trainer",
            "GenericName[zh_CN]=LoRA 训练器",
            "Comment=Train a LoRA for Stable Diffusion from a folder of pictures",
            "Comment[zh_CN]=用一个图片文件夹为 Stable Diffusion 训练 LoRA",
            f"Exec={escaped(command)}",
            f"Path={escaped(str(root))}",
            f"Icon={escaped(str(root / 'resources' / 'icons' / 'kiln.png'))}",
            "Terminal=false",
            "Categories=Graphics;",
            "StartupWMClass=kiln",
            "",
        )
    )


def quoted(argument: str) -> str:
    """One argument of Exec: in double quotes, with the signs escaped that mean something inside them."""
    for sign in '\\"`$':
        argument = argument.replace(sign, "\\" + sign)
    return '"' + argument.replace("%", "%%") + '"'


def escaped(value: str) -> str:
    """A value of the file, where a backslash starts an escape."""
    return value.replace("\\", "\\\\")
