"""The training step, and what it needs at hand."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import TrainConfig
from core.errors import UserError
from core.lora.norms import added_norms, limit_norms
from core.sampling import evaluating
from core.training.averaging import SCHEDULE_FREE, Averaging
from core.training.data import Example, Plan, Shown, show
from core.training.encoding import Embeddings, Latents
from core.training.noise import draw_noise, draw_timesteps, perturbed, timestep_range
from core.training.objective import NoiseSchedule, counted_errors, per_sample_loss, timestep_weights
from core.training.optimizers import set_rates
from core.training.schedules import rate_factor
from core.training.sizes import sizes_of

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from core.families.base import Conditioning, Family, Parts
    from core.lora.network import Network


MOST_LEFT_OUT = 24
"""So many steps in a row may be too large for fp16: from the usual scale to far below 1."""


class NotANumberError(UserError):
    """The loss or the gradient of a step is not finite; the weights are as they were before the step."""

    def __init__(self, step: int) -> None:
        """Say it of a step, counted from 0."""
        super().__init__(
            "The loss is no longer a number in step {step}.",
            remedy="Continue from the last state with a lower learning rate, or with precision fp32 or bf16.",
            failure="not_a_number",
            step=step + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step did.

    `loss` is the mean over micro-batches and devices; `stop` whether any process was asked to stop. `grad_norm` is the
    length of the gradient before clipping, None where fp16 found it too large and left the step out. `lora_norm` is the
    length of all that the LoRA adds to the model's weights, 0 before the first step.
    """

    loss: float
    learning_rate: float
    grad_norm: float | None
    lora_norm: float
    stop: bool


