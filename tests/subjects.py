"""Pictures with a subject whose box is known: drawn and photo-like figures on many kinds of backgrounds.

The same seed gives the same picture. A figure has a head and a body; it stands anywhere but in the middle, whole or cut
off by the lower edge, and fills 25 to 80 % of the height. The backgrounds go from plain to a furnished room.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from core.dataset.geometry import Box, Size

Random = np.random.Generator
Colour = tuple[int, int, int]

SHAPES = {"1:1": (1, 1), "3:2": (3, 2), "2:3": (2, 3), "16:9": (16, 9), "9:16": (9, 16)}
"""Name of a shape -> width and height."""

SKINS = ((255, 224, 204), (247, 208, 180), (224, 172, 132), (178, 122, 86), (120, 78, 56), (250, 236, 228))
NATURAL_HAIR = ((28, 24, 26), (62, 42, 32), (112, 74, 44), (198, 158, 96), (150, 60, 40), (206, 206, 212))


class GeneratedSubject(NamedTuple):
    """A picture, the box of its subject in pixels, and what it is: `drawing, room` or `photo, landscape, bars`."""

    image: Image.Image
    box: Box
    kind: str


def generated_subject(seed: int) -> GeneratedSubject:
    """The picture number `seed`."""
    random = np.random.default_rng([2026, seed])
    aspect = SHAPES[list(SHAPES)[seed % len(SHAPES)]]
    scale = random.uniform(360, 640) / max(aspect)
    size = (round(aspect[0] * scale), round(aspect[1] * scale))
    bars = _bars(random, size) if random.random() < 0.12 else (0, 0)
    inside = (size[0] - 2 * bars[0], size[1] - 2 * bars[1])
    is_photo = bool(random.random() < 0.35)
    name = str(random.choice(list(BACKGROUNDS), p=[weight for weight, _ in BACKGROUNDS.values()]))
    picture = BACKGROUNDS[name][1](random, inside)
    figure = _figure(random, inside, is_photo=is_photo)
    if is_photo:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 9) * max(inside) / 500))
        figure = _lit(random, figure)
    left, top = _place(random, inside, figure.size)
    if random.random() < 0.3 and top + figure.height < inside[1]:
        _shadow(picture, (left, top, left + figure.width, top + figure.height))
    layer = Image.new("RGBA", inside)
    layer.paste(figure, (left, top))
    picture.paste(layer, mask=layer)
    if is_photo:
        picture = _through_a_camera(random, picture)
    box = layer.getchannel("A").point(lambda value: 255 if value >= 96 else 0).getbbox()
    assert box is not None
    whole = Image.new("RGB", size, (0, 0, 0) if random.random() < 0.8 else (255, 255, 255))
    whole.paste(picture, bars)
    words = ["photo" if is_photo else "drawing", name, *(["bars"] if any(bars) else [])]
    x, y = bars
    return GeneratedSubject(whole, (box[0] + x, box[1] + y, box[2] + x, box[3] + y), ", ".join(words))


def _bars(random: Random, size: tuple[int, int]) -> tuple[int, int]:
    """Width of the bars at the sides and height of those above and below, one of the two 0."""
    share = random.uniform(0.05, 0.16)
    if size[0] > size[1] or (size[0] == size[1] and random.random() < 0.5):
        return round(size[0] * share), 0
    return 0, round(size[1] * share)


def _place(random: Random, size: tuple[int, int], figure: tuple[int, int]) -> tuple[int, int]:
    """The upper left corner: aside from the middle as far as there is room; one in two leaves by the lower edge."""
    room = size[0] - figure[0]
    aside = random.uniform(0, 0.36)
    left = round(room * (aside if random.random() < 0.5 else 1 - aside))
    if figure[1] > 0.45 * size[1] and random.random() < 0.5:
        return left, size[1] - round(figure[1] * random.uniform(0.55, 0.92))
    return left, round((size[1] - figure[1]) * random.uniform(0.1, 0.97))


# --- figures --------------------------------------------------------------------------------------------------------


def _figure(random: Random, size: tuple[int, int], *, is_photo: bool) -> Image.Image:
    """A person as RGBA, cropped to what is drawn; never wider than 80 % of the picture."""
    height = size[1] * random.uniform(0.25, 0.8)
    canvas = Image.new("RGBA", (round(height * 2), round(height * 2)))
    _draw_person(random, ImageDraw.Draw(canvas), height * 1.6, is_photo=is_photo)
    lean = random.normal(0, 5) if random.random() < 0.85 else random.choice([-1, 1]) * random.uniform(50, 95)
    canvas = canvas.rotate(lean, Image.Resampling.BICUBIC)
    figure = canvas.crop(canvas.getbbox())
    shrink = min(height / figure.height, 0.8 * size[0] / figure.width)
    return figure.resize(
        (max(8, round(figure.width * shrink)), max(8, round(figure.height * shrink))), Image.Resampling.LANCZOS
    )


def _draw_person(random: Random, draw: ImageDraw.ImageDraw, height: float, *, is_photo: bool) -> None:
    """A standing person of that height in pixels, in the middle of a canvas of 1.25 times the height."""
    middle, top = height * 0.625, height * 0.14
    head = height * (random.uniform(0.14, 0.2) if is_photo or random.random() < 0.5 else random.uniform(0.24, 0.42))
    hair: Colour = tuple(random.choice(NATURAL_HAIR)) if is_photo else _colour(random, 0.3, 1, 0.3, 1)
    skin: Colour = tuple(random.choice(SKINS))
    cloth, second = _colour(random, 0, 1, 0.1, 1), _colour(random, 0, 1, 0.1, 1)
    thickness = 0 if is_photo or random.random() < 0.25 else max(1, round(height * random.uniform(0.004, 0.011)))
    line = (30, 24, 32)
    neck, bottom = top + head, top + height
    hip = neck + (bottom - neck) * random.uniform(0.38, 0.5)
    half = head * random.uniform(0.34, 0.46)  # Of the shoulders' width.
    limb = half * random.uniform(0.4, 0.6)

    def shape(points: list[tuple[float, float]], fill: Colour) -> None:
        draw.polygon(points, fill=fill)
        if thickness:
            draw.line([*points, points[0]], fill=line, width=thickness, joint="curve")

    def oval(x: float, y: float, wide: float, high: float, fill: Colour, *, outlined: bool = True) -> None:
        draw.ellipse(
            (x - wide, y - high, x + wide, y + high), fill=fill, outline=line, width=thickness if outlined else 0
        )

    def limb_of(points: list[tuple[float, float]], wide: float, fill: Colour) -> None:
        for extra, ink in ((2 * thickness, line), (0, fill))[0 if thickness else 1 :]:
            draw.line(points, fill=ink, width=max(1, round(wide + extra)), joint="curve")
            radius = (wide + extra) / 2
            for x, y in points:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)

    # Long hair, twin tails or a cape, behind all else.
    behind = random.choice(["none", "long", "tails", "cape", "short"], p=[0.25, 0.3, 0.15, 0.1, 0.2])
    radius = head * 0.56
    if behind == "long":
        end = neck + (bottom - neck) * random.uniform(0.15, 0.6)
        shape(
            [
                (middle - radius, neck - head * 0.6),
                (middle - radius * 1.25, end),
                (middle + radius * 1.25, end),
                (middle + radius, neck - head * 0.6),
            ],
            hair,
        )
    elif behind == "tails":
        for side in (-1, 1):
            x, end = middle + side * radius, neck + (bottom - neck) * random.uniform(0.1, 0.5)
            limb_of(
                [(x, neck - head * 0.6), (x + side * radius * 0.6, neck), (x + side * radius * 0.4, end)], limb, hair
            )
    elif behind == "cape":
        shape([(middle, neck), (middle - half * 2, bottom - head * 0.2), (middle + half * 2, bottom)], second)
    # Legs, arms, body.
    step = half * random.uniform(0.35, 0.9)
    trousers = skin if random.random() < 0.4 else _colour(random, 0, 1, 0.1, 0.9)
    shoe = _colour(random, 0, 0.8, 0, 0.7)
    for side in (-1, 1):
        foot = (middle + side * step, bottom - limb * 0.5)
        limb_of([(middle + side * half * 0.4, hip), foot], limb * 1.15, trousers)
        oval(foot[0] + side * limb * 0.2, foot[1], limb * 0.85, limb * 0.5, shoe)
    sleeve = cloth if random.random() < 0.6 else skin
    arm = (bottom - neck) * random.uniform(0.34, 0.44)
    hands = []
    for side in (-1, 1):
        angle = random.uniform(-0.1, 0.9) if random.random() < 0.8 else random.uniform(1.2, 2.6)
        bend = angle + random.uniform(-0.5, 0.5)
        shoulder = (middle + side * half * 0.85, neck + limb * 0.7)
        elbow = (shoulder[0] + side * math.sin(angle) * arm / 2, shoulder[1] + math.cos(angle) * arm / 2)
        hand = (elbow[0] + side * math.sin(bend) * arm / 2, elbow[1] + math.cos(bend) * arm / 2)
        limb_of([shoulder, elbow, hand], limb * 0.85, sleeve)
        oval(*hand, limb * 0.5, limb * 0.5, skin)
        hands.append(hand)
    flare = half * random.choice([0.9, 1.0, 1.7])
    hem = hip + (bottom - hip) * (random.uniform(0.25, 0.7) if flare > half else 0.08)
    limb_of([(middle, neck - head * 0.1), (middle, neck + limb * 0.4)], limb * 0.8, skin)
    shape(
        [
            (middle - half, neck + limb * 0.3),
            (middle - half * 0.75, (neck + hip) / 2),
            (middle - flare, hem),
            (middle + flare, hem),
            (middle + half * 0.75, (neck + hip) / 2),
            (middle + half, neck + limb * 0.3),
        ],
        cloth,
    )
    if random.random() < 0.5:  # A belt, a collar or a pattern.
        draw.line(
            [(middle - half * 0.7, hip), (middle + half * 0.7, hip)], fill=second, width=max(1, round(limb * 0.4))
        )
        shape([(middle, neck + limb), (middle - limb * 0.6, neck + limb * 0.3), (middle + limb * 0.6, neck)], second)
    if random.random() < 0.18:  # A staff or a sword.
        x, y = hands[int(random.integers(2))]
        tilt = random.uniform(-0.4, 0.4)
        reach = height * random.uniform(0.2, 0.4)
        limb_of([(x - tilt * reach * 0.4, y + reach * 0.4), (x + tilt * reach, y - reach)], limb * 0.35, second)
    # The head.
    centre = neck - head * 0.5
    if behind != "none":
        oval(middle, centre - head * 0.05, radius, head * 0.55, hair)
    oval(middle, centre, head * 0.43, head * 0.5, skin)
    eye = _colour(random, 0.4, 1, 0.2, 0.7)
    for side in (-1, 1):
        oval(middle + side * head * 0.17, centre + head * 0.08, head * 0.055, head * (0.04 if is_photo else 0.1), eye)
    draw.line(
        [(middle - head * 0.07, centre + head * 0.3), (middle + head * 0.07, centre + head * 0.3)],
        fill=(150, 60, 60),
        width=max(1, round(head * 0.025)),
    )
    draw.chord(
        (middle - head * 0.46, centre - head * 0.56, middle + head * 0.46, centre + head * 0.3), 185, 355, fill=hair
    )
    ornament = random.choice(["none", "hat", "ears", "bow"], p=[0.55, 0.15, 0.18, 0.12])
    crown = centre - head * 0.45
    if ornament == "hat":
        oval(middle, crown + head * 0.08, head * 0.62, head * 0.09, second)
        shape(
            [
                (middle - head * 0.34, crown + head * 0.06),
                (middle - head * 0.28, crown - head * 0.3),
                (middle + head * 0.28, crown - head * 0.3),
                (middle + head * 0.34, crown + head * 0.06),
            ],
            second,
        )
    elif ornament != "none":
        for side in (-1, 1):
            x = middle + side * head * 0.28
            tip = (x + side * head * 0.14, crown - head * (0.34 if ornament == "ears" else 0.05))
            shape(
                [(x - head * 0.14, crown + head * 0.14), tip, (x + head * 0.14, crown + head * 0.16)],
                hair if ornament == "ears" else second,
            )


def _lit(random: Random, figure: Image.Image) -> Image.Image:
    """A figure with light from one side, round edges and a woven texture."""
    colours = np.asarray(figure.convert("RGB"), np.float32)
    alpha = figure.getchannel("A")
    soft = np.asarray(alpha.filter(ImageFilter.GaussianBlur(figure.width / 12)), np.float32) / 255
    ramp = np.linspace(-1, 1, figure.width)[None] * random.choice([-1, 1])
    texture = random.normal(0, 0.04, soft.shape)
    light = (0.45 + 0.6 * soft) * (1 + 0.25 * ramp) + texture
    shaded = Image.fromarray((colours * light[..., None]).clip(0, 255).astype(np.uint8))
    shaded.putalpha(alpha)
    return shaded


def _shadow(picture: Image.Image, box: Box) -> None:
    """A soft dark ellipse under the feet; it is no part of the subject."""
    wide, high = box[2] - box[0], max(4, (box[2] - box[0]) // 6)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((box[0], box[3] - high // 2, box[0] + wide, box[3] + high // 2), fill=90)
    picture.paste((0, 0, 0), mask=mask.filter(ImageFilter.GaussianBlur(high / 4)))


def _through_a_camera(random: Random, picture: Image.Image) -> Image.Image:
    """Slightly blurred, with grain, and compressed."""
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1)))
    grain = random.normal(0, random.uniform(1, 8), (picture.height, picture.width, 1))
    noisy = Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    noisy.save(buffer, "JPEG", quality=int(random.integers(60, 95)))
    return Image.open(buffer).convert("RGB")


# --- backgrounds ----------------------------------------------------------------------------------------------------


def _colour(random: Random, low: float, high: float, dark: float, bright: float) -> Colour:
    """A random hue, with saturation and value in the given ranges."""
    hue, saturation, value = random.uniform(0, 6), random.uniform(low, high), random.uniform(dark, bright)
    parts = (value * (1 - saturation * max(0, min(1, 2 - abs((hue - turn) % 6 - 3)))) for turn in (0, 2, 4))
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def _plain(random: Random, size: tuple[int, int]) -> Image.Image:
    white: Colour = (255, 255, 255)
    return Image.new("RGB", size, white if random.random() < 0.3 else _colour(random, 0, 0.7, 0.1, 1))


def _gradient(random: Random, size: tuple[int, int]) -> Image.Image:
    ends = [_colour(random, 0, 0.8, 0.2, 1) for _ in range(2)]
    ramp = Image.linear_gradient("L") if random.random() < 0.75 else Image.radial_gradient("L")
    ramp = ramp.rotate(float(random.choice([0, 90, 180]))).resize(size)
    return Image.composite(Image.new("RGB", size, ends[0]), Image.new("RGB", size, ends[1]), ramp)


def _noisy(random: Random, size: tuple[int, int]) -> Image.Image:
    base = np.asarray(_plain(random, size) if random.random() < 0.5 else _gradient(random, size), np.float32)
    coarse = random.normal(0, random.uniform(0, 30), (max(2, size[1] // 40), max(2, size[0] // 40)))
    clouds = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    grain = random.normal(0, random.uniform(2, 22), (size[1], size[0]))
    return Image.fromarray((base + (clouds + grain)[..., None]).clip(0, 255).astype(np.uint8))


def _pattern(random: Random, size: tuple[int, int]) -> Image.Image:
    """Stripes at an angle, dots or checks in two colours, more or less far from each other."""
    picture = _plain(random, size)
    ground = picture.getpixel((0, 0))
    other = _colour(random, 0, 0.8, 0.2, 1)
    amount = random.uniform(0.2, 1)
    ink = tuple(round(a + (b - a) * amount) for a, b in zip(ground, other, strict=True))  # type: ignore[arg-type]
    step = max(size) / random.uniform(8, 26)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    angle = random.choice([0, math.pi / 2, math.pi / 4, random.uniform(0, math.pi)])
    what = random.choice(["stripes", "dots", "checks"])
    if what == "stripes":
        mask = (x * math.cos(angle) + y * math.sin(angle)) % (2 * step) < step
    elif what == "dots":
        mask = np.hypot(x % (2 * step) - step, y % (2 * step) - step) < step * random.uniform(0.3, 0.7)
    else:
        mask = (x // step + y // step) % 2 < 1
    picture.paste(ink, mask=Image.fromarray(mask))  # type: ignore[arg-type]
    return picture


def _room(random: Random, size: tuple[int, int]) -> Image.Image:
    """A wall and a floor, with a window, picture frames, shelves, a table or a plant."""
    wide, high = size
    picture = Image.new("RGB", size, _colour(random, 0, 0.4, 0.45, 1))
    draw = ImageDraw.Draw(picture)
    floor = round(high * random.uniform(0.62, 0.85))
    draw.rectangle((0, floor, wide, high), fill=_colour(random, 0.1, 0.6, 0.25, 0.8))
    line: Colour | None = (50, 40, 40) if random.random() < 0.6 else None
    for _ in range(int(random.integers(2, 7))):
        x, wood = wide * random.uniform(-0.1, 0.9), _colour(random, 0.1, 0.7, 0.25, 0.9)
        match random.choice(["window", "frame", "shelf", "table", "plant", "cabinet"]):
            case "window":
                box = (x, high * 0.1, x + wide * 0.25, high * 0.45)
                draw.rectangle(box, fill=(205, 230, 250), outline=line or (240, 240, 240), width=3)
                draw.line(
                    [((box[0] + box[2]) / 2, box[1]), ((box[0] + box[2]) / 2, box[3])], fill=(240, 240, 240), width=3
                )
            case "frame":
                y = high * random.uniform(0.05, 0.4)
                side = min(size) * random.uniform(0.08, 0.2)
                draw.rectangle((x, y, x + side, y + side), fill=_colour(random, 0, 0.9, 0.3, 1), outline=wood, width=4)
            case "shelf":
                y = high * random.uniform(0.2, 0.5)
                for book in range(int(random.integers(4, 12))):
                    at, tall = x + book * wide * 0.025, high * random.uniform(0.06, 0.11)
                    draw.rectangle((at, y - tall, at + wide * 0.02, y), fill=_colour(random, 0.2, 0.9, 0.2, 0.9))
                draw.rectangle((x, y, x + wide * 0.3, y + high * 0.015), fill=wood, outline=line)
            case "table":
                y = floor - high * 0.12
                draw.rectangle((x, y, x + wide * 0.35, y + high * 0.03), fill=wood, outline=line)
                for leg in (0.02, 0.31):
                    draw.rectangle(
                        (x + wide * leg, y + high * 0.03, x + wide * (leg + 0.02), floor + high * 0.1), fill=wood
                    )
            case "plant":
                for _ in range(14):
                    at = x + wide * random.normal(0.04, 0.03), floor - high * random.uniform(0.1, 0.3)
                    draw.ellipse(
                        (*at, at[0] + wide * 0.03, at[1] + high * 0.05), fill=(40, int(random.integers(90, 170)), 60)
                    )
                draw.rectangle((x + wide * 0.03, floor - high * 0.1, x + wide * 0.08, floor), fill=wood, outline=line)
            case _:
                draw.rectangle(
                    (x, high * random.uniform(0.3, 0.6), x + wide * 0.2, floor + high * 0.05), fill=wood, outline=line
                )
    return picture


def _landscape(random: Random, size: tuple[int, int]) -> Image.Image:
    """Sky with clouds, hills, trees; or a street with houses."""
    wide, high = size
    sky = Image.linear_gradient("L").resize(size)
    picture = Image.composite(
        Image.new("RGB", size, _colour(random, 0, 0.3, 0.85, 1)), Image.new("RGB", size, (90, 160, 235)), sky
    )
    draw = ImageDraw.Draw(picture)
    horizon = high * random.uniform(0.45, 0.75)
    for _ in range(int(random.integers(0, 5))):
        x, y, grow = random.uniform(0, wide), random.uniform(0, horizon * 0.7), wide * random.uniform(0.03, 0.08)
        for side in (-1, 0, 1):
            draw.ellipse((x + side * grow - grow, y - grow * 0.6, x + side * grow + grow, y + grow * 0.6), fill="white")
    if random.random() < 0.35:
        x = 0.0
        while x < wide:
            next_x, roof = x + wide * random.uniform(0.08, 0.25), horizon - high * random.uniform(0.1, 0.45)
            draw.rectangle((x, roof, next_x, horizon), fill=_colour(random, 0, 0.4, 0.3, 0.8))
            for window in range(int(random.integers(2, 6))):
                y = roof + (window + 0.4) * high * 0.07
                if y + high * 0.03 < horizon:
                    draw.rectangle((x + wide * 0.02, y, next_x - wide * 0.02, y + high * 0.03), fill=(230, 225, 170))
            x = next_x
        ground = _colour(random, 0, 0.15, 0.3, 0.6)
    else:
        ground = (int(random.integers(70, 150)), int(random.integers(140, 200)), int(random.integers(50, 110)))
        for _ in range(int(random.integers(0, 6))):
            x, grow = random.uniform(0, wide), high * random.uniform(0.06, 0.16)
            draw.rectangle((x - grow * 0.15, horizon - grow, x + grow * 0.15, horizon + grow * 0.3), fill=(105, 75, 50))
            draw.ellipse((x - grow, horizon - grow * 2.4, x + grow, horizon - grow * 0.5), fill=(50, 125, 65))
    draw.rectangle((0, horizon, wide, high), fill=ground)
    return picture


def _bokeh(random: Random, size: tuple[int, int]) -> Image.Image:
    """Blobs out of focus, as behind a portrait."""
    picture = _gradient(random, size)
    draw = ImageDraw.Draw(picture)
    hue = _colour(random, 0.1, 0.8, 0.2, 0.9)
    for _ in range(int(random.integers(15, 60))):
        x, y, grow = random.uniform(0, size[0]), random.uniform(0, size[1]), max(size) * random.uniform(0.02, 0.12)
        ink = tuple(int(np.clip(part + random.normal(0, 45), 0, 255)) for part in hue)
        draw.ellipse((x - grow, y - grow, x + grow, y + grow), fill=ink)  # type: ignore[arg-type]
    return picture.filter(ImageFilter.GaussianBlur(max(size) / random.uniform(12, 40)))


BACKGROUNDS: dict[str, tuple[float, Callable[[Random, tuple[int, int]], Image.Image]]] = {
    "plain": (0.2, _plain),
    "gradient": (0.14, _gradient),
    "noise": (0.12, _noisy),
    "pattern": (0.12, _pattern),
    "room": (0.16, _room),
    "landscape": (0.14, _landscape),
    "bokeh": (0.12, _bokeh),
}
"""Name -> how often, and how it is drawn."""


def difference_box(first: Image.Image, second: Image.Image, *, tolerance: int = 40) -> Box | None:
    """The box of what two pictures share: the subject, when the same one was drawn on a light and on a dark ground."""
    red, green, blue = ImageChops.difference(first.convert("RGB"), second.convert("RGB")).split()
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return largest.point(lambda value: 255 if value <= tolerance else 0).getbbox()


# --- measuring ------------------------------------------------------------------------------------------------------


def crop_for(size_px: Size, aspect: tuple[int, int], box: Box | None) -> tuple[float, float, float, float]:
    """The largest box of a shape that fits in the picture, moved onto the box; larger than the picture if it must be.

    Args:
        size_px: Width and height of the picture.
        aspect: Width and height of the shape.
        box: What is to be kept; None for a crop from the middle.
    """
    scale = min(size_px[0] / aspect[0], size_px[1] / aspect[1])
    if box is None:
        box = (size_px[0] // 2, size_px[1] // 2, size_px[0] // 2, size_px[1] // 2)
    scale = max(scale, (box[2] - box[0]) / aspect[0], (box[3] - box[1]) / aspect[1])
    starts = []
    for axis in (0, 1):
        start, spare = (box[axis] + box[axis + 2] - aspect[axis] * scale) / 2, size_px[axis] - aspect[axis] * scale
        starts.append(min(max(start, min(0, spare)), max(0, spare)))
    return starts[0], starts[1], starts[0] + aspect[0] * scale, starts[1] + aspect[1] * scale


def is_inside(inner: Box, outer: tuple[float, float, float, float]) -> bool:
    """Whether a box lies in another one, but for half a pixel."""
    return (
        outer[0] - 0.5 <= inner[0]
        and outer[1] - 0.5 <= inner[1]
        and inner[2] <= outer[2] + 0.5
        and inner[3] <= outer[3] + 0.5
    )
