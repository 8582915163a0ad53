"""Two runs side by side: what differs in their settings, their curves, their previews."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QScrollArea, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.run_record import RunRecord
from app.widgets.card import Card, ElidedLabel, label, set_role
from app.widgets.compare_plot import ComparePlot
from app.widgets.compare_previews import ComparePreviews
from app.widgets.thumbnails import ThumbnailLoader
from core.config import TrainConfig, field_specs
from core.config.labels import value_of, value_text
from core.text import tr

_OWN = ("output.name", "output.folder", "dataset.edits")
"""Different in every two runs, and of no meaning for what came of them."""


class CompareView(QWidget):
    """A page of its own; `back_clicked` asks to leave it."""

    back_clicked = Signal()

    def __init__(self, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._names = ("", "")
        self._configs: tuple[TrainConfig | None, TrainConfig | None] = (None, None)
        self._records: tuple[RunRecord, ...] = ()
        self.back_button = QToolButton()
        icons.set_icon(self.back_button, "chevron-left", 20, "muted")
        self.back_button.clicked.connect(self.back_clicked)
        self.title = label(role="title")
        self.heads = (ElidedLabel(), ElidedLabel())
        for head in self.heads:
            set_role(head, "heading")
        self.facts = (label(role="muted", wrap=True), label(role="muted", wrap=True))
        self.signs = (QLabel(), QLabel())
        self.plot = ComparePlot()
        self.previews = ComparePreviews(loader)
        self.settings = SettingsDiff()
        self.plot_card, self.preview_card, self.settings_card = Card(), Card(), Card()
        self._lay_out()
        theme.signals.changed.connect(self._dress)
        self._dress()
        self.retranslate()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_S)
        top.addWidget(self.back_button)
        top.addWidget(self.title, 1)
        names = QHBoxLayout()
        names.setSpacing(theme.SPACE_M)
        for sign, head, facts in zip(self.signs, self.heads, self.facts, strict=True):
            card = Card()
            line = QHBoxLayout()
            line.setSpacing(theme.SPACE_S)
            line.addWidget(sign)
            line.addWidget(head, 1)
            card.body.addLayout(line)
            card.body.addWidget(facts)
            names.addWidget(card, 1)
        self.plot_card.body.addWidget(self.plot)
        self.preview_card.body.addWidget(self.previews)
        self.settings_card.body.addWidget(self.settings)
        left = QVBoxLayout()
        left.setSpacing(theme.SPACE_M)
        left.addWidget(self.plot_card)
        left.addWidget(self.settings_card)
        left.addStretch(1)
        both = QHBoxLayout()
        both.setSpacing(theme.SPACE_M)
        both.addLayout(left, 1)
        both.addWidget(self.preview_card, 1, Qt.AlignmentFlag.AlignTop)
        content = QWidget()
        content.setProperty("role", "scrolled")
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(names)
        column.addLayout(both)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, theme.SPACE_M, 0, 0)
        outer.setSpacing(theme.SPACE_M)
        top.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, 0)
        outer.addLayout(top)
        outer.addWidget(scroll, 1)

    def show_runs(
        self,
        names: tuple[str, str],
        records: tuple[RunRecord, RunRecord],
        configs: tuple[TrainConfig | None, TrainConfig | None],
    ) -> None:
        """Compare two runs.

        Args:
            names: What they are called.
            records: What they have said.
            configs: Their settings; None where they cannot be read.
        """
        self._names, self._records, self._configs = names, records, configs
        for head, name in zip(self.heads, names, strict=True):
            head.setText(name)
        self.plot.show_records(*records)
        self.previews.show_records(*records)
        self.retranslate()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Compare two runs"))
        self.back_button.setToolTip(tr("All runs"))
        self.back_button.setAccessibleName(tr("All runs"))
        self.plot_card.set_title(tr("Curves"))
        self.preview_card.set_title(tr("Previews"))
        self.settings_card.set_title(tr("What differs in the settings"))
        self.plot.retranslate()
        self.previews.retranslate()
        for facts, record in zip(self.facts, self._records, strict=False):
            facts.setText(_facts(record))
        self.settings.show_configs(self._names, *self._configs)

    def _dress(self) -> None:
        colours = theme.tokens()
        for sign, colour in zip(self.signs, (colours.curve_a, colours.curve_b), strict=True):
            sign.setFixedSize(12, 12)
            sign.setStyleSheet(f"background: {colour}; border-radius: 6px;")


class SettingsDiff(QWidget):
    """The options that two configs do not share, with both values."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.SPACE_M)
        self._grid.setVerticalSpacing(theme.SPACE_S)
        for column, stretch in enumerate((4, 3, 3)):
            self._grid.setColumnStretch(column, stretch)
        self.rows: list[tuple[str, str, str]] = []

    def show_configs(self, names: tuple[str, str], first: TrainConfig | None, second: TrainConfig | None) -> None:
        """Compare two configs under the names of their runs."""
        while item := self._grid.takeAt(0):
            if old := item.widget():
                old.hide()
                old.deleteLater()
        self.rows = differences(first, second)
        if not self.rows:
            known = first is not None and second is not None
            text = tr("Nothing: both ran with the same settings.") if known else tr("The settings cannot be read.")
            self._grid.addWidget(label(text, role="muted", wrap=True), 0, 0, 1, 3)
        for row, texts in enumerate([("", *names), *self.rows] if self.rows else []):
            for column, text in enumerate(texts):
                cell = ElidedLabel(text, elide=Qt.TextElideMode.ElideMiddle)
                set_role(cell, "muted" if not column else "strong" if not row else "")
                self._grid.addWidget(cell, row, column)


def differences(first: TrainConfig | None, second: TrainConfig | None) -> list[tuple[str, str, str]]:
    """Title and both values of each option that differs, in the order of the form."""
    if first is None or second is None:
        return []
    return [
        (tr(spec.title), value_text(spec, value_of(first, spec.key)), value_text(spec, value_of(second, spec.key)))
        for spec in field_specs()
        if spec.key not in _OWN and value_of(first, spec.key) != value_of(second, spec.key)
    ]


def _facts(record: RunRecord) -> str:
    parts: Sequence[str] = [tr("{steps} steps", steps=record.step)]
    if record.loss is not None:
        parts = [*parts, tr("loss {loss}", loss=f"{record.loss:.4f}")]
    if (best := record.best_validation) is not None:
        parts = [*parts, tr("lowest held-out loss {loss} in epoch {epoch}", loss=f"{best.loss:.4f}", epoch=best.epoch)]
    return " · ".join(parts)
