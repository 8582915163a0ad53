"""How much memory a run will need, before it starts: from the headers of the base model and the settings alone.

The peak is that of the hungriest stage. What is stored is counted exactly: weights by their number format, the LoRA
with gradients and the optimizer's memory. What is computed with is estimated from the shape of the model: the numbers
that a pass keeps for the way back grow with the pixels, the pictures of a batch and the width of each level. Their
factors were measured on the full-size networks of Stable Diffusion 1.5 and SDXL by counting every tensor that lives at
a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.config import TrainConfig, with_values
from core.device import Device
from core.errors import UserError
from core.estimate_network import num_trained, trains_text_encoder
from core.model_shape import ModelShape, shape_of
from core.models import BaseModel
from core.text import sentences, tr

Stage = Literal["cache", "train", "sample"]
State = Literal["fits", "tight", "too_much", "unknown"]

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_RESNET, _TRANSFORMER, _BLOCK = 22.5, 11.2, 60.0
"""Bytes kept for each channel of each latent pixel, in 16 bits: by a resnet, a transformer's frame, one block of it."""

_RESNET_INPUT, _TRANSFORMER_INPUT, _BLOCK_INPUT = 1.8, 13.5, 2.0
"""The same with checkpointing, which keeps what goes into each part and computes the rest again."""

_FULL_PRECISION = 1.71
"""The same in 32 bits: some of it is kept in 32 bits either way."""

_MEASURED_RANK = 16
"""The rank that these were measured with; each further one keeps two numbers for each module and pixel."""

_KINDS = {"lora": 1.0, "loha": 1.25, "lokr": 1.43}
_DORA = 1.37
"""How much more a pass keeps with another kind of network than LoRA, and with weight decomposition: each layer keeps
inputs of its own, which the layers of a LoRA share. Counted on both networks as well."""

_TEXT_BLOCK = 54.0
"""Bytes kept by a layer of the text encoder for each channel of each token, in 16 bits."""

_DRAWING = 0.073
"""Share of the training pass that lives at a time when pictures are drawn, where nothing is kept."""

_VAE_IN, _VAE_OUT = 5.1, 6.2
"""Feature maps of the VAE's first width at full size that live at a time: to read a picture and to draw one."""

_PACKED = 1.02
"""Bytes of a weight that is kept in 8 bit, with its share of the scales and of what stays whole."""

_LARGE_TEXT_ENCODER = 2_000_000_000
"""From so many weights on, a text encoder is brought in as memory allows, and only while captions are encoded."""

_OPTIMIZER = {
    "adamw": 8.0,
    "adamw8bit": 2.1,
    "lion": 4.0,
    "adafactor": 0.1,
    "prodigy": 16.0,
    "dadaptation": 12.0,
    "adamw_schedulefree": 8.0,
    "came": 4.2,
    "sgd": 4.0,
}
"""Bytes that the optimizer keeps for each trained number."""

_PROGRAM = {"cuda": 600_000_000, "mps": 700_000_000, "cpu": 600_000_000}
"""The driver's own part on a card with its workspaces; elsewhere the libraries."""

_COMFORTABLE, _WHOLE = 0.9, 0.97
"""Up to these shares of the memory a run fits, and barely fits: an allocator never uses every byte."""


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """What a share of the memory is for."""

    name: Literal["model", "lora", "computing", "program"]
    num_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The most that a run holds at a time, in which stage, and what it is made of.

    `run_bytes` is the same without previews: one that finds no memory is left out and ends no run.
    """

    peak_bytes: int
    run_bytes: int
    stage: Stage
    parts: tuple[MemoryPart, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run fits, in a word and in a sentence; `remedy` says what Kiln does about it, or the user can."""

    state: State
    sentence: str
    remedy: str = ""


def estimate_memory(config: TrainConfig, base: BaseModel, kind: str = "cuda") -> MemoryEstimate:
    """The peak of a run on a kind of device.

    Args:
        config: The settings.
        base: The base model; its files' headers are read, once for each model.
        kind: `cuda`, `mps` or `cpu`. A card holds only what a stage needs; elsewhere all parts share one memory.

    Raises:
        UserError: The files of the base model cannot be read.
    """
    shape = shape_of(base, config.model.vae)
    stages: tuple[Stage, ...] = ("cache", "train", "sample") if config.sampling.prompts else ("cache", "train")
    parts = {stage: _stage(stage, config, shape, kind) for stage in stages}
    peaks = {stage: sum(part.num_bytes for part in parts[stage]) for stage in stages}
    hungriest = max(stages, key=lambda stage: peaks[stage])
    return MemoryEstimate(peaks[hungriest], max(peaks["cache"], peaks["train"]), hungriest, parts[hungriest])


