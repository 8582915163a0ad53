"""A network of four pairs without a model around it, for tests of optimizers and averages."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from core.config import OptimizerConfig
from core.config.model import OptimizerName
from core.lora.network import Network, Pair
from core.training.optimizers import set_rates

CPU = torch.device("cpu")
NAMES: tuple[OptimizerName, ...] = OptimizerName.__args__  # type: ignore[attr-defined]
PATHS = ("down_blocks.1.attentions.0.to_q", "down_blocks.10.attentions.0.to_q", "mid_block.attentions.0.to_q")


class Layer(nn.Module):
    """As much of a LoRA layer of peft as a pair looks at."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.lora_A = {"default": nn.Linear(6, 2, bias=False)}
        self.lora_B = {"default": nn.Linear(2, 5, bias=False)}
        self.lora_alpha = {"default": 2.0}
        for layer in (self.lora_A["default"], self.lora_B["default"]):
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)


def small_network() -> Network:
    """Three pairs of a denoiser and one of a text encoder."""
    pairs = [Pair("lora_unet_" + path.replace(".", "_"), path, Layer(seed)) for seed, path in enumerate(PATHS)]
    return Network(pairs, [Pair("lora_te_layers_0_q_proj", "layers.0.q_proj", Layer(9))])


def config_of(name: OptimizerName = "adamw", **options: Any) -> OptimizerConfig:
    return OptimizerConfig(name=name, **{"learning_rate": 0.01, "text_encoder_learning_rate": 0.005, **options})


def learn(network: Network, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Steps towards weights of 0.5, each pulled another way."""
    for step in steps:
        set_rates(optimizer, 1 / (1 + step))
        generator = torch.Generator().manual_seed(step)
        loss = torch.zeros(())
        for pair in network.pairs:
            product = pair.up @ pair.down
            loss = loss + (product - torch.randn(product.shape, generator=generator)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(network: Network) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def saved(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it comes back from the disk, where nothing but tensors and plain values may be in it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
