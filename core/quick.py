"""The quick form: three answers in, a whole configuration out."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from core.config import TrainConfig, validated, with_values
from core.config.model import LONGEST_NAME_BYTES, is_device_name
from core.dataset.records import Scan
from core.dataset.scan import repeats_of
from core.device import Device
from core.errors import UserError
from core.estimate import estimate_memory, savers
from core.models import STARTER_GUIDANCE, BaseModel, describe_base
from core.paths import default_output_folder
from core.quick_facts import Facts, facts_of
from core.quick_prompts import preview_prompts
from core.run_folder import RunFolder, lora_path
from core.training.data import Plan, examples_of
from core.training.validation import choose_held_out, split

USUAL_EPOCHS = 10
SHOWN_PER_EPOCH, SHOWN_TO_STARTER = 160, 190
"""So many showings times ten epochs are what a LoRA needs, give or take a third; the starter model needs more."""

MOST_REPEATS = 10
"""Fewer pictures are not shown more often: they would be learned by heart."""

ROOM = 0.85
"""Share of a card's memory that a choice may use; the desktop and other programs have the rest."""

ROOM_WITH_PREVIEWS = 0.97
"""The same while previews are drawn, which is rare, and ends no run when it fails."""

_BATCHES = ((22, 4), (11, 2))
"""From so many gigabytes of a card on, so many pictures in a batch."""

_LEAST_STEPS = 400
"""Fewer steps than this in ten epochs are too few, however large the batch."""

_LEARNS_WORDS = ("sd1", "sd2")
"""Families whose text encoder learns along; the larger ones know more words and are better left as they are."""

_GUIDANCE = {"sd1": 7.0, "sd2": 7.0, "sdxl": 6.0, "kolors": 5.0}

