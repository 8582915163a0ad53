"""A layer of the base model with what a network adds to it, and its weight decomposition (DoRA) where it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.amp.autocast_mode import is_autocast_available

if TYPE_CHECKING:
    from torch import Tensor

    from core.lora.kinds import Delta

EPSILON = torch.finfo(torch.float32).eps
"""Added to lengths, so that none is zero."""


class Adapted(nn.Module):
    """`base_layer(x) + scale * lora_delta(x)`, with the base layer as it was.

    With a magnitude the sum of both weights is brought to learned lengths (Liu et al. 2024, arXiv:2402.09353): those
    of its columns, one for each input, where the magnitude is [1, in, ...]; those of its rows where it is [out, 1,
    ...], as some files have it. New ones are for inputs: of the two ComfyUI, A1111 and Forge all compute this one as
    it was trained. The gradient takes the lengths of now for constants, as the paper does in section 4.3.

    `strength` counts the whole, `module_dropout` is the chance that it is left out for all samples that are computed
    together; that one only in training.
    """

    def __init__(self, base_layer: nn.Module, delta: Delta) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lora_delta = delta
        self.lora_magnitude: nn.Parameter | None = None
        self.strength = 1.0
        self.module_dropout = 0.0
        self._squares: Tensor | None
        self.register_buffer("_squares", None, persistent=False)

    @property
    def weight(self) -> Tensor:
        """Of the base layer, for whoever asks a layer for its device or number format."""
        weight: Tensor = self._base.weight
        return weight

    @property
    def bias(self) -> Tensor | None:
        """Of the base layer."""
        bias: Tensor | None = self._base.bias
        return bias

    @property
    def _base(self) -> Any:
        return self.base_layer

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer's output in the number format of the base layer."""
        if self.lora_magnitude is not None:
            return self._decomposed(inputs, self.lora_magnitude)
        result: Tensor = self.base_layer(inputs)
        added: Tensor = self.lora_delta(_as_computed(inputs))
        if self._is_left_out():
            added = added * 0  # So that every weight has a gradient on every process, and they can be averaged.
        return _sum(result, added * (self.lora_delta.scale * self.strength))

    def decompose(self) -> None:
        """Learn the lengths of the columns apart from now on, beginning with those that they have."""
        shape = self.lora_delta.geometry.shape
        self.lora_magnitude = nn.Parameter(torch.empty(1, *shape[1:2], *[1] * (len(shape) - 2), dtype=torch.float32))
        self.lora_magnitude.data = self.lengths().view(self.lora_magnitude.shape)

    def take_magnitude(self, magnitude: Tensor) -> None:
        """Take the lengths of a file, of columns or of rows; a magnitude that is there stays the same parameter.

        Raises:
            ValueError: They are neither.
        """
        shape = self.lora_delta.geometry.shape
        ends = [1] * (len(shape) - 2)
        for wanted in ([1, shape[1], *ends], [shape[0], 1, *ends]):
            if list(magnitude.shape) == wanted:
                break
        else:
            raise ValueError(f"{tuple(magnitude.shape)} are no lengths of {shape}")
        value = magnitude.detach().to(self.weight.device, torch.float32, copy=True)
        if self.lora_magnitude is None:
            self.lora_magnitude = nn.Parameter(value)
        else:
            self.lora_magnitude.data = value
        self._squares = None  # Of columns they are others than of rows.

    def lengths(self) -> Tensor:
        """[in] or [out] the lengths of the columns or rows of the sum of both weights, without gradient."""
        squares, with_base, own = self.parts()
        scale = self.lora_delta.scale
        return (squares + 2 * scale * with_base + scale**2 * own).clamp(min=0).sqrt()

    def _decomposed(self, inputs: Tensor, magnitude: Tensor) -> Tensor:
        """The weight is `(1 + (t - 1) * strength) * base + strength * t * scale * delta`, t being a column's factor."""
        strength = 0.0 if self._is_left_out() else self.strength
        turned = magnitude.flatten() / (self.lengths() + EPSILON)
        if self.lora_delta.geometry.is_conv:
            turned = turned.view(-1, 1, 1)
        if self.is_by_column:
            scaled = (inputs * turned).to(inputs.dtype)
            of_base = scaled if strength == 1 else (inputs * (1 + (turned - 1) * strength)).to(inputs.dtype)
            result: Tensor = self.base_layer(of_base)
            added: Tensor = self.lora_delta(_as_computed(scaled))
            return _sum(result, added * (self.lora_delta.scale * strength))
        result = self.base_layer(inputs)
        bias = self.bias
        if bias is not None and self.lora_delta.geometry.is_conv:
            bias = bias.view(-1, 1, 1)
        base = result if bias is None else result - bias.to(result.dtype)
        added = self.lora_delta(_as_computed(inputs)) * (turned * self.lora_delta.scale)
        return _sum(result, (base * (turned - 1) + added) * strength)

    def _is_left_out(self) -> bool:
        # Drawn on the CPU, where no device is waited for.
        return bool(self.module_dropout and self.training and float(torch.rand(())) < self.module_dropout)

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """[n] each, by column or row: sums of the base weight squared, of it times the delta, of the delta squared."""
        with no_autocast(self.weight.device):
            weight = self.weight.detach().flatten(1)
            with_base, own = self.lora_delta.products(weight, 0 if self.is_by_column else 1)
            return self.squares(weight), self.by_side(with_base), self.by_side(own)

    @property
    def is_by_column(self) -> bool:
        """Whether the magnitude has the lengths of columns, not those of rows."""
        assert self.lora_magnitude is not None
        return self.lora_magnitude.shape[0] == 1

    def by_side(self, sums: Tensor) -> Tensor:
        """[..., in] of sums [..., in * k * k], as a column is an input with all places of the kernel; [..., out]."""
        if self.is_by_column and self.lora_delta.geometry.is_conv:
            return sums.view(*sums.shape[:-1], self.lora_delta.geometry.shape[1], -1).sum(-1)
        return sums

    def squares(self, weight: Tensor) -> Tensor:
        """[n] sums over the base weight squared, by column or row; they are kept, as it never changes.

        Args:
            weight: [out, in * k * k].
        """
        if self._squares is None or self._squares.device != weight.device:
            self._squares = self.by_side(weight.float().square().sum(0 if self.is_by_column else 1))
        return self._squares


@contextlib.contextmanager
def no_autocast(device: torch.device) -> Iterator[None]:
    """Without gradient, in the number formats that are given."""
    available = is_autocast_available(device.type)
    with torch.no_grad(), torch.autocast(device.type, enabled=False) if available else contextlib.nullcontext():
        yield


def _sum(result: Tensor, added: Tensor) -> Tensor:
    """In the number format of the base layer's result."""
    return (result + added).to(result.dtype)


def _as_computed(inputs: Tensor) -> Tensor:
    """In the format of the network's weights, unless autocast sees to that."""
    return inputs if torch.is_autocast_enabled(inputs.device.type) else inputs.to(torch.float32)
