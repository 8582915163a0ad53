"""Averages of the weights over the steps: what previews show and files hold, while the training goes on from its own.

There are two kinds: a moving average (EMA) of the weights, and the average that a schedule-free optimizer keeps itself
(Defazio et al. 2024, arXiv:2405.15682).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import OptimizerConfig

if TYPE_CHECKING:
    from torch import Tensor

SCHEDULE_FREE = "adamw_schedulefree"


class Averaging:
    """The averaged weights of a run; without any average they are the weights themselves."""

    def __init__(self, config: OptimizerConfig, optimizer: torch.optim.Optimizer) -> None:
        """Begin at the weights of now.

        Args:
            config: Which average is wished for. A schedule-free optimizer has its own, whatever the decay.
            optimizer: Whose weights are averaged.
        """
        self._optimizer = optimizer
        self._weights: list[Tensor] = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._schedule_free = config.name == SCHEDULE_FREE
        self._decay = 0.0 if self._schedule_free else config.ema_decay
        self._averages = [weight.detach().clone() for weight in self._weights] if self._decay else []
        self._updates = 0
        self._is_swapped = False

    def update(self) -> None:
        """Take in the weights of a step that is done.

        The decay of the n-th step is at most (1 + n) / (10 + n), so that the first weights, from before anything was
        learned, are soon forgotten.
        """
        if not self._averages:
            return
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._weights, 1 - decay)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model has the averaged weights for a while; then it has its own again, to the bit."""
        averages = [] if self._is_swapped else self._averages_now()
        if not averages:
            yield
            return
        own = [weight.detach().clone() for weight in self._weights]
        self._is_swapped = True
        try:
            _copy(averages, self._weights)
            yield
        finally:
            _copy(own, self._weights)
            self._is_swapped = False

    def _averages_now(self) -> Sequence[Tensor]:
        if not self._schedule_free:
            return self._averages
        averages = []
        for group in self._optimizer.param_groups:
            # The gradient is taken at y, between the average x and the sequence z: y = x + (1 - beta1) (z - x).
            away = 1 - 1 / group["betas"][0]
            for weight in group["params"]:
                z = self._optimizer.state.get(weight, {}).get("z", weight)
                averages.append(torch.lerp(weight.detach(), z, away))
        return averages

    def state(self) -> dict[str, Any]:
        """What `load_state` goes on from; empty when nothing is kept here."""
        return {"updates": self._updates, "averages": list(self._averages)} if self._averages else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state. Without one, when averaging came in on the way, the average begins at the weights of now.

        Raises:
            RuntimeError: The averages are of other weights.
        """
        if not self._averages:
            return
        self._updates = int(state.get("updates", 0))
        averages = state.get("averages", self._weights)
        # Anew, in the shapes that the weights have by now: a state may have brought another form of a magnitude.
        self._averages = [torch.empty_like(weight, requires_grad=False) for weight in self._weights]
        _copy(averages, self._averages)


def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for there, here in zip(source, target, strict=True):
            here.copy_(there)
