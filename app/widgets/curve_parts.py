"""What every plot of a run is made of: the empty plot, curves thinned to what can be seen, colours, a fitting range."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor, QFontMetrics

from app import theme
from core.text import tr

_TICK_GAP_PX = 8
_MOST_EPOCHS = 14
SMOOTH_POINTS = 600
"""Antialiased curves are only fast for few points."""
PEAK_BINS = 800
"""The raw losses are drawn as the lowest and highest of so many parts: more than a plot has columns of pixels."""


def make_plot(accessible_name: str = "") -> Any:
    """An empty plot without menu, buttons and zooming."""
    plot = pg.PlotWidget()
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    plot.showGrid(x=False, y=True, alpha=0.12)
    plot.getAxis("left").setWidth(52)
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
    plot.setFrameShape(plot.Shape.NoFrame)
    plot.setAccessibleName(accessible_name)
    return plot


def dress_plot(plot: Any) -> None:
    """Give a plot the colours of the theme."""
    colours = theme.tokens()
    plot.setBackground(colours.surface)
    for side in ("left", "bottom", "top"):
        axis = plot.getAxis(side)
        axis.setPen(pg.mkPen(colours.border))
        axis.setTextPen(pg.mkPen(colours.muted))


def floats(values: array[Any] | Sequence[float]) -> Any:
    """Numbers as an array of numpy, copied: the series goes on growing."""
    return np.array(values, dtype=float)


def finite(steps: Any, values: Any) -> tuple[Any, Any]:
    """The points that are numbers."""
    good = np.isfinite(values)
    return (steps, values) if good.all() else (steps[good], values[good])


def peaks(steps: Any, values: Any) -> tuple[Any, Any]:
    """At most the lowest and the highest point of each of `PEAK_BINS` parts, in their order."""
    number = len(steps)
    if number <= 2 * PEAK_BINS:
        return steps, values
    size = -(-number // PEAK_BINS)
    whole = number // size * size
    parts = values[:whole].reshape(-1, size)
    starts = np.arange(0, whole, size)
    low, high = starts + parts.argmin(axis=1), starts + parts.argmax(axis=1)
    picked = np.sort(np.concatenate((low, high, np.arange(max(whole, 1) - 1, number))))
    return steps[picked], values[picked]


def few(steps: Any, values: Any) -> tuple[Any, Any]:
    """At most `SMOOTH_POINTS` points at even distances, always with the last one."""
    number = len(steps)
    if number <= SMOOTH_POINTS:
        return steps, values
    picked = np.linspace(0, number - 1, SMOOTH_POINTS).round().astype(int)
    return steps[picked], values[picked]


def mixed(colour: str, ground: str, share: float) -> QColor:
    """A colour paled into its ground: drawing it is cheaper than drawing through it."""
    front, back = QColor(colour), QColor(ground)
    red, green, blue = (
        round(share * a + (1 - share) * b)
        for a, b in ((front.red(), back.red()), (front.green(), back.green()), (front.blue(), back.blue()))
    )
    return QColor(red, green, blue)


class FittingRange:
    """The range of values of a plot: a new one only when the curve leaves it or leaves much of it empty."""

    def __init__(self, plot: Any) -> None:
        self._plot = plot
        self._known: tuple[float, float] | None = None

    def forget(self) -> None:
        """Take the next range whatever it is."""
        self._known = None

    def fit(self, low: float, high: float) -> None:
        """Make these values fit with some room."""
        room = max((high - low) * 0.1, abs(high) * 0.02, 1e-9)
        if self._known is not None:
            size = self._known[1] - self._known[0]
            if self._known[0] <= low and high <= self._known[1] and size < 1.6 * (high - low + 2 * room):
                return
        self._known = low - room, high + room
        self._plot.setYRange(*self._known, padding=0)


def epoch_ticks(starts: Mapping[int, int], step_px: float, metrics: QFontMetrics) -> list[tuple[float, str]]:
    """The ends of epochs on an axis of steps; words, or else numbers after the first, only where they have room.

    Args:
        starts: The first step of each epoch.
        step_px: So wide is a step.
        metrics: Of the font of the words.
    """
    known = sorted(starts.items())[1:]
    every = max(1, -(-len(known) // _MOST_EPOCHS))
    ended = [(first - 0.5, epoch - 1) for epoch, first in known if (epoch - 1) % every == 0]
    named = [(place, tr("Epoch {epoch}", epoch=epoch)) for place, epoch in ended]
    shown = _without_overlaps(named, step_px, metrics)
    if len(shown) < len(named):
        numbers = [(place, str(epoch)) for place, epoch in ended]
        shown = _without_overlaps(numbers, step_px, metrics)
        with_word = _without_overlaps([*named[:1], *numbers[1:]], step_px, metrics)
        shown = with_word if len(with_word) == len(shown) else shown
    words = dict(shown)
    return [(place, words.get(place, "")) for place, _ in ended]


def _without_overlaps(
    ticks: Sequence[tuple[float, str]], unit_px: float, metrics: QFontMetrics
) -> list[tuple[float, str]]:
    """The ticks, in order, whose words do not run into those of the one before."""
    shown: list[tuple[float, str]] = []
    taken_px = -math.inf
    for place, words in ticks:
        half_px = metrics.horizontalAdvance(words) / 2
        if place * unit_px - half_px >= taken_px:
            shown.append((place, words))
            taken_px = place * unit_px + half_px + _TICK_GAP_PX
    return shown
