"""The base model's weights in 8 bit: as near as they can be, and never unpacked for longer than they are used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.training.base_weights import pack_weights, packed_rows


class Small(nn.Module):
    """A matrix and a convolution, large enough to be packed, and one of each that is kept whole."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, 32, 3, padding=1)
        self.conv = nn.Conv2d(32, 48, 3, stride=2, padding=1)
        self.linear = nn.Linear(48, 96)
        self.tiny = nn.Linear(4, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.conv(self.conv_in(pixels)).flatten(2).mT
        result: torch.Tensor = self.linear(features)
        return result


@pytest.fixture
def model() -> Small:
    torch.manual_seed(0)
    small = Small()
    small.requires_grad_(False)
    return small


def test_each_number_is_off_by_half_a_scale_at_most() -> None:
    weight = torch.randn(7, 5, 3, 3) * torch.logspace(-3, 2, 7).view(-1, 1, 1, 1)
    numbers, scale = packed_rows(weight)
    assert numbers.dtype == torch.int8
    assert bool(((numbers * scale - weight).abs() <= scale * 0.5001).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_row_of_zeros_stays_zero(dtype: torch.dtype) -> None:
    numbers, scale = packed_rows(torch.zeros(2, 3, dtype=dtype))
    assert not (numbers * scale).any()
    assert bool(torch.isfinite(scale).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-4, 0.05])
def test_no_row_is_made_larger_or_smaller_by_a_scale_of_half_precision(dtype: torch.dtype, size: float) -> None:
    torch.manual_seed(1)
    weight = (torch.randn(256, 256) * size).to(dtype)
    numbers, scale = packed_rows(weight)
    assert scale.dtype == dtype
    rows, kept = weight.float(), numbers * scale.float()
    gains = (rows * kept).sum(1) / rows.square().sum(1)
    assert float((gains - 1).abs().max()) < 2e-3


def test_packed_layers_compute_what_their_unpacked_weights_would(model: Small) -> None:
    before = {name: layer.weight.clone() for name, layer in (("conv", model.conv), ("linear", model.linear))}
    pixels = torch.randn(2, 4, 8, 8)
    whole = model(pixels)
    assert pack_weights(model) == 2
    packed = model(pixels)
    assert float((packed - whole).norm() / whole.norm()) < 0.01
    for name, weight in before.items():
        assert not torch.equal(model.get_submodule(name).weight, weight)
    with torch.no_grad():
        plain = Small()
        plain.load_state_dict(model.state_dict() | {f"{name}.weight": getattr(model, name).weight for name in before})
    assert torch.allclose(plain(pixels), packed, atol=1e-6)


def test_gradients_flow_through_packed_layers_as_through_unpacked_ones(model: Small) -> None:
    pack_weights(model)
    plain = Small()
    packed = {f"{name}.weight": getattr(model, name).weight for name in ("conv", "linear")}
    plain.load_state_dict(model.state_dict() | packed)
    grads = []
    for network in (model, plain):
        pixels = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        network(pixels).square().sum().backward()
        assert pixels.grad is not None
        grads.append(pixels.grad)
    assert torch.allclose(grads[0], grads[1], atol=1e-5)


def test_nothing_unpacked_is_kept_for_the_way_back(model: Small) -> None:
    pack_weights(model)
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(1, 4, 8, 8, requires_grad=True))
    sizes = {tuple(tensor.shape) for tensor in kept if tensor.dtype == torch.float32}
    assert tuple(model.linear.packed_weight.shape) not in sizes
    assert tuple(model.conv.packed_weight.shape) not in sizes


def test_half_precision_is_computed_in_where_autocast_asks_for_it(model: Small) -> None:
    pack_weights(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.linear(torch.randn(3, 48)).dtype == torch.bfloat16


def test_small_layers_and_those_where_all_passes_through_stay_whole(model: Small) -> None:
    pack_weights(model)
    assert isinstance(model.tiny.weight, nn.Parameter)
    assert isinstance(model.conv_in.weight, nn.Parameter)


def test_packing_halves_what_bf16_weights_need() -> None:
    layer = nn.Sequential(nn.Linear(256, 256, bias=False).to(torch.bfloat16))
    layer.requires_grad_(False)
    before = sum(weight.nbytes for weight in layer.parameters())
    pack_weights(layer)
    after = sum(tensor.nbytes for tensor in [*layer.parameters(), *layer.buffers()])
    assert after < 0.51 * before