_SMALL_PX = 256
"""Below it a model sees no other shapes than squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLength:
    """The sum under the quick form. `num_shown` counts pictures times repeats, over one epoch.

    Pictures that are held out are not among `num_images`; `num_held_out` counts them.
    """

    num_images: int
    num_shown: int
    epochs: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int
    num_held_out: int = 0


def quick_config(
    *,
    base: Path,
    pictures: Path,
    epochs: int,
    name: str = "",
    output: Path | None = None,
    seed: int | None = None,
    scan: Scan | None = None,
    device: Device | None = None,
    trigger: str | None = None,
    absorbed: Collection[str] = (),
) -> TrainConfig:
    """Everything that the three answers leave open, chosen from the base model, the pictures and the machine.

    Args:
        base: The base model.
        pictures: The folder with the pictures.
        epochs: How often all pictures are shown.
        name: Of the LoRA file; empty takes the folder's name.
        output: Where it goes; None takes the folder of the user's documents.
        seed: None takes the usual one.
        scan: What is known of the pictures; without it previews are left out.
        device: Where the run will compute; without it the settings suit any.
        trigger: The user's trigger word for the preview prompts; None takes the folder's.
        absorbed: Tags that the trigger word stands for; the prompts leave them out.

    Raises:
        UserError: The base model cannot be used, or an answer is not allowed.
    """
    model = describe_base(base)
    output = output or default_output_folder()
    facts = facts_of(scan)
    prompts = preview_prompts(facts, facts.trigger if trigger is None else trigger, absorbed, small=model.is_starter)
    side = model.native_size_px
    values: dict[str, dict[str, object]] = {
        "model": {"base": base},
        "dataset": {"folder": pictures, "resolution": side, **_fit(model), "trigger_word": facts.trigger},
        "network": _network(model, facts),
        "optimizer": _optimizer(model),
        "training": {"epochs": epochs, "batch_size": 4 if model.is_starter else 1},
        "sampling": {
            "prompts": prompts,
            "width": side,
            "height": side,
            "guidance": STARTER_GUIDANCE if model.is_starter else _GUIDANCE[model.family],
        },
        "output": {"folder": output, "name": name or free_name(suggested_name(pictures), output)},
    }
    values["dataset"]["repeats"] = sound_repeats(facts, model)
    if seed is not None:
        values["training"]["seed"] = seed
    config = validated(values)
    return config if model.is_starter else _for_device(config, model, facts, device)


def sound_repeats(facts: Facts, model: BaseModel) -> int:
    """How often each picture is shown in an epoch; 0 leaves it to folders that say so themselves, or when unknown."""
    if facts.has_own_repeats or not facts.num_shown:
        return 0
    shown = SHOWN_TO_STARTER if model.is_starter else SHOWN_PER_EPOCH
    return min(max(round(shown / facts.num_shown), 1), MOST_REPEATS)


def _for_device(config: TrainConfig, model: BaseModel, facts: Facts, device: Device | None) -> TrainConfig:
    """The largest batch that is of use and fits without savers; where not even one picture does, with checkpointing.

    Where that is not enough either, with as many savers as it takes.
    """
    if device is None or not device.total_bytes:
        return config
    try:
        batches = [config]
        if device.kind == "cuda":
            shown = facts.num_shown * (config.dataset.repeats or 1) * USUAL_EPOCHS
            gigabytes = device.total_bytes / 2**30
            useful = [size for least, size in _BATCHES if gigabytes >= least and shown / size >= _LEAST_STEPS]
            batches = [*(_larger(config, size) for size in useful), config]
        checkpointed = [with_values(one, {"training.gradient_checkpointing": True}) for one in batches]
        for one in (*batches, *checkpointed):
            if _fits(one, model, device):
                return one
        return _saved(config, model, device)
    except (UserError, OSError):
        return config  # What is wrong with the files is told where the base model is chosen.


def _larger(config: TrainConfig, batch_size: int) -> TrainConfig:
    changes: dict[str, object] = {"training.batch_size": batch_size}
    return with_values(config, changes | {f"optimizer.{name}": rate for name, rate in _rates(batch_size).items()})


def _fits(config: TrainConfig, model: BaseModel, device: Device) -> bool:
    """Whether a run has room, and its previews at least a place."""
    estimate, total = estimate_memory(config, model, device.kind), device.total_bytes or 0
    return estimate.run_bytes <= ROOM * total and estimate.peak_bytes <= ROOM_WITH_PREVIEWS * total


def _saved(config: TrainConfig, model: BaseModel, device: Device) -> TrainConfig:
    """The settings with as many savers as it takes, or all that help."""
    for saver in savers(config):
        if _fits(config, model, device):
            break
        smaller = with_values(config, saver.changes)
        less, now = (estimate_memory(one, model, device.kind) for one in (smaller, config))
        if less.run_bytes < now.run_bytes or less.peak_bytes < now.peak_bytes:
            config = smaller
    return config


def _fit(model: BaseModel) -> dict[str, object]:
    if model.native_size_px < _SMALL_PX:
        # The starter model has only ever seen squares; its tiny latents leave no room for other shapes. Around the
        # subject, because a middle crop of a wide screenshot misses a character at its side.
        return {"fit": "smart", "bucket_step": 16}
    return {"fit": "buckets", "bucket_step": 64}


def _network(model: BaseModel, facts: Facts) -> dict[str, object]:
    rank = 8 if model.is_starter else sound_rank(facts)
    # How things are drawn is in the denoiser; a text encoder that learns it pulls other words along.
    text = model.is_starter or (model.family in _LEARNS_WORDS and facts.target != "style")
    return {"rank": rank, "alpha": float(rank), "train_text_encoder": text}


def sound_rank(facts: Facts) -> int:
    """How much the LoRA must hold: more for a style and for many pictures, less for a handful."""
    if facts.target == "style":
        return 32
    if 0 < facts.num_pictures < 10:
        return 8
    return 16 if facts.num_pictures <= 100 else 32


def _optimizer(model: BaseModel) -> dict[str, object]:
    if model.is_starter:
        return {"learning_rate": 2e-3, "text_encoder_learning_rate": 1e-3}
    return _rates(1)


def _rates(batch_size: int) -> dict[str, object]:
    """The rates grow with the root of the batch, whose gradient is so much steadier."""
    factor = batch_size**0.5
    return {"learning_rate": round(1e-4 * factor, 6), "text_encoder_learning_rate": round(5e-5 * factor, 6)}


def suggested_name(pictures: Path) -> str:
    """A file name from the folder's name, without what file systems refuse; `10_name` gives `name`."""
    _, words = repeats_of(pictures.name) or (0, "")
    cleaned = re.sub(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff]+', "_", words or pictures.name).strip(" .")
    name = _cut(cleaned, LONGEST_NAME_BYTES - 20)  # Room for the number that makes it free.
    if is_device_name(name):
        return f"my_{name}"
    return name or "my_lora"


def _cut(name: str, limit_bytes: int) -> str:
    return name.encode()[:limit_bytes].decode(errors="ignore").strip(" .")


def free_name(name: str, output: Path) -> str:
    """The name, or the first of `name-2`, `name-3` … that no run and no LoRA file has in this output folder."""
    number, free = 2, name
    while _is_taken(free, output):
        suffix = f"-{number}"
        free = _cut(name, LONGEST_NAME_BYTES - len(suffix)) + suffix
        number += 1
    return free


def _is_taken(name: str, output: Path) -> bool:
    config = validated({"output": {"folder": output, "name": name}})
    return lora_path(config).exists() or RunFolder.of(config).config.exists()


def run_length(config: TrainConfig, scan: Scan) -> RunLength:
    """How many steps a run will have, on one device, without the pictures that are held out."""
    examples = examples_of(scan, config.dataset)
    folder = config.dataset.folder
    trained, measured = split(examples, choose_held_out(examples, config.validation, folder), folder)
    training = config.training
    plan = Plan(trained, training.batch_size, training.gradient_accumulation, training.seed)
    return RunLength(
        num_images=len(trained),
        num_shown=sum(example.repeats for example in trained),
        epochs=training.epochs,
        batch_size=training.batch_size,
        steps_per_epoch=plan.steps_per_epoch,
        total_steps=plan.num_steps(training.epochs, training.max_steps),
        num_held_out=len({example.record.path for example in measured}),
    )
