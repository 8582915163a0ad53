"""OneTrainer's JSON: its own names and words, translated into those of kohya's scripts or of Kiln."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath

from core.dataset.edits import Concept
from core.errors import UserError
from core.imports.datasets import tables
from core.imports.draft import Argument, Draft
from core.imports.encoding import decoded, read_limited
from core.imports.values import UnfitError, is_empty, is_off, number, shown, text
from core.models import FamilyName
from core.text import tr

Table = Mapping[str, object]

_NAMES: Mapping[str, str] = {
    "base_model_name": "pretrained_model_name_or_path",
    "learning_rate": "learning_rate",
    "unet.learning_rate": "unet_lr",
    "text_encoder.learning_rate": "text_encoder_lr",
    "unet.train": "network.train_denoiser",
    "text_encoder.train": "network.train_text_encoder",
    "learning_rate_warmup_steps": "lr_warmup_steps",
    "learning_rate_cycles": "lr_scheduler_num_cycles",
    "learning_rate_min_factor": "schedule.min_factor",
    "epochs": "max_train_epochs",
    "batch_size": "train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "unmasked_weight": "dataset.unmasked_weight",
    "huber_delta": "huber_c",
    "dropout_probability": "network_dropout",
    "clip_grad_norm": "max_grad_norm",
    "offset_noise_weight": "noise_offset",
    "perturbation_noise_weight": "ip_noise_gamma",
    "rescale_noise_scheduler_to_zero_terminal_snr": "zero_terminal_snr",
    "lora_model_name": "network_weights",
    "train_device": "training.device",
    "lora_rank": "network_dim",
    "lora_alpha": "network_alpha",
    "vae.model_name": "vae",
    "compile": "torch_compile",
    "tensorboard": "output.tensorboard",
    "optimizer.weight_decay": "optimizer_args.weight_decay",
    "optimizer.beta1": "optimizer_args.beta1",
    "optimizer.beta2": "optimizer_args.beta2",
    "optimizer.eps": "optimizer_args.eps",
    "optimizer.momentum": "optimizer_args.momentum",
    "optimizer.d_coef": "optimizer_args.d_coef",
    "force_v_prediction": "v_parameterization",
}
_SCHEDULES = {
    "CONSTANT": "constant",
    "LINEAR": "linear",
    "COSINE": "cosine",
    "COSINE_WITH_RESTARTS": "cosine_with_restarts",
    "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts",
    "REX": "rex",
    "ADAFACTOR": "adafactor",
}
_NUMBERS = {"FLOAT_16": "fp16", "BFLOAT_16": "bf16", "FLOAT_32": "fp32", "TFLOAT_32": "fp32"}
_TIMESTEPS = {"UNIFORM": "uniform", "SIGMOID": "logit_normal", "LOGIT_NORMAL": "logit_normal"}
_UNITS = {"EPOCH": "epochs", "STEP": "steps"}
_FAMILIES: Mapping[str, FamilyName] = {
    "STABLE_DIFFUSION_15": "sd1",
    "STABLE_DIFFUSION_20_BASE": "sd2",
    "STABLE_DIFFUSION_20": "sd2",
    "STABLE_DIFFUSION_21_BASE": "sd2",
    "STABLE_DIFFUSION_21": "sd2",
    "STABLE_DIFFUSION_XL_10_BASE": "sdxl",
}
_LOSSES = {"mse_strength": "l2", "mae_strength": "l1", "huber_strength": "huber"}


def onetrainer_arguments(draft: Draft, values: Table) -> list[Argument]:
    """The options of a settings file of OneTrainer. Its concepts go into the draft at once."""
    flat = dict(_flat(values))
    found: list[Argument] = []
    _translate(draft, flat, found)
    _loss(draft, flat, found)
    for after, every in (("save_every", "save_every"), ("save_after", "save_every"), ("sample_after", "sample_every")):
        _rhythm(draft, flat, found, after, every)
    _output(flat, found)
    _concepts(draft, flat)
    for name, value in flat.items():
        target = _NAMES.get(name)
        argument = Argument(name, target or name, value)
        if target is None and name.startswith("optimizer."):
            argument = Argument(name, f"optimizer_args.{name.partition('.')[2]}", value)
            found.append(argument)
        elif target is None and "." in name and name.split(".")[0] in ("unet", "text_encoder"):
            draft.leave_known(Argument(name, name.partition(".")[2], value))
        else:
            found.append(argument)
    return found


def _flat(values: Table) -> Iterator[tuple[str, object]]:
    """Tables such as `unet` and `optimizer` as `unet.learning_rate`; the optimizer's own name stays `optimizer`."""
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "optimizer_defaults":
            for inner_name, inner in value.items():
                yield (name if (name, inner_name) == ("optimizer", "optimizer") else f"{name}.{inner_name}"), inner
        else:
            yield name, value


