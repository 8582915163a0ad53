"""Optimizers: their groups, rates and arguments, their updates by hand, and states that go on to the bit."""

from __future__ import annotations

import importlib
import math
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from core.config.model import OptimizerName
from core.errors import UserError
from core.lora.selection import longest_prefix
from core.training.averaging import Averaging
from core.training.optimizers import make_optimizer, restore_optimizer, set_rates
from tests.small_networks import (
    CPU,
    NAMES,
    PATHS,
    config_of,
    down,
    learn,
    product,
    same,
    saved,
    small_network,
    weights,
)

INSTALLED = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec("bitsandbytes"), reason="bitsandbytes is an extra"))
    if name == "adamw8bit"
    else name
    for name in NAMES
]


@pytest.mark.parametrize("name", INSTALLED)
def test_a_continued_run_is_the_uninterrupted_one_to_the_bit(name: OptimizerName) -> None:
    config = config_of(name, block_rates=("down_blocks.1=0.5",))
    whole = small_network()
    optimizer = make_optimizer(whole, config, CPU)
    learn(whole, optimizer, range(4))
    weights_then, state_then = saved(weights(whole)), saved(optimizer.state_dict())
    learn(whole, optimizer, range(4, 9))

    continued = small_network()
    again = make_optimizer(continued, config, CPU)
    continued.load_tensors(weights_then)
    assert restore_optimizer(again, state_then)
    learn(continued, again, range(4, 9))
    assert same(weights(continued), weights(whole))
    assert not same(weights(whole), weights_then)


@pytest.mark.parametrize("name", INSTALLED)
def test_every_optimizer_learns(name: OptimizerName) -> None:
    network = small_network()
    self_tuned = name in ("prodigy", "dadaptation")
    arguments = ("d0=0.01",) if self_tuned else ()  # Else they need hundreds of steps to find a rate.
    optimizer = make_optimizer(network, config_of(name, learning_rate=0.02, arguments=arguments), CPU)

    def distance() -> float:
        return float(sum(product(module).detach().square().mean() for module in network.modules))

    before = distance()
    for _ in range(60):
        torch.stack([product(module).square().mean() for module in network.modules]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    with Averaging(config_of(name), optimizer).swapped_in():
        assert distance() < 0.9 * before


def test_block_rates_go_to_the_longest_name_that_fits() -> None:
    factors = {"down_blocks.1": 0.5, "down_blocks.1.attentions": 2.0, "mid_block": 0.0}
    fitting = [longest_prefix(path, factors) for path in PATHS]
    assert fitting == ["down_blocks.1.attentions", None, "mid_block"]  # down_blocks.10 is another block.

    network = small_network()
    lines = ("down_blocks.1=0.5", "down_blocks.1.attentions = 2", "mid_block=0")
    optimizer = make_optimizer(network, config_of(block_rates=lines), CPU)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
    block1, block10, _, text = (
        f"{module.name}.lora_up.weight" for module in [*network.denoiser_modules, *network.text_encoder_modules]
    )
    assert {name: rate for name, rate in rates.items() if name.endswith("up.weight")} == {
        block1: 0.02,
        block10: 0.01,
        text: 0.005,
    }
    before = weights(network)
    learn(network, optimizer, range(2))
    unchanged = [name for name, weight in weights(network).items() if torch.equal(weight, before[name])]
    assert unchanged == [
        "lora_unet_mid_block_attentions_0_to_q.lora_down.weight",
        "lora_unet_mid_block_attentions_0_to_q.lora_up.weight",
    ]
    assert set_rates(optimizer, 0.5) == 0.005  # What is shown is the full rate of the denoiser.


def test_lengths_have_the_rate_of_their_part_and_do_not_decay() -> None:
    network = small_network(dora=True)
    lines = ("down_blocks.1=0.5", "mid_block=0")
    optimizer = make_optimizer(network, config_of(block_rates=lines, weight_decay=0.1), CPU)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name in group["names"]
        if not name.endswith("down.weight")
    }
    block1, block10, middle, text = (
        module.name for module in [*network.denoiser_modules, *network.text_encoder_modules]
    )
    assert found == {
        f"{block1}.lora_up.weight": (0.005, 0.1),
        f"{block1}.dora_scale": (0.005, 0.0),
        f"{block10}.lora_up.weight": (0.01, 0.1),
        f"{block10}.dora_scale": (0.01, 0.0),
        f"{text}.lora_up.weight": (0.005, 0.1),
        f"{text}.dora_scale": (0.005, 0.0),
    }
    before = weights(network)
    learn(network, optimizer, range(2))
    assert {name for name, weight in weights(network).items() if torch.equal(weight, before[name])} == {
        f"{middle}.{end}" for end in ("lora_down.weight", "lora_up.weight", "dora_scale")
    }
    assert set_rates(optimizer, 0.5) == 0.005  # What is shown is the full rate of the denoiser.


