"""Going on from the network of a file instead of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core.config.model import NetworkConfig
from core.errors import UserError
from core.lora.file import load_lora
from core.lora.kinds import Delta
from core.lora.kinds_file import MAGNITUDE, delta_of
from core.lora.modules import by_module, kind_name, kind_of
from core.models import FamilyName

if TYPE_CHECKING:
    from torch import Tensor

    from core.lora.network import Network, NetworkModule


def start_from(network: Network, path: Path, config: NetworkConfig, family: FamilyName) -> None:
    """Give a new network the weights of a file. Parts that the file does not have stay new.

    Where the file has another alpha, the weights are scaled so that the LoRA is as strong as in the file. One without
    weight decomposition can go on with it: its lengths are those that the file gives the weights.

    Args:
        network: Just added to the model.
        path: The LoRA file.
        config: What the network was made of.
        family: Of the base model.

    Raises:
        UserError: The file is no LoRA that can be read, has another kind or rank, or parts that the network does not
            have.
    """
    found = by_module(load_lora(path, family=family))
    _refuse_another_kind(path, found, config)
    modules = {module.name: module for module in network.modules}
    if strange := found.keys() - modules.keys():
        raise UserError(
            "{path} cannot be continued: {number} of its {total} modules would not be trained.",
            remedy="Turn on the training of both denoiser and text encoder, or choose a LoRA of this base model.",
            path=path,
            number=len(strange),
            total=len(found),
        )
    with torch.no_grad():
        for name, tensors in found.items():
            _take(modules[name], tensors, path, config)


def _refuse_another_kind(path: Path, found: Mapping[str, Mapping[str, Tensor]], config: NetworkConfig) -> None:
    for tensors in found.values():
        if (kind := kind_of(tensors)) != config.kind:
            raise UserError(
                "{path} cannot be continued: it is a {kind}, and the settings ask for {wanted}.",
                remedy="Set the kind of network to {kind}, or choose another LoRA.",
                path=path,
                kind=kind_name(kind),
                wanted=kind_name(config.kind),
            )
        if MAGNITUDE in tensors and not config.dora:
            raise UserError(
                "{path} cannot be continued without weight decomposition (DoRA): it was trained with it.",
                remedy="Turn on weight decomposition (DoRA), or choose another LoRA.",
                path=path,
            )


def _take(module: NetworkModule, tensors: Mapping[str, Tensor], path: Path, config: NetworkConfig) -> None:
    own, layer = module.delta, module.layer
    try:
        delta = delta_of(layer.base_layer, tensors)
    except (RuntimeError, ValueError, KeyError) as error:
        raise _unfitting() from error
    if delta.rank != own.rank and _has_rank(delta):
        raise UserError(
            "{path} cannot be continued: it has rank {rank}, and the settings ask for rank {wanted}.",
            remedy="Set the rank to {rank}, or choose another LoRA.",
            path=path,
            rank=delta.rank,
            wanted=own.rank,
        )
    given, weights = delta.weights(), own.weights()
    if {name: weight.shape for name, weight in given.items()} != {name: one.shape for name, one in weights.items()}:
        if config.kind == "lokr":
            raise UserError(
                "{path} cannot be continued: LoKr factor {factor} and rank {rank} split its weights in another way.",
                remedy="Set the factor and the rank that it was trained with, or choose another LoRA.",
                path=path,
                factor=config.factor,
                rank=own.rank,
            )
        raise _unfitting()
    for name, weight in weights.items():
        weight.copy_(given[name])
    if delta.scale != own.scale:
        own.rescale(delta.scale / own.scale)
    if layer.lora_magnitude is None:
        return
    if MAGNITUDE in tensors:
        try:
            layer.take_magnitude(tensors[MAGNITUDE])
        except ValueError as error:
            raise _unfitting() from error
    else:
        layer.lora_magnitude.copy_(layer.lengths().view(layer.lora_magnitude.shape))


def _has_rank(delta: Delta) -> bool:
    return any(name.endswith("_b") or name.startswith("lora_") for name in delta.weights())


def _unfitting() -> UserError:
    return UserError(
        "The sizes of this LoRA do not fit the base model.",
        remedy="Choose the base model that the LoRA was trained for.",
    )
