"""Files that Kiln writes, in plain diffusers: every layer changes by just what the file says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.lora.delta import delta_weight
from core.lora.formats import Written, respelled
from core.lora.keys import name_of
from core.lora.modules import by_module
from core.models import FamilyName

PARTS = {"unet": "denoiser", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}
ENDS = {
    "unet": (
        "to_q",
        "to_out.0",
        "ff.net.0.proj",
        "proj_in",
        "conv1",
        "conv_shortcut",
        "time_emb_proj",
        "samplers.0.conv",
    ),
    "text_encoder": ("q_proj", "out_proj", "fc1"),
    "text_encoder_2": ("v_proj", "out_proj", "fc2"),
}
Models = dict[str, nn.Module]


def unet_of(family: FamilyName) -> nn.Module:
    from diffusers import UNet2DConditionModel

    is_xl = family == "sdxl"
    cross, plain = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")
    levels = (plain, cross, cross) if is_xl else (cross, cross, cross, plain)
    return UNet2DConditionModel(
        block_out_channels=(4, 8, 8) if is_xl else (4, 8, 8, 8),
        down_block_types=tuple(down for down, _ in levels),
        up_block_types=tuple(up for _, up in reversed(levels)),
        transformer_layers_per_block=(1, 1, 2) if is_xl else 1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=2,
        use_linear_projection=is_xl,
        sample_size=8,
    )


def text_encoder() -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=20,
            max_position_embeddings=8,
        )
    )


@pytest.fixture
def models(request: pytest.FixtureRequest) -> Models:
    torch.manual_seed(0)
    found = {"unet": unet_of(request.param), "text_encoder": text_encoder()}
    return {**found, "text_encoder_2": text_encoder()} if request.param == "sdxl" else found


def layers(models: Models) -> Iterator[tuple[str, str, Any]]:
    for part, model in models.items():
        for path, layer in model.named_modules():
            if path.endswith(ENDS[part]) and isinstance(layer, (nn.Linear, nn.Conv2d)):
                yield part, path, layer


def random_lora(models: Models, family: FamilyName, *, has_lengths: bool, has_mid: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for part, path, layer in layers(models):
        out, inputs, *kernel = layer.weight.shape
        rank = 2 + len(tensors) % 3
        name = name_of(PARTS[part], path, family)  # type: ignore[arg-type]
        is_split = has_mid and kernel == [3, 3]
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, inputs, *([1, 1] if is_split else kernel))
        tensors[f"{name}.lora_up.weight"] = torch.randn(out, rank, *[1] * len(kernel))
        tensors[f"{name}.alpha"] = torch.tensor(1.5)
        if is_split:
            tensors[f"{name}.lora_mid.weight"] = torch.randn(rank, rank, *kernel)
        if has_lengths:
            tensors[f"{name}.dora_scale"] = torch.rand(out, *[1] * (1 + len(kernel))) + 0.5
    return tensors


def load(models: Models, family: FamilyName, tensors: dict[str, Tensor]) -> None:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    pipeline: Any = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    state, alphas = pipeline.lora_state_dict(dict(tensors), unet_config=models["unet"].config)
    pipeline.load_lora_into_unet(state, alphas, models["unet"])
    for part in models.keys() - {"unet"}:
        pipeline.load_lora_into_text_encoder(state, alphas, models[part], prefix=part)


@pytest.mark.parametrize(
    ("models", "family", "spelling", "has_lengths", "has_mid"),
    [
        ("sd1", "sd1", "kohya", False, False),
        ("sd1", "sd1", "peft", True, False),
        ("sdxl", "sdxl", "kohya", False, False),
        ("sdxl", "sdxl", "diffusers", True, False),
        ("sdxl", "sdxl", "peft", False, True),
    ],
    indirect=["models"],
)
def test_diffusers_takes_every_layer_at_its_right_strength(
    models: Models, family: FamilyName, spelling: Written, has_lengths: bool, has_mid: bool
) -> None:
    from peft.tuners.lora import LoraLayer

    tensors = random_lora(models, family, has_lengths=has_lengths, has_mid=has_mid)
    modules = by_module(tensors)
    bases = {(part, path): layer.weight.detach().clone() for part, path, layer in layers(models)}
    load(models, family, respelled(tensors, spelling, family))
    wrapped = {
        (part, path): layer
        for part, model in models.items()
        for path, layer in model.named_modules()
        if isinstance(layer, LoraLayer)
    }
    assert wrapped.keys() == bases.keys()
    assert len(wrapped) == len(modules)
    for (part, path), layer in wrapped.items():
        base = bases[part, path]
        wanted = delta_weight(modules[name_of(PARTS[part], path, family)], base=base)  # type: ignore[arg-type]
        layer.merge()
        torch.testing.assert_close(layer.get_base_layer().weight.detach() - base, wanted, atol=2e-4, rtol=1e-4)
