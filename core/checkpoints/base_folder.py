"""What a model folder is as a base model, or why it is none; Kolors also in the form that it was published in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.checkpoints.dtypes import FLOATS
from core.checkpoints.folders import FOLDERS, read_config, weight_files
from core.checkpoints.headers import read_weights_header, weight_formats
from core.checkpoints.recognition import VARIANTS, Prediction, Variant, lineage_of
from core.checkpoints.refusals import missing, refuse_formats, refuse_variant
from core.checkpoints.sources import part_names
from core.errors import UserError
from core.models import BaseModel, FamilyName
from core.paths import STARTER_MODEL
from core.text import tr

_PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "KolorsPipeline",
    "KolorsImg2ImgPipeline",
)
_TOKENIZERS: dict[FamilyName, tuple[str, ...]] = {
    "sd1": ("tokenizer",),
    "sd2": ("tokenizer",),
    "sdxl": ("tokenizer", "tokenizer_2"),
    "kolors": (),
}
_GLM_TOKENIZERS = ("tokenizer", "text_encoder")
"""Where the tokenizer of Kolors lies: in the folder of its own, or beside the text encoder."""

_SAMPLE_SIZES: dict[FamilyName, int] = {"sd1": 64, "sd2": 64, "sdxl": 128, "kolors": 128}
_FULL_WIDTH = 320
_XL_DEPTHS = [1, 2, 10]


def describe_folder(path: Path) -> BaseModel:
    """What a folder is as a base model.

    Raises:
        UserError: It is incomplete, damaged, or none that Kiln can train for; says what it is instead.
        OSError: It cannot be read.
    """
    index = read_config(path / "model_index.json") if (path / "model_index.json").is_file() else {}
    if not index and not _is_kolors_as_published(path):
        raise UserError(
            "{path} is no model folder: there is no model_index.json in it.",
            remedy="Choose the folder that holds model_index.json, unet and vae.",
            failure="model_unsuited",
            path=path,
        )
    pipeline = str(index.get("_class_name", "")) if index else "KolorsPipeline"
    if pipeline not in _PIPELINES:
        raise UserError(
            "{path} is a {pipeline}, which Kiln cannot train yet.",
            remedy="Choose a model of Stable Diffusion 1 or 2, SDXL or Kolors.",
            failure="model_unsuited",
            path=path,
            pipeline=pipeline or "?",
        )
    unet = read_config(path / "unet" / "config.json")
    family = _family(path, pipeline, unet)
    if variant := _variant(index, unet, family):
        raise refuse_variant(path, variant)
    size_bytes = _size_of_parts(path, family)
    _check_rest(path, family)
    scheduler = read_config(path / "scheduler" / "scheduler_config.json")
    is_starter = path.resolve() == STARTER_MODEL.resolve()
    levels = read_config(path / "vae" / "config.json").get("block_out_channels")
    scale = 2 ** (len(levels) - 1) if isinstance(levels, list) and levels else 8
    sample_size = unet.get("sample_size")
    is_distilled = _is_distilled(unet, family)
    return BaseModel(
        path=path,
        family=family,
        title="Kiln Starter" if is_starter else path.name,
        size_bytes=size_bytes,
        native_size_px=(sample_size if isinstance(sample_size, int) and sample_size else _SAMPLE_SIZES[family]) * scale,
        is_starter=is_starter,
        prediction=_prediction(path, scheduler),
        zero_terminal_snr=scheduler.get("rescale_betas_zero_snr") is True,
        warnings=(tr("It is a distilled model: a LoRA for it fits no other model."),) if is_distilled else (),
        lineage=lineage_of(path.name, {}) if family == "sdxl" else "",
    )


def _is_kolors_as_published(path: Path) -> bool:
    """Whether a folder without `model_index.json` is Kolors in its authors' form."""
    config = path / "unet" / "config.json"
    return config.is_file() and (path / "vae").is_dir() and _is_kolors(read_config(config))


def _is_kolors(unet: Mapping[str, Any]) -> bool:
    return unet.get("encoder_hid_dim_type") == "text_proj"


