"""Which layers take part, with which rank: as kohya chooses, by filters and blocks; lines that fit nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.config import NetworkConfig
from core.errors import UserError
from core.families.base import Parts
from core.families.sd1 import FAMILY
from core.lora.network import Network, add_network, remove_network
from core.lora.selection import longest_prefix
from tests.small_networks import small_parts


@pytest.fixture(scope="module")
def loaded() -> Parts:
    return small_parts()


@pytest.fixture
def parts(loaded: Parts) -> Parts:
    remove_network(loaded)
    return loaded


def network_of(parts: Parts, **options: Any) -> Network:
    return add_network(parts, FAMILY, NetworkConfig(**{"rank": 4, "alpha": 2.0, **options}), seed=0)


def paths(parts: Parts, **options: Any) -> set[str]:
    remove_network(parts)
    return {module.path for module in network_of(parts, train_text_encoder=False, **options).denoiser_modules}


def test_convolutions_come_in_with_their_rank_and_the_small_layers_between_them_with_the_usual_one(
    parts: Parts,
) -> None:
    without = paths(parts)
    assert not any(path.endswith(("conv1", "time_emb_proj", "conv_shortcut", ".conv")) for path in without)
    remove_network(parts)
    network = network_of(parts, conv_rank=2, conv_alpha=0.5)
    added = {module.path: module for module in network.denoiser_modules if module.path not in without}
    ends = {path.rpartition(".")[2] for path in added}
    assert ends == {"conv1", "conv2", "time_emb_proj", "conv_shortcut", "conv"}
    assert {(m.rank, m.alpha) for path, m in added.items() if path.endswith(("conv", "conv1", "conv2"))} == {(2, 0.5)}
    assert {(m.rank, m.alpha) for path, m in added.items() if path.endswith(("proj", "shortcut"))} == {(4, 2.0)}
    shapes = {name: tuple(tensor.shape) for name, tensor in network.tensors().items()}
    assert shapes["lora_unet_down_blocks_0_downsamplers_0_conv.lora_down.weight"] == (2, 8, 3, 3)
    assert shapes["lora_unet_down_blocks_0_downsamplers_0_conv.lora_up.weight"] == (8, 2, 1, 1)
    assert shapes["lora_unet_down_blocks_1_resnets_0_conv_shortcut.lora_down.weight"] == (4, 8, 1, 1)
    assert shapes["lora_unet_down_blocks_1_resnets_0_time_emb_proj.lora_up.weight"] == (16, 4)
    assert {module.rank for module in network.text_encoder_modules} == {4}


def test_filters_leave_what_their_names_say(parts: Parts) -> None:
    every = paths(parts, conv_rank=2)
    attention = paths(parts, conv_rank=2, layers="attention")
    assert attention == {path for path in every if ".attn1." in path or ".attn2." in path} and attention
    assert paths(parts, layers="cross_attention") == {path for path in attention if ".attn2." in path}
    ups = paths(parts, only=("up_blocks.*",))
    assert ups == {path for path in paths(parts) if path.startswith("up_blocks.")} and ups
    assert paths(parts, only=("up_blocks.*", "", " *.ff.* ")) == ups | {p for p in paths(parts) if ".ff." in p}
    assert paths(parts, leave_out=("*.ff.*", "mid_block.*")) == {
        path for path in paths(parts) if ".ff." not in path and not path.startswith("mid_block.")
    }
    assert paths(parts, only=("up_blocks.*",), leave_out=("*.attn1.*",), layers="attention") == {
        path for path in ups if ".attn2." in path
    }


def test_filters_are_for_the_denoiser_alone(parts: Parts) -> None:
    network = network_of(parts, only=("up_blocks.*",), layers="cross_attention", block_ranks=("mid_block=8",))
    assert len(network.text_encoder_modules) == 6


def test_blocks_have_their_rank_and_an_alpha_that_goes_along(parts: Parts) -> None:
    lines = ("down_blocks.0=8", " up_blocks = 2", "up_blocks.1.attentions.0=16", "mid_block=0", "")
    network = network_of(parts, block_ranks=lines, conv_rank=3, conv_alpha=1.5)
    found: dict[str, set[tuple[int, float]]] = {}
    for module in network.denoiser_modules:
        if module.path.endswith((".conv", ".conv1", ".conv2")):
            assert (module.rank, module.alpha) == (3, 1.5)
        else:
            prefix = longest_prefix(module.path, [line.partition("=")[0].strip() for line in lines if line]) or ""
            found.setdefault(prefix, set()).add((module.rank, module.alpha))
    assert found == {
        "down_blocks.0": {(8, 4.0)},
        "": {(4, 2.0)},  # down_blocks.1
        "up_blocks": {(2, 1.0)},
        "up_blocks.1.attentions.0": {(16, 8.0)},
    }
    assert not any(module.path.startswith("mid_block") for module in network.denoiser_modules)


def test_the_scale_of_a_block_is_that_of_the_whole_whatever_its_rank(parts: Parts) -> None:
    network = network_of(parts, block_ranks=("down_blocks.0=16",))
    assert {module.delta.scale for module in network.modules} == {0.5}
    remove_network(parts)
    network = network_of(parts, block_ranks=("down_blocks.0=16",), rank_stabilized=True)
    assert {module.delta.scale for module in network.modules} == {2.0 / 4**0.5, 8.0 / 16**0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_ranks": ("down_blocks.7=8",)}, "The block rank down_blocks.7 fits no part"),
        ({"block_ranks": ("down_blocks.1",)}, '"down_blocks.1" is no rank of a block'),
        ({"block_ranks": ("down_blocks.1=few",)}, "is no rank of a block"),
        ({"block_ranks": ("down_blocks.1=-1",)}, "is no rank of a block"),
        ({"block_ranks": ("down_blocks.1=513",)}, "is no rank of a block"),
        ({"block_ranks": ("=4",)}, "is no rank of a block"),
        ({"only": ("up_block.*",)}, r"up_block\.\* fits no layer"),
        ({"leave_out": ("*.atn1.*", "*.ff.*")}, r"\*\.atn1\.\* fits no layer"),
        ({"only": ("*.conv1",)}, "No layer of the denoiser is left to train"),
        ({"leave_out": ("*",)}, "No layer of the denoiser is left to train"),
        ({"block_ranks": ("down_blocks=0", "mid_block=0", "up_blocks=0")}, "No layer of the denoiser is left"),
    ],
)
def test_lines_that_cannot_be_meant_are_named(parts: Parts, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        network_of(parts, **options)
    assert error.value.remedy
    assert not re.search("lora", " ".join(name for name, _ in parts.denoiser.named_parameters()))
