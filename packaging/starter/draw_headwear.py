"""Hats, ears and what else is worn in the hair."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from starter.canvas import Canvas, colour, shade
from starter.world import CLOTH_COLOURS

if TYPE_CHECKING:
    from PySide6.QtGui import QColor

    from starter.world import Character

BERET = "M 66 78 C 40 60 70 22 128 22 C 192 20 214 52 192 76 C 150 58 104 58 66 78 Z"
CROWN = "M 94 56 L 88 18 L 109 36 L 128 10 L 147 36 L 168 18 L 162 56 Q 128 46 94 56 Z"
HAIRBAND = "M 68 92 C 76 46 180 46 188 92"


def draw_headwear(canvas: Canvas, character: Character, hair: QColor, outline: QColor) -> None:
    """What the character wears on the head, if anything; animal ears have the colour of the hair."""
    cloth = colour(CLOTH_COLOURS[character.headwear_colour])
    line = shade(cloth, 0.5)
    match character.headwear:
        case "cat ears":
            for _ in canvas.both_sides():
                canvas.fill("M 66 84 Q 60 40 66 28 Q 98 30 112 52 Z", hair, outline)
                canvas.fill("M 74 72 Q 70 50 72 42.4 Q 90 44 98 56 Z", colour("#f7b9c4"))
        case "fox ears":
            for _ in canvas.both_sides():
                canvas.fill("M 66 84 Q 60 40 60 12 Q 98 30 112 52 Z", hair, outline)
                canvas.fill("M 74 72 Q 70 50 68 29.6 Q 90 44 98 56 Z", colour("#ffffff"))
        case "rabbit ears":
            for _ in canvas.both_sides():
                canvas.fill("M 88 58 C 66 20 70 -22 86 -22 C 104 -20 112 20 110 52 Z", hair, outline)
                canvas.fill("M 93 44 C 80 16 80 -10 87 -10 C 97 -6 102 20 102 42 Z", colour("#f7b9c4"))
        case "hair bow":
            canvas.fill("M 176 62 L 146 40 L 150 80 Z", cloth, line)
            canvas.fill("M 176 62 L 208 42 L 204 82 Z", cloth, line)
            canvas.ellipse(176, 62, 7, 8, shade(cloth, 0.85), line)
        case "hairband":
            canvas.stroke(HAIRBAND, line, 11)
            canvas.stroke(HAIRBAND, cloth, 7.5)
        case "beret":
            canvas.fill(BERET, cloth, line)
            canvas.stroke("M 128 22 L 131 14", line, 4)
        case "witch hat":
            band = colour("#7a4fb0" if character.headwear_colour in ("yellow", "orange") else "#f0c74a")
            canvas.fill("M 84 62 C 100 30 108 0 146 -22 C 140 4 160 30 174 62 Z", cloth, line)
            canvas.fill("M 88 56 Q 130 44 170 56 L 174 66 Q 130 54 83 66 Z", band)
            canvas.fill("M 34 80 Q 128 36 222 80 Q 128 68 34 80 Z", cloth, line)
        case "baseball cap":
            canvas.fill("M 66 82 C 62 20 194 20 190 82 Q 128 62 66 82 Z", cloth, line)
            canvas.fill("M 74 80 Q 128 56 182 80 Q 190 100 128 92 Q 66 100 74 80 Z", shade(cloth, 0.82), line)
            canvas.ellipse(128, 32, 4, 3, line)
        case "crown":
            canvas.fill(CROWN, colour("#f5c93a"), colour("#8a6510"))
            canvas.ellipse(128, 40, 5, 5, colour("#d8404a"))
        case "halo":
            canvas.ellipse(128, 20, 40, 10, None, colour("#c79a1c"), 7)
            canvas.ellipse(128, 20, 40, 10, None, colour("#ffe88a"), 4)
        case "horns":
            for _ in canvas.both_sides():
                canvas.fill("M 82 64 C 64 54 58 30 70 12 C 74 34 88 44 100 50 Z", colour("#5a3038"), colour("#2a1418"))
        case "hair flower":
            for petal in range(5):
                angle = math.radians(72 * petal - 90)
                x, y = 82 + 11 * math.cos(angle), 70 + 11 * math.sin(angle)
                canvas.ellipse(x, y, 8.5, 8.5, cloth, line, 1.6)
            middle = "#d86a2a" if character.headwear_colour == "yellow" else "#f7d64a"
            canvas.ellipse(82, 70, 6, 6, colour(middle))
        case "headphones":
            canvas.stroke("M 66 112 C 58 22 198 22 190 112", colour("#2b2b33"), 8)
            for _ in canvas.both_sides():
                canvas.fill("M 58 100 L 72 98 L 74 140 L 60 140 Q 48 120 58 100 Z", cloth, line)
        case "santa hat":
            red, fur, fur_line = colour("#d23440"), colour("#fff"), colour("#b8b8c4")
            canvas.fill("M 74 66 C 80 14 150 -6 214 40 C 186 38 178 50 182 66 Z", red, shade(red, 0.5))
            canvas.ellipse(214, 46, 12, 12, fur, fur_line)
            canvas.fill("M 66 72 Q 128 36 190 72 L 190 86 Q 128 52 66 86 Z", fur, fur_line)
