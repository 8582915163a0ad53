"""The optimizers over the LoRA weights, each part of the model at its own rate."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import OptimizerConfig
from core.errors import UserError
from core.lora.kinds_file import MAGNITUDE
from core.lora.selection import longest_prefix
from core.training.optimizer_arguments import parsed_arguments

if TYPE_CHECKING:
    from torch import Tensor

    from core.lora.network import Network

Optimizer = torch.optim.Optimizer
Group = dict[str, Any]

SELF_TUNED = frozenset({"prodigy", "dadaptation"})
"""Optimizers that find the rate themselves; theirs is a factor on what they find."""
LEAST_SELF_TUNED = 0.1
"""A rate below this is one for other optimizers, with which those that tune themselves would learn nothing."""
_LION_BETA2 = 0.99  # Chen et al. 2023, arXiv:2302.06675
_ADAM_BETA2 = 0.999
_CAME_BETA3 = 0.9999  # Luo et al. 2023, arXiv:2307.02047
_CLASSES = {
    "lion": "Lion",
    "adafactor": "AdaFactor",
    "prodigy": "Prodigy",
    "dadaptation": "DAdaptAdam",
    "adamw_schedulefree": "ScheduleFreeAdamW",
    "came": "CAME",
}


def make_optimizer(network: Network, config: OptimizerConfig, device: torch.device) -> Optimizer:
    """The optimizer of the settings, with one group for all weights of one rate.

    Each group keeps its full rate as `base_rate` for the schedule, and the `names` of its weights in the file, by which
    a state is taken over.

    Args:
        network: The modules to train. Modules of a rate of 0 are frozen.
        config: Which optimizer, rates and coefficients.
        device: Where the weights are; AdamW updates all of them in one kernel where there is such.

    Raises:
        UserError: The optimizer is not available here, or some setting of it is wrong.
    """
    factory = _factory(config.name, device)
    options = {**_options(config, device), **parsed_arguments(config.arguments, config.name, factory)}
    groups = _groups(network, config)
    try:
        optimizer: Optimizer = factory(groups, lr=groups[0]["lr"], **options)
    except (TypeError, ValueError, AssertionError, ArithmeticError) as error:
        raise UserError(
            "The optimizer {optimizer} does not take these settings: {reason}",
            remedy="Set them back to their defaults, its further arguments first.",
            optimizer=config.name,
            reason=str(error),
        ) from error
    if config.name in SELF_TUNED and len(groups) > 1:
        _scale_groups(optimizer)
    return optimizer


def _factory(name: str, device: torch.device) -> Callable[..., Any]:
    if name == "adamw":
        return torch.optim.AdamW
    if name == "sgd":
        return torch.optim.SGD
    if name == "adamw8bit":
        if device.type not in ("cuda", "cpu"):
            raise UserError(
                "The optimizer adamw8bit does not compute on {device}.",
                remedy="Choose adamw, which learns the same and needs a little more memory.",
                failure="optimizer_unavailable",
                device=device.type,
            )
        package, module, attribute = "bitsandbytes", "bitsandbytes.optim", "AdamW8bit"
    else:
        package, module, attribute = "pytorch-optimizer", "pytorch_optimizer", _CLASSES[name]
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise UserError(
            "The optimizer {optimizer} is not available: the package {package} is missing or does not work here.",
            remedy="Choose adamw, or install it into the Python that Kiln runs with: pip install {package}",
            failure="optimizer_unavailable",
            optimizer=name,
            package=package,
        ) from error
    return found


def _options(config: OptimizerConfig, device: torch.device) -> dict[str, Any]:
    """The arguments that follow from the settings, and what practice recommends for a LoRA."""
    betas, decay = (config.beta1, config.beta2), {"weight_decay": config.weight_decay}
    if config.name == "sgd":
        return {"momentum": config.momentum, **decay}
    if config.name == "lion":
        # Its second beta is the memory of the gradient itself: the default of the others would be ten times too long.
        beta2 = _LION_BETA2 if config.beta2 == _ADAM_BETA2 else config.beta2
        return {"betas": (config.beta1, beta2), **decay}
    if config.name == "adafactor":
        # With a rate from outside, without a memory of the gradient, which it is there to save.
        return {"betas": (None, config.beta2), "relative_step": False, "scale_parameter": False, **decay}
    if config.name == "came":
        return {"betas": (*betas, _CAME_BETA3), **decay}
    options: dict[str, Any] = {"betas": betas, "eps": config.epsilon, **decay}
    if config.name == "adamw":
        options["fused"] = device.type in ("cuda", "cpu")
    elif config.name == "prodigy":
        options |= {"d_coef": config.growth, "weight_decouple": True, "bias_correction": True, "safeguard_warmup": True}
    elif config.name == "dadaptation":
        options |= {"weight_decouple": True, "bias_correction": True}
    return options


# --- groups -------------------------------------------------------------------------------------------------------


def _groups(network: Network, config: OptimizerConfig) -> list[Group]:
    """One group for each part and factor, those at the full rate first.

    The lengths of a weight decomposition are a group of their own, without weight decay: they are lengths of the base
    model's weights, and decay would shrink the model itself.

    Raises:
        UserError: A block rate cannot be read or fits nothing, or nothing is left to train.
    """
    factors = block_factors(config.block_rates)
    paths = [module.path for module in network.denoiser_modules]
    strange = [prefix for prefix in factors if not any(longest_prefix(path, [prefix]) for path in paths)]
    if strange and paths:
        raise UserError(
            "The block rate {prefix} fits no part of this base model.",
            remedy="Names are those of diffusers, for example down_blocks.1, mid_block or up_blocks.2.attentions.1.",
            prefix=", ".join(strange),
        )
    found: dict[tuple[str, float, bool], Group] = {}
    for part, modules, rate in (
        ("denoiser", network.denoiser_modules, config.learning_rate),
        ("text_encoder", network.text_encoder_modules, config.text_encoder_learning_rate),
    ):
        for module in modules:
            prefix = longest_prefix(module.path, factors) if part == "denoiser" else None
            factor = 1.0 if prefix is None else factors[prefix]
            base = _base_rate(rate, config) * factor
            for suffix, weight in module.weights().items():
                if not factor * rate:
                    weight.requires_grad_(False)
                    continue
                is_length = suffix == MAGNITUDE
                group = found.setdefault(
                    (part, factor, is_length),
                    {"params": [], "names": [], "lr": base, "base_rate": base, "kind": config.name, "part": part},
                )
                if is_length:
                    group["weight_decay"] = 0.0
                group["params"].append(weight)
                group["names"].append(f"{module.name}.{suffix}")
    if not found:
        raise UserError(
            "Nothing would be trained: every learning rate is 0.",
            remedy="Set the learning rate of the denoiser or of the text encoder above 0.",
        )
    return sorted(found.values(), key=lambda group: (group["part"], group["base_rate"] != _full(group, config)))


def _full(group: Group, config: OptimizerConfig) -> float:
    rate = config.learning_rate if group["part"] == "denoiser" else config.text_encoder_learning_rate
    return _base_rate(rate, config)


def _base_rate(rate: float, config: OptimizerConfig) -> float:
    if config.name not in SELF_TUNED:
        return rate
    factor = rate if rate >= LEAST_SELF_TUNED else 1.0
    return factor * config.growth if config.name == "dadaptation" else factor  # Prodigy has an argument for it.


def block_factors(lines: tuple[str, ...]) -> dict[str, float]:
    """Factors by the beginning of a module's path, from lines such as `down_blocks.1=0.5`.

    Raises:
        UserError: A line is something else.
    """
    found: dict[str, float] = {}
    for line in filter(None, map(str.strip, lines)):
        prefix, _, value = line.partition("=")
        try:
            factor = float(value)
        except ValueError:
            factor = math.nan
        if not prefix.strip() or not 0 <= factor < math.inf:
            raise UserError(
                '"{line}" is no rate of a block.',
                remedy="Write one name=factor on each line, for example: down_blocks.1=0.5",
                line=line,
            )
        found[prefix.strip()] = factor
    return found


def _scale_groups(optimizer: Optimizer) -> None:
    """Give every group its own rate under an optimizer that goes by the first group's rate for all of them.

    It makes the whole update at that rate; then each other group keeps its share of the way.
    """
    first, *others = optimizer.param_groups
    before: list[list[Tensor]] = []

    def remember(*_: Any) -> None:
        before[:] = [[weight.detach().clone() for weight in group["params"]] for group in others]

    def shorten(*_: Any) -> None:
        with torch.no_grad():
            for group, old in zip(others, before, strict=True):
                share = group["base_rate"] / first["base_rate"]
                torch._foreach_lerp_(old, group["params"], share)
                for weight, shortened in zip(group["params"], old, strict=True):
                    weight.copy_(shortened)
        before.clear()

    optimizer.register_step_pre_hook(remember)
    optimizer.register_step_post_hook(shorten)


# --- rates and states ---------------------------------------------------------------------------------------------


def set_rates(optimizer: Optimizer, factor: float) -> float:
    """Set every group to its base rate times the factor; returns the first group's true rate, the one that is shown."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    group = optimizer.param_groups[0]
    if group.get("relative_step"):  # Adafactor finds its rate by the number of the step alone.
        step = group.get("step", 0) + 1
        return float(min(1e-6 * step if group["warmup_init"] else 1e-2, 1 / math.sqrt(step)))
    return float(group["lr"] * (group.get("d", 1.0) if group["kind"] in SELF_TUNED else 1.0))


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> bool:
    """Take over the memory of a saved state; rates, betas and all other settings stay those of now.

    Weights are known by their names, so that parts may have got other rates since.

    Returns:
        False, with nothing taken over, when the state is of another kind of optimizer.
    """
    groups: list[Group] = saved["param_groups"]
    now = optimizer.state_dict()
    if groups[0].get("kind", "adamw") != now["param_groups"][0]["kind"]:
        return False
    if "names" not in groups[0]:  # Of a time when there were two groups in this order, and no others.
        names = [name for group in now["param_groups"] for name in group["names"]]
        groups = copy.deepcopy(groups)
        for group in groups:
            group["names"], names = names[: len(group["params"])], names[len(group["params"]) :]
    index_of = {name: index for group in groups for name, index in zip(group["names"], group["params"], strict=True)}
    group_of = {name: group for group in groups for name in group["names"]}
    settings = {*optimizer.defaults} - _MEMORY | {"params", "names", "base_rate", "unscaled_rate", "kind", "part"}
    state: dict[int, Any] = {}
    for group in now["param_groups"]:
        known = next((name for name in group["names"] if name in group_of), None)
        if known is not None:
            group.update({key: value for key, value in group_of[known].items() if key not in settings})
        for name, index in zip(group["names"], group["params"], strict=True):
            if name in index_of and index_of[name] in saved["state"]:
                state[index] = saved["state"][index_of[name]]
    optimizer.load_state_dict({**now, "param_groups": now["param_groups"], "state": state})
    return True


_MEMORY = frozenset({"d", "d_max", "d_hat", "d_numerator", "d_de_nom", "numerator_weighted", "step"})
_MEMORY |= {"weight_sum", "lr_max", "train_mode"}
"""What optimizers keep in a group that is no setting but found in the run."""
