"""The course of a run: step after step, what is due in between, and the way back when something does not work out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from core.config.model import TrainConfig
from core.control import Control
from core.errors import UserError
from core.events import Adapted, Event, Finished, Notice, StageStarted, StepDone, Validated
from core.machine import graphics_cards
from core.run_folder import RunFolder, lora_path
from core.space import SpaceWatch
from core.text import tr
from core.training.best_epoch import has_stopped_improving, propose
from core.training.data import Example
from core.training.device import peak_memory_bytes
from core.training.loop import NotANumberError, Trainer
from core.training.previews import Previews
from core.training.recovery import (
    EXPLODING_STEPS,
    SICK_STEPS,
    SLOWER,
    LossWatch,
    SlownessWatch,
    Trouble,
    UpdateWatch,
    exploded_again,
    free_memory,
    is_memory_error,
    next_saving,
    no_memory_left,
    saving_told,
    slower_told,
)
from core.training.restoring import apply_learned, forget_unscaled, restore
from core.training.saving import Keeper, Story, put_aside_after
from core.training.state import Learned, Measure, forget_after, last_state
from core.training.validation import drift


@dataclass(slots=True, kw_only=True)
class Course:
    """The part of a sitting from the first step to the end. All processes of a run walk it in step."""

    config: TrainConfig
    run: RunFolder
    control: Control
    trainer: Trainer
    story: Story
    keeper: Keeper
    previews: Previews
    measured: list[Example]
    trains_text_encoder: bool
    _update: UpdateWatch = field(init=False)
    _losses: LossWatch = field(init=False)
    _slowness: SlownessWatch = field(init=False)
    _space: SpaceWatch = field(init=False)
    _saved_step: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._update = UpdateWatch(self.trainer.optimizer)
        self._losses = LossWatch(self.story.recent_losses)
        self._slowness = SlownessWatch(graphics_cards)
        self._space = SpaceWatch([self.config.output.folder])

    def events(self, first_step: int) -> Iterator[Event]:
        """All steps from `first_step` on, what is due in between, and the end. The last event is `Finished`.

        Raises:
            UserError: Memory or numbers went wrong beyond what can be mended.
            OSError: The disk is full or away.
        """
        if first_step == 0:
            if not self.story.curve:
                yield from self._measure(0, 0)
            # A run goes back to here when the first steps go wrong; and a disk that cannot be written shows now.
            yield from self.keeper.state(0)
            if self.config.sampling.at_start:
                yield from self.previews.draw(0)
        self._set_modes()
        position: int | None = first_step
        while position is not None:
            trouble = yield from self._walk(position)
            position = (yield from self._recover(trouble)) if trouble else None

    def _walk(self, first_step: int) -> Generator[Event, None, Trouble | None]:
        """Steps until the end, which returns None, or until one does not work out."""
        trainer, config = self.trainer, self.config
        total = trainer.total_steps
        self._saved_step = first_step
        yield StageStarted(stage="train", total=total)
        for step, epoch, micro_batches in trainer.plan.steps(first_step):
            if step >= total:
                break
            trouble: Trouble | None = None
            began = time.monotonic()
            try:
                result = trainer.step(step, micro_batches, stop=self._wants_end())
            except NotANumberError as error:
                trouble = Trouble("not_a_number", step, error=error.with_traceback(None))
            except Exception as error:
                is_memory = is_memory_error(error)
                saving = self._next_saving() if is_memory else None
                if saving is None:
                    if (is_memory or isinstance(error, UserError)) and not self._update.is_torn:
                        # The weights are those of the step before, and worth as much as any.
                        yield from self.keeper.state(step, must=False)
                    if is_memory:
                        raise no_memory_left(config, adapted=self._adapts) from error
                    raise
                trouble = Trouble("memory", step, saving)
            if trouble is not None:  # Outside the handler, where an error no longer holds on to the memory.
                return trouble
            self._update.finished()
            spent = time.monotonic() - began
            self.story.elapsed_s += spent
            done = step + 1
            epoch_ends = done % trainer.plan.steps_per_epoch == 0
            yield StepDone(
                step=done,
                total_steps=total,
                epoch=epoch + 1,
                total_epochs=config.training.epochs,
                loss=result.loss,
                learning_rate=result.learning_rate,
                elapsed_s=self.story.elapsed_s,
                peak_memory_bytes=peak_memory_bytes(trainer.accelerator.device),
                grad_norm=result.grad_norm,
                lora_norm=result.lora_norm,
            )
            exploding = self._losses.is_exploding(result.loss)
            self.story.recent_losses = tuple(self._losses.recent)
            if exploding:
                return Trouble("exploding", done - EXPLODING_STEPS)
            for notice in (self._slowness.step(spent) if _is_card(trainer) else None, self._space.look()):
                if notice:
                    yield notice
            # Alone, a wish made since the step is granted now; several processes must have agreed in the step.
            ends = self._wants_end() if trainer.accelerator.num_processes == 1 else result.stop
            if ends or done == total:
                yield from self._end(done, epoch + 1, stopped=done < total)
                return None
            if epoch_ends and (epoch + 1) % config.validation.every_n_epochs == 0:
                yield from self._measure(done, epoch + 1)
                if self._agreed(has_stopped_improving(self.story.curve, config.validation.patience)):
                    yield Notice(
                        message=tr(
                            "The held-out pictures were not measured better for {number} times in a row: the run ends "
                            "here, as asked.",
                            number=config.validation.patience,
                        )
                    )
                    yield from self._end(done, epoch + 1, stopped=False)
                    return None
            yield from self._keep_what_is_due(done, epoch + 1, epoch_ends=epoch_ends)
            if self._preview_is_due(done, epoch + 1, epoch_ends=epoch_ends):
                yield from self.previews.draw(done)
                yield StageStarted(stage="train", total=total)
        # The state stands at the end already: what was to follow it may be missing.
        yield from self._end(first_step, -(-first_step // trainer.plan.steps_per_epoch), stopped=False)
        return None

    def _keep_what_is_due(self, done: int, epoch: int, *, epoch_ends: bool) -> Iterator[Event]:
        """LoRA files first, then the state: a run that is killed between them saves the file again."""
        output = self.config.output
        every = output.save_every_n_epochs
        is_epoch_file = epoch_ends and every > 0 and epoch % every == 0
        is_step_file = output.save_every_n_steps > 0 and done % output.save_every_n_steps == 0
        wished = self.control.take_save_request()
        if is_epoch_file:
            yield from self.keeper.lora(lora_path(self.config, epoch), done, epoch)
        if wished or (is_step_file and not is_epoch_file):
            yield from self.keeper.lora(lora_path(self.config, step=done), done, epoch)
        if is_epoch_file or is_step_file:
            self.keeper.prune_lora_files(epoch if epoch_ends else epoch - 1, done)
        if is_epoch_file or wished or done - self._saved_step >= output.state_every_n_steps:
            yield from self.keeper.state(done, epoch=epoch if is_epoch_file else None, must=False)
            self._saved_step = done

    def _preview_is_due(self, done: int, epoch: int, *, epoch_ends: bool) -> bool:
        sampling = self.config.sampling
        by_epoch = epoch_ends and sampling.every_n_epochs > 0 and epoch % sampling.every_n_epochs == 0
        by_step = sampling.every_n_steps > 0 and done % sampling.every_n_steps == 0
        return self.control.take_sample_request() or by_epoch or by_step

    def _end(self, step: int, epoch: int, *, stopped: bool) -> Iterator[Event]:
        is_measured = any(measure.step == step for measure in self.story.curve)
        if not stopped and not is_measured:
            yield from self._measure(step, epoch)
        yield StageStarted(stage="save")
        try:
            yield from self.keeper.state(step)
        except OSError:
            # A disk without room for a state may have some for a LoRA file, which is several times smaller.
            with contextlib.suppress(OSError):
                yield from self.keeper.lora(lora_path(self.config), step, epoch)
            raise
        # Asked only now: who wished for a stop after a pause gets the LoRA file, too.
        if stopped and self.control.pause_requested and not self.control.stop_requested:
            if self.control.take_save_request():  # Asked for in the step before the pause.
                yield from self.keeper.lora(lora_path(self.config, step=step), step, epoch)
            self.trainer.accelerator.wait_for_everyone()
            yield Finished(stopped=True, paused=True, elapsed_s=self.story.elapsed_s)
            return
        if stopped and not is_measured:
            # Not kept in the state: a run that goes on measures where it would have measured without the stop.
            yield from self._measure(step, epoch)
        yield from self.keeper.lora(lora_path(self.config), step, epoch)
        if not stopped:
            yield from self.previews.draw(step)
        yield from self.keeper.card(step)
        if self.trainer.accelerator.is_main_process:
            best = propose(self.story.curve, self.keeper.saved_epochs(epoch, step))
            if best is not None:
                yield best
        self.trainer.accelerator.wait_for_everyone()
        yield Finished(output=lora_path(self.config), stopped=stopped, elapsed_s=self.story.elapsed_s)

    def _measure(self, step: int, epoch: int) -> Iterator[Event]:
        """Measure the held-out pictures, if there are any."""
        if not self.measured:
            return
        validation = self.config.validation
        trainer = self.trainer
        try:
            with trainer.averaged():
                loss = trainer.validation_loss(self.measured, validation.seed, validation.timesteps)
                moved = drift(trainer.network)
        except Exception as error:
            if not is_memory_error(error) or trainer.accelerator.num_processes > 1:
                raise
            loss = moved = math.nan
        if not math.isfinite(loss):
            free_memory()
            yield Notice(
                level="warning",
                message=tr("The held-out pictures could not be measured in step {step}; the run goes on.", step=step),
            )
            return
        number = len({example.record.path for example in self.measured})
        self.story.curve = (*self.story.curve, Measure(step, epoch, loss, moved, number))
        yield Validated(step=step, epoch=epoch, loss=loss, num_pictures=number)

    def _recover(self, trouble: Trouble) -> Generator[Event, None, int]:
        """Go back to the last good point, change what is to be changed, and say so; returns the step to go on from."""
        story = self.story
        free_memory()
        forget_unscaled(self.trainer.accelerator.scaler)
        before = story.learned
        position = trouble.from_step
        if trouble.cause == "memory":
            assert trouble.saving is not None
            story.learned = trouble.saving
            changes, message = saving_told(before, story.learned, self.config, position + 1)
            if self._update.is_torn:
                position = yield from self._go_back(position)
        else:
            if before.rate_scale < 1.0:
                raise trouble.error or exploded_again(trouble.from_step + 1)
            margin = SICK_STEPS if trouble.cause == "not_a_number" else 0
            position = yield from self._go_back(position, margin=margin, is_sick=True)
            story.learned = dataclasses.replace(story.learned, rate_scale=SLOWER)
            changes, message = slower_told(trouble.cause, trouble.from_step, position, self.config)
        apply_learned(self.trainer, story.learned, train_text_encoder=self.trains_text_encoder)
        self._set_modes()
        yield from self.keeper.state(position)
        yield Adapted(step=position, cause=trouble.cause, changes=changes, message=message)
        return position

    def _go_back(self, step: int, *, margin: int = 0, is_sick: bool = False) -> Generator[Event, None, int]:
        """Take weights and everything that goes with them from the newest good state up to a step.

        Args:
            step: The steps that are good.
            margin: A state that lies so many steps before it is better, where there is one.
            is_sick: Whether LoRA files saved since are of weights gone wrong; they are put aside.

        Returns:
            The step of the state.
        """
        state, _ = last_state(self.run.state, before=step + 1 - margin)
        if state is None:
            state, _ = last_state(self.run.state, before=step + 1)
        if state is None:
            raise UserError(
                "The state of {name} is gone, so it cannot be continued.",
                remedy="Start a new run under another name; the LoRA files saved so far are still good.",
                failure="damaged_state",
                name=self.config.output.name,
            )
        learned = self.story.learned
        restore(self.trainer, self.story, state)
        self.story.learned = learned
        self._losses = LossWatch(state.recent_losses)
        self._update.finished()
        self.trainer.accelerator.wait_for_everyone()
        if self.trainer.accelerator.is_main_process:
            if is_sick:
                yield from put_aside_after(self.run, state.step)
            forget_after(self.run.state, state.step)
            self.run.rewind(state.step)
        return state.step

    def _next_saving(self) -> Learned | None:
        """What to try when a step needs too much memory.

        None when nothing is left, and when several processes would have to try it together.
        """
        trainer, training = self.trainer, self.config.training
        if not self._adapts:
            return None
        on_card = (
            trainer.embeddings is None and not self.trains_text_encoder and trainer.accelerator.device.type != "cpu"
        )
        return next_saving(self.story.learned, training.batch_size, frozen_text_encoder_on_card=on_card)

    @property
    def _adapts(self) -> bool:
        return self.config.training.on_out_of_memory != "stop" and self.trainer.accelerator.num_processes == 1

    def _wants_end(self) -> bool:
        return self.control.stop_requested or self.control.pause_requested

    def _agreed(self, wish: bool) -> bool:
        """What the main process says: the others may have measured the last digit differently."""
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return wish
        said: Any = accelerator.reduce(
            torch.tensor(float(wish and accelerator.is_main_process), device=accelerator.device), "sum"
        )
        return float(said) > 0

    def _set_modes(self) -> None:
        self.trainer.parts.denoiser.train()
        self.trainer.parts.text_encoder.train(self.trains_text_encoder)


def _is_card(trainer: Trainer) -> bool:
    return bool(trainer.accelerator.device.type == "cuda")
