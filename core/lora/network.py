"""The network that is trained: small weights beside frozen layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from core.config.model import NetworkConfig
from core.errors import UserError
from core.families.base import Family, Parts
from core.lora.adapted import Adapted
from core.lora.kinds import Delta, Kind
from core.lora.kinds_file import MAGNITUDE, delta_of, new_delta
from core.lora.modules import by_module
from core.lora.selection import Chosen, choose_denoiser_layers, choose_text_encoder_layers, trainable_layers
from core.lora.starting import start_from

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class NetworkModule:
    """What is added to one layer: `name` is the module's name in the file, `path` the one in the model."""

    name: str
    path: str
    layer: Adapted

    @property
    def delta(self) -> Delta:
        """What computes it."""
        return self.layer.lora_delta

    @property
    def kind(self) -> Kind:
        """LoRA (LoCon is one on a convolution), LoHa or LoKr."""
        return self.delta.kind

    @property
    def rank(self) -> int:
        """Its inner width."""
        return self.delta.rank

    @property
    def alpha(self) -> float:
        """What the file says: programs that draw scale by `alpha / rank`, however it was scaled in training."""
        return self.delta.alpha

    def weights(self) -> dict[str, nn.Parameter]:
        """The trained weights by the ends of their names in the file."""
        found = self.delta.weights()
        if self.layer.lora_magnitude is not None:
            found[MAGNITUDE] = self.layer.lora_magnitude
        return found


@dataclass(slots=True)
class Network:
    """All modules of a network, the denoiser's and the text encoder's apart."""

    denoiser_modules: list[NetworkModule]
    text_encoder_modules: list[NetworkModule]

    @property
    def modules(self) -> list[NetworkModule]:
        """All modules in the order of the file."""
        return self.text_encoder_modules + self.denoiser_modules

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Trainable weights under the names that the file uses."""
        for module in self.modules:
            for suffix, weight in module.weights().items():
                yield f"{module.name}.{suffix}", weight

    def tensors(self) -> dict[str, Tensor]:
        """The weights by file name, detached, and each module's alpha as a number without dimensions."""
        found: dict[str, Tensor] = {name: weight.detach() for name, weight in self.named_parameters()}
        for module in self.modules:
            found[f"{module.name}.alpha"] = torch.tensor(module.alpha)
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy weights of the same names and shapes into the model.

        A magnitude may be one of rows where the model has one of columns, or the other way round; it becomes that.

        Raises:
            KeyError: A weight of the model is not among the tensors.
            RuntimeError: A weight has another shape.
        """
        with torch.no_grad():
            for module in self.modules:
                for suffix, weight in module.weights().items():
                    tensor = tensors[f"{module.name}.{suffix}"]
                    if suffix == MAGNITUDE:
                        module.layer.take_magnitude(tensor)
                    else:
                        weight.copy_(tensor)


def add_network(parts: Parts, family: Family, config: NetworkConfig, seed: int) -> Network:
    """Add a network to the model, weights in float32: a new one, or that of a file.

    Args:
        parts: The base model; its layers are wrapped in place.
        family: Says which layers can take part.
        config: Kind, ranks and alphas, dropouts, which parts and layers take part, and what to start from.
        seed: Of the random half of the weights, so that the same run starts the same anywhere.

    Raises:
        UserError: No part of the model takes part, a line about layers fits nothing, or the file to start from does
            not fit.
    """
    torch.manual_seed(seed)
    network = Network([], [])
    if config.train_denoiser:
        chosen = choose_denoiser_layers(parts.denoiser, family, config)
        network.denoiser_modules = _add_new(parts.denoiser, family.denoiser_key, chosen, config)
    if config.train_text_encoder:
        chosen = choose_text_encoder_layers(parts.text_encoder, family, config)
        network.text_encoder_modules = _add_new(parts.text_encoder, family.text_encoder_key, chosen, config)
    if not network.modules:
        raise UserError(
            "Neither the denoiser nor the text encoder is trained.",
            remedy="Turn on at least one of the two, and give it a learning rate above 0.",
        )
    if config.start_from != Path():
        start_from(network, config.start_from, config, family.name)
    for module in network.modules:
        module.delta.dropout, module.delta.rank_dropout = config.dropout, config.rank_dropout
        module.layer.module_dropout = config.module_dropout
    return network


def add_from_file(parts: Parts, family: Family, tensors: Mapping[str, Tensor], strength: float = 1.0) -> Network:
    """Add a network as a file has it: any mix of kinds, ranks and alphas, for drawing with it or going on.

    Args:
        parts: The base model; its layers are wrapped in place.
        family: Whose names the file uses.
        tensors: Content of the file in kohya's and LyCORIS's names.
        strength: Factor on the whole LoRA; 1 is as trained.

    Raises:
        UserError: The file holds no LoRA for this base model, or layers that it does not have.
    """
    found = by_module(tensors)
    network = Network([], [])
    remaining = set(found)
    plan: list[tuple[nn.Module, list[NetworkModule], list[tuple[str, str, nn.Module]]]] = []
    for part, naming, targets, modules in (
        (parts.denoiser, family.denoiser_key, family.denoiser_targets, network.denoiser_modules),
        (parts.text_encoder, family.text_encoder_key, family.text_encoder_targets, network.text_encoder_modules),
    ):
        if not targets:  # The layers of a part that is never trained have no names in files.
            continue
        wanted = [(name, path, layer) for path, layer in trainable_layers(part) if (name := naming(path)) in remaining]
        remaining -= {name for name, _, _ in wanted}
        plan.append((part, modules, wanted))
    if remaining or not found:
        raise UserError(
            "This LoRA was not made for this base model: {number} of its {total} modules do not exist there.",
            remedy="Choose the base model that the LoRA was trained for.",
            number=len(remaining),
            total=len(found),
        )
    try:
        for part, modules, wanted in plan:
            for name, path, layer in wanted:
                module = NetworkModule(name, path, _wrap(part, path, layer, delta_of(layer, found[name])))
                module.layer.strength = strength
                if MAGNITUDE in found[name]:
                    module.layer.take_magnitude(found[name][MAGNITUDE])
                modules.append(module)
    except (RuntimeError, ValueError, KeyError) as error:
        remove_network(parts)
        raise UserError(
            "The sizes of this LoRA do not fit the base model.",
            remedy="Choose the base model that the LoRA was trained for.",
        ) from error
    return network


def remove_network(parts: Parts) -> None:
    """Take all that was added out again; the base model is as it was loaded."""
    for module in (parts.denoiser, parts.text_encoder):
        for path, layer in list(module.named_modules()):
            if isinstance(layer, Adapted):
                _put(module, path, layer.base_layer)


def _add_new(
    part: nn.Module, naming: Callable[[str], str], chosen: list[Chosen], config: NetworkConfig
) -> list[NetworkModule]:
    modules = []
    for one in chosen:
        scale = one.alpha / (math.sqrt(one.rank) if config.rank_stabilized else one.rank)
        delta = new_delta(config.kind, one.layer, one.rank, scale, config.factor)
        adapted = _wrap(part, one.path, one.layer, delta)
        if config.dora and config.kind == "lora":
            adapted.decompose()
        modules.append(NetworkModule(naming(one.path), one.path, adapted))
    return modules


def _wrap(part: nn.Module, path: str, layer: nn.Module, delta: Delta) -> Adapted:
    adapted = Adapted(layer, delta)
    delta.to(adapted.weight.device)
    adapted.train(layer.training)  # An evaluated model has no dropout.
    _put(part, path, adapted)
    return adapted


def _put(part: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, child = path.rpartition(".")
    setattr(part.get_submodule(parent), child, layer)
