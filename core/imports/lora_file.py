"""What a LoRA file tells about how it was trained: its metadata, and the shapes of its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping

from core.imports.draft import Argument, Draft
from core.imports.formats import OPTION_TABLES
from core.imports.mapping import KOHYA_DEFAULTS
from core.text import tr

_RENAMED = {
    "optimizer": "optimizer_type",
    "num_epochs": "max_train_epochs",
    "batch_size_per_device": "train_batch_size",
    "debiased_estimation": "debiased_estimation_loss",
}
_IN_JSON = (*OPTION_TABLES, "dataset_dirs", "datasets")
_OF_DATASETS = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale")
_OF_SUBSETS = (
    "shuffle_caption",
    "keep_tokens",
    "flip_aug",
    "color_aug",
    "random_crop",
    "caption_dropout_rate",
    "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate",
    "token_warmup_min",
    "token_warmup_step",
)

_NARROW = (".lora_down.weight", ".hada_w1_b", ".lokr_w2_b")
"""Ends of the names of weights whose first side is the rank: of a LoRA, a LoHa and a LoKr."""
_WHOLE = (".lokr_w1", ".lokr_w2")


def lora_file_arguments(
    draft: Draft, metadata: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> list[Argument]:
    """The options in the metadata of a LoRA file, and what its weights show.

    Args:
        draft: What is no setting is noted there.
        metadata: Of the safetensors header; "None" stands for an option that was not used.
        shapes: Of its tensors by name.
    """
    found: list[Argument] = []
    for key, raw in metadata.items():
        name = key.removeprefix("ss_")
        name = _RENAMED.get(name, name)
        value: object = raw
        if raw == "None":
            value = KOHYA_DEFAULTS.get(name, "")
        elif name in _IN_JSON:
            value = _json(raw)
        argument = Argument(key, name, value)
        if name == "sd_model_name":
            draft.leave(argument, tr("It is only the name of the base model; choose the model yourself."))
        elif name == "dataset_dirs":
            found += _repeats(draft, argument)
        elif name == "datasets":
            found += _datasets(argument)
        elif key == "modelspec.trigger_phrase":
            found.append(Argument(key, "dataset.trigger_word", value))
        elif key == "modelspec.prediction_type":
            # Of SDXL nothing else in the file says it; epsilon is also written by programs that did not look.
            found.append(Argument(key, "v_parameterization", raw.startswith("v"), words=raw))
        else:
            found.append(argument)
    names = {argument.name for argument in found}
    return [*found, *(argument for argument in _of_weights(shapes) if argument.name not in names)]


def _json(raw: str) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def _repeats(draft: Draft, argument: Argument) -> list[Argument]:
    """The repeats, when all folders of that training had the same number."""
    folders = argument.value.values() if isinstance(argument.value, Mapping) else []
    repeats = {folder.get("n_repeats") for folder in folders if isinstance(folder, Mapping)}
    if len(repeats) == 1 and isinstance(only := repeats.pop(), int):
        return [Argument(argument.source, "dataset.repeats", only)]
    draft.leave_known(argument)
    return []


def _datasets(argument: Argument) -> list[Argument]:
    """The options of the first dataset of a file that was trained from a dataset file."""
    datasets = argument.value if isinstance(argument.value, list) else []
    dataset = datasets[0] if datasets and isinstance(datasets[0], Mapping) else {}
    subsets = dataset.get("subsets")
    subset = subsets[0] if isinstance(subsets, list) and subsets and isinstance(subsets[0], Mapping) else {}
    return [
        Argument(f"{argument.source}.{name}", name, table[name])
        for table, names in ((dataset, _OF_DATASETS), (subset, _OF_SUBSETS))
        for name in names
        if name in table
    ]


def _of_weights(shapes: Mapping[str, tuple[int, ...]]) -> list[Argument]:
    """Kind, ranks and trained parts, which hold whatever the metadata says."""
    narrow = {name: shape for name, shape in shapes.items() if name.endswith(_NARROW) and shape}
    modules = {name.partition(".")[0] for name in shapes if name.endswith((*_NARROW, *_WHOLE))}
    if not modules:
        return []
    found: list[Argument] = []
    if other := next((name for name in shapes if name.endswith((*_NARROW[1:], *_WHOLE))), None):
        found.append(Argument(other, "algo", "loha" if ".hada_" in other else "lokr"))
    wide = {name: shape for name, shape in narrow.items() if len(shape) == 4 and shape[-1] > 1}
    usual = {name: shape for name, shape in narrow.items() if name not in wide}
    for option, those in (("network_dim", usual), ("conv_dim", wide)):
        if those:
            name, shape = next(iter(those.items()))
            found.append(Argument(name, option, shape[0]))
    if lengths := next((name for name in shapes if name.endswith(".dora_scale")), None):
        found.append(Argument(lengths, "dora_wd", True))
    has_text_encoder = any(name.startswith("lora_te") for name in modules)
    has_denoiser = any(name.startswith("lora_unet") for name in modules)
    if has_denoiser or has_text_encoder:
        found.append(Argument("lora_te*", "network_train_unet_only", not has_text_encoder))
        found.append(Argument("lora_unet*", "network_train_text_encoder_only", not has_denoiser))
    return found
