"""The settings files that speak kohya's words, each in its own shape, as one list of options."""

from __future__ import annotations

from collections.abc import Mapping

from core.imports.datasets import dataset_arguments, subset_arguments
from core.imports.draft import Argument, Draft
from core.imports.ignored import reason_for
from core.imports.networks import NETWORK_ARGUMENTS
from core.imports.values import is_empty, is_off
from core.text import tr

Table = Mapping[str, object]

OPTION_TABLES = ("network_args", "optimizer_args", "lr_scheduler_args")
"""Names that may hold a table of options instead of a list."""

_OF_KOHYA_SS = {
    "LoRA_type": "network_module",
    "lora_network_weights": "network_weights",
    "max_resolution": "resolution",
    "optimizer": "optimizer_type",
    "num_epochs": "max_train_epochs",
    "debiased_estimation": "debiased_estimation_loss",
}
_ZERO_IS_UNSET = (
    "seed",
    "max_train_epochs",
    "max_train_steps",
    "epoch",
    "learning_rate",
    "huber_c",
    "clip_skip",
    "lr_scheduler_num_cycles",
    "lr_scheduler_power",
    "multires_noise_discount",
    "max_timestep",
    "max_token_length",
    "train_batch_size",
    "network_dim",
    "network_alpha",
    "bucket_reso_steps",
    "min_bucket_reso",
    "max_bucket_reso",
    "gradient_accumulation_steps",
)
"""Options of kohya_ss in which 0 means that nothing was given."""


def flattened(values: Table) -> dict[str, object]:
    """One level of sections taken away, as kohya's scripts do: names of sections mean nothing, the later one wins."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name not in OPTION_TABLES:
            flat.update(value)
        else:
            flat[name] = value
    return flat


def kohya_arguments(_draft: Draft, values: Table) -> list[Argument]:
    """A TOML or JSON file with the options of kohya's scripts, in sections or not, or of SD-Trainer."""
    return [Argument(name, name, value) for name, value in flattened(values).items()]


def preset_arguments(draft: Draft, values: Table) -> list[Argument]:
    """A preset of SD-Trainer: `[metadata]` about it, and `[data]` with what it changes."""
    found = []
    for section, table in values.items():
        for name, value in table.items() if isinstance(table, Mapping) else [(section, table)]:
            argument = Argument(f"{section}.{name}" if isinstance(table, Mapping) else section, name, value)
            if section == "metadata":
                draft.leave(argument, tr("It describes the preset, and is no setting."), is_harmless=True)
            else:
                found.append(argument)
    return found


def kohya_ss_arguments(draft: Draft, values: Table) -> list[Argument]:
    """The flat JSON of kohya_ss, where 0 and empty often mean that nothing was given."""
    found = []
    for name, value in values.items():
        argument = Argument(name, _OF_KOHYA_SS.get(name, name), value)
        if name in _ZERO_IS_UNSET and is_off(value) and not is_empty(value):
            draft.leave(argument, tr("0 means here that nothing was given."), is_harmless=True)
        elif name == "LoRA_type" and value == "Standard":
            found.append(Argument(name, "network_module", "networks.lora", words=value))
        elif _is_of_another_network(name) and values.get("LoRA_type") == "Standard":
            draft.leave(argument, tr("It has no effect with this kind of network."), is_harmless=True)
        elif name == "epoch":
            if any(not is_off(values.get(other)) for other in ("max_train_epochs", "max_train_steps")):
                draft.leave(argument, tr("{name} counts instead.", name="max_train_epochs, max_train_steps"))
            else:
                found.append(Argument(name, "max_train_epochs", value))
        else:
            found.append(argument)
    return found


def _is_of_another_network(name: str) -> bool:
    """Whether kohya_ss writes an option for every kind of network, and a plain LoRA does not have it."""
    return name in (*NETWORK_ARGUMENTS, "LyCORIS_preset") or reason_for(name) in ("network", "one_conv_rank")


def lora_easy_arguments(draft: Draft, values: Table) -> list[Argument]:
    """A file of LoRA Easy Training Scripts: `[[subsets]]`, and tables such as `[general_args.args]`."""
    found = subset_arguments(draft, values.get("subsets"))
    for section, table in values.items():
        if section == "subsets":
            continue
        if not isinstance(table, Mapping):
            found.append(Argument(section, section, table))
            continue
        for part, inner in table.items():
            if part in ("args", "dataset_args") and isinstance(inner, Mapping):
                for name, value in inner.items():
                    renamed = "train_batch_size" if name == "batch_size" else name
                    found.append(Argument(f"{section}.{part}.{name}", renamed, value))
            else:
                found.append(Argument(f"{section}.{part}", part, inner))
    return found


def kohya_dataset_arguments(draft: Draft, values: Table) -> list[Argument]:
    """A dataset file of kohya's scripts."""
    rest = [Argument(name, name, value) for name, value in values.items() if name not in ("general", "datasets")]
    return [*rest, *dataset_arguments(draft, values)]
