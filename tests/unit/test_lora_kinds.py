"""What each kind of network adds, against the formulas of the papers, and files of each kind there and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.config import NetworkConfig
from core.errors import UserError
from core.families.base import Parts
from core.families.sd1 import FAMILY
from core.lora.adapted import Adapted
from core.lora.file import load_lora, save_lora
from core.lora.kinds_file import delta_of, new_delta
from core.lora.network import Network, add_from_file, add_network, remove_network
from core.lora.norms import added_norms, limit_norms
from core.training.averaging import Averaging
from core.training.optimizers import make_optimizer, restore_optimizer, set_rates
from tests.small_networks import CPU, config_of, predict, same, saved, small_parts, weights

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4, "alpha": 2.0},
    "locon": {"rank": 4, "alpha": 2.0, "conv_rank": 2, "conv_alpha": 1.0},
    "dora": {"rank": 4, "alpha": 2.0, "conv_rank": 2, "dora": True},
    "loha": {"kind": "loha", "rank": 2, "alpha": 1.0, "conv_rank": 2},
    "lokr": {"kind": "lokr", "rank": 1, "alpha": 0.5, "conv_rank": 1},
    "lokr in eight": {"kind": "lokr", "rank": 2, "alpha": 1.0, "conv_rank": 2, "factor": 2},
    "whole lokr": {"kind": "lokr", "rank": 16, "alpha": 2.0, "conv_rank": 16},
    "rank-stabilized": {"rank": 4, "alpha": 2.0, "conv_rank": 2, "rank_stabilized": True},
}
every_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def loaded() -> Parts:
    return small_parts()


@pytest.fixture
def parts(loaded: Parts) -> Parts:
    """The small model without a network."""
    remove_network(loaded)
    loaded.denoiser.eval()
    return loaded


def network_of(parts: Parts, **options: Any) -> Network:
    return add_network(parts, FAMILY, NetworkConfig(**options), seed=0)


def fill(network: Network, width: float = 0.5) -> None:
    """Random weights everywhere; lengths only a little away from those of the base model."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(weight * (1 + 0.2 * noise) if name.endswith("dora_scale") else width * noise)


def furthest(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs().max())


# --- the formulas, by a module's tensors in a file ------------------------------------------------------------------


def whole_weight(tensors: Mapping[str, Tensor], base: Tensor) -> Tensor:
    """The weight that a program computes which knows nothing but the file and the base model."""
    rows = {name: tensor.double() for name, tensor in tensors.items()}
    scale = 1.0
    if "lora_up.weight" in rows:
        up, down = rows["lora_up.weight"].flatten(1), rows["lora_down.weight"]
        if "lora_mid.weight" in rows:
            down = torch.einsum("rskl,si->rikl", rows["lora_mid.weight"], down.flatten(1))
        rank, delta = len(down), torch.einsum("or,rx->ox", up, down.flatten(1))
    elif "hada_w1_a" in rows:
        rank = len(rows["hada_w1_b"])
        halves = []
        for half in "12":
            a, b = rows[f"hada_w{half}_a"], rows[f"hada_w{half}_b"]
            if (middle := rows.get(f"hada_t{half}")) is not None:
                halves.append(torch.einsum("ijkl,ip,jr->prkl", middle, a, b).flatten(1))
            else:
                halves.append(a @ b)
        delta = halves[0] * halves[1]
    else:
        rank = 0
        sides = []
        for side in "12":
            if (whole := rows.get(f"lokr_w{side}")) is not None:
                sides.append(whole.flatten(1))
                continue
            a, b = rows[f"lokr_w{side}_a"], rows[f"lokr_w{side}_b"]
            rank = len(b)
            middle = rows.get("lokr_t2")
            sides.append(a @ b if middle is None else torch.einsum("ijkl,ip,jr->prkl", middle, a, b).flatten(1))
        # Of the Kronecker product: row a * rows + b, column c * columns + d.
        delta = torch.einsum("ac,bd->abcd", *sides).flatten(0, 1).flatten(1)
    if rank and "alpha" in rows:
        scale = float(rows["alpha"]) / rank
    weight = base.double() + scale * delta.reshape(base.shape)
    if (lengths := rows.get("dora_scale")) is None:
        return weight
    over = (0, 2, 3)[: weight.ndim - 1] if len(lengths) == 1 else tuple(range(1, weight.ndim))
    return weight * lengths / weight.square().sum(over, keepdim=True).sqrt()


