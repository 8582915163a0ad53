"""What the training stages share: random numbers by step, parameters as one vector, processes, files."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from starter.draw import Pixels
    from starter.recipe import Recipe


def random_for(*key: object) -> random.Random:
    """Random numbers that depend on nothing but the key, so that a resumed run draws what an unbroken one does."""
    return random.Random("/".join(map(str, key)))


def learning_rate(
    step: int, steps: int, *, peak: float, warm_up: int, decay_steps: float, floor: float = 0.02
) -> float:
    """Up to `peak` over `warm_up` steps, constant, then straight down to `floor` of it in the last `decay_steps`."""
    return peak * min(1.0, (step + 1) / warm_up) * max(floor, min(1.0, (steps - step) / decay_steps))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def to_tensor(pictures: Sequence[Pixels] | Pixels) -> Tensor:
    """[B, H, W, 3] bytes to [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(list(pictures)))).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(tensor: Tensor) -> Pixels:
    """[B, 3, H, W] in [-1, 1] to [B, H, W, 3] bytes."""
    scaled = ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte()
    pictures: Pixels = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return pictures


class FlatParameters:
    """Parameters and gradients of some modules as two vectors, of which the modules hold views.

    One vector makes the optimizer, the average over processes, clipping and the moving average single operations.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        views = list(parameters)
        self.values = torch.cat([view.detach().reshape(-1) for view in views])
        self.gradients = torch.zeros_like(self.values)
        start = 0
        for view in views:
            end = start + view.numel()
            view.data = self.values[start:end].view_as(view)
            view.grad = self.gradients[start:end].view_as(view)
            start = end
        self.parameter = nn.Parameter(self.values)
        self.parameter.grad = self.gradients

    def average_over_processes(self, processes: int) -> None:
        """Averages the gradients over all processes."""
        if processes > 1:
            dist.all_reduce(self.gradients)
            self.gradients /= processes

    def clip(self, limit: float = 1.0) -> float:
        """Scales the gradient down to a norm of `limit`; returns the norm that it had."""
        norm: float = self.gradients.norm().item()
        self.gradients *= min(1.0, limit / (norm + 1e-6))
        return norm


class FlatTraining:
    """AdamW and a moving average over flat parameters, with a state on disk."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float, ema_limit: float) -> None:
        self.flat = FlatParameters(parameters)
        is_fused = self.flat.values.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            [self.flat.parameter], rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=is_fused
        )
        self.ema = self.flat.values.clone()
        self.ema_limit = ema_limit
        self.step = 0
        self.set_moments(torch.zeros_like(self.ema), torch.zeros_like(self.ema))

    def set_moments(self, first: Tensor, second: Tensor) -> None:
        """Gives AdamW its moving averages of the gradient and of its square, as of `self.step`."""
        self.optimizer.state[self.flat.parameter] = {
            "step": torch.tensor(float(self.step), device=first.device),  # A fused AdamW wants all on one device.
            "exp_avg": first,
            "exp_avg_sq": second,
        }

    def update(self, rate: float, processes: int) -> float:
        """One optimizer update from the gradients; returns their norm before clipping and zeroes them."""
        self.flat.average_over_processes(processes)
        norm = self.flat.clip()
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.flat.gradients.zero_()
        self.ema.lerp_(self.flat.values, 1 - min(self.ema_limit, (self.step + 1) / (self.step + 11)))
        self.step += 1
        return norm

    def save(self, path: Path) -> None:
        """Writes all that the next step depends on."""
        moments = self.optimizer.state[self.flat.parameter]
        save_atomically(
            {
                "value": self.flat.values,
                "ema": self.ema,
                "exp_avg": moments["exp_avg"],
                "exp_avg_sq": moments["exp_avg_sq"],
                "step": self.step,
            },
            path,
        )

    def resume(self, path: Path) -> None:
        """Goes on from a saved state, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, map_location=self.flat.values.device)
        self.flat.values.copy_(state["value"])
        self.ema.copy_(state["ema"])
        self.step = state["step"]
        self.set_moments(state["exp_avg"], state["exp_avg_sq"])


def save_atomically(content: Any, path: Path) -> None:
    """Saves so that a kill leaves either the old file or the new one."""
    unfinished = path.with_suffix(".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)


def swap_folders(new: Path, target: Path) -> None:
    """Puts a finished folder in the place of another one."""
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def run_processes(recipe: Recipe, target: Callable[[int, Recipe], None]) -> None:
    """Runs `target(rank, recipe)` in as many single-thread processes as the recipe says, joined by gloo.

    Two processes with a thread each train faster on two cores than one process with two threads.
    """
    if recipe.processes == 1:
        join_and_run(0, recipe, target)
        return
    (recipe.work / "rendezvous").unlink(missing_ok=True)
    spawn(join_and_run, (recipe, target), nprocs=recipe.processes)  # type: ignore[no-untyped-call]


def join_and_run(rank: int, recipe: Recipe, target: Callable[[int, Recipe], None]) -> None:
    """The start of each process."""
    end_with_parent()
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    if recipe.processes > 1:
        dist.init_process_group(
            "gloo",
            init_method=(recipe.work.resolve() / "rendezvous").as_uri(),
            rank=rank,
            world_size=recipe.processes,
        )
    target(rank, recipe)
    if recipe.processes > 1:
        dist.destroy_process_group()


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone; one that is killed cannot tell its children.

    PyTorch sends them an interrupt, but on Linux alone, and what a shell runs in the background ignores interrupts.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
