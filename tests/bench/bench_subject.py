"""How well the built-in subject detector keeps subjects whole in crops, and how long it takes.

    python tests/bench/bench_subject.py [--number 200] [--first 0]

Three sets with known boxes: generated pictures of many kinds, the characters of the starter pack's renderer on all of
its backgrounds, and the demo set with its held-out pictures. Where the renderer is concerned, the true box is that of
all pixels that are the same on a white and on a black background. Every subject is cropped to five shapes.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image
from starter.character import demo_character
from starter.demo import HELD_OUT_SIZES_PX, PICTURES
from starter.draw import render
from starter.world import Character, sample_character

from core.dataset.geometry import Box
from core.dataset.images import open_image
from core.dataset.subject import find_subject
from core.paths import STARTER, STARTER_DEMO
from tests.subjects import SHAPES, GeneratedSubject, crop_for, difference_box, generated_subject, is_inside


def characters(number: int) -> Iterable[GeneratedSubject]:
    """Characters of the starter pack's world in five shapes, aside from the middle where there is room."""
    rng = random.Random(5)
    for index in range(number):
        character = sample_character(rng, "full")
        wide, high = list(SHAPES.values())[index % len(SHAPES)]
        size = (round(480 * wide / max(wide, high)), round(480 * high / max(wide, high)))
        if wide > high:
            character = replace(character, side_shift=rng.choice([-1, 1]) * rng.uniform(0.1, 0.3))
        picture = Image.fromarray(render(character, *size))
        yield GeneratedSubject(picture, true_box(character, size), character.background)


def demo_pictures() -> Iterable[GeneratedSubject]:
    """The shipped pictures of the demo character as they lie on the disk."""
    rng = random.Random("miru")
    for name, width, height, side_shift in PICTURES:
        her = replace(demo_character(rng), side_shift=side_shift)
        if name != "IMG_2041 (1).jpg":  # The picture before it, smaller.
            yield GeneratedSubject(open_image(STARTER_DEMO / name), true_box(her, (width, height)), "demo")
    rng = random.Random("miru held out")
    for number in range(8):
        side = HELD_OUT_SIZES_PX[number % 4]
        path = STARTER / "demo_held_out" / f"held_out_{number + 1}.{'png' if number % 2 else 'webp'}"
        yield GeneratedSubject(open_image(path), true_box(demo_character(rng), (side, side)), "held out")


def true_box(character: Character, size_px: tuple[int, int]) -> Box:
    """The box of a character without its background."""
    light, dark = (
        Image.fromarray(render(replace(character, background=ground), *size_px)) for ground in ("white", "black")
    )
    box = difference_box(light, dark)
    assert box is not None
    return box


def measure(title: str, pictures: Iterable[GeneratedSubject]) -> None:
    """Print the figures of one set."""
    whole: dict[str, list[bool]] = defaultdict(list)
    shapes: dict[str, list[bool]] = defaultdict(list)
    centred: list[bool] = []
    overlaps, ratios = [], []
    num_none = 0
    for picture, truth, kind in pictures:
        found = find_subject(picture)
        num_none += found is None
        for name, aspect in SHAPES.items():
            is_whole = is_inside(truth, crop_for(picture.size, aspect, found))
            shapes[name].append(is_whole)
            for word in kind.split(", "):
                whole[word].append(is_whole)
            centred.append(is_inside(truth, crop_for(picture.size, aspect, None)))
        box = found or (0, 0, *picture.size)
        shared = max(0, min(box[2], truth[2]) - max(box[0], truth[0])) * max(
            0, min(box[3], truth[3]) - max(box[1], truth[1])
        )
        overlaps.append(shared / (area(box) + area(truth) - shared))
        ratios.append(area(box) / area(truth))
    everything = [is_whole for values in shapes.values() for is_whole in values]
    pictures_whole = np.mean([all(values) for values in zip(*shapes.values(), strict=True)])
    print(f"{title}: {len(ratios)} pictures in {len(SHAPES)} shapes")
    print(f"  subject whole     {np.mean(everything):6.1%}   from the middle {np.mean(centred):6.1%}")
    print(f"  in all 5 shapes   {pictures_whole:6.1%}   nothing found in {num_none}")
    print(f"  overlap (IoU)     mean {np.mean(overlaps):.2f}, median {np.median(overlaps):.2f}")
    print(f"  found / true area mean {np.mean(ratios):.2f}, median {np.median(ratios):.2f}")
    print("  by shape  " + "  ".join(f"{name} {np.mean(values):.0%}" for name, values in shapes.items()))
    print("  by kind   " + "  ".join(f"{name} {np.mean(values):.0%}" for name, values in sorted(whole.items())))


def area(box: Box) -> int:
    """Its pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first generated picture")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.number)
    measure("generated", (generated_subject(seed) for seed in seeds))
    measure("starter characters", characters(options.number // 2))
    measure("demo", demo_pictures())
    small = [generated_subject(seed).image for seed in seeds[:60]]
    for picture in small:
        picture.thumbnail((256, 256))
    times = []
    for picture in small * 3:
        started = time.perf_counter()
        find_subject(picture)
        times.append((time.perf_counter() - started) * 1000)
    print(f"{np.median(times):.1f} ms per picture of 256 px (best {min(times):.1f}; load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