def _translate(draft: Draft, flat: dict[str, object], found: list[Argument]) -> None:
    """Options whose values are words."""

    def take(name: str, target: str, how: Callable[[object], object]) -> None:
        if name not in flat:
            return
        argument = Argument(name, target, flat.pop(name))
        if draft.was_empty(argument):
            return
        try:
            found.append(Argument(name, target, how(argument.value), words=argument.value))
        except UnfitError as error:
            draft.leave(argument, str(error))

    method = flat.pop("training_method", "LORA")
    if method != "LORA":
        draft.leave(Argument("training_method", "training_method", method), tr("Kiln trains LoRAs and nothing else."))
    kind = flat.pop("model_type", None)
    if isinstance(kind, str) and kind in _FAMILIES:
        found.append(Argument("model_type", "model.family", _FAMILIES[kind], words=kind))
    elif kind is not None:
        found.append(Argument("model_type", "model_train_type", kind))
    take("learning_rate_scheduler", "lr_scheduler", _one_of(_SCHEDULES))
    take("optimizer", "optimizer_type", text)
    take("train_dtype", "mixed_precision", _one_of(_NUMBERS))
    take("output_dtype", "save_precision", _one_of(_NUMBERS))
    take("timestep_distribution", "loss.timestep_sampling", _one_of(_TIMESTEPS))
    take("resolution", "resolution", _resolution)
    take("gradient_checkpointing", "gradient_checkpointing", lambda value: not is_off(value))
    take("masked_training", "dataset.masks", lambda value: "none" if is_off(value) else "files")
    take("aspect_ratio_bucketing", "enable_bucket", lambda value: not is_off(value))
    take("text_encoder_layer_skip", "clip_skip", lambda value: number(value) + 1)
    take("min_noising_strength", "min_timestep", lambda value: round(number(value) * 1000))
    take("max_noising_strength", "max_timestep", lambda value: round(number(value) * 1000))
    for name in ("lora_type", "peft_type"):
        if (kind := flat.pop(name, None)) is not None:
            found.append(Argument(name, "network_module", kind))
    averaging, decay = flat.pop("ema", None), flat.pop("ema_decay", None)
    if averaging is not None and is_off(averaging):
        found.append(Argument("ema", "optimizer.ema_decay", 0.0, words=averaging))
    elif averaging is not None:
        found.append(Argument("ema_decay", "optimizer.ema_decay", 0.999 if decay is None else decay))


def _one_of(words: Mapping[str, str]) -> Callable[[object], str]:
    def translated(value: object) -> str:
        if str(value) not in words:
            raise UnfitError(tr("Kiln has nothing like {value}.", value=shown(value)))
        return words[str(value)]

    return translated


def _resolution(value: object) -> object:
    """`512`, or `512x768`, which is width and height; of several with commas Kiln trains the first."""
    first = text(value).split(",")[0].strip()
    if "," in text(value):
        raise UnfitError(tr("Kiln trains at one resolution, and the file names several: {value}.", value=shown(value)))
    return first


def _loss(draft: Draft, flat: dict[str, object], found: list[Argument]) -> None:
    strengths = {name: flat.pop(name) for name in _LOSSES if name in flat}
    used = [name for name, value in strengths.items() if not is_off(value)]
    for name, value in strengths.items():
        if used and name == used[0]:
            found.append(Argument(name, "loss_type", _LOSSES[name], words=value))
        elif name in used:
            draft.leave(Argument(name, name, value), tr("Kiln does not mix several losses."))
        else:
            draft.leave_off(Argument(name, name, value))
    weighting, strength = flat.pop("loss_weight_fn", None), flat.pop("loss_weight_strength", None)
    argument = Argument("loss_weight_fn", "loss_weight_fn", weighting)
    if weighting == "MIN_SNR_GAMMA":
        found.append(Argument("loss_weight_strength", "min_snr_gamma", 5.0 if strength is None else strength))
    elif weighting == "DEBIASED_ESTIMATION":
        found.append(Argument("loss_weight_fn", "debiased_estimation_loss", True, words=weighting))
        found.append(Argument("loss_weight_fn", "min_snr_gamma", 0, words=weighting))
    elif weighting == "CONSTANT":
        found.append(Argument("loss_weight_fn", "min_snr_gamma", 0, words=weighting))
    elif weighting is not None:
        draft.leave(argument, tr("Kiln has nothing like {value}.", value=shown(weighting)))


