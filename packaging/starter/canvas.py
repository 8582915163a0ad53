"""A thin layer over QPainter: colours by name, outlines as SVG path strings, in a space of 256 x 256 units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QBrush, QColor, QLinearGradient, QPainter, QPainterPath, QPen

MIDDLE = 128.0
ARGUMENTS = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}


def colour(name: str, alpha: int = 255) -> QColor:
    """The colour called `name` ("#rrggbb"), with an opacity of 0 to 255."""
    result = QColor(name)
    result.setAlpha(alpha)
    return result


def shade(base: QColor, factor: float) -> QColor:
    """A darker (factor below 1) or lighter colour; dark ones gain saturation, light ones lose it."""
    parts: tuple[float, float, float, float] = base.getHsvF()  # type: ignore[assignment]
    hue, saturation, value, alpha = parts
    if factor < 1:
        saturation = min(1.0, saturation * (1 + (1 - factor) * 0.5))
    value = max(0.0, min(1.0, value * factor))
    if factor > 1:
        saturation = max(0.0, saturation * (2 - factor))
    return QColor.fromHsvF(max(0.0, hue), saturation, value, alpha)  # Greys have a hue of -1.


@lru_cache(maxsize=1024)
def svg_path(data: str) -> QPainterPath:
    """The outline of an SVG path string with absolute M, L, Q, C and Z, all parts set apart by spaces."""
    path = QPainterPath()
    words = iter(data.split())
    for command in words:
        numbers = [float(next(words)) for _ in range(ARGUMENTS[command])]
        match command:
            case "M":
                path.moveTo(*numbers)
            case "L":
                path.lineTo(*numbers)
            case "Q":
                path.quadTo(*numbers)
            case "C":
                path.cubicTo(*numbers)
            case _:
                path.closeSubpath()
    return path


def star(x: float, y: float, radius: float, points: int = 5, waist: float = 0.45) -> QPainterPath:
    """A star around (x, y) with one point up; `waist` is the inner radius as a part of the outer one."""
    path = QPainterPath()
    for corner in range(2 * points):
        angle = math.radians(180 * corner / points - 90)
        distance = radius if corner % 2 == 0 else radius * waist
        add = path.lineTo if corner else path.moveTo
        add(x + distance * math.cos(angle), y + distance * math.sin(angle))
    path.closeSubpath()
    return path


def heart(x: float, y: float, radius: float) -> QPainterPath:
    """A heart around (x, y)."""
    path = QPainterPath()
    path.moveTo(x, y + radius)
    path.cubicTo(x - 1.6 * radius, y - 0.1 * radius, x - 0.9 * radius, y - 1.3 * radius, x, y - 0.45 * radius)
    path.cubicTo(x + 0.9 * radius, y - 1.3 * radius, x + 1.6 * radius, y - 0.1 * radius, x, y + radius)
    return path


def vertical_gradient(top: float, bottom: float, stops: dict[float, QColor]) -> QBrush:
    """A brush that changes colour from y = `top` (stop 0) to y = `bottom` (stop 1)."""
    gradient = QLinearGradient(0, top, 0, bottom)
    for position, stop in stops.items():
        gradient.setColorAt(position, stop)
    return QBrush(gradient)


class Canvas:
    """Draws on a painter in character units; `outline` colours may be None for shapes without a line."""

    def __init__(self, painter: QPainter) -> None:
        self.painter = painter

    def fill(
        self, shape: QPainterPath | str, inside: QColor | QBrush, outline: QColor | None = None, width: float = 2.2
    ) -> None:
        """Fills an outline, given as a path or as an SVG path string."""
        self.painter.setBrush(inside)
        if outline is None:
            self.painter.setPen(Qt.PenStyle.NoPen)
        else:
            self.painter.setPen(round_pen(outline, width))
        self.painter.drawPath(svg_path(shape) if isinstance(shape, str) else shape)

    def stroke(self, shape: QPainterPath | str, line: QColor, width: float = 2.2) -> None:
        """Draws only the line of an outline."""
        self.painter.setBrush(Qt.BrushStyle.NoBrush)
        self.painter.setPen(round_pen(line, width))
        self.painter.drawPath(svg_path(shape) if isinstance(shape, str) else shape)

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        inside: QColor | QBrush | None,
        outline: QColor | None = None,
        width: float = 2.2,
    ) -> None:
        """An ellipse around (x, y); without an `inside` only its line."""
        self.painter.setBrush(Qt.BrushStyle.NoBrush if inside is None else inside)
        if outline is None:
            self.painter.setPen(Qt.PenStyle.NoPen)
        else:
            self.painter.setPen(QPen(outline, width))
        self.painter.drawEllipse(QPointF(x, y), radius_x, radius_y)

    def both_sides(self) -> Iterator[None]:
        """Runs a loop body twice: as it is, then mirrored at the middle of the character."""
        yield
        self.painter.save()
        self.painter.translate(2 * MIDDLE, 0)
        self.painter.scale(-1, 1)
        yield
        self.painter.restore()


def round_pen(line: QColor, width: float) -> QPen:
    """A solid pen with round ends and corners."""
    return QPen(line, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
