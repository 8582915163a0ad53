"""The curves of a run: loss, held-out loss, learning rate, length of the gradient and of the LoRA, one at a time."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.run_record import RunRecord
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.curve_parts import (
    FittingRange,
    dress_plot,
    epoch_ticks,
    few,
    finite,
    floats,
    make_plot,
    mixed,
    peaks,
)
from app.widgets.segments import Segments
from core.config.labels import number_text
from core.text import tr

View = Literal["loss", "validation", "rate", "gradient", "size"]
VIEWS: tuple[View, ...] = ("loss", "validation", "rate", "gradient", "size")
REDRAW_MS = 250
"""A frame of a long run takes some 20 ms of a processor that may be training: a few per second are enough."""
_MARK_NEAR_PX = 10


class CurvePlot(QWidget):
    """Shows the steps of a record. Call `touch` after the record grew: drawing waits for the timer and for being seen.

    The mouse, or Left and Right when the plot has the keyboard, moves a line that says the values of a step. Raw losses
    are drawn without antialiasing and thinned to their peaks; with it, 10,000 points take a second to draw.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = RunRecord()
        self._view: View = "loss"
        self._is_dirty = True
        self._last_step = 0
        self._cursor: int | None = None  # position in the series
        self._marks: list[Any] = []
        self._mark_steps: tuple[int, ...] = ()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.segments = Segments(VIEWS, narrow=True)
        self.segments.chosen.connect(self._choose)
        self.legend = label(role="small")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.readout = ElidedLabel()
        set_role(self.readout, "small")
        self.plot = make_plot()
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMinimumHeight(130)
        self._range = FittingRange(self.plot)
        self._add_curves()
        self.plot.scene().sigMouseMoved.connect(self._point_at)
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_M)
        top.addWidget(self.segments)
        top.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(top)
        column.addWidget(self.legend)
        column.addWidget(self.plot, 1)
        column.addWidget(self.readout)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        theme.signals.changed.connect(self._dress)
        self._dress()
        self.retranslate()

    def _add_curves(self) -> None:
        self.plot.showAxis("top")
        epochs = self.plot.getAxis("top")
        epochs.setStyle(tickLength=0)
        epochs.setHeight(18)
        epochs.setTicks([])
        self._raw = self.plot.plot([], [], antialias=False)
        self._line = self.plot.plot([], [], antialias=True)
        self._validation = self.plot.plot([], [], antialias=True, symbol="o", symbolSize=6)
        self._best = pg.ScatterPlotItem(size=17, symbol="star")
        self._best.setZValue(10)
        self.plot.addItem(self._best)
        self._marker = pg.InfiniteLine(angle=90, movable=False)
        self._marker.hide()
        self.plot.addItem(self._marker, ignoreBounds=True)

    @property
    def num_points(self) -> int:
        """Steps the curve knows."""
        return len(self._record.steps)

    @property
    def view(self) -> View:
        """Which curve is shown."""
        return self._view

    def show_record(self, record: RunRecord) -> None:
        """Show another run."""
        self._record = record
        self._hide_cursor()
        self._range.forget()
        self._last_step = 0
        self.touch()
        if self.isVisible():
            self.redraw()

    def show_view(self, view: View) -> None:
        """Show another curve."""
        self.segments.choose(view)
        self._choose(view)

    def touch(self) -> None:
        """The record has more steps than before."""
        self._is_dirty = True

    def redraw(self) -> None:
        """Draw what is new, if anything is."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        record = self._record
        steps = floats(record.steps)
        values = floats(self._values())
        points = finite(steps[: len(values)], values)
        shows_loss = self._view == "loss"
        self._raw.setVisible(shows_loss)
        if shows_loss:
            self._raw.setData(*peaks(*points))
            self._line.setData(*finite(*few(steps, floats(record.smoothed))))
        else:
            self._line.setData(*few(*points))
        low_high = self._draw_validation(self._view in ("loss", "validation"))
        self.plot.getAxis("left").setStyle(showValues=bool(len(points[1]) or low_high))
        last = max(record.total_steps, int(steps[-1]) if len(steps) else 1, 1)
        if last != self._last_step:
            self._last_step = last
            self.plot.setXRange(0, last, padding=0.01)
        if len(points[1]):
            low, high = np.percentile(points[1], [0.5, 99.5]) if shows_loss else (0.0, float(points[1].max()))
            low_high += [float(low), float(high) or 1e-6]
        if low_high:
            self._range.fit(min(low_high), max(low_high))
        self._mark_epochs()
        self._mark_adaptions()
        self._show_legend()
        self._show_readout()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.segments.set_text("loss", tr("Loss"), tr("How far off the training is; only its trend says something"))
        self.segments.set_text(
            "validation", tr("Held-out"), tr("Loss of the pictures that are not trained: when it rises, it is enough")
        )
        self.segments.set_text("rate", tr("Learning rate"))
        self.segments.set_text("gradient", tr("Gradient"), tr("Length of the gradient before it is limited"))
        self.segments.set_text("size", tr("LoRA size"), tr("Length of all weights of the LoRA: how far it has moved"))
        self.setAccessibleName(tr("Curves of the run; Left and Right go through the steps"))
        self._mark_epochs()
        self._show_legend()
        self._show_readout()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Walk through the steps; Escape takes the line away."""
        number = len(self._record.steps)
        stride = max(1, number // 100)
        moves = {
            Qt.Key.Key_Left: -stride,
            Qt.Key.Key_Right: stride,
            Qt.Key.Key_Home: -number,
            Qt.Key.Key_End: number,
        }
        move = moves.get(Qt.Key(event.key()))
        if move is not None and number:
            at = number - 1 if self._cursor is None else self._cursor
            self._set_cursor(min(max(at + move, 0), number - 1))
        elif event.key() == Qt.Key.Key_Escape and self._cursor is not None:
            self._hide_cursor()
        else:
            super().keyPressEvent(event)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Draw from now on."""
        super().showEvent(event)
        self.redraw()
        self._timer.start()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Another width has room for other words."""
        super().resizeEvent(event)
        self.touch()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: draw nothing."""
        super().hideEvent(event)
        self._timer.stop()

    def _values(self) -> Any:
        record = self._record
        return {
            "loss": record.losses,
            "validation": [],
            "rate": record.rates,
            "gradient": record.grad_norms,
            "size": record.lora_norms,
        }[self._view]

    def _choose(self, view: View) -> None:
        self._view = view
        self._range.forget()
        self._dress()
        self.touch()
        self.redraw()

    def _draw_validation(self, shown: bool) -> list[float]:
        """Draw the held-out loss, its best point marked. Returns its values."""
        measured = [known for known in self._record.validations if math.isfinite(known.loss)] if shown else []
        steps, losses = [known.step for known in measured], [known.loss for known in measured]
        self._validation.setData(steps, losses)
        best = self._record.best_validation if len(measured) > 1 else None
        self._best.setData([best.step] if best else [], [best.loss] if best else [])
        return losses

    def _mark_epochs(self) -> None:
        """The last steps of epochs as lines with a number above; words and numbers only where they have room."""
        step_px = self.plot.getViewBox().width() / max(1, self._last_step)
        axis = self.plot.getAxis("top")
        axis.setTicks([epoch_ticks(self._record.epoch_starts, step_px, self.fontMetrics())])
        axis.setGrid(45)

    def _mark_adaptions(self) -> None:
        steps = tuple(known.step for known in self._record.adaptions)
        if steps == self._mark_steps:
            return
        self._mark_steps = steps
        for mark in self._marks:
            self.plot.removeItem(mark)
        pen = pg.mkPen(theme.tokens().warning, width=2, style=Qt.PenStyle.DashLine)
        self._marks = [pg.InfiniteLine(pos=step, angle=90, pen=pen) for step in steps]
        for mark in self._marks:
            self.plot.addItem(mark, ignoreBounds=True)

    def _show_legend(self) -> None:
        colours = theme.tokens()
        parts: list[tuple[str, str, str]] = []
        if self._view == "loss":
            raw = self._raw.opts["pen"].color().name()
            parts = [(raw, "━", tr("each step")), (colours.curve_a, "━", tr("smoothed"))]
            if self._record.validations:
                parts.append((colours.curve_b, "●", tr("held-out")))
        if self._record.adaptions:
            parts.append((colours.warning, "┆", tr("settings changed")))
        self.legend.setText(
            " &nbsp;".join(f'<span style="color:{colour}">{sign}</span> {words}' for colour, sign, words in parts)
        )

    def _dress(self) -> None:
        colours = theme.tokens()
        dress_plot(self.plot)
        pen = {
            "loss": colours.curve_a,
            "validation": colours.curve_b,
            "rate": colours.curve_b,
            "gradient": colours.warning,
            "size": colours.success,
        }
        self._raw.setPen(pg.mkPen(mixed(colours.curve_a, colours.surface, 0.4), width=1))
        self._line.setPen(pg.mkPen(pen[self._view], width=2))
        self._validation.setPen(pg.mkPen(colours.curve_b, width=2))
        self._validation.setSymbolBrush(colours.surface)
        self._validation.setSymbolPen(pg.mkPen(colours.curve_b, width=2))
        self._best.setBrush(pg.mkBrush(colours.success))
        self._best.setPen(pg.mkPen(colours.surface))
        self._marker.setPen(pg.mkPen(colours.border_strong))
        self._mark_steps = ()
        self._mark_adaptions()
        self._show_legend()

    def _point_at(self, place: QPointF) -> None:
        """Say the values under the mouse."""
        box = self.plot.getViewBox()
        if not len(self._record.steps) or not box.sceneBoundingRect().contains(place):
            self._hide_cursor()
            return
        at = self._record.position_of(round(box.mapSceneToView(place).x()))
        self._set_cursor(at or 0)

    def _set_cursor(self, position: int) -> None:
        self._cursor = position
        self._marker.setPos(self._record.steps[position])
        self._marker.show()
        self._show_readout()

    def _hide_cursor(self) -> None:
        self._cursor = None
        self._marker.hide()
        self._show_readout()

    def _show_readout(self) -> None:
        """The values at the line; without it, those of the last step."""
        record = self._record
        if not record.steps:
            self.readout.setText("")
            return
        at = len(record.steps) - 1 if self._cursor is None else min(self._cursor, len(record.steps) - 1)
        step = record.steps[at]
        parts = [tr("Step {step}", step=step)]
        if self._view == "loss":
            losses = {"loss": _number(record.losses[at]), "smoothed": _number(record.smoothed[at])}
            parts.append(tr("loss {loss}, smoothed {smoothed}", **losses))
        if self._view in ("loss", "validation"):
            measured = [known for known in record.validations if known.step <= step]
            if measured:
                last = measured[-1]
                parts.append(tr("held-out {loss} (step {step})", loss=_number(last.loss), step=last.step))
            elif self._view == "validation" and not record.validations:
                parts.append(tr("no pictures are held out"))
        elif self._view == "rate":
            parts.append(tr("learning rate {rate}", rate=number_text(float(f"{record.rates[at]:.3g}"))))
        elif self._view == "gradient":
            parts.append(tr("length of the gradient {value}", value=_number(record.grad_norms[at])))
        else:
            parts.append(tr("length of the LoRA {value}", value=_number(record.lora_norms[at])))
        if self._cursor is not None:
            near = self._last_step * _MARK_NEAR_PX / max(1, self.plot.width())
            parts += [known.message for known in record.adaptions if abs(known.step - step) <= near]
        self.readout.setText(" · ".join(parts))


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"