def _stage(stage: Stage, config: TrainConfig, shape: ModelShape, kind: str) -> tuple[MemoryPart, ...]:
    """What a stage holds."""
    size = precision_bytes(config, kind)
    vae_size = 2 if config.training.vae_precision == "bf16" and kind == "cuda" else 4
    denoiser = shape.denoiser * (_PACKED if config.training.base_weights == "int8" else size)
    text, vae = _text_bytes(stage, config, shape, size), shape.vae * vae_size
    side = config.dataset.resolution
    lora = 0.0
    if kind != "cuda":
        model = denoiser + text + vae
    elif stage == "cache":
        model = max(float(vae), text)
    else:
        # Where captions are encoded once, those of previews are too, and the text encoder is not needed again.
        model = denoiser + (0 if caches_captions(config) else text) + (vae if stage == "sample" else 0)
    if stage == "cache":
        computing = _VAE_IN * shape.vae_width * side * side * vae_size
    else:
        lora = _lora_bytes(config, shape)
        if stage == "train":
            computing = _pass_bytes(config, shape, size) * config.training.batch_size
        else:
            drawn = config.sampling.width * config.sampling.height
            # With guidance the denoiser draws each picture twice at a time, with and without the prompt.
            passes = 2 * _DRAWING * _kept(shape, size) * drawn / shape.scale**2
            computing = max(passes, _VAE_OUT * shape.vae_width * drawn * vae_size)
    return (
        MemoryPart("model", round(model)),
        MemoryPart("lora", round(lora)),
        MemoryPart("computing", round(computing)),
        MemoryPart("program", _PROGRAM.get(kind, _PROGRAM["cpu"])),
    )


def _text_bytes(stage: Stage, config: TrainConfig, shape: ModelShape, size: int) -> float:
    """What the text encoder takes; a large one is gone when all captions are encoded."""
    if shape.text_encoder < _LARGE_TEXT_ENCODER:
        return float(shape.text_encoder * size)
    if stage != "cache":
        return 0.0
    how = config.model.large_text_encoder
    if how == "whole":
        return float(shape.text_encoder * size)
    if how == "int8":
        return shape.text_encoder * _PACKED
    return 2.0 * shape.text_encoder * size / max(1, shape.text_layers)  # A layer, and the next one on its way.


def _pass_bytes(config: TrainConfig, shape: ModelShape, size: int) -> float:
    """What one picture keeps for the way back, all parts that are trained."""
    pixels = config.dataset.resolution**2 / shape.scale**2
    network = config.network
    kind = _DORA if network.dora and network.kind == "lora" else _KINDS[network.kind]
    wide = _FULL_PRECISION if size == 4 else 1.0
    ranks = 2 * size * (network.rank - _MEASURED_RANK) * shape.modules if network.kind == "lora" else 0.0
    if config.training.gradient_checkpointing:
        inputs = _RESNET_INPUT * shape.resnets + _TRANSFORMER_INPUT * shape.transformers + _BLOCK_INPUT * shape.blocks
        return (inputs + _BLOCK * kind * shape.widest) * wide * pixels
    kept = (kind * _kept(shape, size) + ranks) * pixels
    if trains_text_encoder(config):
        kept += _TEXT_BLOCK * wide * shape.text_width * shape.text_layers * (config.model.max_tokens + 2)
    return kept


def _kept(shape: ModelShape, size: int) -> float:
    """Bytes that a pass of the denoiser keeps for each latent pixel."""
    kept = _RESNET * shape.resnets + _TRANSFORMER * shape.transformers + _BLOCK * shape.blocks
    return kept * (_FULL_PRECISION if size == 4 else 1.0)


def _lora_bytes(config: TrainConfig, shape: ModelShape) -> float:
    """Weights and gradients in 32 bits, what the optimizer keeps, and the average where there is one."""
    per_number = 8 + _OPTIMIZER[config.optimizer.name] + (4 if config.optimizer.ema_decay else 0)
    return per_number * num_trained(config, shape)


def caches_captions(config: TrainConfig) -> bool:
    """Whether what the text encoder says is the same in every epoch, so that it can leave the card."""
    dataset = config.dataset
    changes = dataset.shuffle_tags or dataset.tag_dropout or dataset.wildcards or dataset.tag_warmup_steps
    return not (changes or trains_text_encoder(config))


def precision_bytes(config: TrainConfig, kind: str) -> int:
    """Bytes of a number of the frozen model."""
    if config.training.precision == "auto":
        return 2 if kind == "cuda" else 4
    return _BYTES[config.training.precision]


def state_of(peak_bytes: int, total_bytes: int | None, free_bytes: int | None) -> State:
    """Whether a peak fits into a memory of which so much is free."""
    if not total_bytes:
        return "unknown"
    free = total_bytes if free_bytes is None else min(free_bytes, total_bytes)
    if peak_bytes <= _COMFORTABLE * free:
        return "fits"
    return "tight" if peak_bytes <= _WHOLE * total_bytes else "too_much"


