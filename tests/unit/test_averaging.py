"""Averages of the weights against those by hand, and states that go on."""

from __future__ import annotations

import torch

from core.training.averaging import Averaging
from core.training.optimizers import make_optimizer
from tests.small_networks import CPU, config_of, down, learn, product, same, saved, small_network, weights


def test_a_moving_average_is_the_one_by_hand() -> None:
    network = small_network()
    config = config_of(ema_decay=0.5)
    optimizer = make_optimizer(network, config, CPU)
    averaging, weight = Averaging(config, optimizer), down(network.denoiser_modules[0])
    expected = weight.detach().clone()
    for number in range(1, 20):
        learn(network, optimizer, range(number, number + 1))
        averaging.update()
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight.detach()
    own = weights(network)
    with averaging.swapped_in():
        torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-5)
        with averaging.swapped_in():
            torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-5)
        assert not torch.equal(weight, own["lora_unet_down_blocks_1_attentions_0_to_q.lora_down.weight"])
    assert same(weights(network), own)


def test_the_average_of_a_schedule_free_optimizer_is_the_mean_of_its_sequence() -> None:
    network = small_network()
    config = config_of("adamw_schedulefree", ema_decay=0.9)
    optimizer = make_optimizer(network, config, CPU)
    averaging, weight = Averaging(config, optimizer), down(network.denoiser_modules[0])
    sequence = []
    for _ in range(12):
        torch.stack([product(module).square().mean() for module in network.modules]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        averaging.update()
        sequence.append(optimizer.state[weight]["z"].clone())
        assert averaging.state() == {}
    own = weights(network)
    with averaging.swapped_in():
        torch.testing.assert_close(weight.detach(), torch.stack(sequence).mean(0), atol=1e-5, rtol=1e-4)
    assert same(weights(network), own)


def test_an_average_takes_the_form_that_a_state_brings() -> None:
    network = small_network(dora=True)
    config = config_of(ema_decay=0.5)
    averaging = Averaging(config, make_optimizer(network, config, CPU))
    rows = {name: torch.ones(5, 1) for name in weights(network) if name.endswith("dora_scale")}
    network.load_tensors({**weights(network), **rows})
    averaging.load_state({})
    with averaging.swapped_in():
        assert {tuple(weights(network)[name].shape) for name in rows} == {(5, 1)}


def test_an_average_goes_on_from_its_state_and_comes_in_late() -> None:
    network = small_network()
    config = config_of(ema_decay=0.9)
    optimizer = make_optimizer(network, config, CPU)
    averaging = Averaging(config, optimizer)
    learn(network, optimizer, range(3))
    averaging.update()
    other = Averaging(config, optimizer)
    other.load_state(saved(averaging.state()))
    learn(network, optimizer, range(3, 5))
    for both in (averaging, other):
        both.update()
    assert all(map(torch.equal, averaging.state()["averages"], other.state()["averages"]))
    late = Averaging(config, optimizer)
    late.load_state({})
    with late.swapped_in():
        assert same(weights(network), weights(network))
    assert Averaging(config_of(), optimizer).state() == {}


def test_without_an_average_the_weights_are_their_own_average() -> None:
    network = small_network()
    optimizer = make_optimizer(network, config_of(), CPU)
    before = weights(network)
    with Averaging(config_of(), optimizer).swapped_in():
        assert same(weights(network), before)
