"""Optimizers and their options, as kohya's scripts, OneTrainer and LoRA files spell them, in Kiln's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.imports.draft import Argument, Arguments, Draft
from core.imports.values import UnfitError, is_off, number, numbers, options, shown, text
from core.text import tr

_NAMES: Mapping[str, str] = {
    "adamw": "adamw",
    "adamw8bit": "adamw8bit",
    "pagedadamw8bit": "adamw8bit",
    "lion": "lion",
    "adafactor": "adafactor",
    "prodigy": "prodigy",
    "dadaptation": "dadaptation",
    "dadaptadam": "dadaptation",
    "adamwschedulefree": "adamw_schedulefree",
    "schedulefreeadamw": "adamw_schedulefree",
    "came": "came",
    "sgd": "sgd",
    "sgdnesterov": "sgd",
}
_NEAREST: Mapping[str, str] = {
    "adam": "adamw",
    "adam8bit": "adamw8bit",
    "pagedadamw": "adamw",
    "pagedadamw32bit": "adamw",
    "lion8bit": "lion",
    "pagedlion8bit": "lion",
    "dadaptadampreprint": "dadaptation",
    "dadaptadagrad": "dadaptation",
    "dadaptadan": "dadaptation",
    "dadaptadanip": "dadaptation",
    "dadaptlion": "dadaptation",
    "dadaptsgd": "dadaptation",
    "prodigyplusschedulefree": "prodigy",
    "radamschedulefree": "adamw_schedulefree",
    "sgd8bit": "sgd",
    "sgdnesterov8bit": "sgd",
}
_IMPLIED: Mapping[str, str] = {
    "pagedadamw8bit": "is_paged=True",
    "sgdnesterov": "nesterov=True",
    "sgdnesterov8bit": "nesterov=True",
}
"""What a name says beside the optimizer itself."""

_WEIGHT_DECAYS: Mapping[str, float] = {"adamw": 0.01, "adamw8bit": 0.01}
"""What the libraries behind kohya's scripts take when a file names none; 0 for all others."""

_OWN_FIELDS: Mapping[str, str] = {
    "weight_decay": "optimizer.weight_decay",
    "beta1": "optimizer.beta1",
    "beta2": "optimizer.beta2",
    "eps": "optimizer.epsilon",
    "momentum": "optimizer.momentum",
    "d_coef": "optimizer.growth",
}
_OTHER_NAMES: Mapping[str, str] = {
    "decouple": "weight_decouple",
    "use_bias_correction": "bias_correction",
    "prodigy_d0": "d0",
    "prodigy_d_coef": "d_coef",
}
FURTHER: Mapping[str, tuple[str, ...]] = {
    "adamw": ("amsgrad",),
    "adamw8bit": ("amsgrad", "min_8bit_size", "is_paged"),
    "lion": ("weight_decouple",),
    "adafactor": ("decay_rate", "clip_threshold", "scale_parameter", "relative_step", "warmup_init", "weight_decouple"),
    "prodigy": ("beta3", "d0", "growth_rate", "weight_decouple", "bias_correction", "safeguard_warmup"),
    "dadaptation": ("d0", "growth_rate", "weight_decouple", "bias_correction"),
    "adamw_schedulefree": ("r", "weight_lr_power"),
    "came": ("clip_threshold", "weight_decouple"),
    "sgd": ("nesterov", "dampening"),
}
"""Arguments of each optimizer that Kiln takes as further arguments; a name that it lacks would stop the run."""


def map_optimizer(draft: Draft, arguments: Arguments, *, is_complete: bool) -> None:
    """Take the optimizer and its options."""
    _old_names(draft, arguments)
    implied = _name(draft, arguments)
    chosen = draft.changes.get("optimizer.name")
    further = _options(draft, arguments, str(chosen) if chosen else None)
    if implied is not None:
        further.insert(0, implied[1])
        draft.note(implied[0], "optimizer.arguments", implied[1])
    if further or (is_complete and chosen):
        draft.changes["optimizer.arguments"] = tuple(further)
    if is_complete and chosen:
        decay = _WEIGHT_DECAYS.get(str(chosen), 0.0)
        source = "optimizer_args: weight_decay"
        draft.take(Argument(source, "weight_decay", decay, is_assumed=True), "optimizer.weight_decay", decay)


