"""The LoRA network: small trainable pairs beside frozen modules, by peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.model import NetworkConfig
from core.errors import UserError
from core.families.base import Family, Parts
from core.lora.dropout import add_dropouts
from core.lora.keys import denoiser_name, text_encoder_name
from core.lora.starting import start_from

if TYPE_CHECKING:
    from torch import Tensor, nn

ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class Pair:
    """One LoRA pair in the model: `up @ down * (alpha / rank)` is added to the module's weight.

    `name` is the module's name in the file, `path` the one in the model; `down` is [rank, in, ...], `up`
    [out, rank, ...].
    """

    name: str
    path: str
    layer: Any

    @property
    def down_layer(self) -> nn.Module:
        """The module that narrows to the rank."""
        layer: nn.Module = self.layer.lora_A[ADAPTER]
        return layer

    @property
    def up_layer(self) -> nn.Module:
        """The module that widens again."""
        layer: nn.Module = self.layer.lora_B[ADAPTER]
        return layer

    @property
    def down(self) -> nn.Parameter:
        """The weight that narrows to the rank."""
        weight: nn.Parameter = self.layer.lora_A[ADAPTER].weight
        return weight

    @property
    def up(self) -> nn.Parameter:
        """The weight that widens again; zero at the start, so that training starts from the base model."""
        weight: nn.Parameter = self.layer.lora_B[ADAPTER].weight
        return weight

    @property
    def alpha(self) -> float:
        """The numerator of the scale."""
        return float(self.layer.lora_alpha[ADAPTER])


@dataclass(slots=True)
class Network:
    """All LoRA pairs of a model, the denoiser's and the text encoder's apart."""

    denoiser_pairs: list[Pair]
    text_encoder_pairs: list[Pair]

    @property
    def pairs(self) -> list[Pair]:
        """All pairs in the order of the file."""
        return self.text_encoder_pairs + self.denoiser_pairs

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Trainable weights under the names that the file uses."""
        for pair in self.pairs:
            yield f"{pair.name}.lora_down.weight", pair.down
            yield f"{pair.name}.lora_up.weight", pair.up

    def tensors(self) -> dict[str, Tensor]:
        """The weights by file name, detached, and each module's alpha as a number without dimensions."""
        import torch

        found: dict[str, Tensor] = {name: weight.detach() for name, weight in self.named_parameters()}
        for pair in self.pairs:
            found[f"{pair.name}.alpha"] = torch.tensor(pair.alpha)
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy weights of the same names and shapes into the model.

        Raises:
            KeyError: A weight of the model is not among the tensors.
        """
        import torch

        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.copy_(tensors[name])


def add_network(parts: Parts, family: Family, config: NetworkConfig, seed: int) -> Network:
    """Add a LoRA to the model, on kohya's full default targets, weights in float32: a new one, or that of a file.

    Args:
        parts: The base model; its modules are wrapped in place.
        family: Says which modules take a LoRA.
        config: Rank, alpha, dropouts, which parts of the model take part, and what to start from.
        seed: Of the random half of the weights, so that the same run starts the same anywhere.

    Raises:
        UserError: No part of the model takes part, or the file to start from does not fit.
    """
    import torch
    from peft import LoraConfig

    if not (config.train_denoiser or config.train_text_encoder):
        raise UserError(
            "Neither the denoiser nor the text encoder is trained.",
            remedy="Turn on at least one of the two, and give it a learning rate above 0.",
        )
    torch.manual_seed(seed)
    common: dict[str, Any] = {"r": config.rank, "lora_alpha": config.alpha, "lora_dropout": config.dropout}
    if config.train_denoiser:
        _inject(parts.denoiser, LoraConfig(target_modules=list(family.denoiser_targets), **common))
    if config.train_text_encoder:
        _inject(parts.text_encoder, LoraConfig(target_modules=list(family.text_encoder_targets), **common))
    network = _network(parts, family)
    if config.start_from != Path():
        start_from(network, config.start_from)
    add_dropouts(network, rank=config.rank_dropout, module=config.module_dropout)
    return network


def add_from_file(parts: Parts, family: Family, tensors: Mapping[str, Tensor], strength: float = 1.0) -> Network:
    """Add a LoRA as a file has it: any mix of ranks and alphas, for drawing with it.

    Args:
        parts: The base model; its modules are wrapped in place.
        family: Whose names the file uses.
        tensors: Content of the file.
        strength: Factor on the whole LoRA; 1 is as trained.

    Raises:
        UserError: The file holds no LoRA for this base model, or modules that it does not have.
    """
    import torch
    from peft import LoraConfig

    found = {name.removesuffix(".lora_down.weight") for name in tensors if name.endswith(".lora_down.weight")}
    remaining = set(found)
    for module, naming, targets in (
        (parts.denoiser, denoiser_name, family.denoiser_targets),
        (parts.text_encoder, lambda path: text_encoder_name(path, family.text_prefix), family.text_encoder_targets),
    ):
        wanted = {
            path: naming(path)
            for path, _ in module.named_modules()
            if any(path.endswith(f".{target}") for target in targets) and naming(path) in found
        }
        if not wanted:
            continue
        ranks = {path: tensors[f"{name}.lora_down.weight"].shape[0] for path, name in wanted.items()}
        alphas = {path: float(tensors.get(f"{name}.alpha", torch.tensor(ranks[path]))) for path, name in wanted.items()}
        _inject(
            module,
            LoraConfig(
                target_modules=list(wanted),
                rank_pattern={f"^{path}": rank for path, rank in ranks.items()},
                alpha_pattern={f"^{path}": alpha * strength for path, alpha in alphas.items()},
            ),
        )
        remaining -= set(wanted.values())
    if remaining or not found:
        raise UserError(
            "This LoRA was not made for this base model: {number} of its {total} modules do not exist there.",
            remedy="Choose the base model that the LoRA was trained for.",
            number=len(remaining),
            total=len(found),
        )
    network = _network(parts, family)
    try:
        network.load_tensors(tensors)
    except (RuntimeError, KeyError) as error:
        raise UserError(
            "The sizes of this LoRA do not fit the base model.",
            remedy="Choose the base model that the LoRA was trained for.",
        ) from error
    return network


def remove_network(parts: Parts) -> None:
    """Take all LoRA layers out again; the base model is as it was loaded."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in (parts.denoiser, parts.text_encoder):
        for path, layer in list(module.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                parent, _, child = path.rpartition(".")
                setattr(module.get_submodule(parent), child, layer.get_base_layer())
        if hasattr(module, "peft_config"):
            del module.peft_config


def _inject(module: nn.Module, config: Any) -> None:
    import torch
    from peft import inject_adapter_in_model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*already been set.*")
        inject_adapter_in_model(config, module, adapter_name=ADAPTER)
    for name, weight in module.named_parameters():
        if ".lora_" in name:
            weight.data = weight.data.to(torch.float32)
    module.train(module.training)  # The new layers too: an evaluated model has no dropout.


def _network(parts: Parts, family: Family) -> Network:
    return Network(
        denoiser_pairs=[Pair(denoiser_name(path), path, layer) for path, layer in _lora_layers(parts.denoiser)],
        text_encoder_pairs=[
            Pair(text_encoder_name(path, family.text_prefix), path, layer)
            for path, layer in _lora_layers(parts.text_encoder)
        ],
    )


def _lora_layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    for path, layer in module.named_modules():
        if isinstance(layer, LoraLayer):
            yield path, layer