@dataclass(slots=True, kw_only=True)
class Trainer:
    """Everything a step touches. `embeddings` is None when captions are encoded in every step.

    `chunks` is how many parts a micro-batch is computed in, one after the other: with the same noise and to the same
    gradient as in one, in less memory.
    """

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
    chunks: int = 1
    _num_left_out: int = field(default=0, init=False)
    _averaging: Averaging = field(init=False)

    def __post_init__(self) -> None:
        self._averaging = Averaging(self.config.optimizer, self.optimizer)

    def step(self, step: int, micro_batches: list[list[int]], *, stop: bool = False) -> StepResult:
        """One update of the LoRA weights: all of it or, when anything is raised before the update, nothing.

        Args:
            step: Number of the step, from 0.
            micro_batches: Examples of each micro-batch over all processes; their gradients are averaged.
            stop: This process's wish to stop after the step, shared with the others.

        Raises:
            NotANumberError: The loss or the gradient is not finite.
            UserError: A picture that is encoded in every step can no longer be read.
        """
        try:
            falls = self.config.optimizer.name != SCHEDULE_FREE
            rate = set_rates(self.optimizer, rate_factor(step, self.total_steps, self.config.schedule, falls=falls))
            # Dropout is the one user of the global generator; seeded here, a resumed run repeats an uninterrupted one.
            torch.manual_seed(seed_of(self.config.training.seed, step, self.accelerator.process_index))
            losses = [
                self._micro_batch(step, number, indices, len(micro_batches))
                for number, indices in enumerate(micro_batches)
            ]
            mean, stop = self._average(torch.stack(losses).sum(), stop)
            loss, grad_norm = self._update(step, mean)
        finally:
            self.optimizer.zero_grad()
        self._averaging.update()
        lora_norm = float(added_norms(self.network.modules).norm())
        return StepResult(loss=loss, learning_rate=rate, grad_norm=grad_norm, lora_norm=lora_norm, stop=stop)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The model has the averaged weights for a while, when the settings ask for an average; its own afterwards."""
        with self._averaging.swapped_in():
            yield

    def averaging_state(self) -> dict[str, Any]:
        """What `load_averaging_state` goes on from; nothing but tensors and numbers."""
        return self._averaging.state()

    def load_averaging_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; call it when the weights are loaded, also with an empty state."""
        self._averaging.load_state(state)

    def validation_loss(self, examples: Sequence[Example], seed: int, timesteps: int) -> float:
        """The mean loss over examples with the averaged weights, at fixed timesteps with fixed noise, without chance.

        Every call with the same arguments asks the same, whatever was trained in between, and changes nothing.

        Args:
            examples: What was held out; `latents` and, where there are any, `embeddings` must have them.
            seed: Of the noise.
            timesteps: At how many timesteps each is measured: the middles of so many equal parts of what is learned.

        Raises:
            UserError: A picture that is encoded now can no longer be read.
        """
        learned = timestep_range(self.config.loss, self.noise_schedule.num_timesteps)
        losses: list[Tensor] = []
        with torch.no_grad(), self.averaged(), evaluating(self.parts.denoiser, self.parts.text_encoder):
            for index, example in enumerate(examples):
                shown = [Shown(index, mirrored=False, caption=example.caption)]
                latents = self.latents.batch(examples, shown).cpu()
                for part in range(timesteps):
                    generator = torch.Generator().manual_seed(seed_of(seed, example.record.path.name, index, part))
                    noise = torch.randn(latents.shape, generator=generator)
                    middle = learned.start + (2 * part + 1) * len(learned) // (2 * timesteps)
                    batch = _Batch(shown, latents, noise, noise, torch.tensor([middle])).to(self.accelerator.device)
                    losses.append(self._loss(examples, batch).mean())
        return float(torch.stack(losses).mean())

    def _micro_batch(self, step: int, number: int, indices: list[int], num_micro_batches: int) -> Tensor:
        """Add the gradient of this process's share of a micro-batch; returns its part of the mean loss, [] detached."""
        batch = self._draw(step, number, indices)
        size = len(batch.shown)
        length = -(-size // max(1, min(self.chunks, size)))
        total = torch.zeros((), device=self.accelerator.device)
        for first in range(0, size, length):
            part = batch.part(slice(first, first + length)).to(self.accelerator.device)
            loss = self._loss(self.plan.examples, part).sum() / (size * num_micro_batches)
            self._backward(loss)
            total += loss.detach()
        return total

    def _draw(self, step: int, number: int, indices: list[int]) -> _Batch:
        """What this process sees of a micro-batch, on the CPU.

        Every process draws for the whole batch and takes its share: n devices see what one with n times the batch sees.
        """
        config = self.config
        generator = torch.Generator().manual_seed(seed_of(config.training.seed, step, "noise", number))
        shown = show(self.plan, config.dataset, step, number, indices)
        latents = self.latents.batch(self.plan.examples, shown).cpu()
        noise = draw_noise(latents, config.loss, generator)
        timesteps = draw_timesteps(len(shown), config.loss, self.noise_schedule.num_timesteps, generator)
        seen = perturbed(noise, config.loss, generator)
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        return _Batch(shown, latents, noise, seen, timesteps).part(share)

    def _loss(self, examples: Sequence[Example], batch: _Batch) -> Tensor:
        """[B] the weighted loss of each sample."""
        loss_config, schedule = self.config.loss, self.noise_schedule
        noisy_latents = schedule.add_noise(batch.latents, batch.seen_noise, batch.timesteps)
        target = schedule.target(batch.latents, batch.noise, batch.timesteps)
        with self.accelerator.autocast():
            conditioning = self._conditioning(examples, batch.shown)
            prediction = self.family.predict(self.parts, noisy_latents, batch.timesteps, conditioning)
        masks = self.latents.masks(examples, batch.shown, (target.shape[-1], target.shape[-2]))
        counted = counted_errors(loss_config, schedule.alphas_cumprod, batch.timesteps)
        losses = per_sample_loss(prediction, target, None if masks is None else masks.to(target.device), counted)
        weights = timestep_weights(schedule.snr(batch.timesteps), loss_config, schedule.prediction)
        own = [examples[item.example].weight for item in batch.shown]
        return losses * weights * torch.tensor(own).to(target.device)

    def _conditioning(self, examples: Sequence[Example], shown: Sequence[Shown]) -> Conditioning:
        """What the denoiser is told about showings: their captions, and how they came to their size."""
        device = self.accelerator.device
        captions = [item.caption for item in shown]
        # A frozen text encoder may stay in main memory, where the card is too small for both.
        of_captions = (
            self.family.encode_captions(self.parts, captions)
            if self.embeddings is None
            else self.embeddings.get(captions, device)
        )
        of_sizes = self.family.describe_sizes([sizes_of(examples[item.example], item) for item in shown])
        return {name: tensor.to(device) for name, tensor in {**of_captions, **of_sizes}.items()}

    def _backward(self, loss: Tensor) -> None:
        scaler = self.accelerator.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()

    def _trained(self) -> list[Tensor]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def _average(self, loss: Tensor, stop: bool) -> tuple[Tensor, bool]:
        """Average gradients, loss and the wish to stop over all processes, in one message."""
        if self.accelerator.num_processes == 1:
            return loss, stop
        grads = [weight.grad for weight in self._trained() if weight.grad is not None]
        extra = torch.stack([loss.float(), torch.tensor(float(stop), device=loss.device)])
        message: Any = self.accelerator.reduce(torch.cat([*(grad.reshape(-1) for grad in grads), extra]), "mean")
        start = 0
        for grad in grads:
            grad.copy_(message[start : start + grad.numel()].view_as(grad))
            start += grad.numel()
        return message[-2], bool(message[-1] > 0)

    def _update(self, step: int, loss: Tensor) -> tuple[float, float | None]:
        """Take the step; returns the loss and the length of the gradient before clipping, None of one that is left out.

        Raises:
            NotANumberError: One of them is not finite; nothing was changed.
        """
        scaler = self.accelerator.scaler
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._trained(), self.config.optimizer.max_grad_norm or math.inf)
        # The one place where the device is waited for: both numbers come in one transfer.
        mean, length = torch.stack([loss.float(), norm.float()]).tolist()
        # Gradients too large for fp16 belong to its way of finding the scale: it leaves such a step out. But the scale
        # halves each time, and does not need many halves.
        self._num_left_out = 0 if scaler is None or math.isfinite(length) else self._num_left_out + 1
        is_left_out = 0 < self._num_left_out <= MOST_LEFT_OUT
        is_good = math.isfinite(mean) and (math.isfinite(length) or is_left_out)
        if scaler is not None:
            if is_good:
                scaler.step(self.optimizer)
            scaler.update()
        elif is_good:
            self.optimizer.step()
        if not is_good:
            raise NotANumberError(step)
        if is_left_out:
            return mean, None
        if self.config.network.max_norm:
            limit_norms(self.network.modules, self.config.network.max_norm)
        return mean, length


@dataclass(frozen=True, slots=True)
class _Batch:
    """Showings with their latents, the noise to answer and the noise that is seen, [B, C, h, w] each, and timesteps."""

    shown: list[Shown]
    latents: Tensor
    noise: Tensor
    seen_noise: Tensor
    timesteps: Tensor

    def part(self, which: slice) -> _Batch:
        tensors = (self.latents, self.noise, self.seen_noise, self.timesteps)
        return _Batch(self.shown[which], *(tensor[which] for tensor in tensors))

    def to(self, device: torch.device) -> _Batch:
        tensors = (self.latents, self.noise, self.seen_noise, self.timesteps)
        return _Batch(self.shown, *(tensor.to(device) for tensor in tensors))


def seed_of(*parts: object) -> int:
    """A seed that depends on all the parts and on nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
