"""What a tuned base model has learned since the original one, as a LoRA."""

from __future__ import annotations

import json
import math

from torch import Tensor

from core.checkpoints.reading import TensorReader
from core.control import Control
from core.errors import UserError
from core.events import Finished, Notice
from core.lora.keys import Kind, module_names
from core.lora.metadata import base_words
from core.models import describe_base
from core.text import tr
from core.tools import files
from core.tools.base_weights import Target, targets_of
from core.tools.low_rank import RankChoice, cut, decompose
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import ExtractTask
from core.tools.weights import as_module, is_wide


def extract(task: ExtractTask, control: Control) -> ToolEvents:
    """Write the difference of two base models as LoRA pairs, for the modules that kohya's LoRA and LoCon change.

    The singular values of each difference are those of `core.tools.low_rank.decompose`; what the rank leaves out is
    measured and told.

    Raises:
        UserError: The models are of different kinds or sizes, or the same where a LoRA can change them; or the target
            exists.
    """
    target = files.as_safetensors(task.output)
    original, tuned = describe_base(task.original), describe_base(task.tuned)
    files.same_family({original.path: original.family, tuned.path: tuned.family})
    before, after = targets_of(original), targets_of(tuned)
    kinds = {name: module.kind for name, module in module_names(original.family).items()}
    wanted = [name for name, module in before.items() if _is_wanted(module, kinds.get(name, "other"), task)]
    for name in wanted:
        if name not in after or after[name].weight.shape != before[name].weight.shape:
            raise UserError(
                "{first} and {second} do not fit together: their sizes of {name} differ.",
                remedy="Choose files of one kind of base model.",
                failure="model_unsuited",
                first=original.path,
                second=tuned.path,
                name=name,
            )
    tensors: dict[str, Tensor] = {}
    squares = left_squares = 0.0
    steps = Steps(control, "compute", len(wanted))
    yield steps.begin()
    with TensorReader() as first, TensorReader() as second:
        for name in wanted:
            difference = second.read(after[name].weight).float() - first.read(before[name].weight).float()
            least, most = (float(value) for value in difference.aminmax())
            if not math.isfinite(least) or not math.isfinite(most):
                raise UserError(
                    "The weights of {name} are not numbers in one of the models.",
                    remedy="Choose another copy of the model.",
                    failure="model_damaged",
                    name=name,
                )
            if max(most, -least) > task.least_difference:
                columns = tuple(difference.shape[1:])
                choice = RankChoice(rank=task.conv_rank if is_wide(columns) else task.rank, share=task.share)
                decomposed = decompose(difference.flatten(1), choice.rank)
                rank = choice.of(decomposed)
                module = as_module(cut(decomposed, rank), columns)
                tensors |= {f"{name}.{part}": tensor for part, tensor in module.items()}
                squares += decomposed.norm**2
                kept = float(decomposed.values[:rank].double().square().sum())
                left_squares += max(decomposed.norm**2 - kept, 0.0)
            yield from steps.done()
    if not tensors:
        raise UserError(
            "{first} and {second} differ nowhere that a LoRA could change, or by less than is asked for.",
            remedy="Choose a model that was tuned from the original, or a smaller least difference.",
            first=original.path,
            second=tuned.path,
        )
    metadata = {
        **base_words(original.family, v_prediction=tuned.prediction == "v_prediction"),
        "ss_sd_model_name": original.path.name,
        "kiln.extracted": json.dumps({"original": original.path.name, "tuned": tuned.path.name}, ensure_ascii=False),
    }
    files.save(target, tensors, metadata, task.precision, original.family)
    number = len(tensors) // 3
    yield Notice(
        message=tr(
            "{number} modules differ, {same} are left out. The LoRA leaves out {share} % of the norm of what differs.",
            number=number,
            same=len(wanted) - number,
            share=f"{math.sqrt(left_squares / squares) * 100:.2f}",
        )
    )
    yield Finished(output=target)


def _is_wanted(module: Target, kind: Kind, task: ExtractTask) -> bool:
    if module.part != "denoiser" and not task.text_encoder:
        return False
    return kind == "default" or (kind == "conv" and task.conv_rank > 0)
