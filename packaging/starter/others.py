"""Regularization pictures for the demo: what the model draws by itself, so that a LoRA leaves it as it is.

Half of them answer captions like those of the demo character, but without her trigger word: they keep her from coming
unasked. The other half are characters of the world: they keep everyone else as they were.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from PIL import Image

from starter.character import TRAITS, demo_caption, demo_character, without_trigger
from starter.demo import make_empty, save
from starter.world import as_generated, sample_character, tags_of

if TYPE_CHECKING:
    from pathlib import Path

NUM_OTHERS = 64
FIRST_SEED = 100_000
MOST_SHARED_TRAITS = 1


def other_captions(count: int) -> list[str]:
    """Captions that neither name the demo character nor, but for one trait at most, describe her."""
    rng = random.Random("others")
    captions = []
    for number in range(count):
        if number % 2:
            captions.append(without_trigger(demo_caption(demo_character(rng))))
        else:
            tags = tags_of(as_generated(sample_character(rng)))
            while len(set(tags) & set(TRAITS)) > MOST_SHARED_TRAITS:
                tags = tags_of(as_generated(sample_character(rng)))
            captions.append(", ".join(tags))
    return captions


def write_others(pack: Path, count: int = NUM_OTHERS) -> None:
    """Draws `demo_others/` with the pack's model."""
    from starter.score import draw_prompts, load_pipeline

    captions = other_captions(count)
    pictures = draw_prompts(load_pipeline(pack / "model"), captions, FIRST_SEED)
    folder = pack / "demo_others"
    make_empty(folder)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True), start=1):
        path = folder / f"other_{number:02d}.webp"
        save(Image.fromarray(picture), path)
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
