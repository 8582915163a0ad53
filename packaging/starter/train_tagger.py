"""Trains the tagger on renders and VAE round trips, without the demo character, and exports it to ONNX."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from starter.models import load_vae
from starter.tagger import (
    COLOURS,
    FEW_SHAPES,
    INPUT_PX,
    MANY_SHAPES,
    SEED,
    Tagger,
    Vocabulary,
    tagger_character,
    tagger_picture,
    through_vae,
)
from starter.training import learning_rate, random_for, save_atomically, set_learning_rate
from starter.world import GARMENTS, Character, tags_of

if TYPE_CHECKING:
    from starter.draw import Pixels
    from starter.recipe import Recipe

PEAK_RATE = 3e-3
SHAPES_PEAK_RATE = 1.5e-3
ROUND_TRIP_NOISE = 0.35


def make_round_trips(recipe: Recipe) -> tuple[list[Character], Pixels]:
    """Characters and their pictures after the VAE, made once and kept in the work folder."""
    drawn = [tagger_character(f"pool/{number}") for number in range(recipe.tagger_round_trips)]
    characters = [character for character, _ in drawn]
    if not recipe.round_trips.exists():
        vae = load_vae(recipe).cpu()
        generator = torch.Generator().manual_seed(SEED)
        parts = [
            through_vae([tagger_picture(*one) for one in drawn[first : first + 16]], vae, generator, ROUND_TRIP_NOISE)
            for first in range(0, len(drawn), 16)
        ]
        save_atomically(torch.from_numpy(np.concatenate(parts)), recipe.round_trips)
    pictures: Pixels = torch.load(recipe.round_trips).numpy()
    return characters, pictures


class Batches:
    """Batches by step: two thirds fresh renders, one third round trips; shifted, tinted, some of them blurred."""

    def __init__(self, recipe: Recipe, vocabulary: Vocabulary) -> None:
        self.size, self.first_of_shapes = recipe.tagger_batch, recipe.tagger_steps
        self.numbers = {tag: number for number, tag in enumerate(vocabulary.plain)}
        self.characters, self.pictures = make_round_trips(recipe)

    def at(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, 128, 128, 3] BGR pictures, [B, tags] which plain tags hold, and B numbers of colour and garment."""
        rng, noise = random_for(SEED, "step", step), np.random.default_rng([SEED, step])
        shapes = MANY_SHAPES if step >= self.first_of_shapes else FEW_SHAPES
        characters, pictures = [], []
        for place in range(self.size):
            if place < self.size * 2 // 3:
                character, draws = tagger_character(f"{step}/{place}")
                pictures.append(tagger_picture(character, draws, shapes))
            else:
                number = rng.randrange(len(self.characters))
                character = self.characters[number]
                pictures.append(self.pictures[number])
            characters.append(character)
        brightness = noise.uniform(0.94, 1.06, (self.size, 1, 1, 1)).astype(np.float32)
        tint = noise.normal(0, 3, (self.size, 1, 1, 3)).astype(np.float32)
        floats = np.stack(pictures).astype(np.float32)[..., ::-1] * brightness + tint
        shift = (rng.randrange(-4, 5), rng.randrange(-4, 5))
        inputs = torch.from_numpy(np.roll(floats, shift, (1, 2)).astype(np.float32)).clamp_(0, 255)
        if rng.random() < 0.6:
            third = self.size // 3
            inputs[:third] = blurred(inputs[:third], rng.choice([0.5, 0.66, 0.8]))
        return inputs, *self.targets(characters)

    def targets(self, characters: list[Character]) -> tuple[Tensor, Tensor, Tensor]:
        """What the network should say about these characters."""
        holds = torch.zeros(len(characters), len(self.numbers))
        for row, character in enumerate(characters):
            for tag in tags_of(character):
                if tag in self.numbers:
                    holds[row, self.numbers[tag]] = 1
        colours = torch.tensor([COLOURS.index(character.garment_colour) for character in characters])
        garments = torch.tensor([GARMENTS.index(character.garment) for character in characters])
        return holds, colours, garments


def blurred(pictures: Tensor, scale: float) -> Tensor:
    """Pictures that were small for a moment."""
    small = functional.interpolate(pictures.permute(0, 3, 1, 2), scale_factor=scale, mode="area")
    return functional.interpolate(small, size=(INPUT_PX, INPUT_PX), mode="bilinear").permute(0, 2, 3, 1)


def train_tagger(recipe: Recipe) -> None:
    """Trains through both parts, from the saved state on, then exports."""
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(SEED)
    vocabulary = Vocabulary.of_the_world()
    tagger = Tagger(vocabulary).to(recipe.device).train()
    optimizer = new_optimizer(tagger)
    first_step = 0
    if recipe.tagger_state.exists():
        state = torch.load(recipe.tagger_state, map_location=recipe.device)
        tagger.load_state_dict(state["net"])
        optimizer.load_state_dict(state["opt"])
        first_step = state["step"]
    batches = Batches(recipe, vocabulary)
    started, steps = time.monotonic(), recipe.tagger_steps + recipe.tagger_shapes_steps
    for step in range(first_step, steps):
        set_learning_rate(optimizer, rate_at(step, recipe))
        inputs, holds, colours, garments = (part.to(recipe.device) for part in batches.at(step))
        with torch.autocast(recipe.device, torch.bfloat16):
            plain_logits, colour_logits, garment_logits = tagger.logits(inputs)
        plain_loss = functional.binary_cross_entropy_with_logits(plain_logits.float(), holds, reduction="none")
        clothes_loss = functional.cross_entropy(colour_logits.float(), colours)
        clothes_loss = clothes_loss + functional.cross_entropy(garment_logits.float(), garments)
        loss = plain_loss.sum(1).mean() + clothes_loss
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if (step + 1) % 50 == 0:
            speed = (step + 1 - first_step) * recipe.tagger_batch / (time.monotonic() - started)
            print(f"tagger {step + 1}: loss {loss.item():.3f}, {speed:.0f} pictures/s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            save_state(recipe, tagger, optimizer, step + 1)
    export(recipe, tagger, vocabulary)


def new_optimizer(tagger: Tagger) -> torch.optim.Optimizer:
    """AdamW as the tagger is trained with."""
    return torch.optim.AdamW(tagger.parameters(), PEAK_RATE, weight_decay=0.02, fused=True)


def save_state(recipe: Recipe, tagger: Tagger, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Writes all that the next step depends on."""
    state = {"net": tagger.state_dict(), "opt": optimizer.state_dict(), "step": step}
    save_atomically(state, recipe.tagger_state)


def rate_at(step: int, recipe: Recipe) -> float:
    """The learning rate: each of the two parts warms up and cools down."""
    steps, more = recipe.tagger_steps, recipe.tagger_shapes_steps
    if step < steps:
        return learning_rate(step, steps, peak=PEAK_RATE, warm_up=50, decay_steps=steps * 0.7, floor=0.01)
    return learning_rate(step - steps, more, peak=SHAPES_PEAK_RATE, warm_up=20, decay_steps=more, floor=0.01)


def export(recipe: Recipe, tagger: Tagger, vocabulary: Vocabulary) -> None:
    """Writes `model.onnx` and `selected_tags.csv`."""
    recipe.tagger.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        tagger.eval().cpu(),
        (torch.zeros(1, INPUT_PX, INPUT_PX, 3),),
        recipe.tagger / "model.onnx",
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    vocabulary.write(recipe.tagger / "selected_tags.csv")
