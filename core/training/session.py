"""One sitting of a training run: everything from its start or a state of it to the first step; then its course."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.config.labels import specs_by_key
from core.config.model import TrainConfig
from core.config.toml import save_config
from core.control import Control
from core.dataset.records import Scan
from core.dataset.scan import usable
from core.dataset.smart_crops import smart_records, subjects_of
from core.errors import UserError
from core.events import Event, Finished, JobStarted, Notice
from core.families.base import Family, Parts, family, use_as
from core.lora.network import Network, add_network
from core.models import BaseModel
from core.run_folder import RunFolder
from core.space import check_space
from core.text import sentences, tr
from core.training.base_weights import pack_weights
from core.training.compiling import compile_blocks
from core.training.course import Course
from core.training.data import Example, Plan, examples_of
from core.training.device import choose_threads, device_title, make_accelerator, precision_name
from core.training.identity import base_identity, names_of, picture_identities, refuse_another_base, told_changes
from core.training.loop import Trainer
from core.training.objective import NoiseSchedule
from core.training.optimizers import make_optimizer
from core.training.preparing import Encoded, encode_all, to_device
from core.training.previews import Previews
from core.training.recovery import in_parts, is_memory_error, no_memory_left
from core.training.restoring import apply_learned, restore
from core.training.saving import Keeper, Story, put_aside_after
from core.training.state import Learned, State, changed_options, forget_after, last_state, told_options
from core.training.tensorboard import with_tensorboard
from core.training.validation import choose_held_out, split

if TYPE_CHECKING:
    from accelerate import Accelerator

_FILE_VALUE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}


@dataclass(slots=True, kw_only=True)
class Session:
    """Prepares a run, from its beginning or from a state; its events are what the user sees.

    `from_step` goes back to the state of an earlier step, 0 to the beginning; -1 takes the newest state.
    """

    config: TrainConfig
    run: RunFolder
    control: Control
    resume: bool
    from_step: int = -1
    base: BaseModel
    scan: Scan
    _story: Story = field(init=False)

    def events(self) -> Iterator[Event]:
        """The whole sitting. Ends with `Finished`.

        Raises:
            UserError: The settings do not fit the state, no picture can be read, or memory or numbers gave out.
            OSError: The disk is full or away.
        """
        config = self.config
        accelerator, dtype = make_accelerator(config.training.device, config.training.precision)
        examples = examples_of(self.scan, config.dataset, prior_weight=config.loss.prior_weight)
        identity = base_identity(self.base, self.config.model)
        self._story = Story(base=identity, pictures={}, held_out=(), started_at=time.time())
        state = yield from self._state_to_go_on_from()
        config = self.config
        self._story.held_out = choose_held_out(
            examples, config.validation, config.dataset.folder, before=state.held_out if state else None
        )
        first_step = state.step if state else 0
        trained, _ = split(examples, self._story.held_out, config.dataset.folder)
        if accelerator.is_main_process:
            save_config(self.config, self.run.config)
        yield JobStarted(
            job="train",
            run_folder=self.run.path,
            device=device_title(accelerator.device),
            precision=precision_name(dtype),
            first_step=first_step,
            total_steps=self._num_steps(self._plan(trained, accelerator)),
            num_images=len({example.record.path for example in trained}),
        )
        yield from self._notices()
        if held_out := self._story.held_out:
            yield Notice(
                message=tr(
                    "{number} pictures are held out: they are only measured, to see when the LoRA begins to learn by "
                    "heart. {names}",
                    number=len(held_out),
                    names=names_of(held_out),
                )
            )
        if state is not None and (told := told_options(state.settings, config)):
            yield Notice(
                message=tr(
                    "Changed since this run was stopped: {options}. From here on it is another run than it would have "
                    "been.",
                    options=", ".join(tr(specs_by_key()[key].title) for key in told),
                )
            )
        with accelerator.main_process_first():
            subjects = yield from subjects_of(smart_records(self.scan, config.dataset.fit), self.control)
        examples = examples_of(self.scan, config.dataset, subjects, prior_weight=config.loss.prior_weight)
        try:
            course = yield from self._prepare(examples, accelerator, dtype, state)
        except Exception as error:
            if not is_memory_error(error):
                raise
            raise no_memory_left(config, adapted=config.training.on_out_of_memory != "stop") from error
        if course is None:
            paused = self.control.pause_requested and not self.control.stop_requested
            yield Finished(stopped=True, paused=paused, elapsed_s=self._story.elapsed_s)
            return
        if accelerator.is_main_process:
            yield from self._rewind(first_step)
        accelerator.wait_for_everyone()
        steps = course.events(first_step)
        if config.output.tensorboard and accelerator.is_main_process:
            steps = with_tensorboard(steps, self.run.tensorboard, first_step)
        yield from steps

    @property
    def _trains_text_encoder(self) -> bool:
        return self.config.network.train_text_encoder and self.config.optimizer.text_encoder_learning_rate > 0

    def _state_to_go_on_from(self) -> Generator[Event, None, State | None]:
        if not self.resume or self.from_step == 0:
            return None
        state, damaged = last_state(self.run.state, from_step=self.from_step)
        if damaged and state is not None:
            yield Notice(
                level="warning",
                message=tr(
                    "The state of step {damaged} is damaged; the run goes on from the one before it, of step {step}.",
                    damaged=damaged[0].step,
                    step=state.step,
                ),
            )
        if state is None:
            return None
        self.config, parts = in_parts(self.config, state.settings)
        if parts > state.learned.chunks:
            state = dataclasses.replace(state, learned=dataclasses.replace(state.learned, chunks=parts))
        if changed := changed_options(state.settings, self.config):
            raise UserError(
                "The settings changed since this run was stopped: {options}.",
                remedy="Continue with the settings in {path}, or start a new run under another name.",
                failure="settings_changed",
                options=", ".join(changed),
                path=self.run.config,
            )
        refuse_another_base(state.base, self._story.base, self.base.path)
        self._story.elapsed_s, self._story.started_at = state.elapsed_s, state.started_at
        return state

    def _rewind(self, step: int) -> Iterator[Event]:
        """Make the run's record end where it goes on from. What was made later is put aside when the user went back.

        Only when all is prepared: a run that cannot go on keeps the states it has.
        """
        if self.resume and self.from_step >= 0:
            yield from put_aside_after(self.run, step)
        if self.resume:
            forget_after(self.run.state, step)
        self.run.rewind(step)

    def _plan(self, examples: list[Example], accelerator: Accelerator) -> Plan:
        training = self.config.training
        batch_size = training.batch_size * accelerator.num_processes
        return Plan(examples, batch_size, training.gradient_accumulation, training.seed)

    def _num_steps(self, plan: Plan) -> int:
        return plan.num_steps(self.config.training.epochs, self.config.training.max_steps)

    def _notices(self) -> Iterator[Event]:
        for problem in self.scan.problems:
            yield Notice(level="warning", message=sentences(problem.message, problem.remedy), image=problem.path)
        used = usable(self.scan)
        for record in used:
            if record.caption_problem:
                yield Notice(level="warning", message=record.caption_problem, image=record.path)
        learned = [record for record in used if not record.is_regularization]
        if without := sum(not record.caption for record in learned):
            yield Notice(
                level="warning",
                message=sentences(
                    tr("{number} of {total} pictures have no caption.", number=without, total=len(learned)),
                    tr("Tag them first: captions make a LoRA much better."),
                ),
            )
        if self.config.dataset.resolution > 2 * self.base.native_size_px:
            yield Notice(
                level="warning",
                message=tr(
                    "{resolution} px is far above the {native} px that this base model was made for.",
                    resolution=self.config.dataset.resolution,
                    native=self.base.native_size_px,
                ),
            )

    def _prepare(
        self, examples: list[Example], accelerator: Accelerator, dtype: torch.dtype, state: State | None
    ) -> Generator[Event, None, Course | None]:
        """Everything that the first step needs; None after a stop.

        Raises:
            UserError: No picture can be read, or the state does not fit.
        """
        config, story = self.config, self._story
        folder = config.dataset.folder
        learned = self._learned_before(state)
        if config.training.gradient_checkpointing:
            learned = dataclasses.replace(learned, checkpointing=True)
        model_family = family(self.base.family)
        parts = model_family.load(self.base, dtype, config.model.vae)
        use_as(parts, config.model)
        choose_threads(parts.denoiser)
        changes: dict[str, object] = {"train_text_encoder": self._trains_text_encoder}
        if state is not None:
            changes["start_from"] = Path()  # The state has what became of it, and the file may be gone.
        network_config = config.network.model_copy(update=changes)
        network = add_network(parts, model_family, network_config, config.training.seed)
        if config.training.base_weights == "int8":
            pack_weights(parts.denoiser)
        self._check_space(self._plan(split(examples, story.held_out, folder)[0], accelerator), network, state)
        encoded = yield from encode_all(
            examples, self.base, model_family, parts, accelerator, dtype, config, self.control, learned
        )
        if _anyone_wishes(accelerator, self.control.stop_requested or self.control.pause_requested):
            return None
        assert encoded is not None
        story.learned = encoded.learned
        trained, measured = split(encoded.examples, story.held_out, folder)
        if not trained:
            raise UserError(
                "None of the pictures in {folder} can be read.",
                remedy="The messages above name each of them; save them again as PNG or JPEG.",
                failure="pictures_damaged",
                folder=folder,
            )
        if accelerator.is_main_process:
            story.pictures = picture_identities(encoded.examples, folder, encoded.latents.contents)
            if state is not None:
                yield from told_changes(state.pictures, story.pictures)
        plan = self._plan(trained, accelerator)
        to_device(parts.denoiser, accelerator.device)
        if config.training.compile and (told := compile_blocks(parts.denoiser, accelerator.device)):
            yield Notice(level="warning", message=told)
        text_at_hand = encoded.embeddings is None and not story.learned.text_on_cpu
        to_device(parts.text_encoder, accelerator.device if text_at_hand else torch.device("cpu"))
        trainer = self._trainer(model_family, parts, network, plan, encoded, accelerator)
        if state is not None:
            learned = story.learned
            restore(trainer, story, state)
            story.learned = learned
        apply_learned(trainer, story.learned, train_text_encoder=self._trains_text_encoder)
        return Course(
            config=config,
            run=self.run,
            control=self.control,
            trainer=trainer,
            story=story,
            keeper=Keeper(config=config, run=self.run, trainer=trainer, story=story),
            previews=Previews(
                sampling=config.sampling, run=self.run, control=self.control, trainer=trainer, story=story
            ),
            measured=measured,
            trains_text_encoder=self._trains_text_encoder,
        )

    def _learned_before(self, state: State | None) -> Learned:
        """What earlier sittings found out. Another learning rate from the user replaces what Kiln did about it."""
        if state is None:
            return Learned()
        rates = {"optimizer.learning_rate", "optimizer.text_encoder_learning_rate"}
        if rates.isdisjoint(told_options(state.settings, self.config)):
            return state.learned
        return dataclasses.replace(state.learned, rate_scale=1.0)

    def _trainer(
        self,
        model_family: Family,
        parts: Parts,
        network: Network,
        plan: Plan,
        encoded: Encoded,
        accelerator: Accelerator,
    ) -> Trainer:
        return Trainer(
            config=self.config,
            family=model_family,
            parts=parts,
            network=network,
            plan=plan,
            latents=encoded.latents,
            embeddings=encoded.embeddings,
            optimizer=make_optimizer(network, self.config.optimizer, accelerator.device),
            noise_schedule=NoiseSchedule(parts.alphas_cumprod, parts.prediction).to(accelerator.device),
            accelerator=accelerator,
            total_steps=self._num_steps(plan),
        )

    def _check_space(self, plan: Plan, network: Network, state: State | None) -> None:
        """Make sure that the run has room on the disk before hours are spent on encoding and training.

        Raises:
            UserError: It has not.
        """
        num_values = sum(weight.numel() for _, weight in network.named_parameters())
        lora_bytes = num_values * _FILE_VALUE_BYTES[self.config.output.precision]
        check_space(self.config, plan.steps_per_epoch, lora_bytes, from_step=state.step if state else 0)


def _anyone_wishes(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any process wishes it: all must leave together, or those left would wait for ever."""
    if accelerator.num_processes == 1:
        return wish
    wishes: Any = accelerator.reduce(torch.tensor(float(wish), device=accelerator.device), "sum")
    return bool(wishes > 0)
