"""Two sets of pictures for the dataset doctor: good ones that a person would accept, and ones with planted defects.

Both are drawn here from a seed, in every style that people train on: flat drawings, line art, pale sketches, nights,
gradients, photos with grain, portraits before a soft background. `python -m tests.hostile FOLDER SEED` writes them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tests.pictures import encoded, exif

Code = str
Draw = Callable[[np.random.Generator, tuple[int, int]], Image.Image]

SIZES = ((512, 512), (512, 768), (768, 512), (640, 640), (576, 832), (832, 576), (600, 900), (960, 540), (720, 720))
_TAGS = (
    "1girl",
    "solo",
    "fox ears",
    "orange hair",
    "smile",
    "scarf",
    "standing",
    "outdoors",
    "night",
    "sitting",
    "微笑",
)


# --- styles ---------------------------------------------------------------------------------------------------------


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _ramp(size: tuple[int, int], first: tuple[int, int, int], last: tuple[int, int, int], tilt: float) -> Image.Image:
    """A soft change of colour from the top to the bottom, tilted."""
    x, y = np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1])
    share = np.clip(y[:, None] + tilt * (x[None] - 0.5), 0, 1)[..., None].astype(np.float32)
    mixed = np.array(first, np.float32) * (1 - share) + np.array(last, np.float32) * share
    return Image.fromarray(mixed.astype(np.uint8))


def _figure(rng: np.random.Generator, picture: Image.Image, line: tuple[int, int, int], filled: bool = True) -> None:
    """A person of plain shapes with outlines, somewhere near the middle and of any size."""
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    unit = min(width, height) * rng.uniform(0.10, 0.2)
    x, y = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.25, 0.45)
    pen = max(2, round(unit / rng.uniform(14, 30)))
    hair, skin, cloth = (
        _colour(rng, 30, 230),
        (250, int(rng.integers(200, 236)), int(rng.integers(180, 220))),
        _colour(rng),
    )

    def fill(colour: tuple[int, int, int]) -> tuple[int, int, int] | None:
        return colour if filled else None

    lean = unit * rng.uniform(-0.6, 0.6)
    hem = unit * rng.uniform(0.9, 1.9)
    draw.polygon(
        [(x - unit * 0.6, y + unit), (x + unit * 0.6, y + unit), (x + hem + lean, y + 3.2 * unit),
         (x - hem + lean, y + 3.2 * unit)],
        fill=fill(cloth), outline=line, width=pen,
    )  # fmt: skip
    for side in (-1, 1):
        reach, drop = unit * rng.uniform(1.2, 2.2), unit * rng.uniform(0.2, 2.4)
        draw.line(
            [(x + side * unit * 0.6, y + unit * 1.1), (x + side * reach, y + unit + drop)], fill=line, width=pen * 2
        )
        tip = unit * rng.uniform(1.2, 1.8)
        draw.polygon(
            [(x + side * unit * 0.9, y - unit * 0.3), (x + side * unit * rng.uniform(0.5, 1.2), y - tip),
             (x + side * unit * 0.2, y - unit * 0.9)],
            fill=fill(hair), outline=line, width=pen,
        )  # fmt: skip
    draw.ellipse(
        (x - unit * 1.1, y - unit * 1.1, x + unit * 1.1, y + unit * 1.15), fill=fill(hair), outline=line, width=pen
    )
    draw.ellipse((x - unit * 0.9, y - unit * 0.6, x + unit * 0.9, y + unit), fill=fill(skin), outline=line, width=pen)
    for side in (-1, 1):
        ex, ey = x + side * unit * 0.4, y + unit * rng.uniform(0.05, 0.3)
        draw.ellipse((ex - unit * 0.15, ey - unit * 0.2, ex + unit * 0.15, ey + unit * 0.2), fill=line)
    draw.arc((x - unit * 0.3, y + unit * 0.4, x + unit * 0.3, y + unit * 0.8), 10, 170, fill=line, width=pen)


def _things(rng: np.random.Generator, picture: Image.Image, number: int, low: int = 0, high: int = 256) -> None:
    """Boxes, discs and strokes all over the picture."""
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(number):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, along = rng.uniform(0.04, 0.22, 2) * min(width, height)
        box = (x - across, y - along, x + across, y + along)
        kind = rng.integers(3)
        if kind == 0:
            draw.rectangle(box, fill=_colour(rng, low, high))
        elif kind == 1:
            draw.ellipse(box, fill=_colour(rng, low, high))
        else:
            draw.line(box, fill=_colour(rng, low, high), width=int(rng.integers(3, 12)))


def _double(size: tuple[int, int], background: Image.Image | tuple[int, int, int]) -> Image.Image:
    """A canvas of twice the size, so that what is drawn gets soft pixels at its edges when it is halved."""
    double = (size[0] * 2, size[1] * 2)
    return Image.new("RGB", double, background) if isinstance(background, tuple) else background.resize(double)


def flat_drawing(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Plain colours and outlines on one plain colour."""
    canvas = _double(size, _colour(rng, 90))
    _things(rng, canvas, int(rng.integers(2, 6)))
    _figure(rng, canvas, (20, 15, 25))
    return canvas.reduce(2)


