"""Small editors of the tagger's options."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QLineEdit, QSlider, QVBoxLayout, QWidget

from app import theme
from app.editors import guard_wheel
from app.widgets.card import label, pad_spin_box
from core.tagging.base import LEAST_SCORE
from core.tagging.options import pair_of

SPIN_WIDTH = 86


class ScoreField(QWidget):
    """A score from `LEAST_SCORE` to 1, on a slider and as a number."""

    changed = Signal()

    def __init__(self, value: float) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(round(LEAST_SCORE * 100), 100)
        self.number = QDoubleSpinBox()
        self.number.setRange(LEAST_SCORE, 1.0)
        self.number.setSingleStep(0.01)
        self.number.setDecimals(2)
        self.number.setFixedWidth(SPIN_WIDTH)
        guard_wheel(self.number)
        guard_wheel(self.slider)
        pad_spin_box(self.number)
        self.number.setValue(value)
        self.slider.setValue(round(value * 100))
        self.slider.valueChanged.connect(self._on_slider)
        self.number.valueChanged.connect(self._on_number)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        self.setFocusProxy(self.slider)

    @property
    def value(self) -> float:
        """The score."""
        return round(self.number.value(), 2)

    def set_value(self, value: float) -> None:
        """Choose another score."""
        self.number.setValue(value)

    def set_name(self, name: str, tip: str = "") -> None:
        """What the score is, for tooltips and for those who cannot see."""
        for editor in (self.slider, self.number):
            editor.setAccessibleName(name)
            editor.setToolTip(tip)

    def _on_slider(self, value: int) -> None:
        if round(self.number.value() * 100) != value:
            self.number.setValue(value / 100)

    def _on_number(self, value: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * 100))
        self.slider.blockSignals(False)
        self.changed.emit()


class WordsField(QLineEdit):
    """Words separated by commas, English or Chinese ones."""

    changed = Signal()

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(", ".join(words))
        self.setAcceptDrops(False)
        self.textChanged.connect(lambda _text: self.changed.emit())

    @property
    def words(self) -> tuple[str, ...]:
        """The words in their order, each once."""
        parts = self.text().replace("，", ",").split(",")
        return tuple(dict.fromkeys(word for part in parts if (word := " ".join(part.split()))))

    def set_words(self, words: Iterable[str]) -> None:
        """Show other words."""
        text = ", ".join(words)
        if text != self.text():
            self.setText(text)


class PairsField(WordsField):
    """Pairs as old=new, separated by commas; one that is not finished does not count."""

    @property
    def words(self) -> tuple[str, ...]:
        """The pairs that are whole."""
        pairs = (pair_of(word) for word in super().words)
        return tuple(f"{pair[0]}={pair[1]}" for pair in pairs if pair is not None)

    @property
    def is_whole(self) -> bool:
        """Whether every pair counts."""
        return len(self.words) == len(super().words)


def titled(column: QVBoxLayout, editor: QWidget) -> QLabel:
    """Put an editor into a column, below a title that is returned."""
    title = label(role="strong")
    block = QVBoxLayout()
    block.setSpacing(theme.SPACE_XS)
    block.setContentsMargins(0, theme.SPACE_XS, 0, 0)
    block.addWidget(title)
    block.addWidget(editor)
    column.addLayout(block)
    return title
