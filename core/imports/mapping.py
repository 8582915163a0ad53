"""The options of kohya's scripts in Kiln's words. The other readers translate into these options first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from core.config import field_specs
from core.imports.draft import Argument, Arguments, Draft
from core.imports.families import map_family
from core.imports.networks import map_network
from core.imports.pictures import map_pictures
from core.imports.previews import map_previews
from core.imports.rates import map_rates
from core.imports.values import UnfitError, flag, is_off, number, options, shown, text, whole
from core.text import tr

Convert = Callable[[object], object]

RENAMED: Mapping[str, tuple[str, Convert]] = {
    "clip_skip": ("model.clip_skip", whole),
    "zero_terminal_snr": ("model.zero_terminal_snr", flag),
    "network_dropout": ("network.dropout", number),
    "rank_dropout": ("network.rank_dropout", number),
    "module_dropout": ("network.module_dropout", number),
    "scale_weight_norms": ("network.max_norm", number),
    "train_batch_size": ("training.batch_size", whole),
    "gradient_accumulation_steps": ("training.gradient_accumulation", whole),
    "gradient_checkpointing": ("training.gradient_checkpointing", flag),
    "seed": ("training.seed", whole),
    "huber_c": ("loss.huber_limit", number),
    "huber_schedule": ("loss.huber_schedule", text),
    "min_snr_gamma": ("loss.min_snr_gamma", number),
    "debiased_estimation_loss": ("loss.debiased", flag),
    "scale_v_pred_loss_like_noise_pred": ("loss.scale_v_prediction", flag),
    "prior_loss_weight": ("loss.prior_weight", number),
    "noise_offset": ("loss.noise_offset", number),
    "noise_offset_random_strength": ("loss.random_noise_offset", flag),
    "adaptive_noise_scale": ("loss.adaptive_noise_scale", number),
    "multires_noise_iterations": ("loss.multires_noise_levels", whole),
    "multires_noise_discount": ("loss.multires_noise_discount", number),
    "ip_noise_gamma": ("loss.input_perturbation", number),
    "ip_noise_gamma_random_strength": ("loss.random_input_perturbation", flag),
    "min_timestep": ("loss.min_timestep", whole),
    "max_timestep": ("loss.max_timestep", whole),
    "max_grad_norm": ("optimizer.max_grad_norm", number),
    "validation_seed": ("validation.seed", whole),
    "validate_every_n_epochs": ("validation.every_n_epochs", whole),
    "save_every_n_epochs": ("output.save_every_n_epochs", whole),
    "save_every_n_steps": ("output.save_every_n_steps", whole),
    "save_last_n_epochs": ("output.keep_last", whole),
    "save_last_n_epochs_state": ("output.epoch_states", whole),
    "training_comment": ("output.comment", text),
    "torch_compile": ("training.compile", flag),
}
"""Options that have one of Kiln's for themselves; the others are handled in groups."""

KOHYA_DEFAULTS: Mapping[str, object] = {
    "clip_skip": 1,
    "zero_terminal_snr": False,
    "v_parameterization": False,
    "max_token_length": 75,
    "network_module": "networks.lora",
    "network_dim": 4,
    "network_alpha": 1,
    "network_dropout": 0,
    "scale_weight_norms": 0,
    "dora_wd": False,
    "rs_lora": False,
    "fp8_base": False,
    "torch_compile": False,
    "network_train_unet_only": False,
    "network_train_text_encoder_only": False,
    "train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "loss_type": "l2",
    "min_snr_gamma": 0,
    "debiased_estimation_loss": False,
    "scale_v_pred_loss_like_noise_pred": False,
    "prior_loss_weight": 1,
    "noise_offset": 0,
    "noise_offset_random_strength": False,
    "adaptive_noise_scale": 0,
    "multires_noise_iterations": 0,
    "ip_noise_gamma": 0,
    "ip_noise_gamma_random_strength": False,
    "min_timestep": 0,
    "max_timestep": 1000,
    "optimizer_type": "AdamW",
    "max_grad_norm": 1,
    "lr_scheduler": "constant",
    "lr_warmup_steps": 0,
    "enable_bucket": False,
    "bucket_reso_steps": 64,
    "bucket_no_upscale": False,
    "caption_extension": ".caption",
    "shuffle_caption": False,
    "keep_tokens": 0,
    "caption_dropout_rate": 0,
    "caption_dropout_every_n_epochs": 0,
    "caption_tag_dropout_rate": 0,
    "token_warmup_step": 0,
    "enable_wildcard": False,
    "color_aug": False,
    "flip_aug": False,
    "random_crop": False,
    "save_precision": "float",
    "save_every_n_epochs": 0,
    "save_every_n_steps": 0,
    "save_last_n_epochs": 0,
}
"""What kohya's scripts do where a file is silent: a run that is brought to Kiln should stay the same run."""