def white_drawing(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A coloured figure on white paper, nothing else."""
    canvas = _double(size, (255, 255, 255))
    _figure(rng, canvas, _colour(rng, 0, 60))
    return canvas.reduce(2)


def line_art(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Dark lines on white."""
    canvas = _double(size, (255, 255, 255))
    _figure(rng, canvas, (30, 30, 35), filled=False)
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(3, 14))):
        points = [tuple(point) for point in rng.uniform(0, 1, (4, 2)) * canvas.size]
        draw.line(points, fill=(40, 40, 40), width=int(rng.integers(2, 6)), joint="curve")
    return canvas.reduce(2)


def pale_sketch(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Pastel colours and grey lines: bright, and meant so."""
    canvas = _double(size, _colour(rng, 225))
    _things(rng, canvas, int(rng.integers(3, 8)), 200)
    _figure(rng, canvas, (95, 90, 105))
    return canvas.reduce(2)


def night(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A dark sky with stars or lit windows: dark, and meant so."""
    canvas = _double(size, _ramp(size, _colour(rng, 0, 14), _colour(rng, 8, 40), 0.3))
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    for _ in range(int(rng.integers(4, 9))):
        x, top = rng.uniform(0, width), rng.uniform(0.4, 0.8) * height
        draw.rectangle((x, top, x + rng.uniform(0.08, 0.2) * width, height), fill=_colour(rng, 4, 24))
    for _ in range(int(rng.integers(25, 70))):
        x, y, side = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, 14)
        draw.rectangle(
            (x, y, x + side, y + side * 1.5), fill=(255, int(rng.integers(190, 245)), int(rng.integers(90, 200)))
        )
    return canvas.reduce(2)


