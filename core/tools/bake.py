"""LoRAs taken into the weights of a base model."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.checkpoints.dtypes import bytes_of
from core.checkpoints.headers import read_weights_header
from core.checkpoints.parts import TensorAt, parts_of
from core.checkpoints.reading import TensorReader
from core.checkpoints.writing import tensor_writer
from core.control import Control
from core.errors import UserError
from core.events import Finished
from core.lora.checking import fits
from core.lora.delta import delta_weight, misfit
from core.lora.formats import LoraFile, named_for
from core.lora.modules import by_module, kind_of
from core.models import BaseModel, describe_base
from core.tools import files
from core.tools.base_weights import Target, region_of, targets_of
from core.tools.metadata import prediction_of
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import BakeTask

_MB = 1_000_000
_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".onnx_data")
_VECTORS = {"diff_b": "bias", "w_norm": "weight", "b_norm": "bias"}
"""LyCORIS' whole changes of vectors, and which of a module's they change."""

Change = tuple[Mapping[str, Tensor], float]
"""The tensors of one module of one LoRA, and its strength."""
Changes = dict[tuple[Path, str], list[tuple[TensorAt, str, list[Change]]]]
"""File and name of a tensor there -> what is changed of it: place, `weight` or `bias`, and by what."""


def bake(task: BakeTask, control: Control) -> ToolEvents:
    """Write a base model whose weights are those of another with LoRAs added, tensor by tensor.

    Every LoRA is computed on the weights as they were, so the order of several makes no difference; the sum is made in
    float32 and rounded once. Tensors that nothing changes are copied as they are, byte for byte, and the number
    format of each stays.

    Raises:
        UserError: A LoRA is for another kind of base model, or holds what cannot be computed; or the target exists.
    """
    base = describe_base(task.base)
    target = files.as_safetensors(task.output) if base.is_file else files.refuse_existing(task.output)
    targets = targets_of(base)
    changes: Changes = {}
    for item in task.loras:
        lora = files.opened(item.file)
        check_family(item.file, lora, base)
        yield from files.notices(item.file, lora)
        if not base.is_prediction_unsure:
            predictions = {base.path: base.prediction, item.file: prediction_of(lora.metadata)}
            yield from files.prediction_notices(predictions)
        modules = by_module(named_for(lora.tensors, base.family))
        check_modules(modules, targets)
        if item.strength:
            for name, module in modules.items():
                _note(changes, targets[name], module, item.strength)
    if base.is_file:
        steps = Steps(control, "save", base.path.stat().st_size // _MB)
        yield steps.begin()
        yield from _rewrite(base.path, target, changes, steps, _described(task, base))
    else:
        yield from _bake_folder(base, target, changes, control)
    yield Finished(output=target)


def check_family(path: Path, lora: LoraFile, base: BaseModel) -> None:
    """Make sure that a LoRA is for this kind of base model.

    Raises:
        UserError: It is for another.
    """
    files.same_family({path: lora.family_for(base.family), base.path: base.family})


def check_modules(modules: Mapping[str, Mapping[str, Tensor]], targets: Mapping[str, Target]) -> None:
    """Make sure that all modules of a LoRA are in the base model and have its sizes.

    Raises:
        UserError: One is not.
    """
    missing = [name for name in modules if name not in targets]
    if missing or not modules:
        raise UserError(
            "This LoRA was not made for this base model: {number} of its {total} modules do not exist there.",
            remedy="Choose the base model that the LoRA was trained for.",
            number=len(missing),
            total=len(modules),
        )
    for name, module in modules.items():
        shapes = {part: tuple(tensor.shape) for part, tensor in module.items()}
        if kind_of(module) in ("lora", "loha", "lokr", "full") and not fits(shapes, targets[name].weight.shape):
            raise misfit()


def _note(changes: Changes, target: Target, module: Mapping[str, Tensor], strength: float) -> None:
    places: dict[str, TensorAt | None] = {"weight": target.weight, "bias": target.bias}
    touched = {_VECTORS[part] for part in module if part in _VECTORS}
    if kind_of(module) != "norm":
        touched.add("weight")
    for which in sorted(touched):
        place = places[which]
        if place is None:
            raise misfit()
        entries = changes.setdefault((place.file, place.key), [])
        known = next((entry for entry in entries if entry[0] == place), None)
        if known is None:
            known = (place, which, [])
            entries.append(known)
        known[2].append((module, strength))


def changed(tensor: Tensor, entries: list[tuple[TensorAt, str, list[Change]]], name: str) -> Tensor:
    """A tensor of a file with everything added to it, in its own number format.

    Raises:
        UserError: Sizes do not fit, or the sum does not fit into the number format.
    """
    total = tensor.to(torch.float32, copy=True)
    for place, which, parts in entries:
        region = region_of(total, place)
        before = region.clone().reshape(place.shape)
        for module, strength in parts:
            region += (_added(module, which, before) * strength).reshape(region.shape)
    result = total.to(tensor.dtype)
    if not bool(torch.isfinite(result.float()).all()) and bool(torch.isfinite(tensor.float()).all()):
        raise UserError(
            "With these strengths, {name} does not fit into the number format of the base model.",
            remedy="Choose smaller strengths.",
            name=name,
        )
    return result


def _added(module: Mapping[str, Tensor], which: str, before: Tensor) -> Tensor:
    """What one module adds to the weight or the bias at full strength, shaped like it."""
    for part, place in _VECTORS.items():
        if place == which and part in module:
            if module[part].numel() != before.numel():
                raise misfit()
            return module[part].float().reshape(before.shape)
    return delta_weight(module, base=before if "dora_scale" in module else None, shape=tuple(before.shape))


def _rewrite(source: Path, target: Path, changes: Changes, steps: Steps, metadata: Mapping[str, str]) -> ToolEvents:
    """One file with its changes, tensor by tensor."""
    header = read_weights_header(source)
    entries = [(name, header.dtypes[name], header.shapes[name]) for name in header.shapes]
    files.refuse_existing(target)
    with TensorReader() as reader, tensor_writer(target, entries, metadata) as writer:
        for name in writer.order:
            dtype, shape = header.dtypes[name], header.shapes[name]
            tensor = reader.read(TensorAt(source, name, shape, dtype))
            if (source, name) in changes:
                tensor = changed(tensor, changes[source, name], name)
            writer.write(name, tensor)
            del tensor
            yield from steps.done(bytes_of(shape, dtype) / _MB)


def _bake_folder(base: BaseModel, target: Path, changes: Changes, control: Control) -> ToolEvents:
    """A folder like that of the base model; it appears when it is whole."""
    changed_files = sorted({file for file, _ in changes})
    used = {file for source in parts_of(base).values() for file in source.files}
    copied = [file for file in _files_of(base.path, used) if file not in changed_files]
    for file in changed_files:
        if file.suffix != ".safetensors":
            raise UserError(
                "{path} is an old kind of file, which a merged model cannot be written as.",
                remedy="Convert the base model to safetensors first.",
                path=file,
            )
    size = sum(file.stat().st_size for file in [*copied, *changed_files])
    steps = Steps(control, "save", size // _MB)
    yield steps.begin()
    temporary = target.with_name(f".kiln-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        for file in copied:
            place = temporary / file.relative_to(base.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
            yield from steps.done(file.stat().st_size / _MB)
        for file in changed_files:
            place = temporary / file.relative_to(base.path)
            yield from _rewrite(file, place, changes, steps, read_weights_header(file).metadata)
        files.refuse_existing(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files_of(folder: Path, used: set[Path]) -> Iterable[Path]:
    """The files of a model folder, without other copies of the weights than those that are used."""
    parts = {folder, *(file.parent for file in used)}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        is_other = file.suffix in _WEIGHTS and file not in used
        if ".index." in file.name:
            is_other = not _indexes(file, used)
        if file.parent not in parts or not is_other:
            yield file


def _indexes(index: Path, used: set[Path]) -> bool:
    """Whether an index tells of files that are used, and not of other copies of the weights."""
    places = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    return all(index.parent / name in used for name in places.values())


def _described(task: BakeTask, base: BaseModel) -> dict[str, str]:
    """The metadata of the base model's file, and what went into it."""
    found = {
        key: value
        for key, value in read_weights_header(base.path).metadata.items()
        if not key.startswith("sshs_") and key != "modelspec.hash_sha256"
    }
    found["modelspec.merged_from"] = ", ".join([base.path.stem, *(item.file.stem for item in task.loras)])
    found["kiln.merged"] = json.dumps(
        [{"file": item.file.name, "strength": item.strength} for item in task.loras], ensure_ascii=False
    )
    return found
