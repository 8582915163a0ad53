"""The options of the LoRA network: parts, dropouts, the weight limit, and going on from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.config import NetworkConfig
from core.errors import UserError
from core.families.base import Parts
from core.families.sd1 import FAMILY
from core.lora.file import save_lora
from core.lora.network import Network, NetworkModule, add_network, remove_network
from core.lora.norms import added_norms, limit_norms
from core.models import describe_base
from tests.small_networks import down, product, up


@pytest.fixture(scope="module")
def loaded(tiny_sd1: Path) -> Parts:
    return FAMILY.load(describe_base(tiny_sd1), torch.float32)


@pytest.fixture
def parts(loaded: Parts) -> Parts:
    """The tiny model without a LoRA."""
    remove_network(loaded)
    loaded.denoiser.eval()
    return loaded


def network_of(parts: Parts, **options: object) -> Network:
    return add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=2.0, **options), seed=0)  # type: ignore[arg-type]


def fill(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules:
            up(module).copy_(torch.randn(up(module).shape, generator=generator))


def predict(parts: Parts, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn((1, 4, 8, 8), generator=generator).expand(batch, -1, -1, -1)
    embeds = torch.randn((1, 77, 16), generator=generator).expand(batch, -1, -1)
    with torch.no_grad():
        return FAMILY.predict(parts, latents, torch.tensor([500]), {"prompt_embeds": embeds})


def test_a_part_that_is_not_trained_takes_no_lora(parts: Parts) -> None:
    network = network_of(parts, train_denoiser=False)
    assert not network.denoiser_modules and network.text_encoder_modules
    assert all(name.startswith("lora_te_") for name in network.tensors())
    remove_network(parts)
    with pytest.raises(UserError, match="Neither the denoiser nor the text encoder"):
        network_of(parts, train_denoiser=False, train_text_encoder=False)


def narrowed(module: NetworkModule, value: torch.Tensor) -> torch.Tensor:
    """What comes through the narrowing weight: the widening one lets each rank through to an output of its own."""
    width, rank = up(module).shape[:2]
    through = torch.eye(width, rank).view(up(module).shape)
    with torch.no_grad():
        up(module).copy_(through)
        added: torch.Tensor = module.delta(value)
    return added[:, :rank] if added.ndim == 4 else added[..., :rank]


def test_rank_dropout_leaves_out_ranks_of_each_sample_and_only_in_training(parts: Parts) -> None:
    network = network_of(parts, rank_dropout=0.5, train_text_encoder=False)
    linear = next(module for module in network.denoiser_modules if down(module).ndim == 2)
    convolution = next(module for module in network.denoiser_modules if down(module).ndim == 4)
    parts.denoiser.train()
    torch.manual_seed(3)
    left_out = narrowed(linear, torch.randn(8, 5, down(linear).shape[1])) == 0
    assert left_out.shape == (8, 5, 4)
    assert torch.equal(left_out.all(dim=1), left_out.any(dim=1))  # The same for all places of a sample.
    assert 0.2 < float(left_out.float().mean()) < 0.8 and len({tuple(row[0].tolist()) for row in left_out}) > 2
    left_out = narrowed(convolution, torch.randn(8, down(convolution).shape[1], 3, 3)) == 0
    assert torch.equal(left_out.all(dim=(2, 3)), left_out.any(dim=(2, 3)))
    parts.denoiser.eval()
    assert int((narrowed(linear, torch.randn(8, 5, down(linear).shape[1])) == 0).sum()) == 0


def test_what_rank_dropout_leaves_counts_as_much_more(parts: Parts) -> None:
    network = network_of(parts, rank_dropout=0.25, train_text_encoder=False)
    linear = next(module for module in network.denoiser_modules if down(module).ndim == 2)
    value = torch.randn(1, 1, down(linear).shape[1])
    whole = narrowed(linear, value)
    linear.layer.train()
    torch.manual_seed(1)
    shown = narrowed(linear, value)
    kept = shown != 0
    torch.testing.assert_close(shown[kept], (whole / 0.75)[kept])
    mean = torch.stack([narrowed(linear, value) for _ in range(1000)]).mean(0)
    torch.testing.assert_close(mean, whole, atol=0.1, rtol=0.1)


def test_module_dropout_leaves_out_whole_pairs(parts: Parts) -> None:
    base = predict(parts)
    network = network_of(parts, module_dropout=0.9999999, train_text_encoder=False)
    fill(network)
    with_lora = predict(parts)
    assert float((with_lora - base).abs().max()) > 1e-3
    parts.denoiser.train()
    torch.manual_seed(1)
    torch.testing.assert_close(predict(parts), base)
    parts.denoiser.eval()
    torch.testing.assert_close(predict(parts), with_lora)


def test_pairs_that_are_left_out_still_have_gradients(parts: Parts) -> None:
    """Processes average their gradients in one message, which must be as long everywhere."""
    network = network_of(parts, module_dropout=0.5, train_text_encoder=False)
    fill(network)
    parts.denoiser.train()
    torch.manual_seed(1)
    embeds = {"prompt_embeds": torch.randn(1, 77, 16)}
    FAMILY.predict(parts, torch.randn(1, 4, 8, 8), torch.tensor([5]), embeds).square().mean().backward()
    grads = [grad for module in network.denoiser_modules if (grad := down(module).grad) is not None]
    sums = [float(grad.abs().sum()) for grad in grads]
    assert len(sums) == len(network.denoiser_modules)
    assert 0.2 < sum(value == 0 for value in sums) / len(sums) < 0.8


def products(network: Network) -> list[float]:
    return [float((product(module) * module.alpha / 4).detach().norm()) for module in network.modules]


def test_norms_are_those_of_the_whole_products(parts: Parts) -> None:
    network = network_of(parts)
    assert float(added_norms(network.modules).norm()) == 0
    fill(network)
    assert added_norms(network.modules).tolist() == pytest.approx(products(network), rel=1e-4)


def test_only_pairs_beyond_the_limit_are_scaled_back_both_weights_alike(parts: Parts) -> None:
    network = network_of(parts)
    fill(network)
    before, weights = (
        products(network),
        [(down(module).detach().clone(), up(module).detach().clone()) for module in network.modules],
    )
    limit = sorted(before)[len(before) // 2]
    limit_norms(network.modules, limit)
    for norm, now, module, (first, second) in zip(before, products(network), network.modules, weights, strict=True):
        assert now == pytest.approx(min(norm, limit), rel=1e-4)
        if norm <= limit * 0.999:
            assert torch.equal(down(module), first) and torch.equal(up(module), second)
        else:
            torch.testing.assert_close(
                down(module) / first, torch.full_like(first, (now / norm) ** 0.5), rtol=1e-3, atol=1e-5
            )


def test_a_network_goes_on_from_a_file_as_strong_as_it_was(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "前 lora.safetensors"
    network = network_of(parts)
    fill(network)
    before = predict(parts)
    save_lora(path, network.tensors(), "fp32", {})
    for alpha in (2.0, 4.0):
        remove_network(parts)
        again = add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=alpha, start_from=path), seed=5)
        torch.testing.assert_close(predict(parts), before, atol=1e-5, rtol=1e-4)
        assert again.modules[0].alpha == alpha


def test_parts_that_the_file_does_not_have_begin_anew(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    network = network_of(parts, train_text_encoder=False)
    fill(network)
    save_lora(path, network.tensors(), "fp32", {})
    remove_network(parts)
    both = network_of(parts, start_from=path)
    assert all(float(up(module).abs().max()) == 0 for module in both.text_encoder_modules)
    assert all(float(up(module).abs().max()) > 0 for module in both.denoiser_modules)


def test_a_file_that_does_not_fit_says_why(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_lora(path, network_of(parts).tensors(), "fp32", {})
    remove_network(parts)
    with pytest.raises(UserError, match="has rank 4, and the settings ask for rank 8") as error:
        add_network(parts, FAMILY, NetworkConfig(rank=8, start_from=path), seed=0)
    assert error.value.remedy == "Set the rank to 4, or choose another LoRA."
    remove_network(parts)
    with pytest.raises(UserError, match="modules would not be trained"):
        network_of(parts, start_from=path, train_text_encoder=False)
    remove_network(parts)
    with pytest.raises(UserError):
        network_of(parts, start_from=tmp_path / "nowhere.safetensors")
