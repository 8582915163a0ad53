"""The optimizer over the LoRA weights, denoiser and text encoder each at their own rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.config.model import OptimizerConfig

if TYPE_CHECKING:
    from core.lora.network import Network


def make_optimizer(network: Network, config: OptimizerConfig, device: torch.device) -> torch.optim.Optimizer:
    """AdamW with one group per part; each group keeps its full rate as `base_rate` for the schedule.

    Args:
        network: The pairs to train.
        config: Rates and coefficients.
        device: Where the weights are; on CUDA the update of all weights is one kernel.
    """
    groups = []
    for pairs, rate in (
        (network.denoiser_pairs, config.learning_rate),
        (network.text_encoder_pairs, config.text_encoder_learning_rate),
    ):
        if pairs:
            weights = [weight for pair in pairs for weight in (pair.down, pair.up)]
            groups.append({"params": weights, "lr": rate, "base_rate": rate})
    return torch.optim.AdamW(
        groups,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=device.type == "cuda",
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group to its base rate times the factor; returns the first group's rate, the one that is shown."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return float(optimizer.param_groups[0]["lr"])


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Take over the moments of a saved state; rates, betas and the kind of kernel stay those of now."""
    options = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, now in zip(optimizer.param_groups, options, strict=True):
        group.update(now)