def _family(path: Path, pipeline: str, unet: Mapping[str, Any]) -> FamilyName:
    """The family of a folder, by its denoiser: Kolors was published under the name of an SDXL pipeline, too."""
    if _is_kolors(unet) or pipeline.startswith("Kolors"):
        return "kolors"
    if unet.get("addition_embed_type") == "text_time" or "XL" in pipeline:
        return "sdxl"
    text = path / "text_encoder" / "config.json"
    is_wide = text.is_file() and read_config(text).get("hidden_size") == 1024
    return "sd2" if unet.get("use_linear_projection") or is_wide else "sd1"


def _variant(index: Mapping[str, Any], unet: Mapping[str, Any], family: FamilyName) -> Variant:
    """What sets a model apart from those that a LoRA is trained for, "" for nothing."""
    channels = unet.get("in_channels")
    if channels != 4:
        return VARIANTS.get(channels, "depth") if isinstance(channels, int) else "depth"
    if unet.get("time_cond_proj_dim"):
        return "lcm"
    if unet.get("class_embed_type"):
        return "unclip"
    has_first = index.get("text_encoder", [""]) not in (None, [None, None])
    if family == "sdxl" and (not has_first or unet.get("cross_attention_dim") == 1280):
        return "refiner"
    return ""


def _is_distilled(unet: Mapping[str, Any], family: FamilyName) -> bool:
    """Whether blocks were left out of a denoiser of the usual width."""
    widths = unet.get("block_out_channels")
    if not isinstance(widths, list) or widths[:1] != [_FULL_WIDTH]:
        return False
    if unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") is None or unet.get("layers_per_block", 2) != 2:
        return True
    return family in ("sdxl", "kolors") and unet.get("transformer_layers_per_block") != _XL_DEPTHS


def _prediction(path: Path, scheduler: Mapping[str, Any]) -> Prediction:
    said = scheduler.get("prediction_type", "epsilon")
    if str(scheduler.get("_class_name")).startswith("EDM") or said not in ("epsilon", "v_prediction"):
        raise refuse_variant(path, "edm")
    found: Prediction = said
    return found


def _size_of_parts(path: Path, family: FamilyName) -> int:
    """Bytes of all weights, whose headers are checked.

    Raises:
        UserError: A part is missing or damaged, or in a number format of no use.
    """
    size_bytes = 0
    for part in part_names(family):
        folder = path / FOLDERS[part]
        if not folder.is_dir():
            raise missing(folder)
        for file in weight_files(folder, part):
            status = file.stat()
            formats = _formats(file, status.st_size, status.st_mtime_ns)
            if not formats <= set(FLOATS):
                raise refuse_formats(file, formats)
            size_bytes += status.st_size
    return size_bytes


@lru_cache(maxsize=256)
def _formats(file: Path, _size: int, _changed: int) -> frozenset[str]:
    """The number formats in a file of weights; read again only when it is another."""
    return weight_formats(read_weights_header(file))


def _check_rest(path: Path, family: FamilyName) -> None:
    """Make sure that what is no weights is there as well.

    Raises:
        UserError: It is not.
    """
    needed = [f"{FOLDERS[part]}/config.json" for part in part_names(family)]
    for name in (*needed, "scheduler/scheduler_config.json", *_TOKENIZERS[family]):
        if not (path / name).exists():
            raise missing(path / name)
    for name in _TOKENIZERS[family]:
        _check_tokenizer(path / name)
    if family == "kolors" and not any(_is_filled(path / name / "tokenizer.model") for name in _GLM_TOKENIZERS):
        raise _no_tokenizer(path / "tokenizer", "tokenizer.model")


def _check_tokenizer(folder: Path) -> None:
    """Make sure that there is a tokenizer: libraries take an empty folder for one that knows no word.

    Raises:
        UserError: Its files are missing or empty.
    """
    for files in (("tokenizer.json",), ("vocab.json", "merges.txt")):
        if all(_is_filled(folder / name) for name in files):
            return
    raise _no_tokenizer(folder, "vocab.json, merges.txt")


def _is_filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _no_tokenizer(folder: Path, names: str) -> UserError:
    return UserError(
        "The base model has no tokenizer in {path}.",
        remedy="Download the model again; it needs {name} there.",
        failure="tokenizer_missing",
        path=folder,
        name=names,
    )
