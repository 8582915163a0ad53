"""Pictures drawn by a model: previews during training, and the sample job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.model import SamplingConfig
from core.control import Control
from core.dataset.tokens import CHUNK
from core.errors import UserError
from core.events import Event, Finished, JobStarted, SampleReady, StageProgress, StageStarted
from core.files import replacing
from core.models import describe_base
from core.text import tr

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from core.families.base import Family, Parts
    from core.jobs import SampleJob

_SAMPLERS = {
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "ddim": "DDIMScheduler",
}
"""The schedulers of diffusers by the names of the settings."""


def draw(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], sampling: SamplingConfig) -> list[Image]:
    """One picture for each prompt, all in one batch.

    Args:
        pipeline: From `Family.pipeline`.
        prompts: What to draw.
        seeds: Of each picture's first noise, which is made on the CPU and so is the same on every device.
        sampling: Size, steps, guidance, sampler and negative prompt.
    """
    import torch

    _use_sampler(pipeline, sampling.sampler)
    with torch.no_grad():
        images: list[Image] = pipeline(
            list(prompts),
            negative_prompt=[sampling.negative_prompt] * len(prompts) if sampling.negative_prompt else None,
            width=sampling.width,
            height=sampling.height,
            num_inference_steps=sampling.denoising_steps,
            guidance_scale=sampling.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
    return images


def texts_of(sampling: SamplingConfig) -> list[str]:
    """All that the text encoder reads for the pictures of these settings, each text once."""
    return list(dict.fromkeys([*sampling.prompts, sampling.negative_prompt])) if sampling.prompts else []


def _use_sampler(pipeline: Any, name: str) -> None:
    """Give a pipeline another sampler of the same noise schedule."""
    import diffusers

    sampler = getattr(diffusers, _SAMPLERS[name])
    if type(pipeline.scheduler) is not sampler:
        pipeline.scheduler = sampler.from_config(pipeline.scheduler.config)


def save_picture(image: Image, path: Path, prompt: str, seed: int) -> None:
    """Write a PNG, atomically, with its prompt and seed inside."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("prompt", prompt)
    info.add_text("seed", str(seed))
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)


@contextlib.contextmanager
def evaluating(*modules: torch.nn.Module) -> Iterator[None]:
    """Switch dropout and checkpointing off for a while."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, was_training in zip(modules, before, strict=True):
            module.train(was_training)


def sample(job: SampleJob, control: Control) -> Iterator[Event]:
    """Draw every prompt once.

    Raises:
        UserError: The model or the LoRA cannot be used, or there is no prompt.
    """
    if not job.sampling.prompts:
        raise UserError("There is no prompt.", remedy="Write what should be drawn.")
    base = describe_base(job.model.base)
    yield JobStarted(job="sample", total_steps=len(job.sampling.prompts))
    yield StageStarted(stage="load")
    from core.families.base import family as family_of
    from core.families.base import use_as
    from core.lora.file import load_lora
    from core.lora.network import add_from_file
    from core.training.device import choose_device, choose_threads, in_its_own_precision
    from core.training.encoding import Embeddings

    tensors = load_lora(job.lora, family=base.family) if job.lora else None
    device, dtype = choose_device(job.device)
    family = family_of(base.family)
    parts = family.load(base, dtype, job.model.vae)
    use_as(parts, job.model)
    choose_threads(parts.denoiser)
    if tensors is not None:
        add_from_file(parts, family, tensors, job.strength)
    import torch

    autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    texts = texts_of(job.sampling)
    _make_room_for_tokens(family, parts, texts)
    # One after the other: the card need not hold the text encoder and the denoiser at once.
    parts.text_encoder.to(device)
    if any(name.startswith("lora_te") for name in tensors or ()):
        with autocast, torch.no_grad():
            parts.prompts = {text: family.encode_captions(parts, [text]) for text in texts}
    else:  # As in training: a large text encoder may have read these prompts before.
        embeddings = Embeddings()
        for event in embeddings.encode(texts, base, family, parts, dtype):
            yield event
            if control.stop_requested:
                yield Finished(output=job.target, stopped=True)
                return
        parts.prompts = {text: embeddings.get([text], torch.device("cpu")) for text in texts}
    parts.text_encoder.to("cpu")
    for module in (parts.denoiser, parts.vae):
        module.to(device)
    pipeline = family.pipeline(parts)
    total = len(job.sampling.prompts)
    yield StageStarted(stage="sample", total=total)
    for index, prompt in enumerate(job.sampling.prompts):
        if control.stop_requested:
            yield Finished(output=job.target, stopped=True)
            return
        seed = job.sampling.seed + index
        with autocast, in_its_own_precision(parts.vae):
            (image,) = draw(pipeline, [prompt], [seed], job.sampling)
        path = _free_path(job.target / f"{index + 1:03d}_{seed}.png")
        save_picture(image, path, prompt, seed)
        yield SampleReady(step=0, index=index, prompt=prompt, seed=seed, image=path)
        yield StageProgress(stage="sample", done=index + 1, total=total)
    yield Finished(output=job.target)


def _make_room_for_tokens(family: Family, parts: Parts, texts: Sequence[str]) -> None:
    """Let prompts be read to their ends, in as many pieces as the longest takes."""
    longest = max(family.num_tokens(parts, text)[0] for text in texts)
    parts.max_tokens = max(parts.max_tokens, -(-longest // CHUNK) * CHUNK)


def _free_path(path: Path) -> Path:
    """The path itself, or the first of `name-2`, `name-3` … that is not taken: pictures are never overwritten."""
    number = 2
    free = path
    while free.exists():
        free = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return free


def default_prompts(trigger_word: str, captions: list[str]) -> tuple[str, ...]:
    """Up to three captions, from the beginning, the middle and the end, as preview prompts; else the trigger word."""
    chosen = [captions[len(captions) * part // 3] for part in range(3)] if len(captions) >= 3 else captions[:1]
    prompts = [caption for caption in dict.fromkeys(chosen) if caption]
    return tuple(prompts) or ((trigger_word,) if trigger_word else (tr("a picture"),))
