"""Learning rates, schedule and length of a run of kohya's scripts in Kiln's words."""

from __future__ import annotations

from core.imports.blocks import map_blocks
from core.imports.draft import Argument, Arguments, Draft
from core.imports.optimizers import map_optimizer
from core.imports.values import UnfitError, flag, is_off, number, numbers, shown, text, whole
from core.text import tr

MOST_EPOCHS = 10000
DEFAULT_STEPS = 1600
"""The length that kohya's scripts take when a file names none."""

_SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
    "cosine_with_min_lr": "cosine",
    "polynomial": "polynomial",
    "inverse_sqrt": "inverse_sqrt",
    "warmup_stable_decay": "warmup_stable_decay",
    "rex": "rex",
    "adafactor": "constant",
}
_SCHEDULE_CLASSES = {
    "rex": "rex",
    "cosineannealingwarm": "cosine_with_restarts",
    "cosineannealinglr": "cosine",
}


def map_rates(draft: Draft, arguments: Arguments, *, is_complete: bool) -> None:
    """Take the options about how weights are updated, and for how long."""
    _learning_rates(draft, arguments)
    map_optimizer(draft, arguments, is_complete=is_complete)
    map_blocks(draft, arguments)
    steps = _length(draft, arguments, is_complete=is_complete)
    _schedule(draft, arguments, steps)


def _learning_rates(draft: Draft, arguments: Arguments) -> None:
    common = arguments.take("learning_rate")
    denoiser, text_encoder = arguments.take("unet_lr"), arguments.take("text_encoder_lr")
    rate, denoiser_rate, text_rate = (_rate(draft, argument) for argument in (common, denoiser, text_encoder))
    zero = tr("At a rate of 0 this part learns nothing, so it is not trained.")
    if denoiser and text_encoder and denoiser_rate == 0 and text_rate == 0:
        for zero_rate in (denoiser, text_encoder):
            draft.leave(zero_rate, tr("Both parts have a rate of 0 here, which stands for the common learning rate."))
        denoiser_rate = text_rate = None
    is_common_used = False
    for argument, own_rate, trained, key in (
        (denoiser, denoiser_rate, "network.train_denoiser", "optimizer.learning_rate"),
        (text_encoder, text_rate, "network.train_text_encoder", "optimizer.text_encoder_learning_rate"),
    ):
        if argument is not None and own_rate == 0:
            draft.take(argument, trained, False, zero)
        elif argument is not None and own_rate is not None:
            draft.take(argument, key, own_rate, _both_alike(argument))
        elif common is not None and rate:
            is_common_used = True
            draft.take(common, key, rate)
    if common is not None and rate is not None and not is_common_used:
        draft.leave(common, tr("Each part has a rate of its own here, which counts instead."), is_harmless=True)
    _trained_parts(draft, arguments)


def _rate(draft: Draft, argument: Argument | None) -> float | None:
    """The number of a rate; the first when there is one for each of several text encoders."""
    if argument is None or draft.was_empty(argument):
        return None
    try:
        if (rate := numbers(argument.value)[0]) < 0:
            raise UnfitError(tr("{value} is not a learning rate.", value=shown(argument.value)))
        return rate
    except UnfitError as error:
        draft.leave(argument, str(error))
        return None


def _both_alike(argument: Argument) -> str:
    """A note where two text encoders have different rates."""
    is_one = len(set(numbers(argument.value))) == 1
    return "" if is_one else tr("Kiln trains both text encoders of SDXL alike.")


def _trained_parts(draft: Draft, arguments: Arguments) -> None:
    """The two flags say the same as a rate of 0; where one of them does, the part is not trained."""
    for name, key in (
        ("network_train_unet_only", "network.train_text_encoder"),
        ("network_train_text_encoder_only", "network.train_denoiser"),
    ):
        argument = arguments.take(name)
        if argument is not None and draft.changes.get(key) is False:
            draft.leave(argument, tr("A rate of 0 says more about this part."))
        elif (
            argument is not None
            and key == "network.train_denoiser"
            and draft.changes.get("network.train_text_encoder") is False
            and not is_off(argument.value)
        ):
            draft.take(argument, key, True, tr("The other part is not trained, so nothing would be left."))
        else:
            draft.convert(argument, key, lambda value: not flag(value))