_PRECISIONS = {"no": "fp32", "fp32": "fp32", "float": "fp32", "float32": "fp32", "fp16": "fp16", "float16": "fp16"}
_PRECISIONS |= {"bf16": "bf16", "bfloat16": "bf16"}
_MODEL_ENDINGS = (".safetensors", ".ckpt", ".pt", ".bin")
_BOTH_NAMES = {"dropout": "network_dropout", "debiased_estimation": "debiased_estimation_loss"}
_OPTION_LISTS = ("network_args", "optimizer_args", "network_args_custom", "optimizer_args_custom")


def map_arguments(draft: Draft, arguments: Arguments, *, is_complete: bool) -> None:
    """Turn all options into Kiln's, or say why not.

    Args:
        draft: Where the findings go.
        arguments: What was read; empty afterwards.
        is_complete: It was read from the settings of a whole run, where what is missing has a meaning, too.
    """
    _expand(draft, arguments)
    if is_complete:
        for name, value in KOHYA_DEFAULTS.items():
            if name not in arguments:
                arguments.add(Argument(name, name, value, is_assumed=True))
    _base_model(draft, arguments)
    map_network(draft, arguments, is_complete=is_complete)
    map_pictures(draft, arguments, is_complete=is_complete)
    map_rates(draft, arguments, is_complete=is_complete)
    map_previews(draft, arguments)
    _loss(draft, arguments)
    _run(draft, arguments)
    for beaten, winner in arguments.overruled:
        if not draft.was_empty(beaten):
            draft.leave(beaten, tr("{name} counts instead.", name=winner.source))
    own = {spec.key for spec in field_specs()}
    for name in arguments.names():
        argument = arguments.take(name)
        if argument is None:
            continue
        if name in RENAMED:
            draft.convert(argument, *RENAMED[name])
        elif name in own:
            draft.convert(argument, name, _as_it_is)
        else:
            draft.leave_known(argument)


def _as_it_is(value: object) -> object:
    return value


def _expand(draft: Draft, arguments: Arguments) -> None:
    """Give the options of `network_args` and `optimizer_args` names of their own."""
    for list_name in _OPTION_LISTS:
        argument = arguments.take(list_name)
        if argument is None or draft.was_empty(argument):
            continue
        kind = list_name.split("_")[0]
        for name, value in options(argument.value):
            source = f"{argument.source}: {name}"
            if value is None:
                draft.leave(Argument(source, name, name), tr("It has no value; Kiln expects name=value."))
            else:
                target = _BOTH_NAMES.get(name, name) if kind == "network" else f"optimizer_args.{name}"
                arguments.add(Argument(source, target, value))
    for name, other in _BOTH_NAMES.items():
        if (field := arguments.take(name)) is not None:
            arguments.add(Argument(field.source, other, field.value))


def _base_model(draft: Draft, arguments: Arguments) -> None:
    base = arguments.take("pretrained_model_name_or_path")
    if base is not None and _is_on_a_hub(draft, base.value):
        draft.leave(base, tr("It is the name of a model on Hugging Face; download it, then choose its folder."))
    else:
        draft.path(base, "model.base")
    draft.path(arguments.take("vae"), "model.vae")
    map_family(draft, arguments)
    draft.convert(arguments.take("v_parameterization"), "model.prediction", _prediction)
    draft.convert(arguments.take("max_token_length"), "model.max_tokens", _token_length)


def _is_on_a_hub(draft: Draft, value: object) -> bool:
    """Whether a base model is meant as `user/name` on Hugging Face, because no such folder is here."""
    words = str(value)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", words) is None or Path(words).suffix.lower() in _MODEL_ENDINGS:
        return False
    return not draft.places.is_there(draft.places.of(words))


