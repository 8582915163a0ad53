"""The curves of two runs in one plot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app import theme
from app.run_record import RunRecord
from app.widgets.curve_parts import FittingRange, dress_plot, few, finite, floats, make_plot
from app.widgets.segments import Segments
from core.text import tr


class ComparePlot(QWidget):
    """The smoothed training loss of both, or what was measured on held-out pictures."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._records: Sequence[RunRecord] = ()
        self.segments = Segments(("loss", "validation"), narrow=True)
        self.segments.chosen.connect(lambda _key: self._draw())
        self.plot = make_plot()
        self.plot.setFixedHeight(240)
        self._range = FittingRange(self.plot)
        self.curves = [self.plot.plot([], [], antialias=True, symbolSize=6) for _ in range(2)]
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        top = QHBoxLayout()
        top.addWidget(self.segments)
        top.addStretch(1)
        column.addLayout(top)
        column.addWidget(self.plot, 1)
        theme.signals.changed.connect(self._draw)
        self.retranslate()

    def show_records(self, first: RunRecord, second: RunRecord) -> None:
        """Show two runs."""
        self._records = (first, second)
        measured = all(record.validations for record in self._records)
        self.segments.buttons["validation"].setEnabled(measured)
        self.segments.choose("validation" if measured else "loss")
        self._draw()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.segments.set_text("loss", tr("Training loss"))
        self.segments.set_text("validation", tr("Held-out loss"))

    def _draw(self) -> None:
        dress_plot(self.plot)
        colours = theme.tokens()
        low_high: list[float] = []
        last = 1
        for record, curve, colour in zip(self._records, self.curves, (colours.curve_a, colours.curve_b), strict=False):
            curve.setPen(pg.mkPen(colour, width=2))
            if self.segments.key == "validation":
                measured = [known for known in record.validations if math.isfinite(known.loss)]
                steps, values = floats([known.step for known in measured]), floats([known.loss for known in measured])
                curve.setData(
                    steps, values, symbol="o", symbolBrush=colours.surface, symbolPen=pg.mkPen(colour, width=2)
                )
            else:
                steps, values = finite(*few(floats(record.steps), floats(record.smoothed)))
                curve.setData(steps, values, symbol=None)
            if len(values):
                low_high += [float(values.min()), float(values.max())]
                last = max(last, int(steps[-1]))
        self.plot.setXRange(0, last, padding=0.01)
        if low_high:
            self._range.forget()
            self._range.fit(min(low_high), max(low_high))
