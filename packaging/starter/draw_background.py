"""Backgrounds: plain colours and nine scenes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF

from starter.canvas import Canvas, colour, heart, shade, star, vertical_gradient
from starter.world import PLAIN_BACKGROUNDS

if TYPE_CHECKING:
    from starter.world import Character


def draw_background(canvas: Canvas, character: Character, width: float, height: float) -> None:
    """Fills a picture of width x height pixels; patterns scale with the width."""
    painter = canvas.painter
    area = QRectF(0, 0, width, height)
    unit = width / 256
    base = colour(PLAIN_BACKGROUNDS[character.scene_colour])
    rng = random.Random(character.seed)

    def gradient(top: str, bottom: str) -> None:
        painter.fillRect(area, vertical_gradient(0, height, {0: colour(top), 1: colour(bottom)}))

    match character.background:
        case "gradient background":
            gradient(PLAIN_BACKGROUNDS[character.scene_colour], "#ffffff")
        case "sky":
            gradient("#5fa8ee", "#d8f0ff")
            for _ in range(4):
                x, y = rng.uniform(0, width), rng.uniform(0.05, 0.6) * height
                for side, rise in ((-16, 0), (0, 6), (15, 0)):
                    canvas.ellipse(x + side * unit, y - rise * unit, 17 * unit, 10 * unit, colour("#ffffff", 235))
        case "night":
            gradient("#131a3e", "#3b3f7a")
            canvas.ellipse(0.82 * width, 0.16 * height, 20 * unit, 20 * unit, colour("#fff3b8"))
            for _ in range(22):
                x, y = rng.uniform(0, width), rng.uniform(0, height)
                canvas.ellipse(x, y, 1.6 * unit, 1.6 * unit, colour("#ffffff"))
        case "sunset":
            gradient("#f0784a", "#fde08a")
            canvas.ellipse(0.2 * width, 0.62 * height, 30 * unit, 30 * unit, colour("#fff2c0"))
        case "grass":
            gradient("#8fcdf5", "#e6f7ff")
            hills = (
                f"M 0 {0.68 * height} Q {0.3 * width} {0.55 * height} {0.6 * width} {0.68 * height} "
                f"Q {0.8 * width} {0.74 * height} {width} {0.64 * height} L {width} {height} L 0 {height}"
            )
            canvas.fill(hills, colour("#7cc46a"))
        case "polka dot background":
            painter.fillRect(area, base)
            for row in range(int(height / (24 * unit)) + 2):
                for column in range(int(width / (32 * unit)) + 2):
                    x = (column * 32 + row % 2 * 16) * unit
                    canvas.ellipse(x, row * 24 * unit, 6 * unit, 6 * unit, colour("#ffffff", 220))
        case "striped background":
            painter.fillRect(area, base)
            for column in range(int(width / (32 * unit)) + 1):
                painter.fillRect(QRectF(column * 32 * unit, 0, 16 * unit, height), colour("#ffffff", 190))
        case "heart background":
            painter.fillRect(area, colour("#fbd3df"))
            for row in range(int(height / (38 * unit)) + 2):
                for column in range(int(width / (44 * unit)) + 2):
                    x = (column * 44 + row % 2 * 22) * unit
                    canvas.fill(heart(x, row * 38 * unit, 9 * unit), colour("#ee7f9f"))
        case "starry background":
            painter.fillRect(area, shade(base, 0.95))
            for _ in range(14):
                x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(6, 12) * unit
                canvas.fill(star(x, y, radius), colour("#fff6c8"))
        case plain:
            painter.fillRect(area, colour(PLAIN_BACKGROUNDS[plain]))
