"""The body: legs in full-body pictures, arms, torso, garments and neckwear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF

from starter.canvas import MIDDLE, Canvas, colour, shade
from starter.world import CLOTH_COLOURS

if TYPE_CHECKING:
    from PySide6.QtGui import QColor

    from starter.world import Character

LEG = "M 106 262 L 104 318 L 124 318 L 126 262 Z"
SHOE = "M 103 308 L 125 308 L 126 326 Q 110 330 96 326 Q 98 314 103 308 Z"
SKIRT = "M 98 236 L 80 296 Q 128 306 176 296 L 158 236 Z"
TROUSERS = "M 96 236 L 98 300 L 126 300 L 128 270 L 130 300 L 158 300 L 160 236 Z"
NECK = "M 116 164 L 116 194 L 140 194 L 140 164 Z"
SAILOR_COLLAR = (
    "M 102 182 L 82 208 L 112 216 L 128 206 L 144 216 L 174 208 L 154 182 L 128 206 Z",
    "M 128 208 L 106 226 L 114 234 L 128 218 L 142 234 L 150 226 Z",
)
HOOD = "M 96 180 C 84 200 110 214 128 214 C 146 214 172 200 160 180 Q 128 204 96 180 Z"
SCARF = (
    "M 94 172 Q 128 192 162 172 Q 172 188 160 200 Q 128 216 96 200 Q 84 188 94 172 Z",
    "M 140 200 L 136 242 L 158 242 L 160 198 Z",
)


class Torso:
    """Where the torso ends. Arms and torso widen down to `hem` and go on straight down to `end`, both in units."""

    def __init__(self, character: Character, picture_bottom: float) -> None:
        is_full_body = character.framing == "full body"
        self.half_width = 40 if is_full_body else 62
        self.hem = 250 if is_full_body else 316
        self.end = self.hem + 14 if is_full_body else max(self.hem + 14, picture_bottom)
        self.left, self.right = MIDDLE - self.half_width, MIDDLE + self.half_width

    def outline(self) -> str:
        """The torso as an SVG path string."""
        left, right = self.left + 14, self.right - 14
        return (
            f"M 104 186 Q 92 190 86 204 L {left} {self.hem + 14} L {left} {self.end} L {right} {self.end} "
            f"L {right} {self.hem + 14} L 170 204 Q 164 190 152 186 Q 128 204 104 186 Z"
        )

    def arm(self) -> str:
        """The left arm as an SVG path string."""
        outside, inside, wrist = self.left - 16, self.left + 10, self.hem + 12
        return (
            f"M 98 188 Q {self.left - 14} 196 {outside} {wrist} L {outside} {self.end - 2} "
            f"L {inside} {self.end - 2} L {inside} {wrist} L 104 206 Z"
        )


def draw_body(canvas: Canvas, character: Character, skin: QColor, picture_bottom: float) -> None:
    """All below the head; `picture_bottom` is the lower edge of the picture in units."""
    cloth = colour(CLOTH_COLOURS[character.garment_colour])
    line, skin_line = shade(cloth, 0.5), shade(skin, 0.55)
    torso = Torso(character, picture_bottom)
    if character.framing == "full body":
        draw_legs(canvas, character, skin, cloth)
    has_bare_arms = character.garment == "dress"
    for _ in canvas.both_sides():
        canvas.fill(torso.arm(), skin if has_bare_arms else cloth, skin_line if has_bare_arms else line)
    canvas.fill(NECK, shade(skin, 0.88), skin_line)
    canvas.fill(torso.outline(), cloth, line)
    draw_garment(canvas, character, cloth, torso)
    draw_neckwear(canvas, character)


def draw_legs(canvas: Canvas, character: Character, skin: QColor, cloth: QColor) -> None:
    """Legs, shoes, and a skirt or trousers."""
    for _ in canvas.both_sides():
        canvas.fill(LEG, skin, shade(skin, 0.55))
        canvas.fill(SHOE, colour("#4a3a36"), colour("#241a18"))
    line = shade(cloth, 0.5)
    if character.garment in ("serafuku", "dress", "kimono"):
        canvas.fill(SKIRT, colour("#33406e") if character.garment == "serafuku" else cloth, line)
    elif character.garment == "overalls":
        canvas.fill(TROUSERS, cloth, line)
    else:
        is_bluish = character.garment_colour in ("blue", "black")
        canvas.fill(TROUSERS, colour("#7a6a58" if is_bluish else "#3f4a68"), line)


def draw_garment(canvas: Canvas, character: Character, cloth: QColor, torso: Torso) -> None:
    """Collars, seams and other details on the torso."""
    line = shade(cloth, 0.5)
    is_same = character.second_colour == character.garment_colour
    second = colour("#ffffff" if is_same else CLOTH_COLOURS[character.second_colour])
    second_line = shade(second, 0.5)
    match character.garment:
        case "shirt":
            canvas.fill("M 106 184 L 98 206 L 120 200 L 128 200 Z", shade(cloth, 1.1), line)
            canvas.fill("M 150 184 L 158 206 L 136 200 L 128 200 Z", shade(cloth, 1.1), line)
            canvas.stroke(f"M 128 202 L 128 {torso.end - 14}", line, 2)
            for y in (218, 238):
                canvas.ellipse(133, y, 2, 2, line)
        case "hoodie":
            canvas.fill(HOOD, shade(cloth, 0.85), line)
            for x in (118, 138):
                canvas.stroke(f"M {x} 210 L {x} 232", colour("#ffffff") if cloth.lightnessF() < 0.85 else line, 5)
        case "serafuku":
            is_white = character.second_colour == "white"
            collar, collar_line = (colour("#2f3f7c"), colour("#161d3c")) if is_white else (second, second_line)
            canvas.fill(SAILOR_COLLAR[0], collar, collar_line)
            bow = colour("#f4d04a" if character.garment_colour == "red" else "#d8404a")
            canvas.fill(SAILOR_COLLAR[1], bow, colour("#5a1018"))
        case "sweater":
            canvas.fill("M 106 176 Q 128 188 150 176 L 152 196 Q 128 208 104 196 Z", shade(cloth, 0.9), line)
            for x in (104, 120, 136, 152):
                canvas.stroke(f"M {x} 212 L {x} {torso.end - 14}", shade(cloth, 0.8), 2)
        case "dress":
            canvas.fill("M 104 186 Q 128 214 152 186 L 158 196 Q 128 228 98 196 Z", colour("#ffffff"), line, 1.8)
        case "jacket":
            seam = torso.hem + 14
            inside = (
                f"M 112 190 L 116 {seam} L 116 {torso.end} L 140 {torso.end} L 140 {seam} L 144 190 Q 128 204 112 190 Z"
            )
            canvas.fill(inside, second, line)
            for _ in canvas.both_sides():
                canvas.fill("M 104 184 L 94 212 L 116 226 L 114 194 Z", shade(cloth, 0.85), line)
        case "suit":
            shirt = colour("#c8d4ea" if character.garment_colour == "white" else "#ffffff")
            canvas.fill("M 108 188 L 128 240 L 148 188 Q 128 202 108 188 Z", shirt, line)
            for _ in canvas.both_sides():
                canvas.fill("M 106 184 L 94 216 L 108 214 L 128 244 Z", shade(cloth, 0.85), line)
        case "kimono":
            canvas.fill("M 102 184 L 136 236 L 144 226 L 112 180 Z", second, second_line)
            canvas.fill("M 154 184 L 112 246 L 104 236 L 144 180 Z", second, second_line)
            if character.framing == "full body":
                canvas.painter.fillRect(QRectF(92, 228, 72, 16), second)
        case "overalls":
            draw_overalls(canvas, character, cloth, torso)


def draw_overalls(canvas: Canvas, character: Character, cloth: QColor, torso: Torso) -> None:
    """Straps and bib over a shirt."""
    line = shade(cloth, 0.5)
    left, right, seam = torso.left + 14, torso.right - 14, torso.hem + 14
    canvas.fill(torso.outline(), colour("#7aa0d8" if character.garment_colour == "white" else "#f2f2f2"), line)
    for _ in canvas.both_sides():
        canvas.fill("M 98 188 L 96 226 L 106 226 L 108 192 Z", cloth, line)
    bib = f"M 92 222 L 164 222 L {right} {seam} L {right} {torso.end} L {left} {torso.end} L {left} {seam} Z"
    canvas.fill(bib, cloth, line)
    for _ in canvas.both_sides():
        canvas.ellipse(101, 226, 4, 4, colour("#f2cf4a"), line, 1.4)


def draw_neckwear(canvas: Canvas, character: Character) -> None:
    """What is worn around the neck, if anything."""
    cloth = colour(CLOTH_COLOURS[character.neckwear_colour])
    line = shade(cloth, 0.5)
    match character.neckwear:
        case "scarf":
            canvas.fill(SCARF[0], cloth, line)
            canvas.fill(SCARF[1], shade(cloth, 0.9), line)
        case "choker":
            canvas.stroke("M 115 181 Q 128 186 141 181", line, 7)
            canvas.stroke("M 115 181 Q 128 186 141 181", cloth, 5)
        case "necktie":
            canvas.fill("M 122 196 L 134 196 L 132 206 L 140 240 L 128 252 L 116 240 L 124 206 Z", cloth, line)
        case "bowtie":
            canvas.fill("M 128 200 L 106 190 L 106 212 Z", cloth, line)
            canvas.fill("M 128 200 L 150 190 L 150 212 Z", cloth, line)
            canvas.ellipse(128, 201, 5, 5, shade(cloth, 0.8), line)
