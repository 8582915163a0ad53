"""Hair: what hangs behind the body, and the bangs and locks in front of the face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QColor

from starter.canvas import Canvas, colour, shade, svg_path
from starter.world import HAIR_COLOURS

if TYPE_CHECKING:
    from starter.world import Character

# Hair of one piece behind head and shoulders.
BACK_SHAPES = {
    "long hair": "M 66 100 C 52 160 54 200 60 232 Q 128 244 196 232 C 202 200 204 160 190 100 Z",
    "wavy hair": (
        "M 66 100 C 36 130 62 150 46 172 C 34 190 60 200 54 218 Q 128 224 202 218 "
        "C 196 200 222 190 210 172 C 194 150 220 130 190 100 Z"
    ),
    "medium hair": "M 66 100 C 54 140 56 170 64 192 Q 128 204 192 192 C 200 170 202 140 190 100 Z",
    "bob cut": "M 66 96 C 50 130 52 158 66 170 Q 128 178 190 170 C 204 158 206 130 190 96 Z",
    "short hair": "M 68 96 C 58 120 60 140 70 152 Q 128 160 186 152 C 196 140 198 120 188 96 Z",
    "twin braids": "M 66 100 C 56 130 58 150 66 166 Q 128 170 190 166 C 198 150 200 130 190 100 Z",
}
TWINTAIL = (
    "M 70 84 C 30 78 12 120 22 190 Q 26 212 36 222 Q 40 200 50 190 C 62 150 70 120 76 100 Z",
    "M 60 98 C 40 120 34 150 36 200",
)
PONYTAIL = (
    "M 150 52 C 215 30 240 90 222 190 Q 216 208 206 214 C 204 170 190 120 150 90 Z",
    "M 178 62 C 205 80 214 130 212 190",
)
SIDE_PONYTAIL = "M 182 80 C 226 84 236 130 224 200 Q 212 190 204 204 C 198 160 190 120 178 104 Z"
SPIKES = (
    "M 64 128 L 42 124 L 56 104 L 38 92 L 60 78 L 50 54 L 78 58 L 84 32 L 108 46 L 128 22 L 146 44 L 174 30 L 178 58 "
    "L 206 54 L 196 78 L 218 92 L 200 104 L 214 124 L 192 128 Z"
)
AHOGE = "M 124 46 C 118 26 132 12 152 18 C 138 22 134 32 134 46 Z"
STREAK = "M 138 43 C 166 45 182 66 184 98 L 160 94 C 158 72 150 56 138 43 Z"
# The lower edge of the bangs, from right to left.
BANGS_EDGES = {
    "blunt bangs": ("L 178 108 Q 170 100 164 107 Q 150 101 140 108 Q 128 102 116 108 Q 102 101 92 107 Q 86 100 78 108"),
    "swept bangs": "L 180 116 C 172 96 166 90 156 82 C 140 100 110 108 92 110 Q 98 104 100 98 Q 88 108 76 116",
    "parted bangs": "L 182 122 C 174 104 152 96 128 70 C 104 96 82 104 74 122",
    "hair between eyes": (
        "L 180 114 Q 172 98 166 94 L 158 108 Q 150 98 144 94 L 129 128 Q 120 104 114 94 "
        "L 98 108 Q 94 98 90 94 Q 82 102 76 114"
    ),
}
# How far down the locks beside the face reach.
LOCKS = {
    "long hair": 186,
    "wavy hair": 180,
    "medium hair": 176,
    "bob cut": 164,
    "short hair": 140,
    "ponytail": 156,
    "twintails": 160,
    "twin braids": 160,
    "double bun": 160,
    "side ponytail": 160,
}


def draw_back_hair(canvas: Canvas, character: Character, hair: QColor, outline: QColor) -> None:
    """All hair that the body hides."""
    style = character.hair_style
    match style:
        case "twintails":
            for _ in canvas.both_sides():
                canvas.fill(TWINTAIL[0], hair, outline)
                canvas.stroke(TWINTAIL[1], outline, 1.6)
        case "ponytail":
            canvas.fill(PONYTAIL[0], hair, outline)
            canvas.stroke(PONYTAIL[1], outline, 1.6)
        case "side ponytail":
            canvas.fill(SIDE_PONYTAIL, hair, outline)
        case "double bun":
            for _ in canvas.both_sides():
                canvas.ellipse(76, 50, 23, 22, hair, outline)
                canvas.stroke("M 66 42 Q 80 44 84 60", outline, 1.6)
        case "twin braids":
            tips = colour(HAIR_COLOURS[character.tips_colour]) if character.tips_colour else hair
            for _ in canvas.both_sides():
                # Few and large: the VAE smooths plaits of one latent each away.
                for knot, paint in enumerate((hair, hair, tips)):
                    line = outline if paint is hair else shade(paint, 0.5)
                    canvas.ellipse(62 - knot * 4.0, 156 + knot * 27, 17 - knot * 0.8, 16, paint, line, 3)
                canvas.ellipse(50, 234, 7, 7, colour("#d94a4a"), outline)
        case "spiky hair":
            canvas.fill(SPIKES, hair, outline)
    if style in BACK_SHAPES:
        canvas.fill(BACK_SHAPES[style], shade(hair, 0.82), outline)


def moved(edge: str, by_x: float) -> str:
    """An SVG path string with all its points moved to the side."""
    words, is_x = [], True
    for word in edge.split():
        if word.isalpha():
            words.append(word)
        else:
            words.append(f"{float(word) + by_x}" if is_x else word)
            is_x = not is_x
    return " ".join(words)


def draw_front_hair(canvas: Canvas, character: Character, hair: QColor, outline: QColor, look_x: float) -> None:
    """Bangs, locks and shine; `look_x` is how far the face is turned, in units."""
    turn = look_x * 0.5
    edge = moved(BANGS_EDGES[character.bangs], turn)
    cap = f"M 68 124 C 54 74 82 44 128 42 C 174 44 202 74 188 124 {edge} Z"
    canvas.fill(cap, hair, outline)
    if character.hair_style in LOCKS:
        end = LOCKS[character.hair_style]
        lock = f"M 70 96 C 62 120 62 {end - 20} 70 {end} C 80 {end - 16} 82 126 82 102 Z"
        for _ in canvas.both_sides():
            canvas.fill(lock, hair, outline)
    shine = shade(hair, 1.28 if hair.lightnessF() > 0.25 else 1.7)
    shine.setAlpha(150)
    canvas.painter.save()
    canvas.painter.setClipPath(svg_path(cap))
    canvas.stroke(f"M {76 + turn} 84 Q {128 + turn} 56 {180 + turn} 84", shine, 6.5)
    canvas.painter.restore()
    if character.has_ahoge:
        canvas.fill(AHOGE, hair, outline)
    if character.streak_colour:
        streak = colour(HAIR_COLOURS[character.streak_colour])
        canvas.fill(STREAK, streak, shade(streak, 0.5), 1.6)
