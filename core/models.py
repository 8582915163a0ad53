"""What a base model is, read from its files in milliseconds, before anything heavy is imported."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import UserError
from core.paths import STARTER_MODEL
from core.safetensors_header import Header, read_header

FamilyName = Literal["sd1"]

WEIGHT_NAMES = {
    "unet": ("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"),
    "vae": ("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"),
    "text_encoder": ("model.fp16.safetensors", "model.safetensors"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A base model that Kiln can train for. `native_size_px` is the side of the squares it was made for."""

    path: Path
    family: FamilyName
    title: str
    size_bytes: int
    native_size_px: int
    is_starter: bool = False


def known_bases() -> list[BaseModel]:
    """The base models that are there without asking: the starter model, then those that were downloaded."""
    from core.hub.catalog import folder_of, is_here, known_models

    starter = [describe_base(STARTER_MODEL)] if STARTER_MODEL.is_dir() else []
    downloaded = []
    for card in known_models("base"):
        if is_here(card):
            with contextlib.suppress(UserError, OSError):  # Changed since: it is told when that folder is chosen.
                downloaded.append(dataclasses.replace(describe_base(folder_of(card)), title=card.title))
    return starter + downloaded


def describe_base(path: Path) -> BaseModel:
    """What is at `path`.

    Raises:
        UserError: Nothing is there, or it is no base model that Kiln can train for; says what it is instead.
    """
    if path == Path():
        raise UserError(
            "No base model is chosen.",
            remedy="Choose the model that the LoRA is to be trained for.",
            failure="model_missing",
        )
    if not path.exists():
        raise UserError(
            "The base model {path} is missing.",
            remedy="Check the path, or choose another model.",
            failure="model_missing",
            path=path,
        )
    if path.is_file():
        raise _explain_file(path)
    return _describe_folder(path)


def weight_file(folder: Path, part: str) -> Path:
    """The weights of one part (`unet`, `vae`, `text_encoder`) of a diffusers folder.

    Raises:
        UserError: There are none in safetensors form.
    """
    for name in WEIGHT_NAMES[part]:
        if (folder / part / name).is_file():
            return folder / part / name
    if (folder / part / "diffusion_pytorch_model.safetensors.index.json").is_file():
        raise UserError(
            "{path} keeps its weights in several files, which Kiln cannot read yet.",
            remedy="Choose a model with one file per part.",
            failure="model_unsuited",
            path=folder / part,
        )
    raise UserError(
        "The base model has no weights in {path}.",
        remedy="Download the model again; it needs {name} there.",
        failure="model_incomplete",
        path=folder / part,
        name=WEIGHT_NAMES[part][-1],
    )


def _describe_folder(path: Path) -> BaseModel:
    if not (path / "model_index.json").is_file():
        raise UserError(
            "{path} is no model folder: there is no model_index.json in it.",
            remedy="Choose the folder that holds model_index.json, unet and vae.",
            failure="model_unsuited",
            path=path,
        )
    index = _json(path / "model_index.json")
    pipeline = str(index.get("_class_name", ""))
    unet = _json(path / "unet" / "config.json") if (path / "unet" / "config.json").is_file() else {}
    if pipeline != "StableDiffusionPipeline" or unet.get("in_channels") != 4:
        raise UserError(
            "{path} is a {pipeline}, which Kiln cannot train yet.",
            remedy="Choose a Stable Diffusion 1.x model.",
            failure="model_unsuited",
            path=path,
            pipeline=pipeline or "?",
        )
    text_encoder = _json(path / "text_encoder" / "config.json")
    if unet.get("use_linear_projection") or text_encoder.get("hidden_size") == 1024:
        raise UserError(
            "{path} is a Stable Diffusion 2 model, which Kiln cannot train yet.",
            remedy="Choose a Stable Diffusion 1.x model.",
            failure="model_unsuited",
            path=path,
        )
    size = 0
    for part in WEIGHT_NAMES:
        file = weight_file(path, part)
        read_header(file)
        size += file.stat().st_size
    for needed in ("scheduler/scheduler_config.json", "vae/config.json", "tokenizer"):
        if not (path / needed).exists():
            raise UserError(
                "The base model is not complete: {path} is missing.",
                remedy="Download the model again.",
                failure="model_incomplete",
                path=path / needed,
            )
    _check_tokenizer(path / "tokenizer")
    is_starter = path.resolve() == STARTER_MODEL.resolve()
    vae = _json(path / "vae" / "config.json")
    scale = 2 ** (len(vae.get("block_out_channels", [0] * 4)) - 1)
    return BaseModel(
        path=path,
        family="sd1",
        title="Kiln Starter" if is_starter else path.name,
        size_bytes=size,
        native_size_px=int(unet.get("sample_size") or 64) * scale,
        is_starter=is_starter,
    )


def _check_tokenizer(folder: Path) -> None:
    """Make sure that there is a tokenizer: libraries take an empty folder for one that knows no word.

    Raises:
        UserError: Its files are missing or empty.
    """
    for files in (("tokenizer.json",), ("vocab.json", "merges.txt")):
        if all((folder / name).is_file() and (folder / name).stat().st_size for name in files):
            return
    raise UserError(
        "The base model has no tokenizer in {path}.",
        remedy="Download the model again; it needs vocab.json and merges.txt there.",
        failure="tokenizer_missing",
        path=folder,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "The base model is not complete: {path} is missing.",
            remedy="Download the model again.",
            failure="model_incomplete",
            path=path,
        ) from error
    except ValueError as error:
        raise UserError(
            "{path} is damaged.", remedy="Download the model again.", failure="model_damaged", path=path
        ) from error
    if not isinstance(value, dict):
        raise UserError("{path} is damaged.", remedy="Download the model again.", failure="model_damaged", path=path)
    return value


def _explain_file(path: Path) -> UserError:
    """Why a single file is no base model; errors of reading it come out as they are."""
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        return UserError(
            "{path} is an old checkpoint file, which Kiln cannot open yet.",
            remedy="Choose a model folder in diffusers form, with model_index.json in it.",
            failure="model_unsuited",
            path=path,
        )
    header = read_header(path)
    if is_lora(header):
        return UserError(
            "{path} is a LoRA, not a base model.",
            remedy="Choose the model that the LoRA was made for, or another base model.",
            failure="model_is_lora",
            path=path,
        )
    return UserError(
        "{path} is a single file; Kiln cannot train from these yet.",
        remedy="Choose a model folder in diffusers form, with model_index.json in it.",
        failure="model_unsuited",
        path=path,
    )


def is_lora(header: Header) -> bool:
    """Whether a file holds a LoRA, in any of the usual spellings."""
    marks = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".hada_w", ".lokr_w", "_lora.down.")
    return any(mark in name for name in header.shapes for mark in marks)