def _prediction(value: object) -> str:
    return "v_prediction" if flag(value) else "auto"


def _token_length(value: object) -> int:
    return 225 if whole(value) == 255 else whole(value)


def _loss(draft: Draft, arguments: Arguments) -> None:
    draft.convert(arguments.take("loss_type"), "loss.kind", _loss_kind)
    draft.convert(arguments.take("timestep_sampling"), "loss.timestep_sampling", _timesteps)


def _loss_kind(value: object) -> str:
    kind = text(value).strip().lower()
    if kind not in ("l2", "l1", "huber", "smooth_l1"):
        raise UnfitError(tr("Kiln does not have the loss {name}.", name=shown(value)))
    return kind


def _timesteps(value: object) -> str:
    names = {"uniform": "uniform", "sigmoid": "logit_normal", "logit_normal": "logit_normal"}
    if (word := text(value).strip().lower()) not in names:
        raise UnfitError(tr("It belongs to flow models such as Flux and SD3."))
    return names[word]


def _precision(value: object) -> str:
    if (word := text(value).strip().lower()) not in _PRECISIONS:
        raise UnfitError(tr("Kiln does not have the number format {name}.", name=shown(value)))
    return _PRECISIONS[word]


def _run(draft: Draft, arguments: Arguments) -> None:
    draft.convert(arguments.take("mixed_precision"), "training.precision", _precision)
    draft.convert(arguments.take("save_precision"), "output.precision", _precision)
    half_vae = arguments.take("no_half_vae")
    draft.convert(half_vae, "training.vae_precision", lambda value: "fp32" if flag(value) else "auto")
    draft.path(arguments.take("output_dir"), "output.folder")
    draft.convert(arguments.take("output_name"), "output.name", _file_name)
    _small_base(draft, arguments)
    _curves(draft, arguments)
    _kept_steps(draft, arguments)
    split = arguments.take("validation_split")
    note = tr("Kiln chooses how many pictures are held out.") if split and str(split.value) not in ("0", "0.0") else ""
    draft.convert(split, "validation.pictures", lambda value: -1 if number(value) > 0 else 0, note)


def _small_base(draft: Draft, arguments: Arguments) -> None:
    for name in ("fp8_base", "fp8_base_unet"):
        argument = arguments.take(name)
        note = tr("Kiln keeps them in 8 bit whole numbers with a scale for each row.")
        is_on = argument is not None and not is_off(argument.value)
        draft.convert(argument, "training.base_weights", _base_weights, note if is_on else "")


def _base_weights(value: object) -> str:
    return "int8" if flag(value) else "full"


def _file_name(value: object) -> str:
    """A name without what Kiln refuses in names."""
    name = text(value)
    for char in '<>:"/\\|?*':
        name = name.replace(char, "_")
    return name.strip(" .")


def _curves(draft: Draft, arguments: Arguments) -> None:
    logger, folder = arguments.take("log_with"), arguments.take("logging_dir")
    note = tr("The files are written into the folder of the run.")
    word = str(logger.value).strip().lower() if logger else ""
    if logger is not None and not draft.was_empty(logger):
        if word in ("tensorboard", "all"):
            draft.take(logger, "output.tensorboard", True, note)
        else:
            draft.leave(logger, tr("Kiln sends nothing to other services."))
    if folder is not None and not draft.was_empty(folder):
        if word in ("", "tensorboard", "all", "none"):
            draft.take(folder, "output.tensorboard", True, note)
        else:
            draft.leave(folder, tr("Kiln keeps the log of a run in the folder of that run."))


def _kept_steps(draft: Draft, arguments: Arguments) -> None:
    """kohya counts the steps that files stay, Kiln the files."""
    kept, every = arguments.take("save_last_n_steps"), arguments.get("save_every_n_steps")
    if kept is None or draft.was_empty(kept):
        return
    try:
        steps, between = number(kept.value), number(every.value) if every else 0.0
    except UnfitError as error:
        draft.leave(kept, str(error))
        return
    if steps <= 0 or between <= 0:
        draft.leave_off(kept)
        return
    draft.take(kept, "output.keep_last", max(1, round(steps / between)), tr("Kiln counts the files that it keeps."))