def inputs_of(layer: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (2, layer.in_channels, 5, 5) if isinstance(layer, nn.Conv2d) else (2, 5, layer.in_features)  # type: ignore[arg-type]
    return torch.randn(shape, generator=generator)


def with_weight(layer: nn.Module, weight: Tensor, inputs: Tensor) -> Tensor:
    """The layer's output with another weight."""
    if isinstance(layer, nn.Conv2d):
        bias = None if layer.bias is None else layer.bias.double()
        return nn.functional.conv2d(inputs.double(), weight, bias, layer.stride, layer.padding).float()
    assert isinstance(layer, nn.Linear)
    return nn.functional.linear(inputs.double(), weight, None if layer.bias is None else layer.bias.double()).float()


def of_module(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


# --- training ---------------------------------------------------------------------------------------------------------


@every_kind
def test_training_begins_at_the_base_model_and_every_module_does_what_its_file_says(
    parts: Parts, options: dict[str, Any]
) -> None:
    before = predict(parts)
    network = network_of(parts, **options)
    torch.testing.assert_close(predict(parts), before, atol=1e-6, rtol=1e-5)
    assert all(weight.dtype == torch.float32 and weight.requires_grad for _, weight in network.named_parameters())
    assert not any(weight.requires_grad for name, weight in parts.denoiser.named_parameters() if ".lora_" not in name)
    fill(network)
    assert furthest(predict(parts), before) > 1e-3
    tensors, norms = network.tensors(), added_norms(network.modules).tolist()
    for module, norm in zip(network.modules, norms, strict=True):
        layer: Any = module.layer.base_layer
        weight = whole_weight(of_module(tensors, module.name), layer.weight)
        inputs = inputs_of(layer)
        with torch.no_grad():
            torch.testing.assert_close(
                module.layer(inputs), with_weight(layer, weight, inputs), atol=2e-5, rtol=2e-4, msg=module.path
            )
        assert norm == pytest.approx(float((weight - layer.weight.double()).norm()), rel=1e-4), module.path
    remove_network(parts)
    torch.testing.assert_close(predict(parts), before, atol=0, rtol=0)


@every_kind
def test_every_weight_has_a_gradient_and_steps_lower_the_loss(parts: Parts, options: dict[str, Any]) -> None:
    network = network_of(parts, **options)
    trained = [weight for _, weight in network.named_parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    losses = []
    for _ in range(2):
        loss = predict(parts).square().mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(weight.grad is not None and float(weight.grad.abs().max()) > 0 for weight in trained)


@every_kind
def test_a_file_gives_back_what_was_trained(parts: Parts, tmp_path: Path, options: dict[str, Any]) -> None:
    network = network_of(parts, **options)
    fill(network)
    trained, names = predict(parts), set(network.tensors())
    path = tmp_path / "角色 😀.safetensors"
    save_lora(path, network.tensors(), "fp32", {})
    remove_network(parts)
    again = add_from_file(parts, FAMILY, load_lora(path))
    torch.testing.assert_close(predict(parts), trained, atol=1e-5, rtol=1e-4)
    assert set(again.tensors()) == names
    if "kind" in options or options.get("dora"):
        return
    remove_network(parts)
    add_from_file(parts, FAMILY, load_lora(path), strength=0.5)
    halved = {name: tensor / 2 if name.endswith("alpha") else tensor for name, tensor in load_lora(path).items()}
    at_half = predict(parts)
    remove_network(parts)
    add_from_file(parts, FAMILY, halved)
    torch.testing.assert_close(predict(parts), at_half)


def test_the_gradient_of_a_loha_is_the_same_narrow_and_whole() -> None:
    layer = nn.Linear(12, 12)
    delta: Any = new_delta("loha", layer, 2, 0.5, -1)
    with torch.no_grad():
        delta.w2_a.normal_()
    inputs = torch.randn(3, 12)
    found = []
    for is_narrow in (False, True):
        delta._is_narrow = is_narrow
        delta.zero_grad()
        delta(inputs).square().sum().backward()
        found.append([weight.grad.clone() for weight in delta.parameters()])
    torch.testing.assert_close(found[0], found[1])


def test_the_lengths_of_a_dora_follow_their_gradient_and_count_as_constants_elsewhere() -> None:
    layer = nn.Linear(6, 5)
    adapted = Adapted(layer, new_delta("lora", layer, 2, 1.0, -1))
    adapted.decompose()
    delta: Any = adapted.lora_delta
    nn.init.normal_(delta.up)
    inputs, pull = torch.randn(4, 6), torch.randn(4, 5)
    (adapted(inputs) * pull).sum().backward()
    whole = (layer.weight + delta.dense()).detach()
    lengths = whole.norm(dim=0)
    by_weight = pull.mT @ inputs  # Of the loss by the weight that is used.
    assert adapted.lora_magnitude is not None and adapted.lora_magnitude.grad is not None
    torch.testing.assert_close(adapted.lora_magnitude.grad, (by_weight * whole / lengths).sum(0, keepdim=True))
    turned = adapted.lora_magnitude.detach() / lengths
    torch.testing.assert_close(delta.down.grad, delta.up.detach().mT @ (by_weight * turned))


@pytest.mark.parametrize("options", [KINDS["dora"], KINDS["loha"], KINDS["lokr"]])
def test_dropouts_leave_out_in_training_only(parts: Parts, options: dict[str, Any]) -> None:
    base = predict(parts)
    for chances in ({"dropout": 0.5}, {"rank_dropout": 0.5}, {"module_dropout": 0.9999999}):
        remove_network(parts)
        network = network_of(parts, train_text_encoder=False, **options, **chances)
        fill(network)
        whole = predict(parts)
        parts.denoiser.train()
        torch.manual_seed(1)
        first, second = predict(parts), predict(parts)
        parts.denoiser.eval()
        torch.testing.assert_close(predict(parts), whole, atol=0, rtol=0)
        if "module_dropout" in chances:
            torch.testing.assert_close(first, base, atol=1e-5, rtol=1e-4)
        else:
            assert furthest(first, whole) > 1e-4 and furthest(first, second) > 1e-4


@pytest.mark.parametrize("options", [KINDS["locon"], KINDS["loha"], KINDS["lokr"], KINDS["whole lokr"]])
def test_only_modules_beyond_the_limit_are_scaled_back(parts: Parts, options: dict[str, Any]) -> None:
    network = network_of(parts, **options)
    fill(network)
    before = added_norms(network.modules)
    limit = float(before.median())
    limit_norms(network.modules, limit)
    torch.testing.assert_close(added_norms(network.modules), before.clamp(max=limit), rtol=1e-4, atol=1e-6)


def test_rank_stabilized_modules_are_as_strong_in_other_programs(parts: Parts) -> None:
    network = network_of(parts, rank=16, alpha=4.0, rank_stabilized=True)
    assert {module.delta.scale for module in network.modules} == {4.0 / 16**0.5}
    assert {round(module.alpha, 6) for module in network.modules} == {4.0 * 16**0.5}


@pytest.mark.parametrize("options", [KINDS["dora"], KINDS["loha"], KINDS["lokr"]])
def test_a_continued_run_of_every_kind_is_the_uninterrupted_one_to_the_bit(
    parts: Parts, options: dict[str, Any]
) -> None:
    config = config_of(ema_decay=0.9, weight_decay=0.1, block_rates=("mid_block=0.5",))
    chances = {"dropout": 0.2, "rank_dropout": 0.2, "module_dropout": 0.2, "max_norm": 0.01}

    def begun() -> tuple[Network, torch.optim.Optimizer, Averaging]:
        remove_network(parts)
        network = network_of(parts, train_text_encoder=False, **options, **chances)
        optimizer = make_optimizer(network, config, CPU)
        return network, optimizer, Averaging(config, optimizer)

    def go(network: Network, optimizer: torch.optim.Optimizer, averaging: Averaging, steps: range) -> None:
        parts.denoiser.train()
        for step in steps:
            torch.manual_seed(step)
            set_rates(optimizer, 1 / (1 + step))
            predict(parts).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            limit_norms(network.modules, chances["max_norm"])
            averaging.update()
        parts.denoiser.eval()

    whole = begun()
    go(*whole, range(2))
    uninterrupted = (weights(whole[0]), saved(whole[2].state()))
    whole = begun()
    go(*whole, range(1))
    state = saved({"weights": weights(whole[0]), "optimizer": whole[1].state_dict(), "average": whole[2].state()})
    network, optimizer, averaging = begun()
    network.load_tensors(state["weights"])
    assert restore_optimizer(optimizer, state["optimizer"])
    averaging.load_state(state["average"])
    go(network, optimizer, averaging, range(1, 2))
    assert same(weights(network), uninterrupted[0])
    torch.testing.assert_close(averaging.state(), uninterrupted[1], atol=0, rtol=0)


# --- files of other programs ------------------------------------------------------------------------------------------


def random(*shape: int) -> Tensor:
    return torch.randn(shape) * 0.5


MODULES: dict[str, Callable[[int, int], dict[str, Tensor]]] = {
    "no alpha": lambda out, into: {"lora_down.weight": random(2, into), "lora_up.weight": random(out, 2)},
    "lengths of columns": lambda out, into: {
        "lora_down.weight": random(2, into),
        "lora_up.weight": random(out, 2),
        "alpha": torch.tensor(1.0),
        "dora_scale": 1 + torch.rand(1, into),
    },
    "lengths of rows": lambda out, into: {
        "lora_down.weight": random(2, into),
        "lora_up.weight": random(out, 2),
        "alpha": torch.tensor(1.0),
        "dora_scale": 1 + torch.rand(out, 1),
    },
    "loha with lengths": lambda out, into: {
        "hada_w1_a": random(out, 3),
        "hada_w1_b": random(3, into),
        "hada_w2_a": random(out, 3),
        "hada_w2_b": random(3, into),
        "alpha": torch.tensor(1.5),
        "dora_scale": 1 + torch.rand(out, 1),
    },
    "lokr of two pairs": lambda out, into: {
        "lokr_w1_a": random(2, 1),
        "lokr_w1_b": random(1, 4),
        "lokr_w2_a": random(out // 2, 1),
        "lokr_w2_b": random(1, into // 4),
        "alpha": torch.tensor(0.5),
        "dora_scale": 1 + torch.rand(1, into),
    },
    "whole lokr": lambda out, into: {
        "lokr_w1": random(4, 2),
        "lokr_w2": random(out // 4, into // 2),
        "alpha": torch.tensor(99.0),
    },
}
CONVOLUTIONS: dict[str, Callable[[int, int], dict[str, Tensor]]] = {
    "locon with a middle": lambda out, into: {
        "lora_down.weight": random(3, into, 1, 1),
        "lora_mid.weight": random(3, 3, 3, 3),
        "lora_up.weight": random(out, 3, 1, 1),
        "alpha": torch.tensor(2.0),
    },
    "dora": lambda out, into: {
        "lora_down.weight": random(3, into, 3, 3),
        "lora_up.weight": random(out, 3, 1, 1),
        "dora_scale": 1 + torch.rand(out, 1, 1, 1),
    },
    "loha": lambda out, into: {
        "hada_w1_a": random(out, 2),
        "hada_w1_b": random(2, into * 9),
        "hada_w2_a": random(out, 2),
        "hada_w2_b": random(2, into * 9),
    },
    "loha with middles": lambda out, into: {
        "hada_w1_a": random(2, out),
        "hada_w1_b": random(2, into),
        "hada_t1": random(2, 2, 3, 3),
        "hada_w2_a": random(2, out),
        "hada_w2_b": random(2, into),
        "hada_t2": random(2, 2, 3, 3),
        "alpha": torch.tensor(1.0),
        "dora_scale": 1 + torch.rand(1, into, 1, 1),
    },
    "lokr": lambda out, into: {
        "lokr_w1": random(2, 4),
        "lokr_w2_a": random(out // 2, 2),
        "lokr_w2_b": random(2, into // 4 * 9),
        "alpha": torch.tensor(1.0),
    },
    "lokr with a middle": lambda out, into: {
        "lokr_w1": random(2, 4),
        "lokr_w2_a": random(2, out // 2),
        "lokr_w2_b": random(2, into // 4),
        "lokr_t2": random(2, 2, 3, 3),
        "alpha": torch.tensor(1.0),
    },
    "whole lokr": lambda out, into: {"lokr_w1": random(2, 4), "lokr_w2": random(out // 2, into // 4, 3, 3)},
}


def mixed(layers: Mapping[str, nn.Module], makers: Mapping[str, Any]) -> dict[str, Tensor]:
    """A file with a module of each sort, for layers by their names in files."""
    torch.manual_seed(5)
    found = {}
    for (name, layer), make in zip(layers.items(), makers.values(), strict=False):
        out, into = layer.weight.shape[:2]
        found.update({f"{name}.{suffix}": tensor for suffix, tensor in make(out, into).items()})
    assert len(layers) >= len(makers)
    return found


@pytest.mark.parametrize("makers", [MODULES, CONVOLUTIONS], ids=["linear", "conv"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_one_file_may_hold_every_kind(parts: Parts, makers: Mapping[str, Any], strength: float) -> None:
    layers = {
        FAMILY.denoiser_key(path): layer
        for path, layer in parts.denoiser.named_modules()
        if (path.endswith(".to_q") if makers is MODULES else path.endswith(".conv1") and layer.weight.shape[1] % 4 == 0)
    }
    tensors = mixed(layers, makers)
    network = add_from_file(parts, FAMILY, tensors, strength)
    assert len(network.modules) == len(makers)
    for module, label in zip(network.modules, makers, strict=True):
        base: Any = module.layer.base_layer
        weight = whole_weight(of_module(tensors, module.name), base.weight)
        weight = base.weight.double() + strength * (weight - base.weight.double())
        inputs = inputs_of(base)
        with torch.no_grad():
            found, wanted = module.layer(inputs), with_weight(base, weight, inputs)
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=2e-4, msg=label)


@pytest.mark.parametrize("name", ["lora_unet_conv_in", "lora_unet_time_embedding_linear_1"])
def test_layers_that_kiln_does_not_train_are_drawn_with(parts: Parts, name: str) -> None:
    before = predict(parts)
    layer: Any = parts.denoiser.get_submodule(name.removeprefix("lora_unet_").replace("embedding_", "embedding."))
    out, into, *kernel = layer.weight.shape
    down, up = random(2, into, *kernel), random(out, 2, *[1] * len(kernel))
    add_from_file(parts, FAMILY, {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up})
    assert furthest(predict(parts), before) > 1e-4


def test_a_text_encoder_that_is_never_trained_is_not_asked_for_names(parts: Parts) -> None:
    class DenoiserOnly(type(FAMILY)):  # type: ignore[misc]
        text_encoder_targets = ()

        def text_encoder_key(self, module: str) -> str:
            raise ValueError(module)

    network = add_network(parts, DenoiserOnly(), NetworkConfig(rank=2), seed=0)
    tensors = network.tensors()
    assert network.denoiser_modules and not network.text_encoder_modules
    remove_network(parts)
    assert len(add_from_file(parts, DenoiserOnly(), tensors).modules) == len(network.modules)
    remove_network(parts)
    with pytest.raises(UserError, match="Neither the denoiser nor the text encoder"):
        add_network(parts, DenoiserOnly(), NetworkConfig(train_denoiser=False), seed=0)


def test_sizes_that_do_not_fit_leave_the_base_model_as_it_was(parts: Parts) -> None:
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    for tensors in (
        {"lora_down.weight": random(2, 7), "lora_up.weight": random(8, 2)},
        {"lora_down.weight": random(2, 8)},
        {"hada_w1_a": random(8, 2), "hada_w1_b": random(2, 8), "hada_w2_a": random(8, 2), "hada_w2_b": random(2, 9)},
        {"lokr_w1": random(2, 2), "lokr_w2": random(4, 5)},
        {"lora_down.weight": random(2, 8), "lora_up.weight": random(8, 2), "dora_scale": random(3, 1)},
    ):
        with pytest.raises(UserError, match="sizes of this LoRA do not fit"):
            add_from_file(parts, FAMILY, {f"{name}.{suffix}": tensor for suffix, tensor in tensors.items()})
        assert not any("lora" in path for path, _ in parts.denoiser.named_parameters())


# --- going on ---------------------------------------------------------------------------------------------------------


@every_kind
def test_a_file_of_every_kind_can_be_continued(parts: Parts, tmp_path: Path, options: dict[str, Any]) -> None:
    network = network_of(parts, **options)
    fill(network)
    before, path = predict(parts), tmp_path / "lora.safetensors"
    save_lora(path, network.tensors(), "fp32", {})
    remove_network(parts)
    changed = {**options, "alpha": 2 * options["alpha"]}
    network = network_of(parts, start_from=path, **changed)
    torch.testing.assert_close(predict(parts), before, atol=2e-5, rtol=2e-4)
    assert network.denoiser_modules[0].delta.kind == options.get("kind", "lora")


def test_a_continued_file_of_another_form_becomes_this_one(parts: Parts, tmp_path: Path) -> None:
    layers = {
        FAMILY.denoiser_key(path): layer
        for path, layer in parts.denoiser.named_modules()
        if path.endswith(".conv1") and layer.weight.shape[1] % 4 == 0
    }
    path = tmp_path / "lora.safetensors"
    save_lora(path, mixed(layers, {"one": CONVOLUTIONS["locon with a middle"]}), "fp32", {})
    add_from_file(parts, FAMILY, load_lora(path))
    before = predict(parts)
    remove_network(parts)
    network = network_of(parts, rank=4, conv_rank=3, start_from=path)
    torch.testing.assert_close(predict(parts), before, atol=1e-5, rtol=1e-4)
    assert not any("lora_mid" in name for name in network.tensors())

    remove_network(parts)
    save_lora(path, mixed(layers, {"one": CONVOLUTIONS["dora"]}), "fp32", {})
    add_from_file(parts, FAMILY, load_lora(path))
    before = predict(parts)
    remove_network(parts)
    network = network_of(parts, rank=4, conv_rank=3, conv_alpha=3.0, dora=True, start_from=path)
    torch.testing.assert_close(predict(parts), before, atol=1e-5, rtol=1e-4)
    state = network.tensors()
    remove_network(parts)
    resumed = network_of(parts, rank=4, conv_rank=3, conv_alpha=3.0, dora=True)
    parameters = dict(resumed.named_parameters())
    resumed.load_tensors(state)  # With lengths of rows, which the new one does not have.
    torch.testing.assert_close(predict(parts), before, atol=1e-5, rtol=1e-4)
    assert all(weight is parameters[name] for name, weight in resumed.named_parameters())


def test_a_plain_lora_goes_on_as_a_dora_that_is_the_same(parts: Parts, tmp_path: Path) -> None:
    network = network_of(parts, rank=4, alpha=2.0)
    fill(network)
    before, path = predict(parts), tmp_path / "lora.safetensors"
    save_lora(path, network.tensors(), "fp32", {})
    remove_network(parts)
    network_of(parts, rank=4, alpha=2.0, dora=True, start_from=path)
    torch.testing.assert_close(predict(parts), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("made", "settings", "message", "remedy"),
    [
        ("loha", "lora", "it is a LoHa, and the settings ask for LoRA", "kind of network to LoHa"),
        ("dora", "locon", "without weight decomposition", "Turn on weight decomposition"),
        ("lokr", "lokr in eight", "rank 1, and the settings ask for rank 2", "Set the rank to 1"),
        ("whole lokr", "lokr in eight", "split its weights in another way", "factor and the rank"),
    ],
)
def test_a_file_of_another_kind_says_what_to_set(
    parts: Parts, tmp_path: Path, made: str, settings: str, message: str, remedy: str
) -> None:
    path = tmp_path / "lora.safetensors"
    save_lora(path, network_of(parts, **KINDS[made]).tensors(), "fp32", {})
    remove_network(parts)
    with pytest.raises(UserError, match=message) as error:
        network_of(parts, start_from=path, **KINDS[settings])
    assert remedy in error.value.remedy


def test_a_module_without_a_network_inside_computes_in_the_number_format_of_the_base_layer() -> None:
    for options in ({"kind": "lora"}, {"kind": "loha"}, {"kind": "lokr"}):
        layer = nn.Linear(8, 8).to(torch.bfloat16).requires_grad_(False)
        adapted = Adapted(layer, new_delta(options["kind"], layer, 2, 1.0, -1))  # type: ignore[arg-type]
        assert adapted(torch.randn(1, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
        assert adapted.weight.dtype == torch.bfloat16
        adapted.decompose()
        with torch.autocast("cpu", torch.bfloat16):
            out = adapted(torch.randn(1, 8, dtype=torch.bfloat16))
        out.float().sum().backward()
        assert adapted.lora_magnitude is not None and adapted.lora_magnitude.grad is not None
        assert adapted.lora_magnitude.grad.dtype == torch.float32


def test_a_delta_of_a_file_is_a_copy() -> None:
    layer, given = nn.Linear(4, 4), {"lora_down.weight": torch.ones(1, 4), "lora_up.weight": torch.ones(4, 1)}
    delta = delta_of(layer, given)
    with torch.no_grad():
        delta.rescale(2.0)
    assert float(given["lora_up.weight"].max()) == 1
