"""Sees what no tag names on pictures of the demo character: the streak, the eyes of two colours, the braids' ends.

A small network, trained in seconds on renders of her with and without each of them. Beside her it sees anyone else, so
that it must look at the trait itself.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packaging"))

from starter.character import demo_character
from starter.draw import Pixels, render
from starter.world import Character, sample_character

TRAITS = ("streak", "two eye colours", "tips")
WHERE = (slice(16, 120), slice(16, 112))  # Rows and columns of a 128 px picture in which all three are.


class UntaggedTraits(nn.Module):
    """[B, 128, 128, 3] pictures to [B, 3] logits, in the order of `TRAITS`."""

    def __init__(self) -> None:
        super().__init__()
        self.marks = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.names = nn.Linear(48 * 6 * 6, len(TRAITS))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits; where on her a mark is counts, but only roughly."""
        part = pictures[:, WHERE[0], WHERE[1]].permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.names(functional.adaptive_max_pool2d(self.marks(part), (6, 6)).flatten(1))

    @torch.no_grad()
    def shares(self, pictures: Pixels) -> dict[str, float]:
        """On how large a part of the pictures each trait is."""
        seen = (self(torch.from_numpy(np.asarray(pictures))) > 0).float().mean(0)
        return dict(zip(TRAITS, seen.tolist(), strict=True))


def examples(count: int, seed: str) -> tuple[Pixels, Tensor]:
    """[N, 128, 128, 3] renders of her with any of her traits taken away, and of others; and [N, 3] which are there."""
    rng = random.Random(seed)
    pictures, truth = [], []
    for number in range(count):
        character, holds = _somebody(rng, is_her=number % 4 > 0)
        pictures.append(render(character))
        truth.append(holds)
    return np.stack(pictures), torch.tensor(truth, dtype=torch.float32)


def _somebody(rng: random.Random, *, is_her: bool) -> tuple[Character, Sequence[bool]]:
    if not is_her:
        return sample_character(rng, "small"), (False, False, False)
    holds = [rng.random() < 0.5 for _ in TRAITS]
    her = demo_character(rng)
    # Of a closed eye nobody can tell the colour.
    is_open = her.eyes_state not in ("one eye closed", "closed eyes")
    return replace(
        her,
        streak_colour=her.streak_colour if holds[0] else "",
        second_eye_colour=her.second_eye_colour if holds[1] else "",
        tips_colour=her.tips_colour if holds[2] else "",
    ), (holds[0], holds[1] and is_open, holds[2])


def trained(steps: int = 120, batch: int = 24, count: int = 240) -> UntaggedTraits:
    """A trained network. Pictures are made softer and brighter now and then, as a model draws them."""
    torch.manual_seed(0)
    pictures, truth = examples(count, "train")
    clean = torch.from_numpy(pictures).float()
    soft = functional.avg_pool2d(clean.permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1)
    network = UntaggedTraits()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for _ in range(steps):
        rows = torch.randint(count, (batch,))
        mix = torch.rand(batch, 1, 1, 1)
        shown = (
            clean[rows].lerp(soft[rows], mix) + torch.randn(batch, 1, 1, 3) * 6 + torch.randn(batch, 128, 128, 3) * 4
        )
        loss = functional.binary_cross_entropy_with_logits(network(shown), truth[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return network.eval()
