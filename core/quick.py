"""The quick form: three answers in, a whole configuration out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from core.config import TrainConfig, validated
from core.config.model import LONGEST_NAME_BYTES, is_device_name
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import repeats_of
from core.models import BaseModel, describe_base
from core.paths import default_output_folder
from core.run_folder import RunFolder, lora_path
from core.sampling import default_prompts
from core.training.data import Plan, examples_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLength:
    """The sum under the quick form. `num_shown` counts pictures times repeats, over one epoch."""

    num_images: int
    num_shown: int
    epochs: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int


def quick_config(
    *,
    base: Path,
    pictures: Path,
    epochs: int,
    name: str = "",
    output: Path | None = None,
    seed: int | None = None,
    scan: Scan | None = None,
) -> TrainConfig:
    """Everything that the three answers leave open, chosen from the base model and the pictures.

    Args:
        base: The base model.
        pictures: The folder with the pictures.
        epochs: How often all pictures are shown.
        name: Of the LoRA file; empty takes the folder's name.
        output: Where it goes; None takes the folder of the user's documents.
        seed: None takes the usual one.
        scan: What is known of the pictures; without it previews are left out.

    Raises:
        UserError: The base model cannot be used, or an answer is not allowed.
    """
    model = describe_base(base)
    output = output or default_output_folder()
    learned = _learned(scan) if scan else []
    captions = [record.caption for record in learned if record.caption]
    # Only what names all of the pictures: the name of one sub-folder of several is no word for the rest.
    words = {_words_of(record.path.parent) for record in learned}
    trigger = words.pop() if len(words) == 1 else ""
    values: dict[str, dict[str, object]] = {
        "model": {"base": base},
        "dataset": {"folder": pictures, "resolution": model.native_size_px, **_fit(model), "trigger_word": trigger},
        "network": _network(model),
        "optimizer": _optimizer(model),
        "training": {"epochs": epochs, "batch_size": 4 if model.is_starter else 1},
        "sampling": {
            "prompts": default_prompts(trigger, captions) if captions or trigger else (),
            "width": model.native_size_px,
            "height": model.native_size_px,
            "guidance": 4.0 if model.is_starter else 7.0,
        },
        "output": {"folder": output, "name": name or free_name(suggested_name(pictures), output)},
    }
    if seed is not None:
        values["training"]["seed"] = seed
    return validated(values)


def _learned(scan: Scan) -> list[ImageRecord]:
    """The pictures that the LoRA is to learn; those of regularization folders show what is there already."""
    return [record for record in scan.records if not record.is_regularization and not scan.edits(record.path).excluded]


def _words_of(folder: Path) -> str:
    """`name` for a folder called `10_name`. A class word of the folder is no trigger word: it names the kind."""
    _, words = repeats_of(folder.absolute().name) or (0, "")
    return words


def _fit(model: BaseModel) -> dict[str, object]:
    if model.native_size_px < 256:
        # The starter model has only ever seen squares; its tiny latents leave no room for other shapes. Around the
        # subject, because a middle crop of a wide screenshot misses a character at its side.
        return {"fit": "smart", "bucket_step": 16}
    return {"fit": "buckets", "bucket_step": 64}


def _network(model: BaseModel) -> dict[str, object]:
    rank = 8 if model.is_starter else 16
    return {"rank": rank, "alpha": float(rank)}


def _optimizer(model: BaseModel) -> dict[str, object]:
    if model.is_starter:
        return {"learning_rate": 2e-3, "text_encoder_learning_rate": 1e-3}
    return {"learning_rate": 1e-4, "text_encoder_learning_rate": 5e-5}


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
    """How many steps a run will have, on one device."""
    examples = examples_of(scan, config.dataset)
    training = config.training
    plan = Plan(examples, training.batch_size, training.gradient_accumulation, training.seed)
    return RunLength(
        num_images=len(examples),
        num_shown=sum(example.repeats for example in examples),
        epochs=training.epochs,
        batch_size=training.batch_size,
        steps_per_epoch=plan.steps_per_epoch,
        total_steps=plan.num_steps(training.epochs, training.max_steps),
    )
