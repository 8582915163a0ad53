"""The sizes that an estimate goes by are those of the modules themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import nn

from core.config import NetworkConfig
from core.families.base import family
from core.lora.network import NetworkModule, add_network
from core.model_shape import shape_of
from core.models import describe_base

RANK = 3


def num_weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def num_trained(modules: Iterable[NetworkModule]) -> int:
    return sum(weight.numel() for module in modules for weight in module.weights().values())


@pytest.mark.parametrize("fixture", ["tiny_sd1", "tiny_sd2", "tiny_sdxl"])
def test_weights_and_trained_numbers_are_counted_as_they_are(fixture: str, request: pytest.FixtureRequest) -> None:
    base = describe_base(Path(request.getfixturevalue(fixture)))
    shape = shape_of(base)
    model_family = family(base.family)
    parts = model_family.load(base, torch.float32)
    counts = tuple(num_weights(module) for module in (parts.denoiser, parts.text_encoder, parts.vae))
    assert (shape.denoiser, shape.text_encoder, shape.vae) == counts
    network = add_network(parts, model_family, NetworkConfig(rank=RANK, train_text_encoder=True), 1)
    assert num_trained(network.denoiser_modules) == RANK * shape.lora_denoiser
    assert num_trained(network.text_encoder_modules) == RANK * shape.lora_text_encoder
