"""The frozen weights of the denoiser in 8 bit: half of their memory, unpacked where and while they are computed with.

Every output row of a matrix or convolution is kept as whole numbers from -127 to 127 and one scale. What a pass keeps
for the way back are these, never the unpacked weights: they are unpacked again there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

if TYPE_CHECKING:
    from torch import Tensor

LEAST_WEIGHTS = 4096
"""Smaller ones stay as they are: nothing would be saved, and those that read timesteps and latents are among them."""
_LEAST_SCALE = 2.0**-24
"""The smallest number that fp16 has; a row of such numbers is as good as nothing."""
_KEPT_WHOLE = ("conv_in", "conv_out", "time_embedding", "add_embedding")
"""Where everything passes through: an error there is one in all that follows, for a thousandth of the memory."""


def pack_weights(denoiser: nn.Module) -> int:
    """Bring the frozen matrices and convolutions of a denoiser to 8 bit, in place.

    Call it after the LoRA was added: the layers stay what they are and only keep their weight in another way.

    Args:
        denoiser: In the number format that it computes in.

    Returns:
        How many layers were packed.
    """
    packed = 0
    for layer in _layers(denoiser):
        kind = _PackedLinear if isinstance(layer, nn.Linear) else _PackedConv2d
        weight = layer.weight.detach()
        numbers, scale = packed_rows(weight)
        del layer._parameters["weight"]
        layer.register_buffer("packed_weight", numbers, persistent=False)
        layer.register_buffer("weight_scale", scale, persistent=False)
        layer.__class__ = kind
        packed += 1
    return packed


def packed_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight as whole numbers, and the scale of each of its rows.

    Args:
        weight: [out, ...].

    Returns:
        [out, ...] in int8 and [out, 1, ...] in the format of the weight; their product is the weight, off by half a
        scale at most.
    """
    rows = weight.float()
    scale = (rows.flatten(1).abs().amax(dim=1) / 127).clamp(min=_LEAST_SCALE).view(-1, *[1] * (weight.ndim - 1))
    # Numbers of the scale as it is kept: rounded afterwards, it would make a whole row too large or too small.
    scale = scale.to(weight.dtype)
    return (rows / scale.float()).round().clamp(-127, 127).to(torch.int8), scale


def _layers(denoiser: nn.Module) -> Iterator[Any]:
    for path, layer in list(denoiser.named_modules()):
        if type(layer) not in (nn.Linear, nn.Conv2d) or path.startswith(_KEPT_WHOLE):
            continue
        weight = layer.weight
        if weight.numel() >= LEAST_WEIGHTS and not weight.requires_grad and ".lora_" not in path:
            yield layer


class _PackedLinear(nn.Linear):
    """A frozen linear layer whose weight is kept in 8 bit."""

    packed_weight: Tensor
    weight_scale: Tensor

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] unpacked, for whoever looks at it."""
        return _unpacked(self.packed_weight, self.weight_scale, self.weight_scale.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """As a linear layer with the unpacked weight."""
        input, bias = _as_computed(input, self.bias)
        result: Tensor = cast(Any, _Linear).apply(input, self.packed_weight, self.weight_scale, bias)
        return result


class _PackedConv2d(nn.Conv2d):
    """A frozen convolution whose weight is kept in 8 bit."""

    packed_weight: Tensor
    weight_scale: Tensor

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in, k, k] unpacked, for whoever looks at it."""
        return _unpacked(self.packed_weight, self.weight_scale, self.weight_scale.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """As a convolution with the unpacked weight."""
        input, bias = _as_computed(input, self.bias)
        how = (self.stride, self.padding, self.dilation, self.groups)
        result: Tensor = cast(Any, _Convolution).apply(input, self.packed_weight, self.weight_scale, bias, how)
        return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, numbers: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(numbers, scale)
        return functional.linear(input, _unpacked(numbers, scale, input.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        numbers, scale = ctx.saved_tensors
        return grads[0] @ _unpacked(numbers, scale, grads[0].dtype), None, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, numbers: Tensor, scale: Tensor, bias: Tensor | None, how: Any) -> Tensor:
        ctx.save_for_backward(numbers, scale)
        ctx.how, ctx.shape = how, input.shape
        return functional.conv2d(input, _unpacked(numbers, scale, input.dtype), bias, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        numbers, scale = ctx.saved_tensors
        weight = _unpacked(numbers, scale, grads[0].dtype)
        return cast(Any, conv2d_input)(ctx.shape, weight, grads[0], *ctx.how), None, None, None, None


def _unpacked(numbers: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return numbers.to(dtype).mul_(scale.to(dtype))


def _as_computed(input: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """In the format that autocast would compute in: it does not reach into functions of one's own."""
    device = input.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        return input.to(dtype), None if bias is None else bias.to(dtype)
    return input, bias if bias is None else bias.to(input.dtype)
