"""The shipped demo: 30 pictures of a character that the starter model has never seen, and settings that learn her."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from core.config import TrainConfig, with_values
from core.dataset.edits import Concept, DatasetFile, PictureEdits
from core.files import replacing
from core.paths import STARTER, STARTER_DEMO, STARTER_DEMO_OTHERS, STARTER_MODEL
from core.quick import free_name, quick_config

EPOCHS = 16


@dataclass(frozen=True, slots=True)
class DemoFacts:
    """What is known about the demo character.

    `traits` are tags that the starter tagger knows and that together describe her; `prompts` name her by the trigger
    word and by nothing else of her looks. `absorbed_tags` are those that captions leave to the trigger word.
    `middle_crops` names the pictures of which the middle is trained.
    """

    trigger: str
    traits: tuple[str, ...]
    absorbed_tags: tuple[str, ...]
    prompts: tuple[str, ...]
    middle_crops: tuple[str, ...]
    held_out: Path


def demo_facts() -> DemoFacts:
    """The facts shipped with the demo."""
    facts = json.loads((STARTER / "demo.json").read_text(encoding="utf-8"))
    return DemoFacts(
        trigger=facts["trigger"],
        traits=tuple(facts["traits"]),
        absorbed_tags=tuple(facts["absorbed_tags"]),
        prompts=tuple(facts["prompts"]),
        middle_crops=tuple(facts["middle_crops"]),
        held_out=STARTER / facts["held_out"],
    )


def copy_demo(target: Path) -> Path:
    """Copy the demo pictures to a folder of the user's own, where captions may be written. What is there stays.

    Returns:
        The target.
    """
    return _copy(STARTER_DEMO, target)


def copy_others(target: Path) -> Path:
    """Copy what the starter model draws without her to a folder of the user's own. What is there stays.

    Returns:
        The target.
    """
    return _copy(STARTER_DEMO_OTHERS, target)


def demo_dataset(folder: Path) -> DatasetFile:
    """Her pictures, with the middle of the tall ones.

    They show more of her than an upper body. A crop that keeps all of it shows her small between blurred edges, while
    the starter model has only seen upper bodies, and its latents do not hold a small face.

    Args:
        folder: Where `copy_demo` put them.
    """
    edits = {str(folder / name): PictureEdits(fit="crop") for name in demo_facts().middle_crops}
    return DatasetFile(concepts=(Concept(folder=folder),), pictures=edits)


def with_others(dataset: DatasetFile, others: Path) -> DatasetFile:
    """The dataset and, as regularization pictures, a folder of others.

    Without them every character becomes her, asked for or not.
    """
    concept = Concept(folder=others, is_regularization=True)
    return dataset.model_copy(update={"concepts": (*dataset.concepts, concept)})


def _copy(source: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        copy = target / file.name
        if not copy.exists():
            with replacing(copy) as temporary:
                shutil.copyfile(file, temporary)
    return target


def demo_config(pictures: Path, output: Path) -> TrainConfig:
    """Settings with which the starter model learns the demo character in a few minutes on a processor."""
    facts = demo_facts()
    config = quick_config(
        base=STARTER_MODEL, pictures=pictures, epochs=EPOCHS, name=free_name(facts.trigger, output), output=output
    )
    return with_values(
        config,
        {
            "dataset.trigger_word": facts.trigger,
            "dataset.absorbed_tags": facts.absorbed_tags,
            "dataset.shuffle_tags": True,
            "sampling.prompts": facts.prompts[:3],
            "sampling.every_n_epochs": 0,
            "sampling.every_n_steps": 140,
            "validation.pictures": 0,  # The demo has held-out pictures of its own.
            "output.save_every_n_epochs": 4,
        },
    )
