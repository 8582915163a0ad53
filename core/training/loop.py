"""The training step, and what it needs at hand."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import TrainConfig
from core.errors import UserError
from core.training.data import Plan, Shown, show
from core.training.encoding import Embeddings, Latents
from core.training.objective import NoiseSchedule, draw_noise, min_snr_weights, per_sample_loss
from core.training.optimizers import set_rates
from core.training.schedules import rate_factor

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from core.families.base import Conditioning, Family, Parts
    from core.lora.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """`loss` is the mean over micro-batches and devices; `stop` whether any process was asked to stop."""

    loss: float
    learning_rate: float
    stop: bool


@dataclass(slots=True, kw_only=True)
class Trainer:
    """Everything a step touches. `embeddings` is None when captions are encoded in every step."""

    config: TrainConfig
    family: Family
    parts: Parts
    network: Network
    plan: Plan
    latents: Latents
    embeddings: Embeddings | None
    optimizer: torch.optim.Optimizer
    noise_schedule: NoiseSchedule
    accelerator: Accelerator
    total_steps: int

    def step(self, step: int, micro_batches: list[list[int]], *, stop: bool = False) -> StepResult:
        """One update of the LoRA weights.

        Args:
            step: Number of the step, from 0.
            micro_batches: Examples of each micro-batch over all processes; their gradients are averaged.
            stop: This process's wish to stop after the step, shared with the others.

        Raises:
            UserError: The loss is not a number; the weights are left as they were before the step.
        """
        rate = set_rates(self.optimizer, rate_factor(step, self.total_steps, self.config.schedule))
        # Dropout is the one user of the global generator; seeded here, a resumed run repeats an uninterrupted one.
        torch.manual_seed(seed_of(self.config.training.seed, step, self.accelerator.process_index))
        losses = []
        for micro_batch, indices in enumerate(micro_batches):
            loss = self._loss(step, micro_batch, indices)
            self._backward(loss / len(micro_batches))
            losses.append(loss.detach())
        mean, stop = self._average(torch.stack(losses).mean(), stop)
        if not (math.isfinite(mean) and self._update()):
            self.optimizer.zero_grad()
            raise UserError(
                "The loss is no longer a number in step {step}.",
                remedy="Continue from the last state with a lower learning rate, or with precision fp32 or bf16.",
                step=step + 1,
            )
        return StepResult(loss=mean, learning_rate=rate, stop=stop)

    def _loss(self, step: int, micro_batch: int, indices: list[int]) -> Tensor:
        """The weighted loss of this process's share of a micro-batch."""
        config, device = self.config, self.accelerator.device
        generator = torch.Generator().manual_seed(seed_of(config.training.seed, step, "noise", micro_batch))
        shown = show(self.plan, config.dataset, step, micro_batch, indices)
        latents = torch.stack([self.latents.get(item.example, item.mirrored) for item in shown])
        noise = draw_noise(tuple(latents.shape), config.loss.noise_offset, generator)
        timesteps = torch.randint(0, self.noise_schedule.num_timesteps, (len(shown),), generator=generator)
        # Every process draws for the whole batch and takes its share: n devices see what one with n times the batch
        # sees.
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        latents, noise, timesteps = (tensor[share].to(device) for tensor in (latents, noise, timesteps))
        schedule = self.noise_schedule
        noisy_latents = schedule.add_noise(latents, noise, timesteps)
        target = schedule.target(latents, noise, timesteps)
        with self.accelerator.autocast():
            conditioning = self._conditioning([item.caption for item in shown[share]])
            prediction = self.family.predict(self.parts, noisy_latents, timesteps, conditioning)
        weights = min_snr_weights(schedule.snr(timesteps), config.loss.min_snr_gamma, schedule.prediction)
        weights = weights * torch.tensor([self.plan.examples[item.example].weight for item in shown[share]]).to(device)
        return (per_sample_loss(prediction, target, self._masks(shown[share])) * weights).mean()

    def _masks(self, shown: list[Shown]) -> Tensor | None:
        """[B, h, w] where the pictures are and not their padding; None when none is padded."""
        plans = [self.plan.examples[item.example].plan for item in shown]
        if not any(plan.is_padded for plan in plans):
            return None
        masks = [self.latents.mask(item.example, plan, item.mirrored) for item, plan in zip(shown, plans, strict=True)]
        return torch.stack(masks).to(self.accelerator.device)

    def _conditioning(self, captions: list[str]) -> Conditioning:
        if self.embeddings is not None:
            return self.embeddings.get(captions, self.accelerator.device)
        return self.family.encode_captions(self.parts, captions, self.config.model.clip_skip)

    def _backward(self, loss: Tensor) -> None:
        scaler = self.accelerator.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()

    def _trained(self) -> list[Tensor]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def _average(self, loss: Tensor, stop: bool) -> tuple[float, bool]:
        """Average gradients, loss and the wish to stop over all processes, in one message."""
        if self.accelerator.num_processes == 1:
            return float(loss), stop
        grads = [weight.grad for weight in self._trained() if weight.grad is not None]
        extra = torch.stack([loss.float(), torch.tensor(float(stop), device=loss.device)])
        message: Any = self.accelerator.reduce(torch.cat([*(grad.reshape(-1) for grad in grads), extra]), "mean")
        start = 0
        for grad in grads:
            grad.copy_(message[start : start + grad.numel()].view_as(grad))
            start += grad.numel()
        return float(message[-2]), bool(message[-1] > 0)

    def _update(self) -> bool:
        """Take the step. Returns False, with the weights untouched, when a gradient is not a number."""
        scaler = self.accelerator.scaler
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._trained(), self.config.optimizer.max_grad_norm or math.inf)
        if scaler is not None:
            # Gradients too large for fp16 belong to its way of finding the scale: it leaves such a step out.
            scaler.step(self.optimizer)
            scaler.update()
        elif bool(torch.isfinite(norm)):
            self.optimizer.step()
        else:
            return False
        self.optimizer.zero_grad()
        return True


def seed_of(*parts: object) -> int:
    """A seed that depends on all the parts and on nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
