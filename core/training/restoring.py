"""Bringing a state back into a trainer, and what a run found out about its machine into effect."""

from __future__ import annotations

import contextlib
from typing import Any

from core.errors import UserError
from core.families.base import Parts
from core.training.loop import Trainer
from core.training.optimizers import restore_optimizer
from core.training.recovery import scale_rates
from core.training.saving import Story
from core.training.state import Learned, State


def restore(trainer: Trainer, story: Story, state: State) -> None:
    """Make trainer and story what they were when the state was kept.

    Raises:
        UserError: The state holds other weights than the network has.
    """
    try:
        trainer.network.load_tensors(state.network)
        restore_optimizer(trainer.optimizer, state.optimizer)
        trainer.load_averaging_state(state.averaging)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            "The state of step {step} does not fit this base model and these settings.",
            remedy="Start a new run under another name; the LoRA files saved so far are still good.",
            failure="damaged_state",
            step=state.step,
        ) from error
    if trainer.accelerator.scaler is not None and state.scaler:
        trainer.accelerator.scaler.load_state_dict(state.scaler)
    story.elapsed_s, story.started_at = state.elapsed_s, state.started_at
    story.learned = state.learned
    story.curve, story.recent_losses = state.curve, state.recent_losses


def forget_unscaled(scaler: Any) -> None:
    """Let a scaler of fp16 gradients forget a step that was begun and not done; it refuses the next one otherwise."""
    if scaler is None:
        return
    before = scaler.state_dict()
    with contextlib.suppress(AssertionError):  # Nothing was begun.
        scaler.update()
    scaler.load_state_dict(before)


def apply_learned(trainer: Trainer, learned: Learned, *, train_text_encoder: bool) -> None:
    """Let the trainer work as the run found out that it has to."""
    if learned.checkpointing:
        use_checkpointing(trainer.parts, text_encoder=train_text_encoder)
    if learned.text_on_cpu and not train_text_encoder:
        trainer.parts.text_encoder.to("cpu")
    trainer.chunks = learned.chunks
    scale_rates(trainer.optimizer, learned.rate_scale)


def use_checkpointing(parts: Parts, *, text_encoder: bool) -> None:
    """Compute what is needed for gradients again instead of keeping it; a second call changes nothing."""
    denoiser: Any = parts.denoiser
    denoiser.enable_gradient_checkpointing()
    if text_encoder:
        encoder: Any = parts.text_encoder
        encoder.gradient_checkpointing_enable({"use_reentrant": False})
