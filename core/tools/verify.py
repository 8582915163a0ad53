"""Whether a LoRA file fits a base model, and whether its numbers are sound."""

from __future__ import annotations

from typing import Any

from core.checkpoints.sources import family_title
from core.control import Control
from core.events import Finished, LoraReported, StageStarted
from core.lora.checking import check_tensors, fits, modules_of_base
from core.lora.formats import named_for, read_lora
from core.lora.modules import by_module
from core.models import describe_base
from core.text import tr
from core.tools.steps import ToolEvents
from core.tools.tasks import VerifyTask


def verify(task: VerifyTask, _control: Control) -> ToolEvents:
    """Compare a LoRA file with a base model, in one `LoraReported`.

    `Finished.num_failed` counts the kinds of problems that were found.

    Raises:
        UserError: It is no LoRA, or no base model, or one of them is damaged.
    """
    base = describe_base(task.base)
    lora = read_lora(task.file)
    expected = modules_of_base(base)
    tensors = named_for(lora.tensors, base.family)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    yield StageStarted(stage="inspect")
    checked = check_tensors(shapes, tensors.items(), expected)
    problems = list(checked.problems)
    family = lora.family_for(base.family)
    if family is not None and family != base.family:
        problems.insert(
            0,
            tr(
                "The LoRA is for {family}, the base model is {other}.",
                family=family_title(family),
                other=family_title(base.family),
            ),
        )
    if lora.lacks_alpha:
        problems.append(tr("The file does not say its alpha, so that its full strength is not known."))
    modules = by_module(shapes)
    report: dict[str, Any] = {
        "file": str(task.file),
        "base": str(task.base),
        "family": family,
        "base_family": base.family,
        "spelling": lora.spelling,
        "modules": len(modules),
        "fitting": sum(name in expected and fits(leaves, expected[name]) for name, leaves in modules.items()),
        "unknown": [name for name in modules if name not in expected],
        "misfits": [name for name, leaves in modules.items() if name in expected and not fits(leaves, expected[name])],
        "left_out": list(lora.left_out),
        "problems": problems,
    }
    yield LoraReported(tool="verify", reports=(report,))
    yield Finished(num_failed=len(problems))
