"""The tagger's world, network and pictures."""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from starter.character import resembles_demo_character
from starter.draw import Pixels, render
from starter.training import to_pictures, to_tensor
from starter.world import CLOTH_COLOURS, GARMENTS, Character, sample_character, tags_of, weighted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers import AutoencoderKL

SEED = 21
INPUT_PX = 128
RATINGS = ("general", "sensitive", "questionable", "explicit")
NECKWEAR = {"": 0.6, "scarf": 0.1, "choker": 0.14, "necktie": 0.08, "bowtie": 0.08}
COLOURS = list(CLOTH_COLOURS)


def tagger_character(key: str) -> tuple[Character, random.Random]:
    """A character of the small world, with neckwear now and then and a freer pose; and the draws that follow."""
    rng = random.Random(f"{SEED}/{key}")
    while True:
        character = replace(
            sample_character(rng, "small"),
            neckwear=weighted(rng, NECKWEAR),
            tilt_deg=rng.uniform(-5, 5),
            offset_x=rng.uniform(-10, 10),
            offset_y=rng.uniform(-8, 10),
            zoom=rng.uniform(0.88, 1.12),
        )
        if not resembles_demo_character(character):
            return character, rng


@dataclass(frozen=True, slots=True)
class Shapes:
    """How often pictures are square, the smallest ratio of their sides, and how often she stands at the side."""

    squares: float
    narrowest: float
    off_centre: float


FEW_SHAPES = Shapes(squares=0.67, narrowest=0.6, off_centre=0.0)
MANY_SHAPES = Shapes(squares=0.3, narrowest=0.42, off_centre=0.3)


def tagger_picture(character: Character, rng: random.Random, shapes: Shapes = FEW_SHAPES) -> Pixels:
    """[128, 128, 3]; what is not square gets white bars, as taggers see pictures of other shapes."""
    if rng.random() < shapes.squares:
        return render(character, INPUT_PX)
    short = round(INPUT_PX * rng.uniform(shapes.narrowest, 1))
    width, height = (INPUT_PX, short) if rng.random() < 0.5 else (short, INPUT_PX)
    if width > height and shapes.off_centre and rng.random() < shapes.off_centre:
        character = replace(character, side_shift=rng.uniform(-0.3, 0.3))
    picture = np.full((INPUT_PX, INPUT_PX, 3), 255, np.uint8)
    left, top = (INPUT_PX - width) // 2, (INPUT_PX - height) // 2
    picture[top : top + height, left : left + width] = render(character, width, height)
    return picture


def through_vae(
    pictures: Sequence[Pixels] | Pixels, vae: AutoencoderKL, generator: torch.Generator, noise: float
) -> Pixels:
    """The pictures after a round trip; latents get up to `noise` standard deviations of noise, as sampling leaves."""
    with torch.no_grad():
        latents = vae.encode(to_tensor(pictures)).latent_dist.mode()
        amount = torch.rand(len(latents), 1, 1, 1, generator=generator) * noise / vae.config.scaling_factor
        latents = latents + amount * torch.randn(latents.shape, generator=generator)
        return to_pictures(vae.decode(latents).sample)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tags in the order of the outputs, after the ratings: plain ones by frequency, then colour + garment."""

    plain: list[str]
    garments: list[str]
    counts: Counter[str]

    @classmethod
    def of_the_world(cls, samples: int = 20000) -> Vocabulary:
        """Counts the tags of random characters."""
        counts = Counter(tag for number in range(samples) for tag in tags_of(tagger_character(f"count/{number}")[0]))
        garments = [f"{colour} {garment}" for colour in COLOURS for garment in GARMENTS]
        garments = [tag for tag in garments if tag in counts]
        return cls([tag for tag, _ in counts.most_common() if tag not in garments], garments, counts)

    @property
    def tags(self) -> list[str]:
        """All tags without the ratings."""
        return self.plain + self.garments

    def write(self, path: Path) -> None:
        """Writes `selected_tags.csv`: ratings have category 9, the rest 0; underscores for spaces."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["tag_id", "name", "category", "count"])
            rows = [(rating, 9, 0 if place else 20000) for place, rating in enumerate(RATINGS)]
            rows += [(tag, 0, self.counts[tag]) for tag in self.tags]
            writer.writerows([(number, row[0].replace(" ", "_"), *row[1:]) for number, row in enumerate(rows)])


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 3 x 3 convolution with batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(True))


class Tagger(nn.Module):
    """A small convolutional network with the contract of WD14: BGR bytes as floats in, probabilities out.

    Clothes are told as P(colour) * P(garment), so that every combination is learned from all pictures.
    """

    colour_of: Tensor
    garment_of: Tensor

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            block(3, 24, 2), block(24, 32, 2), block(32, 48, 1), block(48, 64, 2), block(64, 96, 1), block(96, 128, 2)
        )
        self.coarse = nn.Sequential(block(128, 128, 1), block(128, 160, 2))
        self.fine_map = nn.Conv2d(128, 16, 1)  # 8 x 8 places
        self.coarse_map = nn.Conv2d(160, 24, 1)  # 4 x 4 places
        self.sizes = [len(vocabulary.plain), len(COLOURS), len(GARMENTS)]
        self.head = nn.Linear(160 + 24 * 16 + 16 * 64, sum(self.sizes))
        words = [tag.split(" ") for tag in vocabulary.garments]
        self.register_buffer("colour_of", torch.tensor([COLOURS.index(word[0]) for word in words]), persistent=False)
        self.register_buffer("garment_of", torch.tensor([GARMENTS.index(word[1]) for word in words]), persistent=False)

    def logits(self, pictures: Tensor) -> list[Tensor]:
        """Plain tags, colours and garments from [B, 128, 128, 3] blue, green and red in 0 to 255."""
        fine = self.fine((pictures / 127.5 - 1).permute(0, 3, 1, 2))
        coarse = self.coarse(fine)
        maps = [functional.relu(self.coarse_map(coarse)), functional.relu(self.fine_map(fine))]
        features = torch.cat([coarse.mean((2, 3)), *(places.flatten(1) for places in maps)], 1)
        parts: list[Tensor] = list(self.head(features).split(self.sizes, 1))
        return parts

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 4 + tags] probabilities; the rating is always "general"."""
        plain, colours, garments = self.logits(pictures)
        general, others = torch.ones_like(plain[:, :1]), torch.zeros_like(plain[:, :3])
        clothes = colours.softmax(1)[:, self.colour_of] * garments.softmax(1)[:, self.garment_of]
        return torch.cat([general, others, torch.sigmoid(plain), clothes], 1)