def gradient(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A soft sky with a sun, hills in front."""
    canvas = _double(size, _ramp(size, _colour(rng, 60), _colour(rng, 120), rng.uniform(-0.5, 0.5)))
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    x, y, radius = rng.uniform(0.2, 0.8) * width, rng.uniform(0.15, 0.5) * height, rng.uniform(0.05, 0.12) * width
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 244, 200))
    for layer in range(3):
        heights = (0.55 + 0.13 * layer + 0.06 * rng.standard_normal(9)) * height
        crest = [(width * index / 8, float(level)) for index, level in enumerate(heights)]
        draw.polygon([*crest, (width, height), (0, height)], fill=_colour(rng, 10, 150 - 40 * layer))
    return canvas.reduce(2)


def flat_landscape(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A plain sky above a plain floor with a straight edge between them, and a figure."""
    canvas = _double(size, _colour(rng, 110))
    horizon = round(canvas.height * rng.uniform(0.55, 0.85))
    ImageDraw.Draw(canvas).rectangle((0, horizon, canvas.width, canvas.height), fill=_colour(rng, 20, 200))
    _figure(rng, canvas, (25, 20, 20))
    return canvas.reduce(2)


def _cloud(rng: np.random.Generator, size: tuple[int, int], low: int = 0, high: int = 256) -> Image.Image:
    """Coloured clouds with detail of every size, as photos have it."""
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells, weight in ((3, 1.0), (8, 0.6), (24, 0.35), (80, 0.2), (240, 0.12)):
        shape = (max(2, cells * size[1] // max(size)), max(2, cells * size[0] // max(size)), 3)
        layer = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        total += weight * np.asarray(layer, np.float32)
    total -= total.min()
    return Image.fromarray((low + total / total.max() * (high - 1 - low)).astype(np.uint8))


def _grain(rng: np.random.Generator, picture: Image.Image, strength: float) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    noise = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None] * strength
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def photo(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Clouds of colour, solid things before them, and the grain of a sensor."""
    canvas = _cloud(rng, size)
    _things(rng, canvas, int(rng.integers(6, 14)))
    return _grain(rng, canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))), rng.uniform(0, 6))


def portrait(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A sharp figure before a background far out of focus."""
    canvas = _cloud(rng, size, 20, 235).filter(ImageFilter.GaussianBlur(14)).resize((size[0] * 2, size[1] * 2))
    _figure(rng, canvas, (30, 20, 25))
    return _grain(rng, canvas.reduce(2), rng.uniform(0, 3))


def manga(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Black lines and a regular screen of dots."""
    canvas = line_art(rng, size).convert("L")
    period, radius = int(rng.integers(4, 10)), rng.uniform(0.9, 2.2)
    x, y = np.arange(size[0]) % period - period // 2, np.arange(size[1]) % period - period // 2
    dots = Image.fromarray(np.where(x[None] ** 2 + y[:, None] ** 2 <= radius**2, 40, 255).astype(np.uint8))
    left, top = int(size[0] * rng.uniform(0, 0.5)), int(size[1] * rng.uniform(0, 0.5))
    box = (left, top, left + size[0] // 2, top + size[1] // 2)
    canvas.paste(dots.crop(box), box)
    return canvas.convert("RGB")


def pixel_art(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A small drawing with every pixel made a square of eight."""
    small = (size[0] // 8, size[1] // 8)
    canvas = Image.new("RGB", small, _colour(rng, 60))
    _things(rng, canvas, int(rng.integers(12, 30)))
    _figure(rng, canvas, (20, 15, 30))
    return canvas.resize((small[0] * 8, small[1] * 8), Image.Resampling.NEAREST)


def stripes(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A figure before a striped wall."""
    canvas = _double(size, _colour(rng, 120))
    draw = ImageDraw.Draw(canvas)
    depth, colour = int(rng.integers(40, 160)), _colour(rng, 120)
    for top in range(depth, canvas.height - depth // 2, 2 * depth):
        draw.rectangle((0, top, canvas.width, top + depth), fill=colour)
    _figure(rng, canvas, (30, 20, 20))
    return canvas.reduce(2)


def watercolour(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft edges on rough paper."""
    canvas = Image.new("RGB", size, (250, 248, 240))
    _things(rng, canvas, int(rng.integers(6, 12)), 120, 250)
    _figure(rng, canvas, (90, 80, 90))
    return _grain(rng, canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 1.3))), 3)


def studio(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A lit figure before black, or before white with a soft shadow."""
    level = int(rng.choice([3, 253]))
    canvas = _double(size, (level, level, level))
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    draw.ellipse((width * 0.3, height * 0.75, width * 0.7, height * 0.85), fill=(level // 2 + 60,) * 3)
    canvas = canvas.filter(ImageFilter.BoxBlur(30))
    _figure(rng, canvas, (60, 40, 40))
    return _grain(rng, canvas.reduce(2), rng.uniform(0, 2))


STYLES: tuple[Draw, ...] = (
    flat_drawing, white_drawing, line_art, pale_sketch, night, gradient, flat_landscape, photo, portrait,
    manga, pixel_art, stripes, watercolour, studio,
)  # fmt: skip


# --- the good set ---------------------------------------------------------------------------------------------------


def make_good(folder: Path, seed: int, n: int) -> list[Path]:
    """Write `n` pictures that nobody would complain about, each with a caption in UTF-8; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(n):
        rng = np.random.default_rng((seed, index))
        picture = STYLES[index % len(STYLES)](rng, SIZES[int(rng.integers(len(SIZES)))])
        ending = (".jpg", ".png", ".jpg", ".webp")[int(rng.integers(4))]
        path = folder / f"good_{index:03d}{ending}"
        _save(path, picture, int(rng.integers(85, 96)))
        _caption(path, index, rng)
        paths.append(path)
    return paths


def _save(path: Path, picture: Image.Image, quality: int = 92) -> None:
    if path.suffix == ".png":
        picture.save(path, compress_level=1)
    elif path.suffix == ".webp":
        picture.save(path, quality=quality, method=0)
    else:
        picture.save(path, quality=quality)


def _caption(path: Path, index: int, rng: np.random.Generator) -> None:
    tags = [str(tag) for tag in rng.permutation(_TAGS)[:5]]
    path.with_suffix(".txt").write_text(", ".join([*tags, f"number {index}"]), encoding="utf-8")


# --- the hostile set ------------------------------------------------------------------------------------------------


class _Planter:
    """Writes files with defects and keeps the book of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.planted = folder, seed, dict[Path, set[Code]]()

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng((self.seed, *name.encode()))

    def draw(self, name: str, style: Draw, size: tuple[int, int] | None = None) -> Image.Image:
        rng = self.rng(name)
        return style(rng, size or SIZES[int(rng.integers(len(SIZES)))])

    def put(self, name: str, picture: Image.Image, *codes: Code, caption: bool = True, **options: object) -> Path:
        path = self.folder / name
        picture.save(path, **options)
        return self.note(path, *codes, caption=caption)

    def raw(self, name: str, data: bytes, *codes: Code, caption: bool = True) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return self.note(path, *codes, caption=caption)

    def note(self, path: Path, *codes: Code, caption: bool = True) -> Path:
        self.planted[path] = set(codes)
        if caption:
            _caption(path, len(self.planted), self.rng(path.name))
        return path


def make_hostile(folder: Path, seed: int) -> dict[Path, set[Code]]:
    """Write more than 60 files with planted defects; each with the codes that the doctor must find for it.

    Files with no code are traps: they must be passed over without a word.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plant = _Planter(folder, seed)
    for group in (_broken, _small, _soft, _badly_lit, _blocky, _framed, _repeated, _special, _badly_captioned):
        group(plant)
    return plant.planted


def _broken(plant: _Planter) -> None:
    for name, share in (("cut_10.jpg", 0.9), ("cut_half.jpg", 0.5), ("cut_10.png", 0.9), ("cut_half.gif", 0.5)):
        kind: Literal["JPEG", "PNG", "GIF"] = (
            "JPEG" if name.endswith("jpg") else "PNG" if name.endswith("png") else "GIF"
        )
        data = encoded(plant.draw(name, photo, (512, 512)), kind)
        plant.raw(name, data[: int(len(data) * share)], "truncated")
    data = encoded(plant.draw("cut.webp", flat_drawing, (512, 512)), "WEBP")
    plant.raw("cut.webp", data[: len(data) * 9 // 10], "truncated")
    plant.raw("zero.png", b"", "unreadable")
    plant.raw("page.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "unreadable")
    plant.raw("zeros.webp", b"\0" * 5000, "unreadable")
    plant.raw("noise.png", plant.rng("noise").bytes(3000), "unreadable")
    plant.raw("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200, "not_readable_format")
    plant.put("scan.tiff", plant.draw("scan.tiff", line_art), "not_readable_format")
    (plant.folder / "folder.png").mkdir()
    plant.note(plant.folder / "folder.png", caption=False)
    if hasattr(os, "mkfifo"):
        os.mkfifo(plant.folder / "pipe.png")
        plant.note(plant.folder / "pipe.png", caption=False)
    with contextlib.suppress(OSError):  # Windows asks for a right to make links.
        (plant.folder / "link.jpg").symlink_to("nowhere.jpg")
        plant.note(plant.folder / "link.jpg", "unreadable")


def _small(plant: _Planter) -> None:
    plant.put("tiny_a.png", plant.draw("tiny_a", flat_drawing, (200, 260)), "tiny")
    plant.put("tiny_b.jpg", plant.draw("tiny_b", photo, (320, 180)), "tiny", quality=92)
    plant.put("tiny_c.webp", plant.draw("tiny_c", white_drawing, (64, 64)), "tiny", lossless=True)
    plant.put("smallish_a.png", plant.draw("smallish_a", gradient, (420, 420)), "upscaled")
    plant.put("smallish_b.jpg", plant.draw("smallish_b", portrait, (384, 500)), "upscaled", quality=90)


def _soft(plant: _Planter) -> None:
    for name, style, radius in (
        ("blur_a.png", flat_drawing, 9.0),
        ("blur_b.jpg", photo, 6.0),
        ("blur_c.webp", white_drawing, 5.0),
        ("blur_d.jpg", gradient, 7.0),
        ("blur_e.jpg", portrait, 4.0),
    ):
        picture = plant.draw(name, style, (640, 640)).filter(ImageFilter.GaussianBlur(radius))
        plant.put(name, picture, "blurry", quality=92)
    blown_up = plant.draw("blown_up", flat_drawing, (96, 120)).resize((960, 1200), Image.Resampling.BICUBIC)
    plant.put("blown_up.jpg", blown_up, "blurry", quality=90)
    shaken = np.asarray(plant.draw("shaken", portrait, (720, 720)), np.float32)
    sums = np.cumsum(np.pad(shaken, ((24, 24), (24, 24), (0, 0)), mode="edge"), axis=1)
    sums = np.cumsum((sums[:, 24:] - sums[:, :-24]) / 24, axis=0)  # Out of focus and moved.
    still = np.clip((sums[24:] - sums[:-24]) / 24, 0, 255).astype(np.uint8)
    plant.put("shaken.jpg", _grain(plant.rng("shaken"), Image.fromarray(still), 2), "blurry", quality=90)


def _badly_lit(plant: _Planter) -> None:
    for name, style, gain, lift in (
        ("dark_a.png", photo, 0.12, 0),
        ("dark_b.jpg", flat_drawing, 0.16, 0),
        ("dark_c.jpg", portrait, 0.10, 3),
        ("bright_a.png", photo, 0.25, 200),
        ("bright_b.jpg", portrait, 0.30, 195),
        ("bright_c.jpg", flat_drawing, 0.2, 210),
    ):
        picture = plant.draw(name, style).point(lambda level, gain=gain, lift=lift: min(255, level * gain + lift))
        plant.put(name, picture, "dark" if gain < 0.2 else "bright", quality=92)


def _blocky(plant: _Planter) -> None:
    plant.put("q5.jpg", plant.draw("q5", photo), "jpeg_artefacts", quality=5)
    plant.put("q12.jpg", plant.draw("q12", flat_drawing), "jpeg_artefacts", quality=12)
    for name, quality, offset in (
        ("q8_saved.png", 8, (0, 0)),
        ("q10_cut.png", 10, (3, 5)),
        ("q7_again.jpg", 7, (0, 0)),
    ):
        bad = Image.open(_as_file(encoded(plant.draw(name, portrait, (640, 640)), "JPEG", quality=quality)))
        plant.put(name, bad.crop((*offset, 640, 640)), "jpeg_artefacts", quality=93)


def _as_file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


def _framed(plant: _Planter) -> None:
    for name, style, colour, (across, along), options in (
        ("bars_a.png", photo, (0, 0, 0), (0, 0.12), {}),
        ("bars_b.jpg", gradient, (38, 38, 40), (0, 0.04), {"quality": 70}),
        ("bars_c.jpg", portrait, (255, 255, 255), (0.08, 0), {"quality": 90}),
        ("bars_d.webp", photo, (250, 250, 250), (0.05, 0.05), {"quality": 80}),
        ("bars_e.jpg", flat_landscape, (0, 0, 0), (0.2, 0), {"quality": 60}),
    ):
        inner = plant.draw(name, style, (640, 600))
        frame = Image.new("RGB", (round(640 * (1 + 2 * across)), round(600 * (1 + 2 * along))), colour)
        frame.paste(inner, ((frame.width - 640) // 2, (frame.height - 600) // 2))
        plant.put(name, frame, "letterbox", **options)


def _repeated(plant: _Planter) -> None:
    original = plant.draw("twice", photo, (640, 640))
    plant.put("twice.png", original, "duplicate", "shared_caption")
    plant.put("twice (1).png", original, "duplicate")
    plant.put("twice.bmp", original, "duplicate", "shared_caption", caption=False)
    for name, style in (("like_a", flat_drawing), ("like_b", photo), ("like_c", white_drawing)):
        first = plant.draw(name, style, (800, 800))
        plant.put(f"{name}.png", first, "near_duplicate")
        cut = first.crop((10, 6, 794, 790)).resize((560, 560), Image.Resampling.LANCZOS)  # 2 % less.
        plant.put(f"{name}_again.jpg", cut, "near_duplicate", quality=72)
    boxed = plant.draw("boxed", portrait, (700, 600))
    plant.put("boxed.jpg", boxed, "near_duplicate", quality=92)
    frame = Image.new("RGB", (700, 720))
    frame.paste(boxed.point(lambda level: min(255, level + 12)), (0, 60))
    plant.put("boxed_brighter.jpg", frame, "near_duplicate", "letterbox", quality=80)


def _special(plant: _Planter) -> None:
    for orientation in (3, 6, 8):
        name = f"turned_{orientation}.jpg"
        plant.put(name, plant.draw(name, portrait), "rotated", quality=90, exif=exif(orientation))
    for name in ("see_through.png", "window.webp"):
        picture = plant.draw(name, flat_drawing).convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, picture.width // 3, picture.height))
        plant.put(name, picture, "transparent")
    palette = plant.draw("palette", white_drawing).quantize(32)
    plant.put("palette.png", palette, "transparent", transparency=palette.getpixel((2, 2)))
    for name in ("moving.gif", "blinking.webp", "waving.png"):
        frames = [plant.draw(name + str(number), flat_drawing, (512, 512)) for number in range(3)]
        plant.put(name, frames[0], "animated", save_all=True, append_images=frames[1:])
    plant.put("表情 🦊.png", plant.draw("emoji", flat_drawing).convert("RGBA"))  # Opaque: nothing to say.


def _badly_captioned(plant: _Planter) -> None:
    def with_caption(name: str, data: bytes | None, *codes: Code) -> None:
        path = plant.put(name, plant.draw(name, flat_drawing), *codes, caption=False)
        if data is not None:
            path.with_suffix(".txt").write_bytes(data)

    with_caption("silent_a.png", None, "no_caption")
    with_caption("silent_b.jpg", None, "no_caption")
    with_caption("empty_a.png", b"", "empty_caption")
    with_caption("empty_b.png", b" \r\n\t\r\n", "empty_caption")
    with_caption("gbk.png", "1girl, 长发, 蓝色眼睛, 微笑".encode("gbk"), "caption_not_utf8")
    with_caption("utf16.png", "1girl, long hair, smile".encode("utf-16-le"), "caption_not_utf8")
    with_caption("binary.png", encoded(plant.draw("b", white_drawing, (64, 64)), "PNG"), "caption_unreadable")
    with_caption("endless.png", b"1girl, " * 700_000, "caption_unreadable")
    with_caption("long.png", ", ".join(f"tag {number}" for number in range(60)).encode(), "caption_too_long")
    with_caption("bom.png", "1girl, 微笑".encode("utf-16"))  # UTF-16 with its mark is read as it is.
    plant.raw("alone.txt", b"1girl, solo", "orphan_caption", caption=False)
    plant.raw("gone (2).txt", "别的".encode(), "orphan_caption", caption=False)
    with_caption("two.png", b"1girl", "shared_caption")
    plant.put("two.jpg", plant.draw("two", gradient), "shared_caption", caption=False, quality=90)


if __name__ == "__main__":
    target, chosen = Path(sys.argv[1]), int(sys.argv[2])
    make_good(target, chosen, 200)
    make_hostile(target, chosen)