def _length(draft: Draft, arguments: Arguments, *, is_complete: bool) -> int:
    """Take epochs and steps. Returns the number of steps of the run when the file says it, else 0."""
    epochs, steps = arguments.take("max_train_epochs"), arguments.take("max_train_steps")
    num_epochs, num_steps = (_count(draft, argument) for argument in (epochs, steps))
    if epochs is not None and num_epochs:
        draft.take(epochs, "training.epochs", num_epochs)
        if steps is not None and num_steps:
            draft.leave(steps, tr("The number of epochs counts instead, as in kohya's scripts."))
        if is_complete:
            draft.take(Argument("max_train_steps", "max_train_steps", 0, is_assumed=True), "training.max_steps", 0)
        return 0
    if not num_steps and is_complete:
        steps, num_steps = Argument("max_train_steps", "max_train_steps", DEFAULT_STEPS, is_assumed=True), DEFAULT_STEPS
    if steps is not None and num_steps:
        draft.take(steps, "training.max_steps", num_steps)
        draft.take(steps, "training.epochs", MOST_EPOCHS, tr("The steps decide, so there are epochs enough."))
    return num_steps


def _count(draft: Draft, argument: Argument | None) -> int:
    """A number of steps or epochs; 0 for none."""
    if argument is None or draft.was_empty(argument):
        return 0
    try:
        count = whole(argument.value)
    except UnfitError as error:
        draft.leave(argument, str(error))
        return 0
    if count <= 0:
        draft.leave_off(argument)
    return max(0, count)


def _schedule(draft: Draft, arguments: Arguments, total_steps: int) -> None:
    name, own_class = arguments.take("lr_scheduler"), arguments.take("lr_scheduler_type")
    if own_class is not None and not draft.was_empty(own_class):
        word = str(own_class.value).rpartition(".")[2].lower()
        found = next((schedule for start, schedule in _SCHEDULE_CLASSES.items() if word.startswith(start)), None)
        if found:
            draft.take(own_class, "schedule.name", found, tr("Kiln takes the nearest that it has."))
            if name is not None:
                draft.leave(name, tr("{name} counts instead.", name=own_class.source))
            name = None
        else:
            draft.leave(own_class, tr("Kiln does not have the schedule {name}.", name=shown(own_class.value)))
    draft.convert(name, "schedule.name", _schedule_name)
    draft.convert(arguments.take("lr_scheduler_num_cycles"), "schedule.cycles", whole)
    draft.convert(arguments.take("lr_scheduler_power"), "schedule.power", number)
    draft.convert(arguments.take("lr_scheduler_min_lr_ratio"), "schedule.min_factor", number)
    _warmup(draft, arguments, total_steps)
    _steps_or_share(draft, arguments.take("lr_decay_steps"), "schedule.decay_steps", total_steps)


def _warmup(draft: Draft, arguments: Arguments, total_steps: int) -> None:
    """Steps, or a share in two spellings; of several the first that is not off counts."""
    spellings = {"lr_warmup_steps": 0, "lr_warmup": 100, "warmup_ratio": 1}
    found = [(argument, of) for name, of in spellings.items() if (argument := arguments.take(name)) is not None]
    used = [pair for pair in found if not pair[0].is_assumed and not is_off(pair[0].value)] or found
    for argument, of in found:
        if argument is not used[0][0]:
            draft.leave(argument, tr("{name} counts instead.", name=used[0][0].source))
        elif of:
            _share(draft, argument, "schedule.warmup_steps", total_steps, of)
        else:
            _steps_or_share(draft, argument, "schedule.warmup_steps", total_steps)


def _schedule_name(value: object) -> str:
    if (word := text(value).strip().lower()) not in _SCHEDULES:
        raise UnfitError(tr("Kiln does not have the schedule {name}.", name=shown(value)))
    return _SCHEDULES[word]


def _steps_or_share(draft: Draft, argument: Argument | None, key: str, total_steps: int) -> None:
    """kohya takes a number below 1 for a share of the run."""
    if argument is None or draft.was_empty(argument):
        return
    try:
        is_share = 0 < number(argument.value) < 1
    except UnfitError as error:
        draft.leave(argument, str(error))
        return
    if is_share:
        _share(draft, argument, key, total_steps, 1)
    else:
        draft.convert(argument, key, whole)


def _share(draft: Draft, argument: Argument, key: str, total_steps: int, of: int) -> None:
    if draft.was_empty(argument):
        return
    try:
        share = number(argument.value) / of
    except UnfitError as error:
        draft.leave(argument, str(error))
        return
    if share and not total_steps:
        draft.leave(argument, tr("It is a share of the run, and the file does not say how many steps that has."))
    else:
        draft.take(argument, key, round(share * total_steps), tr("Kiln counts in steps."))