@pytest.mark.parametrize("name", INSTALLED)
def test_every_optimizer_learns_lengths_and_goes_on_with_them(name: OptimizerName) -> None:
    whole = small_network(dora=True)
    optimizer = make_optimizer(whole, config_of(name, weight_decay=0.1), CPU)
    begun = weights(whole)
    learn(whole, optimizer, range(3))
    weights_then, state_then = saved(weights(whole)), saved(optimizer.state_dict())
    learn(whole, optimizer, range(3, 6))
    assert not any(torch.equal(weights(whole)[key], begun[key]) for key in begun if key.endswith("dora_scale"))
    again = small_network(dora=True)
    other = make_optimizer(again, config_of(name, weight_decay=0.1), CPU)
    again.load_tensors(weights_then)
    assert restore_optimizer(other, state_then)
    learn(again, other, range(3, 6))
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("down_blocks.7=1",), "down_blocks.7 fits no part"),
        (("down_blocks.1",), "is no rate of a block"),
        (("down_blocks.1=fast",), "is no rate of a block"),
        (("down_blocks.1=-1",), "is no rate of a block"),
        (("=1",), "is no rate of a block"),
        (("down_blocks=0", "mid_block=0"), "Nothing would be trained"),
    ],
)
def test_wrong_block_rates_are_named(lines: tuple[str, ...], message: str) -> None:
    config = config_of(block_rates=lines, text_encoder_learning_rate=0.0)
    with pytest.raises(UserError, match=message):
        make_optimizer(small_network(), config, CPU)


