"""A LoRA with smaller ranks that changes the base model as nearly the same as they allow."""

from __future__ import annotations

from core.control import Control
from core.errors import UserError
from core.events import Finished, Notice
from core.lora.modules import by_module, kind_of, scale_of
from core.text import tr
from core.tools import files
from core.tools.low_rank import RankChoice, cut, decompose_pair, kept_share
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import ResizeTask
from core.tools.weights import BIASES, as_module, column_shape, is_wide, pair_of


def resize(task: ResizeTask, control: Control) -> ToolEvents:
    """Cut every pair of a LoRA to the rank that its singular values ask for. The full weights are never made.

    The scale alpha / rank of each module stays, so that going on to train it learns as fast as before.

    Raises:
        UserError: It is a DoRA, or holds no pairs; or the target exists.
    """
    target = files.as_safetensors(task.output)
    lora = files.opened(task.file)
    yield from files.notices(task.file, lora)
    modules = by_module(lora.tensors)
    files.refuse_dora(task.file, modules.values(), remedy_is_baking=False)
    kinds = {name: kind_of(module) for name, module in modules.items()}
    if any(kind in ("loha", "lokr") for kind in kinds.values()):
        raise UserError(
            "{path} is a LoHa or LoKr, which have no rank that could be made smaller.",
            remedy="Convert it to a LoRA of the rank that you want.",
            path=task.file,
        )
    plain = RankChoice(rank=task.rank, share=task.share, ratio=task.ratio)
    wide = RankChoice(rank=task.conv_rank or task.rank, share=task.share, ratio=task.ratio)
    resized = {}
    ranks: list[int] = []
    shares: dict[str, float] = {}
    steps = Steps(control, "compute", len(modules))
    yield steps.begin()
    for name, module in modules.items():
        if kinds[name] == "lora":
            columns = column_shape(module)
            decomposed = decompose_pair(pair_of(module))
            rank = (wide if is_wide(columns) else plain).of(decomposed)
            if rank < len(module["lora_down.weight"]):
                shares[name] = kept_share(decomposed, rank)
                biases = {part: module[part] for part in BIASES if part in module}
                module = as_module(cut(decomposed, rank), columns, scale_of(module)) | biases
            ranks.append(len(module["lora_down.weight"]))
        resized.update({f"{name}.{part}": tensor for part, tensor in module.items()})
        yield from steps.done()
    if not ranks:
        raise UserError(
            "{path} holds no LoRA pairs whose rank could be made smaller.",
            remedy="Choose another file.",
            path=task.file,
        )
    files.save(target, resized, lora.metadata, files.file_precision(task.precision, [task.file]), lora.family)
    yield Notice(message=_summary(ranks, shares))
    yield Finished(output=target)


def _summary(ranks: list[int], shares: dict[str, float]) -> str:
    if not shares:
        return tr("No module has a rank above what is asked for; the weights are as they were.")
    worst = min(shares, key=lambda name: shares[name])
    if min(ranks) == max(ranks):
        return tr(
            "The rank is now {rank}. Each changed module keeps at least {share} % of its norm; {name} keeps the least.",
            rank=ranks[0],
            share=f"{shares[worst] * 100:.1f}",
            name=worst,
        )
    return tr(
        "Ranks are now {least} to {most}, {mean} on average. Each changed module keeps at least {share} % of its "
        "norm; {name} keeps the least.",
        least=min(ranks),
        most=max(ranks),
        mean=f"{sum(ranks) / len(ranks):.1f}",
        share=f"{shares[worst] * 100:.1f}",
        name=worst,
    )
