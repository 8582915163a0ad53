"""One sitting of a training run: from its start or its last state to its end, a stop or a failure."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import TrainConfig
from core.config.toml import save_config
from core.control import Control
from core.dataset.records import Scan
from core.dataset.scan import usable
from core.dataset.smart_crops import smart_records, subjects_of
from core.errors import UserError, explain
from core.events import (
    Event,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    StageProgress,
    StageStarted,
    StateSaved,
    StepDone,
)
from core.families.base import Family, Parts, family
from core.lora.file import save_lora
from core.lora.metadata import Progress, lora_metadata
from core.lora.network import add_network
from core.models import BaseModel
from core.run_folder import RunFolder, lora_path
from core.sampling import draw, evaluating, save_picture
from core.text import tr
from core.training.data import Example, Plan, examples_of
from core.training.device import choose_threads, device_title, make_accelerator, peak_memory_bytes, precision_name
from core.training.encoding import Embeddings, Latents
from core.training.loop import Trainer
from core.training.objective import NoiseSchedule
from core.training.optimizers import make_optimizer, restore_optimizer
from core.training.state import State, changed_options, load_state, save_state

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(slots=True, kw_only=True)
class Session:
    """Prepares, trains, previews and saves; its events are what the user sees."""

    config: TrainConfig
    run: RunFolder
    control: Control
    resume: bool
    base: BaseModel
    scan: Scan
    elapsed_s: float = 0.0
    started_at: float = field(default_factory=time.time)

    def events(self) -> Iterator[Event]:
        """The whole sitting. Ends with `Finished`.

        Raises:
            UserError: The settings do not fit the state, no picture can be read, or the loss is not a number.
        """
        config = self.config
        accelerator, dtype = make_accelerator(config.training.device, config.training.precision)
        prior_weight = config.loss.prior_weight
        examples = examples_of(self.scan, config.dataset, prior_weight=prior_weight)
        state = self._last_state()
        if accelerator.is_main_process:
            save_config(config, self.run.config)
            self.run.rewind(state.step if state else 0)
        yield JobStarted(
            job="train",
            run_folder=self.run.path,
            device=device_title(accelerator.device),
            precision=precision_name(dtype),
            first_step=state.step if state else 0,
            total_steps=self._num_steps(self._plan(examples, accelerator)),
            num_images=len({example.record.path for example in examples}),
        )
        yield from self._notices()
        with accelerator.main_process_first():
            subjects = yield from subjects_of(smart_records(self.scan, config.dataset.fit), self.control)
        examples = examples_of(self.scan, config.dataset, subjects, prior_weight=prior_weight)
        model_family = family(self.base.family)
        parts = model_family.load(self.base.path, dtype)
        choose_threads(parts.denoiser)
        network_config = config.network.model_copy(update={"train_text_encoder": self._trains_text_encoder})
        network = add_network(parts, model_family, network_config, config.training.seed)
        if config.training.gradient_checkpointing:
            _use_checkpointing(parts, text_encoder=self._trains_text_encoder)
        latents, embeddings = Latents(mirrored=config.dataset.flip), self._embeddings()
        examples = yield from self._encode(examples, parts, model_family, accelerator, latents, embeddings, dtype)
        if _anyone_wishes(accelerator, self.control.stop_requested):
            yield Finished(stopped=True, elapsed_s=self.elapsed_s)
            return
        if not examples:
            raise UserError(
                "None of the pictures in {folder} can be read.",
                remedy="The messages above name each of them; save them again as PNG or JPEG.",
                folder=config.dataset.folder,
            )
        plan = self._plan(examples, accelerator)
        if state is not None and state.data_fingerprint != plan.fingerprint():
            yield Notice(
                level="warning",
                message=tr("Pictures or captions changed since the run was stopped; it goes on with the new ones."),
            )
        parts.denoiser.to(accelerator.device)
        parts.text_encoder.to(accelerator.device if embeddings is None else "cpu")
        trainer = Trainer(
            config=config,
            family=model_family,
            parts=parts,
            network=network,
            plan=plan,
            latents=latents,
            embeddings=embeddings,
            optimizer=make_optimizer(network, config.optimizer, accelerator.device),
            noise_schedule=NoiseSchedule(parts.alphas_cumprod, parts.prediction).to(accelerator.device),
            accelerator=accelerator,
            total_steps=self._num_steps(plan),
        )
        if state is not None:
            _restore(trainer, state)
        elif config.sampling.at_start:
            yield from self._previews(trainer, 0)
        yield from self._train(trainer, state.step if state else 0)

    @property
    def _trains_text_encoder(self) -> bool:
        return self.config.network.train_text_encoder and self.config.optimizer.text_encoder_learning_rate > 0

    def _last_state(self) -> State | None:
        state = load_state(self.run.state) if self.resume else None
        if state is None:
            return None
        if changed := changed_options(state.settings, self.config):
            raise UserError(
                "The settings changed since this run was stopped: {options}.",
                remedy="Continue with the settings in {path}, or start a new run under another name.",
                options=", ".join(changed),
                path=self.run.config,
            )
        self.elapsed_s, self.started_at = state.elapsed_s, state.started_at
        return state

    def _plan(self, examples: list[Example], accelerator: Accelerator) -> Plan:
        training = self.config.training
        batch_size = training.batch_size * accelerator.num_processes
        return Plan(examples, batch_size, training.gradient_accumulation, training.seed)

    def _num_steps(self, plan: Plan) -> int:
        return plan.num_steps(self.config.training.epochs, self.config.training.max_steps)

    def _notices(self) -> Iterator[Event]:
        for problem in self.scan.problems:
            yield Notice(level="warning", message=f"{problem.message} {problem.remedy}".strip(), image=problem.path)
        used = usable(self.scan)
        for record in used:
            if record.caption_problem:
                yield Notice(level="warning", message=record.caption_problem, image=record.path)
        total = len(used)
        if without := sum(not record.caption for record in used):
            yield Notice(
                level="warning",
                message=tr("{number} of {total} pictures have no caption.", number=without, total=total),
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

    def _embeddings(self) -> Embeddings | None:
        """A place for cached embeddings, or None when captions or text encoder change during the run."""
        dataset = self.config.dataset
        changes = self._trains_text_encoder or dataset.shuffle_tags or dataset.tag_dropout
        return None if changes else Embeddings()

    def _encode(
        self,
        examples: list[Example],
        parts: Parts,
        model_family: Family,
        accelerator: Accelerator,
        latents: Latents,
        embeddings: Embeddings | None,
        dtype: torch.dtype,
    ) -> Generator[Event, None, list[Example]]:
        """Fill latents and embeddings; returns the examples that could be read, or nothing after a stop."""
        yield StageStarted(stage="cache", total=len(examples))
        captions = list(dict.fromkeys(example.caption for example in examples))
        too_long = [caption for caption in captions if _is_too_long(model_family.num_tokens(parts, caption))]
        if too_long:
            yield Notice(
                level="warning",
                message=tr(
                    "{number} captions are longer than the text encoder reads; their ends are not learned.",
                    number=len(too_long),
                ),
            )
        device = accelerator.device
        parts.vae.to(device)
        # One process computes, the others then read what it kept.
        with accelerator.main_process_first():
            encoding = latents.encode(examples, self.base.path, model_family, parts, device)
            usable = yield from _until_stop(encoding, self.control)
            if embeddings is not None and not self.control.stop_requested:
                parts.text_encoder.to(device)
                yield from embeddings.encode(
                    [*captions, ""], self.base.path, model_family, parts, self.config.model.clip_skip, dtype
                )
        parts.vae.to("cpu")
        return usable

    def _train(self, trainer: Trainer, first_step: int) -> Iterator[Event]:
        config, accelerator = self.config, trainer.accelerator
        per_epoch, total_steps = trainer.plan.steps_per_epoch, trainer.total_steps
        yield StageStarted(stage="train", total=total_steps)
        trainer.parts.denoiser.train()
        trainer.parts.text_encoder.train(self._trains_text_encoder)
        saved_step = first_step
        for step, epoch, micro_batches in trainer.plan.steps(first_step):
            if step >= total_steps:
                break
            began = time.monotonic()
            result = trainer.step(step, micro_batches, stop=self.control.stop_requested)
            self.elapsed_s += time.monotonic() - began
            done = step + 1
            yield StepDone(
                step=done,
                total_steps=total_steps,
                epoch=epoch + 1,
                total_epochs=config.training.epochs,
                loss=result.loss,
                learning_rate=result.learning_rate,
                elapsed_s=self.elapsed_s,
                peak_memory_bytes=peak_memory_bytes(accelerator.device),
            )
            # Alone, a wish made since the step is granted now; several processes must have agreed in the step.
            stop = self.control.stop_requested if accelerator.num_processes == 1 else result.stop
            if stop or done == total_steps:
                yield from self._end(trainer, done, epoch + 1, stopped=done < total_steps)
                return
            epoch_ends = done % per_epoch == 0
            every = config.output.save_every_n_epochs
            save_epoch = epoch_ends and every > 0 and (epoch + 1) % every == 0
            if save_epoch:
                yield from self._save_lora(trainer, done, epoch + 1, per_epoch_file=True)
            elif self.control.take_save_request():
                yield from self._save_lora(trainer, done, epoch + 1, per_epoch_file=False)
                save_epoch = True
            if save_epoch or done - saved_step >= config.output.state_every_n_steps:
                yield from self._save_state(trainer, done)
                saved_step = done
            every = config.sampling.every_n_steps
            preview_now = self.control.take_sample_request() or (done % every == 0 if every else epoch_ends)
            if preview_now and config.sampling.prompts:
                yield from self._previews(trainer, done)
                yield StageStarted(stage="train", total=total_steps)
        # The state stands at the end already: what was to follow it may be missing.
        yield from self._end(trainer, first_step, config.training.epochs, stopped=False)

    def _end(self, trainer: Trainer, step: int, epoch: int, *, stopped: bool) -> Iterator[Event]:
        yield StageStarted(stage="save")
        yield from self._save_state(trainer, step)
        yield from self._save_lora(trainer, step, epoch, per_epoch_file=False)
        if not stopped:
            yield from self._previews(trainer, step)
        trainer.accelerator.wait_for_everyone()
        yield Finished(output=lora_path(self.config), stopped=stopped, elapsed_s=self.elapsed_s)

    def _save_lora(self, trainer: Trainer, step: int, epoch: int, *, per_epoch_file: bool) -> Iterator[Event]:
        accelerator = trainer.accelerator
        if not accelerator.is_main_process:
            return
        path = lora_path(self.config, epoch if per_epoch_file else None)
        progress = Progress(
            step=step,
            epoch=epoch,
            total_steps=trainer.total_steps,
            batches_per_epoch=len(trainer.plan.batches(0)),
            num_devices=accelerator.num_processes,
            started_at=self.started_at,
            now=time.time(),
        )
        metadata = lora_metadata(
            self.config,
            trainer.plan.examples,
            progress,
            v_prediction=trainer.parts.prediction == "v_prediction",
            precision=accelerator.mixed_precision,
        )
        save_lora(path, trainer.network.tensors(), self.config.output.precision, metadata)
        yield LoraSaved(path=path, step=step, epoch=epoch, size_bytes=path.stat().st_size)

    def _save_state(self, trainer: Trainer, step: int) -> Iterator[Event]:
        if not trainer.accelerator.is_main_process:
            return
        scaler = trainer.accelerator.scaler
        state = State(
            step=step,
            settings=self.config.model_dump(mode="json"),
            data_fingerprint=trainer.plan.fingerprint(),
            elapsed_s=self.elapsed_s,
            started_at=self.started_at,
            network={name: weight.detach() for name, weight in trainer.network.named_parameters()},
            optimizer=trainer.optimizer.state_dict(),
            scaler=scaler.state_dict() if scaler is not None else {},
        )
        save_state(self.run.state, state)
        yield StateSaved(step=step, folder=self.run.state)

    def _previews(self, trainer: Trainer, step: int) -> Iterator[Event]:
        """Draw all prompts; a preview that fails is told and never ends the run."""
        sampling, accelerator, parts = self.config.sampling, trainer.accelerator, trainer.parts
        if not sampling.prompts or not accelerator.is_main_process:
            return
        yield StageStarted(stage="sample", total=len(sampling.prompts))
        text_encoder_at = next(parts.text_encoder.parameters()).device
        try:
            parts.vae.to(accelerator.device)
            parts.text_encoder.to(accelerator.device)
            pipeline = trainer.family.pipeline(parts)
            with evaluating(parts.denoiser, parts.text_encoder, parts.vae):
                for index, prompt in enumerate(sampling.prompts):
                    if self.control.stop_requested:
                        return
                    seed = sampling.seed + index
                    with accelerator.autocast():
                        (image,) = draw(pipeline, [prompt], [seed], sampling)
                    path = self.run.sample_path(step, index)
                    save_picture(image, path, prompt, seed)
                    yield SampleReady(step=step, index=index, prompt=prompt, seed=seed, image=path)
                    yield StageProgress(stage="sample", done=index + 1, total=len(sampling.prompts))
        except Exception as error:
            known = explain(error)
            reason = str(known) if known else f"{type(error).__name__}: {error}"
            yield Notice(level="warning", message=tr("A preview could not be drawn: {reason}", reason=reason))
        finally:
            parts.vae.to("cpu")
            parts.text_encoder.to(text_encoder_at)


def _until_stop(
    encoding: Generator[Event, None, list[Example]], control: Control
) -> Generator[Event, None, list[Example]]:
    """Pass events on until the work is done, or a stop is wished; then nothing of it is used."""
    while not control.stop_requested:
        try:
            event = next(encoding)
        except StopIteration as done:
            examples: list[Example] = done.value
            return examples
        yield event
    return []


def _anyone_wishes(accelerator: Accelerator, wish: bool) -> bool:
    """Whether any process wishes it: all must leave together, or those left would wait for ever."""
    if accelerator.num_processes == 1:
        return wish
    wishes: Any = accelerator.reduce(torch.tensor(float(wish), device=accelerator.device), "sum")
    return bool(wishes > 0)


def _restore(trainer: Trainer, state: State) -> None:
    trainer.network.load_tensors(state.network)
    restore_optimizer(trainer.optimizer, state.optimizer)
    if trainer.accelerator.scaler is not None and state.scaler:
        trainer.accelerator.scaler.load_state_dict(state.scaler)


def _use_checkpointing(parts: Parts, *, text_encoder: bool) -> None:
    denoiser: Any = parts.denoiser
    denoiser.enable_gradient_checkpointing()
    if text_encoder:
        encoder: Any = parts.text_encoder
        encoder.gradient_checkpointing_enable({"use_reentrant": False})


def _is_too_long(length: tuple[int, int]) -> bool:
    num_tokens, most = length
    return num_tokens > most
