"""The curves of a run: loss, raw and smoothed, and the learning rate below it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, QTimer
from PySide6.QtGui import QColor, QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app import theme
from app.editors import number_text
from app.run_record import RunRecord
from app.widgets.card import label
from core.text import tr

REDRAW_MS = 250
"""A frame of a long run takes some 20 ms of a processor that may be training: a few per second are enough."""
_SMOOTH_POINTS = 400
"""The smoothed curve is drawn antialiased, which is only fast for few points."""


class LossPlot(QWidget):
    """Shows the steps of a record. Call `touch` after the record grew: drawing waits for the timer and for being seen.

    Raw losses are drawn without antialiasing and thinned to their peaks; with it, 10,000 points take a second to draw.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = RunRecord()
        self._is_dirty = True
        self._ranges: dict[Any, tuple[float, float]] = {}
        self._last_step = 0
        self._shows_values: bool | None = None
        self._steps = np.empty(0)
        self._smoothed = np.empty(0)
        self._rates = np.empty(0)
        self.loss = _plot()
        self.rate = _plot()
        self.rate.setXLink(self.loss)
        self.loss.getAxis("bottom").setStyle(showValues=False)
        self.loss.getAxis("bottom").setHeight(6)
        self._raw = self.loss.plot([], [], antialias=False)
        self._raw.setDownsampling(auto=True, method="peak")
        self._raw.setClipToView(True)
        self._smooth = self.loss.plot([], [], antialias=True)
        self._rate = self.rate.plot([], [], antialias=True)
        self._marker = pg.InfiniteLine(angle=90, movable=False)
        self._marker.hide()
        self.loss.addItem(self._marker, ignoreBounds=True)
        self.loss.scene().sigMouseMoved.connect(self._point_at)
        self.title = label(role="cardTitle")
        self.legend = label(role="small")
        self.readout = label(role="small")
        self.rate_title = label(role="small")
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_M)
        top.addWidget(self.title)
        top.addWidget(self.legend)
        top.addStretch(1)
        top.addWidget(self.readout)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(top)
        column.addWidget(self.loss, 3)
        column.addWidget(self.rate_title)
        column.addWidget(self.rate, 1)
        self.loss.setMinimumHeight(110)
        self.rate.setMinimumHeight(56)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        theme.signals.changed.connect(self._dress)
        self._dress()
        self.retranslate()

    @property
    def num_points(self) -> int:
        """Steps the curve knows."""
        return len(self._record.steps)

    def show_record(self, record: RunRecord) -> None:
        """Show another run."""
        self._record = record
        self._marker.hide()
        self.readout.clear()
        self._ranges.clear()
        self.touch()

    def touch(self) -> None:
        """The record has more steps than before."""
        self._is_dirty = True

    def redraw(self) -> None:
        """Draw what is new, if anything is."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        record = self._record
        self._steps = np.asarray(record.steps, dtype=float)
        losses = np.asarray(record.losses, dtype=float)
        self._smoothed = np.asarray(record.smoothed, dtype=float)
        self._rates = np.asarray(record.rates, dtype=float)
        finite = np.isfinite(losses)
        if self._shows_values != bool(finite.any()):
            self._shows_values = bool(finite.any())
            for plot in (self.loss, self.rate):
                plot.getAxis("left").setStyle(showValues=self._shows_values)
        self._raw.setData(self._steps[finite], losses[finite])
        few = _few(len(self._steps))
        drawn = few[np.isfinite(self._smoothed[few])]
        self._smooth.setData(self._steps[drawn], self._smoothed[drawn])
        self._rate.setData(self._steps[few], self._rates[few])
        last = max(record.total_steps, int(self._steps[-1]) if len(self._steps) else 1, 1)
        if last != self._last_step:
            self._last_step = last
            self.loss.setXRange(0, last, padding=0.01)
        if finite.any():
            low, high = np.percentile(losses[finite], [0.5, 99.5])
            self._fit(self.loss, float(low), float(high))
        if len(self._rates):
            self._fit(self.rate, 0.0, float(self._rates.max()) or 1e-6)
        self.retranslate_rate()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Loss"))
        colours = theme.tokens()
        thin, thick = tr("each step"), tr("smoothed")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setText(
            f'<span style="color:{colours.faint}">━</span> {thin} &nbsp;'
            f'<span style="color:{colours.curve_a}">━</span> {thick}'
        )
        self.retranslate_rate()

    def retranslate_rate(self) -> None:
        """The line above the lower curve, with the rate of the last step."""
        rates = self._record.rates
        self.rate_title.setText(
            tr("Learning rate: {rate}", rate=number_text(float(f"{rates[-1]:.3g}"))) if rates else tr("Learning rate")
        )

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Draw from now on."""
        super().showEvent(event)
        self.redraw()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: draw nothing."""
        super().hideEvent(event)
        self._timer.stop()

    def _fit(self, plot: Any, low: float, high: float) -> None:
        """Choose the range of values with some room; another one only when the curve leaves it or leaves it empty."""
        room = max((high - low) * 0.1, abs(high) * 0.02, 1e-6)
        known = self._ranges.get(plot)
        if known is not None:
            size = known[1] - known[0]
            if known[0] <= low and high <= known[1] and size < 1.6 * (high - low + 2 * room):
                return
        self._ranges[plot] = low - room, high + room
        plot.setYRange(low - room, high + room, padding=0)

    def _dress(self) -> None:
        colours = theme.tokens()
        for plot in (self.loss, self.rate):
            plot.setBackground(colours.surface)
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(pg.mkPen(colours.border))
                axis.setTextPen(pg.mkPen(colours.muted))
        self._raw.setPen(pg.mkPen(_mixed(colours.curve_a, colours.surface, 0.4), width=1))
        self._smooth.setPen(pg.mkPen(colours.curve_a, width=2))
        self._rate.setPen(pg.mkPen(colours.curve_b, width=2))
        self._marker.setPen(pg.mkPen(colours.border_strong))
        self.retranslate()

    def _point_at(self, place: QPointF) -> None:
        """Say step and loss under the mouse."""
        box = self.loss.getViewBox()
        if not len(self._steps) or not box.sceneBoundingRect().contains(place):
            self._marker.hide()
            self.readout.clear()
            return
        at = int(np.abs(self._steps - box.mapSceneToView(place).x()).argmin())
        self._marker.setPos(self._steps[at])
        self._marker.show()
        self.readout.setText(
            tr("Step {step}: loss {loss}", step=int(self._steps[at]), loss=f"{self._smoothed[at]:.4f}")
        )


def _plot() -> Any:
    plot = pg.PlotWidget()
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(x=False, y=False)
    plot.showGrid(x=False, y=True, alpha=0.12)
    plot.getAxis("left").setWidth(52)
    plot.getAxis("left").enableAutoSIPrefix(False)
    plot.getAxis("bottom").enableAutoSIPrefix(False)
    plot.setFrameShape(plot.Shape.NoFrame)
    return plot


def _few(number: int) -> Any:
    """Indices of at most `_SMOOTH_POINTS` points, always with the last one."""
    if number <= _SMOOTH_POINTS:
        return np.arange(number)
    return np.linspace(0, number - 1, _SMOOTH_POINTS).round().astype(int)


def _mixed(colour: str, ground: str, share: float) -> QColor:
    """A colour paled into its ground: drawing it is cheaper than drawing through it."""
    front, back = QColor(colour), QColor(ground)
    red, green, blue = (
        round(share * a + (1 - share) * b)
        for a, b in ((front.red(), back.red()), (front.green(), back.green()), (front.blue(), back.blue()))
    )
    return QColor(red, green, blue)
