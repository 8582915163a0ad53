"""Making modules of the parts of a base model: nothing is computed or copied that the files already hold.

A module is built without memory, and the tensors of the files, which the system reads when they are used, take the
places of its weights. Only those are copied that have another number format than is asked for. Files are mapped so
that a change of a weight stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.checkpoints.content import content_key
from core.checkpoints.dtypes import FLOATS
from core.checkpoints.names import usual_name
from core.checkpoints.reading import TensorReader
from core.checkpoints.refusals import damaged
from core.checkpoints.sources import PartName, PartSource, TensorAt, part_title
from core.errors import UserError

__all__ = ["check_fit", "check_part", "content_key", "empty_module", "load_module", "read_tensor"]

_MOST_NAMES = 3
_NO_MODEL = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError)
"""What libraries raise for a configuration that contradicts itself; all else would be an error of theirs or ours."""


def load_module(source: PartSource, kind: PartName, dtype: torch.dtype) -> nn.Module:
    """A part of a base model, on the CPU, frozen, and set to be used.

    Args:
        source: Where it is.
        kind: Which part; a text encoder is a CLIP.
        dtype: The number format of its weights.

    Raises:
        UserError: A tensor is missing, too much, of another shape, or in a number format of no use; or a file is
            damaged.
        OSError: A file cannot be read.
    """
    module, names = check_part(source, kind)
    with TensorReader() as reader:
        state = {name: reader.read(source.tensors[ours]).to(dtype) for ours, name in names.items()}
    module.load_state_dict(state, assign=True)
    _fill_tables(module)
    module.requires_grad_(False)
    return module.eval()


def check_part(source: PartSource, kind: PartName) -> tuple[nn.Module, dict[str, str]]:
    """Make sure that a part has exactly the tensors that its module needs; costs no memory.

    Returns:
        The module, without numbers, and its name for each tensor.

    Raises:
        UserError: It has not.
    """
    try:
        module = empty_module(source.config, kind)
    except _NO_MODEL as error:
        raise damaged(source.config_file or source.files[0]) from error
    empty = module.state_dict()
    names = {usual_name(kind, name): name for name in empty}
    check_fit(source, kind, {ours: tuple(empty[name].shape) for ours, name in names.items()})
    return module, names


def read_tensor(tensor: TensorAt) -> Tensor:
    """One tensor, in the number format of its file and the shape of diffusers; `TensorReader` reads many at once.

    Raises:
        UserError: The file is damaged.
        OSError: It cannot be read.
    """
    with TensorReader() as reader:
        return reader.read(tensor)


def empty_module(config: Mapping[str, Any], kind: PartName) -> nn.Module:
    """The module of a configuration, on the device `meta`: without numbers."""
    module: nn.Module
    with torch.device("meta"):
        if kind in ("denoiser", "vae"):
            from diffusers import AutoencoderKL, UNet2DConditionModel

            cls: Any = UNet2DConditionModel if kind == "denoiser" else AutoencoderKL
            module = cls.from_config({key: value for key, value in config.items() if not key.startswith("_")})
        else:
            from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

            text: Any = CLIPTextModelWithProjection if kind == "text_encoder_2" else CLIPTextModel
            module = text(CLIPTextConfig.from_dict(dict(config)))
    return module


def _fill_tables(module: nn.Module) -> None:
    """Compute the buffers that no file holds.

    Raises:
        RuntimeError: There is one that is not known here.
    """
    for path, part in module.named_modules():
        for name, buffer in part.named_buffers(recurse=False):
            if not buffer.is_meta:
                continue
            if name != "position_ids":
                raise RuntimeError(f"{path}.{name} is nowhere in the files")
            part.register_buffer(name, torch.arange(buffer.shape[-1])[None], persistent=False)


def check_fit(source: PartSource, kind: PartName, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Make sure that a part has exactly the tensors that are wanted.

    Args:
        source: Where it is.
        kind: Which part.
        wanted: Name and shape of every tensor.

    Raises:
        UserError: It has not.
    """
    tensors = source.tensors
    path = source.files[0] if tensors else source.config_file
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise UserError(
            "{path} is not complete: {number} of {total} tensors of the {part} are missing, such as {names}.",
            remedy="Download the model again, or choose another copy of it.",
            failure="model_incomplete",
            path=path,
            number=len(missing),
            total=len(wanted),
            part=part_title(kind),
            names=_some(missing),
        )
    extra = [tensor.key for name, tensor in tensors.items() if name not in wanted]
    if extra and not kind.startswith("text_encoder"):
        raise UserError(
            "{path} has {number} tensors in its {part} that a model of this kind does not have: {names}.",
            remedy="Choose another model; this one is built differently.",
            failure="model_unsuited",
            path=path,
            number=len(extra),
            part=part_title(kind),
            names=_some(extra),
        )
    for name, shape in wanted.items():
        found = tensors[name]
        if found.shape != shape:
            raise UserError(
                "{path} is of another kind of model: {name} is {found} and should be {wanted}.",
                remedy="Choose another model; this one is built differently.",
                failure="model_unsuited",
                path=found.file,
                name=found.key,
                found=_sides(found.shape),
                wanted=_sides(shape),
            )
        if found.dtype not in FLOATS:
            raise UserError(
                "{path} keeps its weights as {dtype}, which a LoRA cannot be trained on.",
                remedy="Choose a version of the model in fp16, bf16, fp32 or fp8.",
                failure="model_unsuited",
                path=found.file,
                dtype=found.dtype,
            )


def _some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"
