"""Going on from the LoRA of a file instead of a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.lora.file import load_lora

if TYPE_CHECKING:
    from core.lora.network import Network


def start_from(network: Network, path: Path) -> None:
    """Give a new network the weights of a file. Parts that the file does not have stay new.

    Where the file has another alpha, the weights are scaled so that the LoRA is as strong as in the file.

    Args:
        network: Just added to the model.
        path: The LoRA file.

    Raises:
        UserError: The file is no LoRA that can be read, has another rank, or parts that the network does not have.
    """
    import torch

    tensors = load_lora(path)
    modules = {name.removesuffix(".lora_down.weight") for name in tensors if name.endswith(".lora_down.weight")}
    pairs = {pair.name: pair for pair in network.pairs}
    if strange := modules - pairs.keys():
        raise UserError(
            "{path} cannot be continued: {number} of its {total} modules would not be trained.",
            remedy="Turn on the training of both denoiser and text encoder, or choose a LoRA of this base model.",
            path=path,
            number=len(strange),
            total=len(modules),
        )
    with torch.no_grad():
        for name in modules:
            pair, down, up = pairs[name], tensors[f"{name}.lora_down.weight"], tensors.get(f"{name}.lora_up.weight")
            if len(down) != len(pair.down):
                raise UserError(
                    "{path} cannot be continued: it has rank {rank}, and the settings ask for rank {wanted}.",
                    remedy="Set the rank to {rank}, or choose another LoRA.",
                    path=path,
                    rank=len(down),
                    wanted=len(pair.down),
                )
            if up is None or down.shape != pair.down.shape or up.shape != pair.up.shape:
                raise UserError(
                    "The sizes of this LoRA do not fit the base model.",
                    remedy="Choose the base model that the LoRA was trained for.",
                )
            alpha = float(tensors.get(f"{name}.alpha", len(down)))
            pair.down.copy_(down)
            pair.up.copy_(up * (alpha / pair.alpha))
