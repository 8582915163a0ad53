"""What a start would do, as text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher import environment
from launcher.commands import as_typed
from launcher.environment import State
from launcher.machine import this_machine
from launcher.messages import text
from launcher.torch_choice import OVERRIDE, PLAIN, TORCH_VERSION, TorchSource, sources

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from launcher.environment import Layout
    from launcher.machine import Machine


def describe(layout: Layout, extras: Collection[str], command: Sequence[str], machine: Machine | None = None) -> str:
    """The plan in lines; looks at files and cards only, asks no server and changes nothing."""
    override = os.environ.get(OVERRIDE)
    finding = environment.examine(layout, extras, override, TORCH_VERSION)
    rows = [
        (text("plan_folder"), str(layout.root)),
        (text("plan_state"), text(f"state_{finding.state.value}")),
    ]
    if finding.state is not State.READY:
        machine = machine or this_machine()
        choices = sources(machine, override)
        rows.append((text("plan_device"), device_line(machine, choices[0])))
        rows.append((text("plan_torch"), torch_line(choices[0])))
        pip = [str(layout.python), "-m", "pip", "install"]
        index = ["--extra-index-url", choices[0].index] if choices[0].index else []
        target = f".[{','.join(sorted(extras))}]" if extras else "."
        steps = [
            (text("step_venv"), [environment.base_python(), "-m", "venv", str(layout.venv)]),
            (text("step_torch_any"), [*pip, choices[0].requirement, *index]),
            (text("step_packages"), [*pip, "--editable", target]),
            (text("step_check"), [str(layout.python), "-c", "import torch"]),
        ]
        for number, (title, step) in enumerate(steps, start=1):
            rows.append((text("step", number=number, total=len(steps), title=title), as_typed(step)))
    if command:
        rows.append((text("plan_then"), as_typed(command)))
    return "".join(f"{name}: {value}\n" for name, value in rows) + text("plan_nothing") + "\n"


def device_line(machine: Machine, choice: TorchSource) -> str:
    """The card that decided, or that there is none."""
    cards = ", ".join(gpu.name for gpu in machine.gpus)
    return cards or text(f"device_{choice.device}")


def torch_line(choice: TorchSource) -> str:
    """Which torch from where, and what instead."""
    line = text("plan_from", requirement=choice.requirement, index=choice.index or text("plan_pip"))
    return line + (text("plan_else", requirement=PLAIN.requirement) if choice.index else "")
