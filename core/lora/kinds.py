"""What a network adds to a layer: the three kinds of it, in the weights and names that files have.

A delta computes what is added to the layer's output, without its scale. It never builds the whole [out, in] matrix
where its parts can be applied one after the other. Its weights are float32, whatever the base model has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["lora", "loha", "lokr"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_ROOT_5 = math.sqrt(5)


class Geometry:
    """How a linear layer or a convolution walks over its input.

    `shape` is that of its weight: [out, in] or [out, in, k, k].
    """

    def __init__(self, layer: Any) -> None:
        self.is_conv = isinstance(layer, nn.Conv2d)
        if self.is_conv:
            self.shape: tuple[int, ...] = (layer.out_channels, layer.in_channels, *layer.kernel_size)
            self._how: tuple[Any, ...] = (None, layer.stride, layer.padding, layer.dilation)
        else:
            self.shape = (layer.out_features, layer.in_features)

    @property
    def num_out(self) -> int:
        """Rows of the weight."""
        return self.shape[0]

    @property
    def num_in(self) -> int:
        """Columns of the flattened weight: inputs, times the places of a kernel."""
        return math.prod(self.shape[1:])

    def apply(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """A layer of this geometry with another weight, [n, in * k * k] flat or not, for any n; no bias."""
        if self.is_conv:
            if weight.ndim == 2:
                weight = weight.view(len(weight), -1, *self.shape[2:])
            return functional.conv2d(inputs, weight, *self._how)
        return functional.linear(inputs, weight)

    def mix(self, narrow: Tensor, weight: Tensor) -> Tensor:
        """A linear layer over what `apply` gave, [out, n] flat or not, place by place."""
        if self.is_conv:
            return functional.conv2d(narrow, weight if weight.ndim == 4 else weight[:, :, None, None])
        return functional.linear(narrow, weight)


class Delta(nn.Module):
    """What is added to one layer, times `scale`.

    `rank` is what the scale is told by in a file: `alpha / rank`. `dropout` is the chance of each input to be left out
    in a step, `rank_dropout` that of each rank; both only in training.
    """

    kind: ClassVar[Kind]
    rank: int
    scale: float

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.geometry = Geometry(layer)
        self.dropout = 0.0
        self.rank_dropout = 0.0

    @property
    def alpha(self) -> float:
        """The alpha of a file that has the same strength."""
        return self.scale * self.rank

    def weights(self) -> dict[str, nn.Parameter]:
        """The trained weights by the ends of their names in a file."""
        raise NotImplementedError

    def dense(self) -> Tensor:
        """[out, in * k * k] all that is added to the layer's weight, without the scale."""
        raise NotImplementedError

    def terms(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """Matrices whose Frobenius norms multiply to that of `dense`; a pair (down, up) stands for `up @ down`.

        A tensor without dimensions is such a norm itself.
        """
        raise NotImplementedError

    def rescale(self, factor: float) -> None:
        """Count so much more from now on, by way of the weights."""
        raise NotImplementedError

    def products(self, weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """Sums over a dimension of `dense` times a weight [out, in * k * k], and of `dense` squared."""
        dense = self.dense()
        return (dense * weight.to(dense.dtype)).sum(dim), dense.square().sum(dim)

    def _thinned(self, inputs: Tensor) -> Tensor:
        return functional.dropout(inputs, self.dropout, self.training) if self.dropout else inputs


def kept_ranks(narrow: Tensor, chance: float, axis: int) -> Tensor:
    """Leave out ranks by chance, each sample its own ones; the others count as much more.

    Args:
        narrow: [B, ...] with the ranks along an axis.
        chance: Of each rank to be left out.
        axis: The axis of the ranks.
    """
    shape = [len(narrow)] + [1] * (narrow.ndim - 1)
    shape[axis] = narrow.shape[axis]
    kept = torch.rand(shape, device=narrow.device) >= chance
    return narrow * kept / (1 - chance)


def new_weight(*shape: int) -> nn.Parameter:
    """An unset weight in float32."""
    return nn.Parameter(torch.empty(shape, dtype=torch.float32))


def spread(weight: Tensor) -> None:
    """The usual random start of a linear layer."""
    nn.init.kaiming_uniform_(weight, a=_ROOT_5)


def given(tensors: Mapping[str, Tensor], name: str) -> nn.Parameter:
    """A weight of a file.

    Raises:
        KeyError: The file lacks it.
    """
    return nn.Parameter(tensors[name].detach().to(torch.float32, copy=True))
