"""Reading a LoRA file again before it is called done: does it fit the base model, and are its numbers sound?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.checkpoints.parts import PartName, parts_of
from core.lora.keys import Part, module_names, name_of, split_name
from core.lora.modules import Shape, added_shape, by_module, missing_leaf, rank_of
from core.models import BaseModel, FamilyName
from core.text import tr

if TYPE_CHECKING:
    from torch import Tensor

_PARTS: dict[PartName, Part] = {
    "denoiser": "denoiser",
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: how many modules the file changes, and a sentence for each kind of problem."""

    num_modules: int
    problems: tuple[str, ...] = ()


def modules_of_base(base: BaseModel) -> dict[str, Shape]:
    """The modules that a LoRA for this base model can change: name in kohya's files -> shape of the weight.

    Raises:
        UserError: A file of the model is damaged.
        OSError: A file cannot be read.
    """
    found: dict[str, Shape] = {}
    for part, source in parts_of(base).items():
        # Kolors' text encoder is none that a LoRA file has names for.
        if part in _PARTS and (part == "denoiser" or base.family != "kolors"):
            for key, tensor in source.tensors.items():
                if key.endswith(".weight") and len(tensor.shape) > 1 and ".embeddings." not in key:
                    found[name_of(_PARTS[part], key.removesuffix(".weight"), base.family)] = tuple(tensor.shape)
    return found


def modules_of_family(family: FamilyName) -> dict[str, Shape]:
    """The same of a family, for where no base model is at hand."""
    return {name: module.shape for name, module in module_names(family).items()}


def check_names(shapes: Mapping[str, Shape], expected: Mapping[str, Shape]) -> Checked:
    """Compare a file's keys with what the base model has; from headers alone.

    Args:
        shapes: Key -> shape, in kohya's names.
        expected: Of `modules_of_base` or `modules_of_family`.
    """
    modules = by_module(shapes)
    strange = sorted(modules.keys() - expected.keys())
    strange += sorted(key for key in shapes if key.partition(".")[0] not in modules)
    broken = [name for name, leaves in modules.items() if missing_leaf(leaves)]
    whole = {name: leaves for name, leaves in modules.items() if name in expected and name not in broken}
    misfits = [name for name, leaves in whole.items() if not fits(leaves, expected[name])]
    without = [name for name, leaves in whole.items() if rank_of(leaves) is not None and "alpha" not in leaves]
    problems = []
    if strange:
        problems.append(tr("{number} names do not exist in the base model: {names}.", **_listed(strange)))
    if broken:
        problems.append(tr("{number} modules are not complete: {names}.", **_listed(broken)))
    if misfits:
        problems.append(tr("{number} modules do not fit the base model in size: {names}.", **_listed(misfits)))
    if without:
        problems.append(tr("{number} modules have no alpha: {names}.", **_listed(without)))
    if not modules:
        problems.append(tr("There is no module in the file."))
    return Checked(len(modules), tuple(problems))


def check_file(path: Path, expected: Mapping[str, Shape], *, is_new: bool = False) -> Checked:
    """Read a file in kohya's names again, numbers and all.

    Args:
        path: A safetensors file.
        expected: As of `check_names`.
        is_new: Whether nothing is learned yet, so that zeros are as they should be.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
            return check_tensors(shapes, ((key, file.get_tensor(key)) for key in keys), expected, is_new=is_new)
    except (OSError, SafetensorError) as error:
        return Checked(0, (tr("The file cannot be read again: {error}.", error=error),))


def check_tensors(
    shapes: Mapping[str, Shape],
    tensors: Iterable[tuple[str, Tensor]],
    expected: Mapping[str, Shape],
    *,
    is_new: bool = False,
) -> Checked:
    """The same of tensors in kohya's names, wherever they are from.

    Args:
        shapes: Key -> shape.
        tensors: Key and tensor, one by one.
        expected: As of `check_names`.
        is_new: As of `check_file`.
    """
    named = check_names(shapes, expected)
    not_finite, silent = _numbers(tensors)
    problems = list(named.problems)
    if not_finite:
        problems.append(tr("{number} weights hold values that are not numbers: {names}.", **_listed(not_finite)))
    if len(silent) == named.num_modules > 0 and not is_new:
        problems.append(tr("All weights are zero: this LoRA changes nothing."))
    elif not is_new and (dead := _dead_part(shapes, silent)):
        problems.append(tr("{number} modules are zero and change nothing: {names}.", **_listed(dead)))
    return Checked(named.num_modules, tuple(problems))


def fits(leaves: Mapping[str, Shape], weight: Shape) -> bool:
    """Whether the tensors of a module, by what they are, can be added to a weight [out, in, ...]."""
    added = added_shape(leaves)
    if not added:
        return False
    lengths = math.prod(leaves["dora_scale"]) if "dora_scale" in leaves else weight[0]
    flat = (weight[0], math.prod(weight[1:]))
    return lengths in weight[:2] and (added == weight or (added[0], math.prod(added[1:])) == flat)


def _numbers(tensors: Iterable[tuple[str, Tensor]]) -> tuple[list[str], list[str]]:
    """Names of tensors with values that are not finite, and of modules that change nothing."""
    import torch

    not_finite: list[str] = []
    zero: dict[str, dict[str, bool]] = {}
    for key, tensor in tensors:
        # Of half and single precision; the few other formats are looked at as these.
        known = tensor if tensor.is_floating_point() and tensor.element_size() > 1 else tensor.float()
        low, high = (float(value) for value in torch.aminmax(known)) if tensor.numel() else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            not_finite.append(key)
        module, _, leaf = key.partition(".")
        zero.setdefault(module, {})[leaf] = low == high == 0
    return not_finite, [name for name, leaves in zero.items() if _is_silent(leaves)]


def _dead_part(keys: Iterable[str], silent: Iterable[str]) -> list[str]:
    """The modules of a part of the model, of which none does anything; single ones may rightly not have moved."""
    alive = {key.partition(".")[0] for key in keys} - set(silent)
    alive_parts = {known[0] for name in alive if (known := split_name(name))}
    return [name for name in silent if (known := split_name(name)) and known[0] not in alive_parts]


def _is_silent(zeros: Mapping[str, bool]) -> bool:
    """Whether a module adds nothing, by which of its tensors are zero: one factor of a product is enough.

    DoRA's lengths may turn the weight all the same.
    """
    if "dora_scale" in zeros or not any(zeros.values()):
        return False
    parts = {"lora_down.weight", "lora_up.weight", "lora_mid.weight", "diff", "alpha"}
    return any(is_zero for leaf, is_zero in zeros.items() if leaf in parts or leaf.startswith(("hada_", "lokr_")))


def _listed(names: list[str]) -> dict[str, object]:
    return {"number": len(names), "names": ", ".join(names[:3]) + (" …" if len(names) > 3 else "")}
