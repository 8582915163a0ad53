"""Preview pictures during a run. Whatever happens to them, the run goes on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from core.config.model import SamplingConfig
from core.control import Control
from core.errors import explain
from core.events import Event, Notice, SampleReady, StageProgress, StageStarted
from core.run_folder import RunFolder
from core.sampling import draw, evaluating, save_picture, texts_of
from core.text import tr
from core.training.device import in_its_own_precision
from core.training.loop import Trainer
from core.training.recovery import free_memory, is_memory_error
from core.training.saving import Story


@dataclass(slots=True, kw_only=True)
class Previews:
    """Draws the prompts of a run; only the main process draws."""

    sampling: SamplingConfig
    run: RunFolder
    control: Control
    trainer: Trainer
    story: Story

    def draw(self, step: int) -> Iterator[Event]:
        """All prompts, one after the other; one that fails is told and never ends the run.

        When the memory is not enough, once more with the picture decoded in tiles; the run does so from then on.
        """
        if not self.sampling.prompts or not self.trainer.accelerator.is_main_process:
            return
        yield StageStarted(stage="sample", total=len(self.sampling.prompts))
        try:
            yield from self._draw(step)
        except Exception as error:
            short_of_memory = is_memory_error(error)
            reason = _in_words(error)
        else:
            return
        if not short_of_memory or self.story.learned.small_previews:
            yield _not_drawn(reason)
            return
        free_memory()
        self.story.learned = dataclasses.replace(self.story.learned, small_previews=True)
        try:
            yield from self._draw(step)
        except Exception as error:
            reason = _in_words(error)
        else:
            return
        free_memory()
        yield _not_drawn(reason)

    def _draw(self, step: int) -> Iterator[Event]:
        trainer, sampling = self.trainer, self.sampling
        accelerator, parts = trainer.accelerator, trainer.parts
        reads_now = not all(text in parts.prompts for text in texts_of(sampling))
        text_encoder_at = next((weight.device for weight in parts.text_encoder.parameters()), torch.device("cpu"))
        try:
            parts.vae.to(accelerator.device)
            if reads_now:
                parts.text_encoder.to(accelerator.device)
            pipeline = trainer.family.pipeline(parts)
            with (
                trainer.averaged(),
                evaluating(parts.denoiser, parts.text_encoder, parts.vae),
                in_its_own_precision(parts.vae),
                _tiled(parts.vae, self.story.learned.small_previews),
            ):
                for index, prompt in enumerate(sampling.prompts):
                    if self.control.stop_requested or self.control.pause_requested:
                        return
                    seed = sampling.seed + index
                    with accelerator.autocast():
                        (image,) = draw(pipeline, [prompt], [seed], sampling)
                    path = self.run.sample_path(step, index)
                    save_picture(image, path, prompt, seed)
                    yield SampleReady(step=step, index=index, prompt=prompt, seed=seed, image=path)
                    yield StageProgress(stage="sample", done=index + 1, total=len(sampling.prompts))
        finally:
            parts.vae.to("cpu")
            if reads_now:
                parts.text_encoder.to(text_encoder_at)


@contextlib.contextmanager
def _tiled(vae: Any, wanted: bool) -> Iterator[None]:
    if wanted:
        vae.enable_tiling()
    try:
        yield
    finally:
        if wanted:
            vae.disable_tiling()


def _in_words(error: Exception) -> str:
    known = explain(error)
    return str(known) if known else f"{type(error).__name__}: {error}"


def _not_drawn(reason: str) -> Notice:
    return Notice(level="warning", message=tr("A preview could not be drawn: {reason}", reason=reason))
