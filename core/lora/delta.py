"""What a module of a LoRA adds to its weight, for every kind of network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from core.errors import UserError
from core.lora.modules import kind_name, kind_of, scale_of

if TYPE_CHECKING:
    from torch import Tensor


def delta_weight(
    module: Mapping[str, Tensor], *, shape: tuple[int, ...] | None = None, base: Tensor | None = None
) -> Tensor:
    """What one module adds to its weight at full strength, in float32.

    Args:
        module: Its tensors by what they are (`lora_down.weight`, `alpha`, `hada_w1_a` ...), see `by_module`. Without
            an alpha the scale is 1, as every program reads it.
        shape: Of the weight. Without it and `base`, convolutions of LoHa and LoKr come out flat where the file has
            them so: [out, in k k].
        base: The weight itself [out, in, ...]; needed for DoRA, where the change depends on it.

    Returns:
        [out, in] or [out, in, k, k].

    Raises:
        UserError: The module is of a kind that is not known, or its tensors do not fit each other or the weight.
        ValueError: The module has a `dora_scale`, and there is no base.
    """
    wanted = tuple(base.shape) if base is not None else shape
    added = _added({leaf: tensor.float() for leaf, tensor in module.items()}, wanted)
    if "dora_scale" not in module:
        return added
    if base is None:
        raise ValueError("what DoRA adds depends on the base weight")
    weight = base.float()
    return normed(weight + added, module["dora_scale"].float()) - weight


def normed(weight: Tensor, lengths: Tensor) -> Tensor:
    """DoRA's last step: the weight with other lengths (Liu et al. 2024, arXiv:2402.09353, eq. 5).

    Args:
        weight: [out, in, ...], with what was learned in it.
        lengths: One for each column, [1, in, ...], as A1111 reads them; or one for each row, [out, 1, ...], as LyCORIS
            and peft train them by default. ComfyUI reads both.
    """
    rows, columns = weight.shape[:2]
    dims = tuple(range(1, weight.ndim))
    if lengths.numel() == len(lengths) == rows:
        kept = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
        lengths = lengths.reshape(rows, *[1] * len(dims))
    elif lengths.numel() == columns:
        kept = torch.linalg.vector_norm(weight, dim=(0, *dims[1:]), keepdim=True)
        lengths = lengths.reshape(1, columns, *[1] * (len(dims) - 1))
    else:
        raise misfit()
    turned: Tensor = weight * (lengths / kept.clamp(min=torch.finfo(weight.dtype).tiny))
    return turned


def misfit() -> UserError:
    """The error of tensors that do not fit each other, or the base model."""
    return UserError(
        "The sizes of this LoRA do not fit the base model.",
        remedy="Choose the base model that the LoRA was trained for.",
    )


def _added(module: dict[str, Tensor], shape: tuple[int, ...] | None) -> Tensor:
    """Before DoRA's last step."""
    kind = kind_of(module)
    try:
        if kind == "lora":
            added = _pair(module)
        elif kind == "loha":
            added = _half(module, 1) * _half(module, 2)
        elif kind == "lokr":
            added = _kronecker(module)
        elif kind == "full":
            added = module["diff"]
        else:
            raise UserError(
                "This LoRA holds parts of the kind {kind}, which Kiln cannot compute.",
                remedy="Use it in the program that it was made for.",
                kind=kind_name(kind),
            )
        added = added if kind == "full" else added * scale_of(module)
        return added.reshape(shape) if shape is not None else added
    except (RuntimeError, KeyError, IndexError) as error:
        raise misfit() from error


def _pair(module: dict[str, Tensor]) -> Tensor:
    down, up = whole_down(module), module["lora_up.weight"]
    return (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])


def whole_down(module: Mapping[str, Tensor]) -> Tensor:
    """[rank, in, ...] the narrowing weight, with what LoCon puts between the two of a Tucker convolution in it."""
    down = module["lora_down.weight"]
    if "lora_mid.weight" not in module:
        return down
    # 1x1 and then kxk, without anything in between, are one kxk convolution.
    return torch.einsum("rs...,si->ri...", module["lora_mid.weight"].float(), down.float().flatten(1))


def _half(module: dict[str, Tensor], number: int) -> Tensor:
    """One of LoHa's two factors, [out, in, ...], or flat as the file has it."""
    a, b = module[f"hada_w{number}_a"], module[f"hada_w{number}_b"]
    if f"hada_t{number}" in module:
        return torch.einsum("rs...,ro,si->oi...", module[f"hada_t{number}"], a, b)
    return (a.flatten(1) @ b.flatten(1)).reshape(len(a), *b.shape[1:])


def _kronecker(module: dict[str, Tensor]) -> Tensor:
    first, second = _factor(module, 1), _factor(module, 2)
    return torch.kron(first.reshape(*first.shape, *[1] * (second.ndim - 2)), second.contiguous())


def _factor(module: dict[str, Tensor], number: int) -> Tensor:
    """One of LoKr's two factors, whole or of two or three parts."""
    if (whole := module.get(f"lokr_w{number}")) is not None:
        return whole
    a, b = module[f"lokr_w{number}_a"], module[f"lokr_w{number}_b"]
    if number == 2 and "lokr_t2" in module:
        return torch.einsum("rs...,ro,si->oi...", module["lokr_t2"], a, b)
    return (a @ b.flatten(1)).reshape(len(a), *b.shape[1:])
