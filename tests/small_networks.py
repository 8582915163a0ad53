"""A network of four modules without a model around it, for tests of optimizers and averages."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from core.config import OptimizerConfig
from core.config.model import OptimizerName
from core.families.base import Parts
from core.lora.adapted import Adapted
from core.lora.kinds_lora import LoraDelta
from core.lora.network import Network, NetworkModule
from core.training.optimizers import set_rates

CPU = torch.device("cpu")
NAMES: tuple[OptimizerName, ...] = OptimizerName.__args__  # type: ignore[attr-defined]
PATHS = ("down_blocks.1.attentions.0.to_q", "down_blocks.10.attentions.0.to_q", "mid_block.attentions.0.to_q")


def adapted(seed: int) -> Adapted:
    """A pair of rank 2 on a layer with 6 inputs and 5 outputs, all of it random."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(6, 5, bias=False)
    delta = LoraDelta(layer, 2, 1.0)
    for weight in (delta.down, delta.up, layer.weight):
        weight.data = torch.randn(weight.shape, generator=generator)
    layer.requires_grad_(False)
    return Adapted(layer, delta)


def small_network(*, dora: bool = False) -> Network:
    """Three modules of a denoiser and one of a text encoder."""
    modules = [NetworkModule("lora_unet_" + path.replace(".", "_"), path, adapted(n)) for n, path in enumerate(PATHS)]
    network = Network(modules, [NetworkModule("lora_te_layers_0_q_proj", "layers.0.q_proj", adapted(9))])
    if dora:
        for module in network.modules:
            module.layer.decompose()
    return network


def down(module: NetworkModule) -> nn.Parameter:
    """The weight of a pair that narrows."""
    return module.weights()["lora_down.weight"]


def up(module: NetworkModule) -> nn.Parameter:
    """The weight of a pair that widens again."""
    return module.weights()["lora_up.weight"]


def product(module: NetworkModule) -> torch.Tensor:
    """All that a module adds to its layer's weight, [out, in * k * k], without the scale."""
    return up(module).flatten(1) @ down(module).flatten(1)


def small_parts() -> Parts:
    """A Stable Diffusion 1 with every sort of layer and few of each, in memory; it has no tokenizer and no VAE."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    denoiser = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    )
    for module in (denoiser, text_encoder):
        module.requires_grad_(False).eval()
    return Parts(
        tokenizer=None,
        text_encoder=text_encoder,
        denoiser=denoiser,
        vae=nn.Identity(),
        scheduler_config={},
        alphas_cumprod=torch.linspace(0.99, 0.01, 1000),
        prediction="epsilon",
    )


def predict(parts: Parts) -> torch.Tensor:
    """What the small model answers to the same latents and words every time."""
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    words = parts.text_encoder(torch.arange(20)[None]).last_hidden_state
    answer: torch.Tensor = parts.denoiser(latents, torch.tensor([500]), encoder_hidden_states=words).sample
    return answer


def config_of(name: OptimizerName = "adamw", **options: Any) -> OptimizerConfig:
    return OptimizerConfig(name=name, **{"learning_rate": 0.01, "text_encoder_learning_rate": 0.005, **options})


def learn(network: Network, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Steps towards weights of 0.5, each pulled another way."""
    for step in steps:
        set_rates(optimizer, 1 / (1 + step))
        generator = torch.Generator().manual_seed(step)
        loss = torch.zeros(())
        for module in network.modules:
            added = product(module)
            loss = loss + (added - torch.randn(added.shape, generator=generator)).square().mean()
            if module.layer.lora_magnitude is not None:
                loss = loss + module.layer(torch.randn(3, 6, generator=generator)).square().mean()
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