def test_arguments_reach_the_optimizer_and_go_before_the_settings() -> None:
    network = small_network()
    lines = ("amsgrad = true", "", "betas=(0.5, 0.6)", "weight_decay=1e-3")
    (group, _) = make_optimizer(network, config_of(arguments=lines), CPU).param_groups
    assert (group["amsgrad"], group["betas"], group["weight_decay"]) == (True, (0.5, 0.6), 1e-3)
    lines = ("use_bias_correction=False", "d0=1e-4", "growth_rate=1.02")
    (group, _) = make_optimizer(network, config_of("prodigy", arguments=lines, growth=2.0), CPU).param_groups
    assert (group["bias_correction"], group["d0"], group["growth_rate"], group["d_coef"]) == (False, 1e-4, 1.02, 2.0)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("adamw", "speed=9", "adamw has no argument speed"),
        ("came", "lr=1", "came has no argument lr"),
        ("lion", "betas", "is no argument"),
        ("lion", "betas=2", "does not take these settings"),
        ("adamw_schedulefree", "betas=(0.0, 0.9)", "does not take these settings"),
    ],
)
def test_wrong_arguments_are_named(name: OptimizerName, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        make_optimizer(small_network(), config_of(name, arguments=(line,)), CPU)
    if "has no argument" in message:
        assert "weight_decay" in error.value.remedy


@pytest.mark.parametrize(("name", "module"), [("adamw8bit", "bitsandbytes.optim"), ("came", "pytorch_optimizer")])
def test_an_optimizer_that_is_missing_says_why(
    name: OptimizerName, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def without(wanted: str, package: str | None = None) -> Any:
        if wanted == module:
            raise ImportError(wanted)
        return real(wanted, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(UserError, match=f"The optimizer {name} is not available") as error:
        make_optimizer(small_network(), config_of(name), CPU)
    assert error.value.failure == "optimizer_unavailable"
    assert "pip install" in error.value.remedy


def test_the_8_bit_optimizer_says_where_it_does_not_compute() -> None:
    with pytest.raises(UserError, match="does not compute on mps"):
        make_optimizer(small_network(), config_of("adamw8bit"), torch.device("mps"))


def test_the_same_kind_of_optimizer_takes_over_and_keeps_the_settings_of_now() -> None:
    network = small_network()
    optimizer = make_optimizer(network, config_of(), CPU)
    learn(network, optimizer, range(3))
    state = saved(optimizer.state_dict())
    lower = make_optimizer(network, config_of(learning_rate=0.002, weight_decay=0.1, block_rates=("mid_block=3",)), CPU)
    assert restore_optimizer(lower, state)
    assert [group["lr"] for group in lower.param_groups] == [0.002, 0.006, 0.005]
    assert lower.param_groups[0]["weight_decay"] == 0.1
    for weight in (weight for _, weight in network.named_parameters()):
        assert torch.equal(lower.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg"])


def test_another_kind_of_optimizer_begins_anew() -> None:
    network = small_network()
    optimizer = make_optimizer(network, config_of(), CPU)
    learn(network, optimizer, range(2))
    other = make_optimizer(network, config_of("lion"), CPU)
    assert not restore_optimizer(other, saved(optimizer.state_dict()))
    assert not other.state


@pytest.mark.parametrize("name", ["prodigy", "dadaptation"])
def test_each_part_has_its_own_rate_where_the_optimizer_knows_only_one(name: OptimizerName) -> None:
    moved = []
    for rate in (1.0, 0.5):
        network = small_network()
        config = config_of(name, learning_rate=1.0, text_encoder_learning_rate=rate, arguments=("d0=0.001",))
        optimizer, before = make_optimizer(network, config, CPU), weights(network)
        learn(network, optimizer, range(1))
        moved.append({key: weight - before[key] for key, weight in weights(network).items()})
    for key, full in moved[0].items():
        share = 0.5 if key.startswith("lora_te") else 1.0
        torch.testing.assert_close(moved[1][key], share * full, atol=1e-7, rtol=1e-4)
        assert float(full.abs().max()) > 1e-5


@pytest.mark.parametrize("name", ["prodigy", "dadaptation"])
def test_a_rate_for_other_optimizers_stands_for_one_where_the_rate_is_found(name: OptimizerName) -> None:
    optimizer = make_optimizer(small_network(), config_of(name, growth=2.0), CPU)
    factor = 2.0 if name == "dadaptation" else 1.0  # Prodigy has an argument for it.
    assert [group["base_rate"] for group in optimizer.param_groups] == [factor, factor]
    assert set_rates(optimizer, 0.5) == pytest.approx(0.5 * factor * 1e-6)


def first_update(name: OptimizerName, gradient: torch.Tensor, **options: Any) -> torch.Tensor:
    """What one step does to a weight of zeros."""
    network = small_network()
    weight = down(network.denoiser_modules[0])
    weight.data.zero_()
    optimizer = make_optimizer(network, config_of(name, weight_decay=0.0, **options), CPU)
    for _, other in network.named_parameters():
        other.grad = torch.zeros_like(other)
    weight.grad = gradient.clone()
    optimizer.step()
    return weight.detach().clone()


GRADIENT = torch.tensor([[1.0, -2.0, 3.0, -4.0, 5.0, -6.0], [0.5, 0.5, -0.5, 0.5, 1.0, 1.0]])


def test_first_updates_by_hand() -> None:
    torch.testing.assert_close(first_update("adamw", GRADIENT), -0.01 * GRADIENT.sign(), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(first_update("lion", GRADIENT), -0.01 * GRADIENT.sign())
    torch.testing.assert_close(first_update("sgd", GRADIENT), -0.01 * GRADIENT)
    rows, columns = GRADIENT.square().mean(1, keepdim=True), GRADIENT.square().mean(0, keepdim=True)
    scaled = GRADIENT / (rows * columns / rows.mean()).sqrt()
    scaled = scaled / max(1.0, float(scaled.square().mean().sqrt()))
    torch.testing.assert_close(first_update("adafactor", GRADIENT), -0.01 * scaled, atol=1e-6, rtol=1e-4)


def test_lion_forgets_after_a_hundred_steps_unless_told_otherwise() -> None:
    (group, _) = make_optimizer(small_network(), config_of("lion"), CPU).param_groups
    assert group["betas"] == (0.9, 0.99)
    (group, _) = make_optimizer(small_network(), config_of("lion", beta2=0.95), CPU).param_groups
    assert group["betas"] == (0.9, 0.95)


def test_adafactor_takes_its_rate_from_outside_unless_asked() -> None:
    optimizer = make_optimizer(small_network(), config_of("adafactor"), CPU)
    assert not optimizer.param_groups[0]["relative_step"]
    assert set_rates(optimizer, 0.5) == 0.005
    relative = make_optimizer(small_network(), config_of("adafactor", arguments=("relative_step=True",)), CPU)
    assert set_rates(relative, 0.5) == 0.01
    relative.param_groups[0]["step"] = 39_999
    assert set_rates(relative, 0.5) == pytest.approx(1 / math.sqrt(40_000))
