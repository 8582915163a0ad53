"""The job that rewrites a base model in another form: single file or folder, safetensors for old checkpoints.

Tensors go over one by one. Nothing is changed but the number format, if that is asked for: there and back again gives
the same tensors, bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from core.checkpoints.dtypes import FLOATS
from core.checkpoints.folders import FOLDERS, weights_name
from core.checkpoints.opening import check_part
from core.checkpoints.parts import PartSource, TensorAt, parts_of, scheduler_config, tokenizer_folder
from core.checkpoints.pickled import PICKLED_ENDINGS
from core.checkpoints.reading import TensorReader
from core.checkpoints.single_file import CONFIG_KEY, names_of, prefix_of, shipped_config
from core.checkpoints.sources import PartName, listed
from core.checkpoints.telling import own_configs_of, v_marks
from core.checkpoints.writing import Entry, tensor_writer
from core.control import Control
from core.errors import UserError
from core.events import Event, Finished, JobStarted, Notice
from core.files import put_in_place, remove_left_overs, write_text
from core.models import BaseModel, describe_base
from core.text import tr
from core.tools.steps import Steps, StoppedError

if TYPE_CHECKING:
    from core.jobs import ConvertJob

Precision = Literal["same", "fp16", "bf16", "fp32"]
_DTYPES: dict[Precision, str] = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}
_CLIP_WORDS = 49408


def convert(job: ConvertJob, control: Control) -> Iterator[Event]:
    """Write a base model in another form; the source stays as it is. `Finished.output` is what was written.

    Raises:
        UserError: The target exists, the source is no base model, or it cannot have that form.
        OSError: The disk is full, or the target cannot be written.
    """
    if job.target.exists():
        raise UserError("{path} exists already.", remedy="Choose another name.", path=job.target)
    ending = job.target.suffix.lower()
    if ending in PICKLED_ENDINGS or (job.to == "file" and ending != ".safetensors"):
        raise UserError(
            "Kiln writes single files as .safetensors alone.",
            remedy="Give the new file a name that ends in .safetensors, or for a folder one without an ending.",
        )
    yield JobStarted(job="convert")
    # Half a model of a conversion that was killed is many gigabytes; what cannot be removed does no harm.
    with contextlib.suppress(OSError):
        remove_left_overs(job.target.parent)
    to_file = job.to == "file" or (job.to == "auto" and ending == ".safetensors")
    try:
        with TensorReader() as reader:
            if not to_file:
                yield from _write_folder(describe_base(job.source), job, control, reader)
            elif job.source.is_dir():
                yield from _write_checkpoint(describe_base(job.source), job, control, reader)
            else:
                yield from _rewrite_file(job, control, reader)
    except StoppedError:
        yield Finished(stopped=True)
        return
    yield Finished(output=job.target)


def _rewrite_file(job: ConvertJob, control: Control, reader: TensorReader) -> Iterator[Event]:
    """All tensors of a file under their own names, as safetensors."""
    file = listed(job.source)
    entries = [
        _entry(key, TensorAt(file.path, key, shape, file.dtypes[key]), job.precision, reader)
        for key, shape in file.shapes.items()
    ]
    if not entries:
        raise UserError(
            "There are no weights in {path}.", remedy="Choose another file.", failure="model_damaged", path=job.source
        )
    yield from _written({job.target: entries}, file.metadata, control)


def _write_checkpoint(base: BaseModel, job: ConvertJob, control: Control, reader: TensorReader) -> Iterator[Event]:
    """A folder as a single file, by the names that every program knows."""
    if base.family == "kolors":
        raise UserError("A Kolors model cannot be one file.", remedy="Keep it as a folder.", failure="model_unsuited")
    sources = parts_of(base)
    for part, source in sources.items():
        if part.startswith("text_encoder") and source.config.get("vocab_size") != _CLIP_WORDS:
            raise UserError(
                "{path} reads captions with a tokenizer of its own, which a single file cannot hold.",
                remedy="Keep it as a folder.",
                failure="model_unsuited",
                path=base.path,
            )
        check_part(source, part)
    entries: list[Entry] = []
    for part, source in sources.items():
        entries.extend(_renamed(base, part, source, job.precision, reader))
    entries.extend(Entry(name, "F32", (0,), lambda: torch.zeros(0)) for name in v_marks(base))
    metadata = _described(base)
    if own := own_configs_of(base.family, sources):
        metadata[CONFIG_KEY] = json.dumps(own, sort_keys=True)
    yield from _written({job.target: entries}, metadata, control)


def _renamed(
    base: BaseModel, part: PartName, source: PartSource, precision: Precision, reader: TensorReader
) -> Iterator[Entry]:
    """The tensors of a part as a single file has them; thirds are put together, what lies on its side is turned."""
    table, prefix = names_of(base.family, part, source.config), prefix_of(base.family, part)
    thirds: dict[str, dict[str, TensorAt]] = {}
    for name, tensor in source.tensors.items():
        place = table.in_file(name)
        if place is None:
            raise UserError(
                "{path} has a tensor that a single file has no name for: {name}.",
                remedy="Keep it as a folder.",
                failure="model_unsuited",
                path=tensor.file,
                name=name,
            )
        key, change = f"{prefix}{place[0]}", place[1]
        if change.startswith("rows_"):
            thirds.setdefault(key, {})[change] = tensor
        elif change == "squeeze":
            yield _entry(key, tensor, precision, reader, (*tensor.shape, 1, 1), lambda found: found[:, :, None, None])
        elif change == "transpose":
            yield _entry(key, tensor, precision, reader, tensor.shape[::-1], lambda found: found.T)
        else:
            yield _entry(key, tensor, precision, reader)
    for key, found in thirds.items():
        yield _together(key, [found[change] for change in sorted(found)], precision, reader)


def _entry(
    name: str,
    tensor: TensorAt,
    precision: Precision,
    reader: TensorReader,
    shape: tuple[int, ...] | None = None,
    change: Callable[[Tensor], Tensor] = lambda found: found,
) -> Entry:
    dtype = _DTYPES.get(precision, tensor.dtype) if tensor.dtype in FLOATS else tensor.dtype
    return Entry(name, dtype, tensor.shape if shape is None else shape, lambda: change(reader.read(tensor)))


def _together(name: str, tensors: list[TensorAt], precision: Precision, reader: TensorReader) -> Entry:
    """Several tensors as the rows of one."""
    rows = sum(tensor.shape[0] for tensor in tensors)
    dtype = _DTYPES.get(precision, tensors[0].dtype)
    shape = (rows, *tensors[0].shape[1:])
    return Entry(name, dtype, shape, lambda: torch.cat([reader.read(tensor) for tensor in tensors]))


def _described(base: BaseModel) -> dict[str, str]:
    """What other programs look for in the metadata of a checkpoint."""
    kinds = {
        "sd1": "stable-diffusion-v1",
        "sd2": f"stable-diffusion-v2-{'768-v' if base.prediction == 'v_prediction' else '512'}",
        "sdxl": "stable-diffusion-xl-v1-base",
    }
    told = {"epsilon": {"modelspec.prediction_type": "epsilon"}, "v_prediction": {"modelspec.prediction_type": "v"}}
    return {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": kinds[base.family],
        "modelspec.title": base.title,
        "modelspec.resolution": f"{base.native_size_px}x{base.native_size_px}",
        **told.get(base.prediction or "", {}),
    }


def _write_folder(base: BaseModel, job: ConvertJob, control: Control, reader: TensorReader) -> Iterator[Event]:
    """A model as a folder that diffusers and older programs read."""
    if base.family == "kolors":
        raise UserError(
            "{path} is a model folder already.", remedy="Use it as it is.", failure="model_unsuited", path=base.path
        )
    sources = parts_of(base)
    for part, source in sources.items():
        check_part(source, part)
    if base.is_file:
        used = {tensor.key for source in sources.values() for tensor in source.tensors.values()}
        if left := len(set(listed(base.path).shapes) - used):
            yield Notice(message=tr("{number} tensors of the file belong to no part and are left out.", number=left))
    with _new_folder(job.target) as folder:
        files = {}
        for part, source in sources.items():
            place = folder / FOLDERS[part]
            entries = [_entry(name, tensor, job.precision, reader) for name, tensor in source.tensors.items()]
            files[place / f"{weights_name(part)}.safetensors"] = entries
            write_json(place / "config.json", source.config)
        yield from _written(files, {"format": "pt"}, control)
        scheduler = scheduler_config(base)
        write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
        index = shipped_config(base.family, "model_index")
        index["scheduler"] = ["diffusers", scheduler.get("_class_name", index["scheduler"][1])]
        write_json(folder / "model_index.json", index)
        for number in range(1, 1 + sum(part.startswith("text_encoder") for part in sources)):
            _copy_files(tokenizer_folder(base, number), folder / ("tokenizer" if number == 1 else "tokenizer_2"))


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that gets its name when all is in it; else it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".kiln-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    folder.mkdir()
    try:
        yield folder
        put_in_place(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_files(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        if file.is_file():
            shutil.copyfile(file, target / file.name)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A configuration as diffusers write it."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _written(files: Mapping[Path, list[Entry]], metadata: Mapping[str, str], control: Control) -> Iterator[Event]:
    """Write files, tensor by tensor, each of which appears when it is whole."""
    steps = Steps(control, "save", sum(map(len, files.values())))
    yield steps.begin()
    for path, entries in files.items():
        by_name = {entry.name: entry for entry in entries}
        with tensor_writer(path, [entry[:3] for entry in entries], metadata) as writer:
            for name in writer.order:
                writer.write(name, by_name[name].load())
                yield from steps.done()
