"""A LoRA in another spelling, another number format, or as plain LoRA pairs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from core.control import Control
from core.errors import UserError
from core.events import Finished, Notice
from core.lora.modules import by_module, kind_of
from core.text import tr
from core.tools import files
from core.tools.low_rank import cut, decompose, kept_share
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import ConvertTask
from core.tools.weights import BIASES, as_module, is_wide, whole_change


def convert(task: ConvertTask, control: Control) -> ToolEvents:
    """Write a LoRA in the spelling and number format that other programs want.

    With a rank, modules that are no pairs (LoHa, LoKr, whole changes) become pairs of it: the best ones by the singular
    values of what they change.

    Raises:
        UserError: It is no LoRA, or its kind cannot be written so; or the target exists.
    """
    target = files.as_safetensors(task.output)
    lora = files.opened(task.file, task.alpha)
    yield from files.notices(task.file, lora)
    modules = by_module(lora.tensors)
    converted: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    steps = Steps(control, "compute", len(modules))
    yield steps.begin()
    for name, module in modules.items():
        kind = kind_of(module)
        if task.rank and kind in ("loha", "lokr", "full") and not _is_vector(module):
            if "dora_scale" in module:
                raise UserError(
                    "{path} is a DoRA: what it changes depends on the base model, so it cannot become a plain LoRA.",
                    remedy="Merge it into a base model, then extract a LoRA from that one and the original.",
                    path=task.file,
                )
            whole = whole_change(name, module, lora.family)
            columns = tuple(whole.shape[1:])
            wanted = task.conv_rank or task.rank if is_wide(columns) else task.rank
            decomposed = decompose(whole.flatten(1), wanted)
            wanted = min(wanted, len(decomposed.values))
            shares[name] = kept_share(decomposed, wanted)
            rest = {part: module[part] for part in BIASES if part in module}
            module = as_module(cut(decomposed, wanted), columns) | rest
        converted.update({f"{name}.{part}": tensor for part, tensor in module.items()})
        yield from steps.done()
    precision = files.file_precision(task.precision, [task.file])
    files.save(target, converted, lora.metadata, precision, lora.family, task.spelling)
    if shares:
        worst = min(shares, key=lambda name: shares[name])
        yield Notice(
            message=tr(
                "Each module keeps at least {share} % of its norm; {name} keeps the least.",
                share=f"{shares[worst] * 100:.1f}",
                name=worst,
            )
        )
    yield Finished(output=target)


def _is_vector(module: Mapping[str, Tensor]) -> bool:
    """Whether it changes a weight that is no matrix, as that of a norm: nothing of it has a rank."""
    return "diff" in module and module["diff"].ndim < 2
