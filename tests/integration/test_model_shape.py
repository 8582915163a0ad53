"""The sizes that an estimate goes by are those of the modules themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import nn

from core.config import NetworkConfig, TrainConfig, with_values
from core.estimate_network import num_trained
from core.families.base import family
from core.lora.network import NetworkModule, add_network
from core.model_shape import shape_of
from core.models import describe_base
from core.paths import STARTER_MODEL

RANK = 3


def num_weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def counted(modules: Iterable[NetworkModule]) -> int:
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
    assert counted(network.denoiser_modules) + counted(network.text_encoder_modules) == num_trained(
        with_values(TrainConfig(), {"network.rank": RANK, "network.train_text_encoder": True}), shape
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"conv_rank": 2},
        {"dora": True, "conv_rank": 2},
        {"kind": "loha", "conv_rank": 2},
        {"kind": "lokr", "conv_rank": 4},
        {"kind": "lokr", "factor": 4, "rank": 64, "conv_rank": 1},
        {"layers": "cross_attention", "train_text_encoder": False},
        {"only": ("up_blocks.*",), "leave_out": ("*.ff.*",), "conv_rank": 2},
        {"block_ranks": ("down_blocks.0=0", "mid_block=7"), "rank_stabilized": True},
        {"train_denoiser": False},
    ],
    ids=str,
)
def test_networks_of_all_kinds_are_counted_as_they_are(changes: dict[str, object]) -> None:
    base = describe_base(STARTER_MODEL)
    config = with_values(TrainConfig(), {f"network.{name}": value for name, value in {"rank": RANK, **changes}.items()})
    model_family = family(base.family)
    network = add_network(model_family.load(base, torch.float32), model_family, config.network, 1)
    assert counted([*network.denoiser_modules, *network.text_encoder_modules]) == num_trained(config, shape_of(base))