def _old_names(draft: Draft, arguments: Arguments) -> None:
    """Flags of older scripts that stand for an optimizer."""
    for flag_name, optimizer in (("use_8bit_adam", "AdamW8bit"), ("use_lion_optimizer", "Lion")):
        old, known = arguments.take(flag_name), arguments.get("optimizer_type")
        if old is None:
            continue
        if is_off(old.value):
            draft.leave_off(old)
        elif known is None or known.is_assumed:
            arguments.add(Argument(old.source, "optimizer_type", optimizer))
        else:
            draft.leave(old, tr("{name} counts instead.", name=known.source))


def _name(draft: Draft, arguments: Arguments) -> tuple[Argument, str] | None:
    """Take the optimizer. Returns a further argument that its name implies, if any, and where that comes from."""
    argument = arguments.take("optimizer_type")
    if argument is None or draft.was_empty(argument):
        return None
    name, bracket, inner = str(argument.value).strip().partition("(")
    if bracket:  # As LoRA files have it: torch.optim.adamw.AdamW(weight_decay=0.1,betas=(0.9, 0.99))
        for key, value in options(re.split(r",\s*(?=[A-Za-z_]\w*=)", inner.rstrip().removesuffix(")"))):
            arguments.add(Argument(f"{argument.source}: {key}", f"optimizer_args.{key}", value))
    word = re.sub(r"[_\-\s]", "", name.rpartition(".")[2]).lower()
    if word in _NAMES:
        draft.take(argument, "optimizer.name", _NAMES[word])
    elif word in _NEAREST:
        draft.take(argument, "optimizer.name", _NEAREST[word], tr("Kiln takes the nearest that it has."))
    else:
        draft.leave(argument, tr("Kiln does not have the optimizer {name}.", name=shown(name)))
    return (argument, _IMPLIED[word]) if word in _IMPLIED else None


def _options(draft: Draft, arguments: Arguments, chosen: str | None) -> list[str]:
    """Take the options; returns those without a field of their own as `name=value`."""
    for name in ("prodigy_d0", "prodigy_d_coef", "d_coef"):  # Fields of SD-Trainer's form.
        if (field := arguments.take(name)) is not None:
            arguments.add(Argument(field.source, f"optimizer_args.{name}", field.value))
    further: list[str] = []
    for full_name in arguments.names():
        start, _, name = full_name.partition(".")
        if start != "optimizer_args" or (argument := arguments.take(full_name)) is None or draft.was_empty(argument):
            continue
        name = _OTHER_NAMES.get(name, name)
        several = isinstance(argument.value, (list, tuple)) or "," in str(argument.value)
        if name in _OWN_FIELDS and not several:
            draft.convert(argument, _OWN_FIELDS[name], number)
        elif name == "betas":
            _betas(draft, argument)
        elif chosen is not None and name in FURTHER[chosen] and not several:
            further.append(f"{name}={text(argument.value)}")
            draft.note(argument, "optimizer.arguments", further[-1])
        elif is_off(argument.value):
            draft.leave_off(argument)
        else:
            draft.leave(argument, tr("The optimizer has no such option in Kiln."))
    return further


def _betas(draft: Draft, argument: Argument) -> None:
    try:
        betas = numbers(argument.value)
    except UnfitError as error:
        draft.leave(argument, str(error))
        return
    note = tr("Kiln takes the first two.") if len(betas) > 2 else ""
    for key, beta in zip(("optimizer.beta1", "optimizer.beta2"), betas, strict=False):
        draft.take(argument, key, beta, note)
