"""Draws a character: from a `Character` to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtGui import QImage, QPainter, QTransform

from starter.canvas import Canvas, colour, shade
from starter.draw_background import draw_background
from starter.draw_clothes import draw_body
from starter.draw_face import draw_glasses, draw_head, draw_sunglasses
from starter.draw_hair import draw_back_hair, draw_front_hair
from starter.draw_headwear import draw_headwear
from starter.world import HAIR_COLOURS, SKINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from starter.world import Character

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
# Framing -> the height in units that lies in the middle of the picture, and the scale.
FRAMINGS = {"portrait": (122, 1.14), "upper body": (146, 0.88), "full body": (158, 0.70)}
GAZE_UNITS = {"front": 0, "left": -9, "right": 9}


def render(character: Character, width_px: int = 128, height_px: int | None = None) -> NDArray[np.uint8]:
    """The picture of a character.

    The character is scaled to the shorter side and stands in the middle; in tall pictures the clothes go on downwards.

    Returns:
        [height, width, 3] red, green and blue, 0 to 255.
    """
    height_px = height_px or width_px
    image = QImage(width_px, height_px, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    canvas = Canvas(painter)
    draw_background(canvas, character, width_px, height_px)
    middle_y, scale = FRAMINGS[character.framing]
    if character.headwear in ("witch hat", "rabbit ears"):  # These need room above.
        middle_y, scale = middle_y - 16, scale * 0.93
    scale *= min(width_px, height_px) / 256 * character.zoom
    offset_y = character.offset_y * height_px / 256
    painter.translate(
        width_px * (0.5 + character.side_shift) + character.offset_x * width_px / 256, height_px / 2 + offset_y
    )
    painter.scale(scale, scale)
    painter.translate(-128, -middle_y)
    draw_person(canvas, character, picture_bottom=middle_y + (height_px / 2 - offset_y) / scale + 24)
    painter.end()
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(height_px, image.bytesPerLine() // 4, 4)
    return np.ascontiguousarray(rows[:, :width_px, 2::-1])  # Qt keeps blue, green, red and one spare byte.


def draw_person(canvas: Canvas, character: Character, picture_bottom: float) -> None:
    """Back hair, body, head, front hair and headwear, from back to front."""
    painter = canvas.painter
    look = (GAZE_UNITS[character.gaze] + character.offset_x * 0.3, character.offset_y * 0.4)
    hair = colour(HAIR_COLOURS[character.hair_colour])
    hair_line = colour("#8f93a8") if character.hair_colour == "white" else shade(hair, 0.5)
    skin = colour(SKINS[character.skin])
    tilt = QTransform().translate(128, 172).rotate(character.tilt_deg).translate(-128, -172)
    painter.save()
    painter.setTransform(tilt, True)
    draw_back_hair(canvas, character, hair, hair_line)
    painter.restore()
    draw_body(canvas, character, skin, picture_bottom)
    painter.save()
    painter.setTransform(tilt, True)
    draw_head(canvas, character, hair, skin, look)
    if character.eyewear == "glasses":
        draw_glasses(canvas, look)
    draw_front_hair(canvas, character, hair, hair_line, look[0])
    if character.eyewear == "sunglasses":
        draw_sunglasses(canvas, look)
    draw_headwear(canvas, character, hair, hair_line)
    painter.restore()
