"""One LoRA that does what several do together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.control import Control
from core.errors import UserError
from core.events import Finished, Notice
from core.lora.formats import LoraFile, named_for
from core.lora.modules import by_module, kind_of
from core.models import FamilyName
from core.text import tr
from core.tools import files
from core.tools.low_rank import Pair, cut, decompose, decompose_pair, kept_share, summed
from core.tools.metadata import prediction_of
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import MergeTask
from core.tools.weights import BIASES, as_module, column_shape, is_wide, pair_of, whole_change

_Parts = list[tuple[Path, Mapping[str, Tensor], float]]
"""What the files have of one module: file, tensors, strength."""


def merge(task: MergeTask, control: Control) -> ToolEvents:
    """Add LoRAs up: exactly, their ranks side by side, or cut to a rank by the singular values of the sum.

    Raises:
        UserError: The files are for different kinds of base model, one is a DoRA, or one is a LoHa or LoKr and no
            rank is given; or the target exists.
    """
    target = files.as_safetensors(task.output)
    loras = [(item.file, files.opened(item.file), item.strength) for item in task.loras]
    is_kolors = any(lora.family == "kolors" for _, lora, _ in loras)
    family = files.same_family(
        {path: lora.family_for("kolors") if is_kolors else lora.family for path, lora, _ in loras}
    )
    yield from files.prediction_notices({path: prediction_of(lora.metadata) for path, lora, _ in loras})
    modules: dict[str, _Parts] = {}
    for path, lora, strength in loras:
        yield from files.notices(path, lora)
        own = by_module(named_for(lora.tensors, family) if family else lora.tensors)
        files.refuse_dora(path, own.values(), remedy_is_baking=True)
        for name, module in own.items():
            modules.setdefault(name, []).append((path, module, strength))
    merged: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    steps = Steps(control, "compute", len(modules))
    yield steps.begin()
    for name, parts in modules.items():
        module, share = _merged(name, parts, family, task.rank, task.conv_rank or task.rank)
        merged |= {f"{name}.{part}": tensor for part, tensor in module.items()}
        shares[name] = share
        yield from steps.done()
    metadata = _in_common([lora for _, lora, _ in loras])
    metadata["modelspec.merged_from"] = ", ".join(path.stem for path, _, _ in loras)
    metadata["kiln.merged"] = json.dumps(
        [{"file": path.name, "strength": strength} for path, _, strength in loras], ensure_ascii=False
    )
    precision = files.file_precision(task.precision, [path for path, _, _ in loras])
    files.save(target, merged, metadata, precision, family)
    worst = min(shares, key=lambda name: shares[name])
    if shares[worst] < 1:
        yield Notice(
            message=tr(
                "Each module keeps at least {share} % of its norm; {name} keeps the least.",
                share=f"{shares[worst] * 100:.1f}",
                name=worst,
            )
        )
    yield Finished(output=target)


def _merged(
    name: str, parts: _Parts, family: FamilyName | None, rank: int, conv_rank: int
) -> tuple[dict[str, Tensor], float]:
    """One module of the sum, and which share of its norm it keeps."""
    vectors: dict[str, Tensor] = {}
    products: _Parts = []
    for path, module, strength in parts:
        for part in BIASES:
            if part in module:
                vectors[part] = _plus(vectors.get(part), module[part].float() * strength, parts[0][0], path, name)
        if kind_of(module) != "norm":
            products.append((path, module, strength))
    if not products:
        return vectors, 1.0
    if all(kind_of(module) == "full" for _, module, _ in products):
        return vectors | {"diff": _sum(name, products, family)}, 1.0
    if all(kind_of(module) == "lora" for _, module, _ in products):
        return _merged_pairs(name, products, vectors, rank, conv_rank)
    odd = next(path for path, module, _ in products if kind_of(module) != "lora")
    if not rank:
        raise UserError(
            "{path} holds more than LoRA pairs, so that the sum has no exact form.",
            remedy="Give a rank for the new LoRA.",
            path=odd,
        )
    whole = _sum(name, products, family)
    columns = tuple(whole.shape[1:])
    wanted = conv_rank if is_wide(columns) else rank
    decomposed = decompose(whole.flatten(1), wanted)
    wanted = min(wanted, len(decomposed.values))
    return vectors | as_module(cut(decomposed, wanted), columns), kept_share(decomposed, wanted)


def _merged_pairs(
    name: str, parts: _Parts, vectors: dict[str, Tensor], rank: int, conv_rank: int
) -> tuple[dict[str, Tensor], float]:
    columns = column_shape(parts[0][1])
    pairs: list[Pair] = []
    for path, module, strength in parts:
        pair = pair_of(module)
        if pairs and (len(pair.up), pair.down.shape[1]) != (len(pairs[0].up), pairs[0].down.shape[1]):
            raise _misfit(parts[0][0], path, name)
        # As a scale: a strength of 1 leaves every weight as it is.
        root = abs(strength) ** 0.5
        pairs.append(Pair(pair.up * (root if strength >= 0 else -root), pair.down * root))
    total = summed(pairs)
    wanted = conv_rank if is_wide(columns) else rank
    if not wanted or wanted >= total.rank:
        return vectors | as_module(total, columns), 1.0
    decomposed = decompose_pair(total)
    wanted = min(wanted, len(decomposed.values))
    return vectors | as_module(cut(decomposed, wanted), columns), kept_share(decomposed, wanted)


def _sum(name: str, parts: _Parts, family: FamilyName | None) -> Tensor:
    """What all parts add to the weight, in full."""
    total: Tensor | None = None
    for path, module, strength in parts:
        total = _plus(total, whole_change(name, module, family) * strength, parts[0][0], path, name)
    assert total is not None
    return total


def _plus(total: Tensor | None, more: Tensor, first: Path, path: Path, name: str) -> Tensor:
    if total is None:
        return more
    if total.shape != more.shape:
        raise _misfit(first, path, name)
    return torch.add(total, more)


def _misfit(first: Path, second: Path, name: str) -> UserError:
    return UserError(
        "{first} and {second} do not fit together: their sizes of {name} differ.",
        remedy="Choose files of one kind of base model.",
        failure="model_unsuited",
        first=first,
        second=second,
        name=name,
    )


def _in_common(loras: list[LoraFile]) -> dict[str, str]:
    """The metadata that all files agree on: of the base model, for example; their trainings differ."""
    first, *others = [lora.metadata for lora in loras]
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