def verdict(estimate: MemoryEstimate, config: TrainConfig, base: BaseModel, device: Device) -> Verdict:
    """Whether a run fits, and what is done when it does not.

    Args:
        estimate: Of these settings on this device.
        config: The settings, to see which savers are left.
        base: The base model.
        device: Its total memory and what is free of it now.
    """
    need = gigabytes(estimate.peak_bytes)
    total, free = device.total_bytes, device.free_bytes
    if not total:
        return Verdict("unknown", tr("Needs about {need} of memory.", need=need))
    state = state_of(estimate.peak_bytes, total, free)
    only_previews = state == "too_much" and state_of(estimate.run_bytes, total, None) != "too_much"
    if only_previews:
        state = "tight"
    fields = {"need": need, "total": gigabytes(total), "device": device.title}
    if state == "fits":
        return Verdict(state, tr("Fits: about {need} of the {total} of {device}.", **fields))
    if state == "tight":
        sentence = tr("Tight: about {need} of the {total} of {device}.", **fields)
        if free is not None and free < estimate.peak_bytes:
            hint = tr("Only {free} are free now; closing other programs helps.", free=gigabytes(free))
            sentence = sentences(sentence, hint)
    else:
        sentence = tr("Will not fit: about {need}, and {device} has {total}.", **fields)
    if only_previews:
        return Verdict(state, sentence, tr("Previews may not fit; then the run goes on without them."))
    return Verdict(state, sentence, _remedy(state, config, base, device))


@dataclass(frozen=True, slots=True)
class Saver:
    """A way to need less memory: what it changes, and what it is called in the middle of a sentence."""

    changes: dict[str, object]
    title: str


def savers(config: TrainConfig) -> list[Saver]:
    """What is left to save memory with, the cheapest first. The first two keep what is learned as it is."""
    training = config.training
    left: list[Saver] = []
    if not training.gradient_checkpointing:
        left.append(Saver({"training.gradient_checkpointing": True}, tr("checkpointing")))
    if training.batch_size > 1:
        whole = training.batch_size * training.gradient_accumulation
        batch: dict[str, object] = {"training.batch_size": 1, "training.gradient_accumulation": min(whole, 256)}
        left.append(Saver(batch, tr("batches in smaller parts")))
    if training.base_weights == "full":
        left.append(Saver({"training.base_weights": "int8"}, tr("base weights in 8 bit")))
    if trains_text_encoder(config):
        left.append(Saver({"network.train_text_encoder": False}, tr("leaving the text encoder as it is")))
    return left


def saved(
    config: TrainConfig, base: BaseModel, kind: str, total_bytes: int, share: float = _WHOLE
) -> tuple[TrainConfig, list[Saver]]:
    """The settings with as many savers as it takes to fit, or all that help; and which these are.

    Args:
        config: The settings.
        base: The base model.
        kind: Of the device.
        total_bytes: Its memory.
        share: How much of that may be used.
    """
    used: list[Saver] = []
    peak = estimate_memory(config, base, kind).run_bytes
    for saver in savers(config):
        if peak <= share * total_bytes:
            break
        smaller = with_values(config, saver.changes)
        less = estimate_memory(smaller, base, kind).run_bytes
        if less < peak:
            config, peak = smaller, less
            used.append(saver)
    return config, used


def _remedy(state: State, config: TrainConfig, base: BaseModel, device: Device) -> str:
    """What is done about too little memory."""
    assert device.total_bytes
    adapts = config.training.on_out_of_memory == "adapt"
    smaller, used = saved(config, base, device.kind, device.total_bytes)
    peak = estimate_memory(smaller, base, device.kind).run_bytes
    names = tr(", ").join(saver.title for saver in used)
    if state == "tight":
        helping = saved(config, base, device.kind, device.total_bytes, 0.0)[1]
        names = tr(", ").join(saver.title for saver in helping)
        if adapts and names:
            return tr("If memory runs out, Kiln goes on from the last step with less: {savers}.", savers=names)
        return ""
    if peak > _WHOLE * device.total_bytes:
        return tr("Lower the resolution, or set the device to the processor, which is slow.")
    less = gigabytes(peak)
    if adapts:
        return tr("Kiln will save memory by itself: {savers}. Then it is about {need}.", savers=names, need=less)
    return tr("Turn on: {savers}. Then it is about {need}.", savers=names, need=less)


def gigabytes(num_bytes: int) -> str:
    """Memory as people read it on a box: in GiB, called GB."""
    value = num_bytes / 2**30
    return f"{value:.1f}".removesuffix(".0") + " GB" if value < 9.95 else f"{value:.0f} GB"


def estimate_or_none(config: TrainConfig, base: BaseModel | None, kind: str) -> MemoryEstimate | None:
    """The estimate, or None while the files of the base model cannot be read."""
    if base is None:
        return None
    try:
        return estimate_memory(config, base, kind)
    except (UserError, OSError):
        return None