def _rhythm(draft: Draft, flat: dict[str, object], found: list[Argument], name: str, target: str) -> None:
    """A number and its unit: `save_every` 2 with `save_every_unit` EPOCH."""
    if name not in flat or f"{name}_unit" not in flat:
        return
    argument = Argument(name, name, flat.pop(name))
    unit = str(flat.pop(f"{name}_unit"))
    if unit in _UNITS:
        found.append(Argument(name, f"{target}_n_{_UNITS[unit]}", argument.value))
        if unit == "STEP":
            found.append(Argument(f"{name}_unit", f"{target}_n_epochs", 0, words=unit))
    elif unit == "NEVER":
        found.append(Argument(f"{name}_unit", f"{target}_n_epochs", 0, words=unit))
    else:
        draft.leave(argument, tr("Kiln counts in epochs and steps, not in {unit}.", unit=shown(unit)))


def _output(flat: dict[str, object], found: list[Argument]) -> None:
    """The file that it writes is a folder and a name in Kiln."""
    value = flat.pop("output_model_destination", None)
    if is_empty(value):
        return
    words = str(value)
    path = PureWindowsPath(words) if "\\" in words else PurePosixPath(words)
    name = path.stem if path.suffix.lower() in (".safetensors", ".ckpt", ".pt") else path.name
    found.append(Argument("output_model_destination", "output_dir", path.parent.as_posix(), words=words))
    found.append(Argument("output_model_destination", "output_name", name, words=words))


def _concepts(draft: Draft, flat: dict[str, object]) -> None:
    """The folders, which are in the file itself or in one that it names."""
    listed = flat.pop("concepts", None)
    source = "concepts"
    file_name = flat.pop("concept_file_name", None)
    if not isinstance(listed, list) and not is_empty(file_name):
        source = "concept_file_name"
        listed = _read_list(draft, Argument(source, source, file_name))
    elif not is_empty(file_name):
        draft.leave(
            Argument("concept_file_name", "concept_file_name", file_name), tr("{name} counts instead.", name="concepts")
        )
    concepts = tables(listed)
    used = [
        (f"{source}[{index}]", concept)
        for index, concept in enumerate(concepts)
        if concept.get("enabled", True) and not is_empty(concept.get("path"))
    ]
    # Pictures of prior prediction are what Kiln calls regularization; the picture folder comes first.
    used.sort(key=lambda pair: _is_prior(pair[1]))
    found = [concept for number, (name, table) in enumerate(used) if (concept := _concept(draft, name, table, number))]
    if len(found) > 1 or any(concept.repeats or concept.include_subfolders for concept in found):
        draft.concepts = found


def _read_list(draft: Draft, argument: Argument) -> list[object]:
    path = draft.place(argument, "concepts")
    if path is None or not draft.places.is_there(path):
        draft.leave(argument, tr("The file with the folders is not there: {path}.", path=shown(argument.value)))
        return []
    try:
        listed = json.loads(decoded(read_limited(path), path))
    except UserError as error:
        draft.leave(argument, error.message)
        return []
    except (ValueError, RecursionError) as error:
        draft.leave(argument, tr("{path} is damaged: {reason}.", path=path, reason=error))
        return []
    if not isinstance(listed, list):
        draft.leave(argument, tr("The file with the folders has no list of folders."))
        return []
    draft.note(argument, "dataset.folder", path)
    return listed


def _is_prior(concept: Table) -> bool:
    return str(concept.get("type", "")).upper() == "PRIOR_PREDICTION"


def _concept(draft: Draft, source: str, table: Table, number_of_folder: int) -> Concept | None:
    argument = Argument(f"{source}.path", "train_data_dir", table["path"])
    if number_of_folder == 0:
        folder = draft.path(argument, "dataset.folder")
    else:
        key = f"concepts.{number_of_folder}.folder"
        folder = draft.place(argument, key)
        if folder is not None:
            draft.note(argument, key, folder)
    if folder is None:
        return None
    repeats = 0
    balancing = Argument(f"{source}.balancing", "balancing", table.get("balancing", 1))
    try:
        strength = number(balancing.value)
    except UnfitError:
        strength = 1.0
    if table.get("balancing_strategy", "REPEATS") == "REPEATS" and 1 <= strength <= 1000:
        repeats = round(strength)
        draft.note(balancing, f"concepts.{number_of_folder}.repeats", repeats)
    else:
        draft.leave(balancing, tr("Kiln shows each picture a whole number of times."))
    return Concept(
        folder=folder,
        repeats=repeats,
        include_subfolders=bool(table.get("include_subdirectories", False)),
        is_regularization=_is_prior(table),
    )
