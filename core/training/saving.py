"""What a run leaves on the disk on its way: LoRA files and states, and which of them stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.config.model import TrainConfig
from core.events import Event, LoraSaved, Notice, StateSaved
from core.lora.checking import check_file, modules_of_base
from core.lora.file import save_lora
from core.lora.metadata import BaseFacts, Progress, lora_metadata
from core.lora.sidecars import card_values, write_sidecars
from core.models import BaseModel, describe_base
from core.run_folder import RunFolder, lora_path
from core.text import tr
from core.training.best_epoch import Saved
from core.training.hashing import FileHashes
from core.training.loop import Trainer
from core.training.recovery import free_memory, is_memory_error
from core.training.state import Learned, Measure, State, keep_newest, save_state


@dataclass(slots=True, kw_only=True)
class Story:
    """What a run has been through so far; with the weights it makes a state.

    `base`, `pictures` and `held_out` say what it was started with, `elapsed_s` the time spent in steps, `started_at`
    when it first began, in Unix seconds.
    """

    base: dict[str, str]
    pictures: dict[str, list[str]]
    held_out: tuple[str, ...]
    started_at: float
    elapsed_s: float = 0.0
    learned: Learned = field(default_factory=Learned)
    curve: tuple[Measure, ...] = ()
    recent_losses: tuple[float, ...] = ()


def put_aside_after(run: RunFolder, step: int) -> Iterator[Event]:
    """Move LoRA files and previews of later steps out of the way, and say where they are now."""
    if folder := run.put_aside(run.said_after(step)):
        yield Notice(
            message=tr(
                "The LoRA files that were saved after step {step} are now in {folder}.", step=step, folder=folder
            )
        )


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Writes LoRA files and states of one run; only the main process writes.

    Every LoRA file is read again and compared with the base model. The base model's hashes are worked out meanwhile;
    files that are written before they are known go without.
    """

    config: TrainConfig
    run: RunFolder
    trainer: Trainer
    story: Story
    hashes: FileHashes = field(init=False)
    _base: BaseModel = field(init=False)
    _modules: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Look at the base model, as long as it is surely there."""
        is_main = self.trainer.accelerator.is_main_process
        model = self.config.model
        self._base = describe_base(model.base)
        self._modules = modules_of_base(self._base) if is_main else {}
        self.hashes = FileHashes([model.base, model.vae] if is_main else [])

    def lora(self, path: Path, step: int, epoch: int) -> Iterator[Event]:
        """Write a LoRA file, of the averaged weights where there are such.

        Raises:
            UserError: A weight is not a finite number; nothing is written.
            OSError: The file cannot be written.
        """
        trainer = self.trainer
        accelerator = trainer.accelerator
        if not accelerator.is_main_process:
            return
        now = max(time.time(), self.story.started_at)  # A clock may have been set back meanwhile.
        progress = Progress(
            step=step,
            epoch=epoch,
            total_steps=trainer.total_steps,
            batches_per_epoch=len(trainer.plan.batches(0)),
            num_devices=accelerator.num_processes,
            started_at=self.story.started_at,
            now=now,
        )
        metadata = lora_metadata(
            self.config,
            trainer.plan.examples,
            progress,
            v_prediction=trainer.parts.prediction == "v_prediction",
            precision=accelerator.mixed_precision,
            base=BaseFacts(
                family=self._base.family,
                zero_terminal_snr=bool(trainer.parts.scheduler_config.get("rescale_betas_zero_snr")),
                hashes=self.hashes.of(self.config.model.base),
                vae_hashes=self.hashes.of(self.config.model.vae),
            ),
        )
        for attempt in range(2):
            try:
                with trainer.averaged():
                    save_lora(path, trainer.network.tensors(), self.config.output.precision, metadata)
                break
            except Exception as error:
                if attempt or not is_memory_error(error):
                    raise
            free_memory()
        checked = check_file(path, self._modules, is_new=step == 0)
        yield LoraSaved(
            path=path,
            step=step,
            epoch=epoch,
            size_bytes=path.stat().st_size,
            num_modules=checked.num_modules,
            problems=checked.problems,
        )

    def card(self, step: int) -> Iterator[Event]:
        """Write the finished file's card for A1111 and Forge, with the last preview of the first prompt.

        A card that cannot be written, or one of the user's own in its place, is told and does not end the run.
        """
        if not self.config.output.sidecars or not self.trainer.accelerator.is_main_process:
            return
        previews = sorted(self.run.samples.glob("step_*_00.png"))
        values = card_values(self.config, self._base.family, steps=step)
        try:
            kept = write_sidecars(lora_path(self.config), values, previews[-1] if previews else None)
        except OSError as error:
            message = tr("The card for A1111 / Forge could not be written: {error}", error=error)
            yield Notice(level="warning", message=message)
            return
        if kept:
            names = ", ".join(path.name for path in kept)
            yield Notice(message=tr("{names} was not written by this program and stays as it is.", names=names))

    def prune_lora_files(self, last_epoch: int, last_step: int) -> None:
        """Remove the oldest files that were saved by rhythm, when only so many are to be kept.

        Those that the user asked for, and the final one, always stay.
        """
        output = self.config.output
        if not output.keep_last or not self.trainer.accelerator.is_main_process:
            return
        per_epoch = self.trainer.plan.steps_per_epoch
        by_step = {epoch * per_epoch: lora_path(self.config, epoch) for epoch in self._saved_epochs(last_epoch)}
        every = output.save_every_n_steps
        for step in range(every, last_step + 1, every) if every else ():
            by_step.setdefault(step, lora_path(self.config, step=step))
        there = [path for _, path in sorted(by_step.items()) if path.exists()]
        for path in there[: -output.keep_last]:
            path.unlink(missing_ok=True)

    def saved_epochs(self, last_epoch: int, last_step: int) -> dict[int, Saved]:
        """The files of single epochs that are there, and the final one as that of the last epoch."""
        per_epoch = self.trainer.plan.steps_per_epoch
        found = {
            epoch: Saved(path, epoch * per_epoch)
            for epoch in self._saved_epochs(last_epoch)
            if (path := lora_path(self.config, epoch)).exists()
        }
        if (final := lora_path(self.config)).exists():
            found.setdefault(last_epoch, Saved(final, last_step))
        return found

    def state(self, step: int, *, epoch: int | None = None, must: bool = True) -> Iterator[Event]:
        """Write a state, then remove those that are not to be kept.

        Args:
            step: Steps done.
            epoch: The epoch, from 1, that it is to be kept for.
            must: Whether the run ends when the memory is not even enough for this; else it goes on without.

        Raises:
            UserError: A weight is not a finite number; nothing is written.
            OSError: The file cannot be written; the states before are still there.
        """
        trainer, story = self.trainer, self.story
        if not trainer.accelerator.is_main_process:
            return
        scaler = trainer.accelerator.scaler
        for attempt in range(2):
            try:
                save_state(
                    self.run.state,
                    State(
                        step=step,
                        settings=self.config.model_dump(mode="json"),
                        base=story.base,
                        pictures=story.pictures,
                        elapsed_s=story.elapsed_s,
                        started_at=story.started_at,
                        network={name: weight.detach() for name, weight in trainer.network.named_parameters()},
                        optimizer=trainer.optimizer.state_dict(),
                        scaler=scaler.state_dict() if scaler is not None else {},
                        averaging=trainer.averaging_state(),
                        learned=story.learned,
                        recent_losses=story.recent_losses,
                        curve=story.curve,
                        held_out=story.held_out,
                    ),
                    epoch=epoch,
                )
                break
            except Exception as error:
                if not is_memory_error(error) or (attempt and must):
                    raise
            free_memory()
        else:
            yield Notice(
                level="warning",
                message=tr("The memory was not enough to save the state of step {step}; the run goes on.", step=step),
            )
            return
        keep_newest(self.run.state, states=self.config.output.keep_states, epoch_states=self.config.output.epoch_states)
        yield StateSaved(step=step, folder=self.run.state)

    def _saved_epochs(self, last_epoch: int) -> range:
        every = self.config.output.save_every_n_epochs
        return range(every, last_epoch + 1, every) if every else range(0)
