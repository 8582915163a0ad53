"""The demo character's pictures: a folder as a user has it, held-out pictures, and the truth about both."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from starter.character import ABSORBED_TAGS, TRAITS, TRIGGER, UNTAGGED_TRAITS, demo_caption, demo_character
from starter.draw import render
from starter.world import tags_of

if TYPE_CHECKING:
    from pathlib import Path

# File name, width and height in pixels, and how far she stands to the side, in picture widths.
PICTURES: list[tuple[str, int, int, float]] = [
    ("Screenshot 2026-03-01 at 19.22.10.png", 960, 600, 0),
    ("Screenshot 2026-03-01 at 19.22.48.png", 960, 600, 0.18),
    ("Screenshot 2026-03-01 at 19.25.03.png", 800, 600, 0),
    ("Screenshot 2026-03-02 at 08.11.57.png", 640, 640, 0),
    ("Screenshot_20260303_214455.jpg", 450, 1000, 0),
    ("Screenshot_20260303_214512.jpg", 450, 975, 0),
    ("Screenshot_20260305_070120.jpg", 540, 960, 0),
    ("微信图片_20260301.jpg", 720, 720, 0),
    ("微信图片_20260301192233.jpg", 600, 800, 0),
    ("微信图片_20260304081530.jpg", 800, 450, -0.21),
    ("mmexport1772361011.jpg", 500, 750, 0),
    ("IMG_2041.JPG", 900, 675, 0),
    ("IMG_2041 (1).jpg", 640, 480, 0),
    ("IMG_2057.JPG", 675, 900, 0),
    ("IMG_2063.JPG", 1000, 667, 0.16),
    ("IMG_20260306_121530.jpg", 768, 1000, 0),
    ("miru_ref_01.png", 512, 512, 0),
    ("miru_ref_02.png", 512, 512, 0),
    ("miru sketch final.png", 400, 560, 0),
    ("miru_final_FINAL2.png", 560, 400, 0),
    ("download.webp", 300, 300, 0),
    ("download (1).webp", 480, 320, 0),
    ("unnamed.webp", 320, 480, 0),
    ("1772360912345.webp", 600, 600, 0),
    ("episode 03 - 12m44s.webp", 1000, 562, -0.2),
    ("episode 03 - 13m02s.webp", 1000, 562, 0),
    ("episode 04 - 01m10s.webp", 850, 478, 0.21),
    ("头像.png", 360, 360, 0),
    ("立绘 半身.png", 700, 933, 0),
    ("wallpaper crop.jpg", 900, 506, 0),
]
# The second is the first, smaller and saved again.
NEAR_DUPLICATES = ("IMG_2041.JPG", "IMG_2041 (1).jpg")
HELD_OUT_SIZES_PX = (128, 160, 192, 256)
PROMPTS = [
    f"{TRIGGER}, 1girl, solo, {face}, {background} background, simple background, upper body, looking at viewer"
    for face, background in {
        "smile": "white",
        "open mouth": "yellow",
        "grin": "blue",
        "closed mouth": "grey",
        "smile, one eye closed": "pink",
        ":o": "green",
        "frown": "purple",
        "open mouth, half-closed eyes": "orange",
    }.items()
]


def write_demo(pack: Path) -> None:
    """Writes `demo/`, `demo_held_out/`, `demo.json` and `demo_truth.json` into the pack's folder."""
    truth = write_pictures(pack / "demo")
    write_json(pack / "demo_truth.json", truth)
    write_held_out(pack / "demo_held_out")
    facts = {
        "trigger": TRIGGER,
        "traits": TRAITS,
        "absorbed_tags": ABSORBED_TAGS,
        "untagged_traits": UNTAGGED_TRAITS,
        "prompts": PROMPTS,
        "held_out": "demo_held_out",
        "near_duplicates": NEAR_DUPLICATES,
        "middle_crops": [name for name, width_px, height_px, _ in PICTURES if height_px > width_px],
    }
    write_json(pack / "demo.json", facts)


def write_json(path: Path, content: Any) -> None:
    """Writes readable JSON."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_pictures(folder: Path) -> dict[str, list[str]]:
    """The 30 pictures; returns the true tags by file name."""
    make_empty(folder)
    rng = random.Random("miru")
    truth: dict[str, list[str]] = {}
    for name, width_px, height_px, side_shift in PICTURES:
        her = replace(demo_character(rng), side_shift=side_shift)
        if name == NEAR_DUPLICATES[1]:
            original = Image.open(folder / NEAR_DUPLICATES[0])
            original.resize((width_px, height_px), Image.Resampling.LANCZOS).save(folder / name, quality=72)
            truth[name] = truth[NEAR_DUPLICATES[0]]
            continue
        save(Image.fromarray(render(her, width_px, height_px)), folder / name)
        truth[name] = tags_of(her)
    return truth


def write_held_out(folder: Path) -> None:
    """Eight more pictures, small and without loss, with captions that leave her traits to the trigger word."""
    make_empty(folder)
    rng = random.Random("miru held out")
    for number in range(8):
        her = demo_character(rng)
        image = Image.fromarray(render(her, HELD_OUT_SIZES_PX[number % 4]))
        path = folder / f"held_out_{number + 1}.{'png' if number % 2 else 'webp'}"
        save(image, path, is_lossless=True)
        path.with_suffix(".txt").write_text(demo_caption(her) + "\n", encoding="utf-8")


def make_empty(folder: Path) -> None:
    """Leaves an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def save(image: Image.Image, path: Path, *, is_lossless: bool = False) -> None:
    """Saves in the format that the name asks for."""
    match path.suffix.lower():
        case ".png":
            image.save(path, optimize=True)
        case ".webp" if is_lossless:
            image.save(path, lossless=True)
        case ".webp":
            image.save(path, quality=88, method=6)
        case _:
            image.save(path, quality=90)
