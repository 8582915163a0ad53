"""Pictures and captions brought into the form that steps take them in, on a device that may be too small for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from core.config.model import TrainConfig
from core.control import Control
from core.events import Event, Notice, StageStarted
from core.models import BaseModel
from core.sampling import texts_of
from core.text import tr
from core.training.captions import captions_vary
from core.training.data import Example
from core.training.device import settle_vae
from core.training.encoding import Embeddings, Latents
from core.training.recovery import free_memory, is_memory_error
from core.training.state import Learned

if TYPE_CHECKING:
    from accelerate import Accelerator

    from core.families.base import Family, Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What steps are made of. `examples` are those that could be read; `embeddings` is None when captions vary."""

    examples: list[Example]
    latents: Latents
    embeddings: Embeddings | None
    learned: Learned


def encode_all(
    examples: list[Example],
    base: BaseModel,
    model_family: Family,
    parts: Parts,
    accelerator: Accelerator,
    dtype: torch.dtype,
    config: TrainConfig,
    control: Control,
    learned: Learned,
) -> Generator[Event, None, Encoded | None]:
    """Fill latents and embeddings, from the cache or anew; None after a stop.

    A text encoder that is not trained also reads the prompts of the previews, into `Parts.prompts`: it is then done.
    Where the device has not enough memory, pictures are encoded in tiles, then by the processor, and captions by the
    processor; that is said, and kept in `Encoded.learned`.

    Raises:
        Exception: What the encoding raises; memory that is missing in main memory too, among others.
    """
    yield StageStarted(stage="cache", total=len(examples))
    text = config.network.train_text_encoder and config.optimizer.text_encoder_learning_rate > 0
    embeddings = None if text or captions_vary(config.dataset) else Embeddings()
    captions = list(dict.fromkeys(example.caption for example in examples))
    prompts = [] if text else texts_of(config.sampling)
    yield from _too_long(captions, model_family, parts)
    latents = Latents(config.dataset)
    usable: list[Example] | None = []
    # One process computes, the others then read what it kept.
    with accelerator.main_process_first():
        while True:
            device = torch.device("cpu") if learned.vae == "cpu" else accelerator.device
            try:
                if not to_vae(parts, model_family, config, device, tiled=learned.vae == "tiled"):
                    yield Notice(message=tr("The VAE gives no numbers in bf16; it computes in fp32."))
                encoding = latents.encode(examples, base, model_family, parts, device, config.model.vae)
                usable = yield from _until_stop(encoding, control)
                break
            except Exception as error:
                if not is_memory_error(error) or learned.vae == "cpu" or config.training.on_out_of_memory == "stop":
                    raise
            learned = dataclasses.replace(learned, vae="tiled" if learned.vae == "" else "cpu")
            parts.vae.to("cpu")
            free_memory()
            yield Notice(level="warning", message=_vae_told(learned.vae))
        parts.vae.to("cpu")
        said = Embeddings() if embeddings is None else embeddings
        texts = ([] if embeddings is None else [*captions, ""]) + prompts
        if usable is not None and texts:
            for event in _encode_captions(texts, base, model_family, parts, accelerator, dtype, said, config):
                yield event
                if control.stop_requested or control.pause_requested:
                    return None
            parts.prompts = {prompt: said.get([prompt], torch.device("cpu")) for prompt in prompts}
    if usable is None:
        return None
    return Encoded(examples=usable, latents=latents, embeddings=embeddings, learned=learned)


def to_vae(parts: Parts, model_family: Family, config: TrainConfig, device: torch.device, *, tiled: bool) -> bool:
    """Bring the VAE to a device, in the number format that is right there; False when bf16 gave no numbers."""
    vae: Any = parts.vae
    vae.to(device, torch.float32)
    if tiled:
        vae.enable_tiling()
    else:
        vae.disable_tiling()
    return settle_vae(parts, model_family, config.training.vae_precision, device)


def to_device(module: torch.nn.Module, device: torch.device) -> None:
    """Move a module, a second time after freeing what can be freed when the memory is not enough.

    Raises:
        RuntimeError: It is not enough then either.
    """
    try:
        module.to(device)
        return
    except Exception as error:
        if not is_memory_error(error):
            raise
    module.to("cpu")
    free_memory()
    module.to(device)


def _encode_captions(
    captions: list[str],
    base: BaseModel,
    model_family: Family,
    parts: Parts,
    accelerator: Accelerator,
    dtype: torch.dtype,
    embeddings: Embeddings,
    config: TrainConfig,
) -> Generator[Event, None, None]:
    try:
        parts.text_encoder.to(accelerator.device)
        yield from embeddings.encode(captions, base, model_family, parts, dtype)
        return
    except Exception as error:
        if not is_memory_error(error) or config.training.on_out_of_memory == "stop":
            raise
    parts.text_encoder.to("cpu")
    free_memory()
    yield Notice(
        level="warning",
        message=tr("The memory was not enough to encode captions on this device; the processor does it."),
    )
    yield from embeddings.encode(captions, base, model_family, parts, dtype)


def _too_long(captions: list[str], model_family: Family, parts: Parts) -> Generator[Event, None, None]:
    too_long = 0
    for caption in captions:
        num_tokens, most = model_family.num_tokens(parts, caption)
        too_long += num_tokens > most
    if too_long:
        yield Notice(
            level="warning",
            message=tr(
                "{number} captions are longer than the text encoder reads; their ends are not learned.",
                number=too_long,
            ),
        )


def _vae_told(how: str) -> str:
    if how == "tiled":
        return tr("The memory was not enough to encode whole pictures; they are encoded in tiles.")
    return tr("The memory was not enough to encode pictures on this device; the processor does it, which takes longer.")


def _until_stop(
    encoding: Generator[Event, None, list[Example]], control: Control
) -> Generator[Event, None, list[Example] | None]:
    """Pass events on until the work is done; None when a stop is wished before."""
    while not (control.stop_requested or control.pause_requested):
        try:
            event = next(encoding)
        except StopIteration as done:
            examples: list[Example] = done.value
            return examples
        yield event
    return None
