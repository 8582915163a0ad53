"""The face: head, ears, eyes, brows, mouth, and what is worn before the eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainterPath

from starter.canvas import Canvas, colour, shade, star, svg_path, vertical_gradient
from starter.world import EYE_COLOURS

if TYPE_CHECKING:
    from starter.world import Character

FACE = "M 68 104 C 66 140 80 164 112 174 Q 128 179 144 174 C 176 164 190 140 188 104 C 186 60 70 60 68 104 Z"
EYE = "M -15 0 C -13 -20 12 -21 15 -3 C 15 10 10 19 0 19 C -10 19 -15 11 -15 0 Z"
ANIMAL_EARS = ("cat ears", "rabbit ears", "fox ears")


def draw_head(canvas: Canvas, character: Character, hair: QColor, skin: QColor, look: tuple[float, float]) -> None:
    """Head and face without hair; `look` is how far the features are moved, in units."""
    look_x, look_y = look
    painter = canvas.painter
    outline = shade(skin, 0.55)
    if character.headwear not in ANIMAL_EARS:
        for _ in canvas.both_sides():
            canvas.ellipse(70, 130, 9, 12, skin, outline)
    if character.has_earrings:
        for _ in canvas.both_sides():
            canvas.fill(star(68, 152, 8, 4, 0.5), colour("#f7cf3f"), colour("#8a6a10"), 1.2)
    canvas.fill(FACE, skin, outline)
    draw_hair_shadow(canvas, skin)
    painter.save()
    painter.translate(look_x, look_y)
    if character.has_blush:
        for x in (92, 164):
            canvas.ellipse(x, 150, 11, 6, colour("#f2788c", 150))
    painter.restore()
    eye_colour = colour(EYE_COLOURS[character.eye_colour])
    second_colour = colour(EYE_COLOURS[character.second_eye_colour or character.eye_colour])
    if character.eyewear != "eyepatch":
        draw_eye(canvas, character, 101 + look_x, 128 + look_y, eye_colour, look_x, is_mirrored=False)
    draw_eye(canvas, character, 155 + look_x, 128 + look_y, second_colour, look_x, is_mirrored=True)
    if character.eyewear == "eyepatch":
        draw_eyepatch(canvas, look)
    draw_brows(canvas, character, hair, look)
    nose_x = 128 + look_x * 1.25
    canvas.stroke(f"M {nose_x} {145 + look_y} L {nose_x - 1} {147 + look_y}", shade(skin, 0.65), 2.4)
    draw_mouth(canvas, character, 128 + look_x * 1.1, 158 + look_y)


def draw_hair_shadow(canvas: Canvas, skin: QColor) -> None:
    """A soft shadow that the bangs throw on the forehead."""
    shadow = shade(skin, 0.86)
    shadow.setAlpha(150)
    forehead = QPainterPath()
    forehead.addEllipse(QPointF(128, 118), 60, 56)
    canvas.painter.save()
    canvas.painter.setClipPath(forehead)
    canvas.stroke("M 70 100 Q 128 82 186 100", shadow, 14)
    canvas.painter.restore()


def draw_eye(
    canvas: Canvas, character: Character, x: float, y: float, iris: QColor, look_x: float, *, is_mirrored: bool
) -> None:
    """One eye around (x, y). The mirrored one is the one that winks; lights stay on the same side in both."""
    painter = canvas.painter
    lash = colour("#2b2430")
    side = -1 if is_mirrored else 1
    painter.save()
    painter.translate(x, y)
    painter.scale(side, 1)
    if character.eyes_state == "closed eyes" or (character.eyes_state == "one eye closed" and is_mirrored):
        canvas.stroke(f"M -15 2 Q 0 {10 if character.mouth == 'frown' else 13} 15 2", lash, 3.6)
        painter.restore()
        return
    is_half_closed = character.eyes_state == "half-closed eyes"
    white = svg_path(EYE)
    if is_half_closed:
        lower_half = QPainterPath()
        lower_half.addRect(-30, -1, 60, 40)
        white = white.intersected(lower_half)
    canvas.fill(white, colour("#ffffff"))
    turn = look_x * 0.45 * side
    painter.save()
    painter.setClipPath(white)
    brush = vertical_gradient(-16, 18, {0: shade(iris, 0.45), 0.55: iris, 1: shade(iris, 1.35)})
    canvas.ellipse(turn, 1, 10.5, 17, brush, shade(iris, 0.4), 1.4)
    canvas.ellipse(turn, 1, 4.2, 7.5, shade(iris, 0.28))
    painter.restore()
    if not is_half_closed:
        canvas.ellipse(-3.5 * side + turn, -7, 4.2, 5, colour("#ffffff"))
    canvas.ellipse(4 * side + turn, 9, 2.2, 2.6, colour("#ffffff", 220))
    if is_half_closed:
        canvas.stroke("M -17 1 Q 0 -5 17 0", lash, 4)
    else:
        canvas.stroke("M -17 -1 C -13 -20 12 -22 17 -4", lash, 3.8)
    painter.restore()


def draw_brows(canvas: Canvas, character: Character, hair: QColor, look: tuple[float, float]) -> None:
    """Brows go up with an open mouth and slant with a frown."""
    brow = shade(hair, 0.55)
    look_x = look[0]
    y = look[1] + (-4 if character.mouth in (":o", "open mouth") else 0)
    slant = 5 if character.mouth == "frown" else -1.5
    outer, inner = 104 + y - slant * 0.3, 103 + y + slant
    canvas.stroke(f"M {88 + look_x} {outer} Q {102 + look_x} {98 + y} {114 + look_x} {inner}", brow, 2.6)
    canvas.stroke(f"M {168 + look_x} {outer} Q {154 + look_x} {98 + y} {142 + look_x} {inner}", brow, 2.6)


def draw_mouth(canvas: Canvas, character: Character, x: float, y: float) -> None:
    """The mouth around (x, y): large and bold, because the VAE smooths finer ones away, on dark skin above all."""
    painter = canvas.painter
    is_dark = character.skin == "dark skin"
    line, inside, tongue = (
        colour(name) for name in (("#1c090b", "#c02a3c", "#ff9aa2") if is_dark else ("#6a242a", "#a8323e", "#ef8a90"))
    )
    painter.save()
    painter.translate(x, y)
    match character.mouth:
        case "smile":
            canvas.stroke("M -13 -3 Q 0 10 13 -3", line, 4)
        case "closed mouth":
            canvas.stroke("M -8 1 L 8 1", line, 4)
        case "frown":
            canvas.stroke("M -12 9 Q 0 -9 12 9", line, 4)
        case ":3":
            canvas.stroke("M -19 -4 Q -10 15 0 -3 Q 10 15 19 -4", line, 4)
        case ":o":
            canvas.ellipse(0, 3, 6.5, 7.5, inside, line, 3)
        case "open mouth":
            lips = "M -14 -5 Q 0 -2 14 -5 Q 11 14 0 14 Q -11 14 -14 -5 Z"
            canvas.fill(lips, inside)
            painter.save()
            painter.setClipPath(svg_path(lips))
            canvas.ellipse(0, 13, 9, 7, tongue)
            painter.restore()
            canvas.stroke(lips, line, 3)
        case "grin":
            canvas.fill("M -15 -5 Q 0 -1 15 -5 Q 10 11 0 11 Q -10 11 -15 -5 Z", colour("#ffffff"), line, 3)
    painter.restore()


def draw_eyepatch(canvas: Canvas, look: tuple[float, float]) -> None:
    """A patch over the eye that does not wink."""
    x, y = look
    canvas.stroke(f"M 72 96 L {118 + x} {128 + y} L 184 112", colour("#26262c"), 3)
    patch = (
        f"M {82 + x} {114 + y} L {120 + x} {114 + y} Q {121 + x} {140 + y} {101 + x} {148 + y} "
        f"Q {81 + x} {140 + y} {82 + x} {114 + y} Z"
    )
    canvas.fill(patch, colour("#26262c"), colour("#111"))


def draw_glasses(canvas: Canvas, look: tuple[float, float]) -> None:
    """Round glasses; the temples end at the ears, which do not turn with the look."""
    x, y = look
    frame = colour("#3a2c34")
    for lens in (101, 155):
        canvas.ellipse(lens + x, 130 + y, 21, 20, colour("#ffffff", 40), frame, 3)
    canvas.stroke(f"M {122 + x} {128 + y} Q {128 + x} {124 + y} {134 + x} {128 + y}", frame, 3)
    canvas.stroke(f"M {80 + x} {128 + y} L 70 124", frame, 3)
    canvas.stroke(f"M {176 + x} {128 + y} L 186 124", frame, 3)


def draw_sunglasses(canvas: Canvas, look: tuple[float, float]) -> None:
    """Black glasses that hide the eyes; they lie over the bangs."""
    x, y = look
    black = colour("#1d1d24")
    for lens in (101, 155):
        canvas.painter.save()
        canvas.painter.translate(lens + x, y)
        canvas.fill("M -23 114 L 23 114 Q 22 146 0 146 Q -22 146 -23 114 Z", black, black)
        canvas.stroke("M -10 122 L -2 120", colour("#fff", 190), 3)
        canvas.painter.restore()
    canvas.stroke(f"M {122 + x} {118 + y} L {134 + x} {118 + y}", black, 4)
    canvas.stroke("M 70 118 L 186 118", black, 3)
