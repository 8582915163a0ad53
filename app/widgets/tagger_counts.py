"""How many captions are new, changed and so on; a click shows only those."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from core.events import CaptionsPlanned
from core.text import tr

OUTCOMES = ("", "new", "changed", "unchanged", "kept", "failed")
"""What can be shown; "" is all."""


class OutcomeCounts(QWidget):
    """A row of numbers to click."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = dict.fromkeys(OUTCOMES, 0)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for outcome in OUTCOMES:
            made = QPushButton()
            made.setProperty("role", "segment")
            made.setProperty("narrow", True)
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            made.clicked.connect(lambda _checked=False, outcome=outcome: self.chosen.emit(outcome))
            self._group.addButton(made)
            self.buttons[outcome] = made
            row.addWidget(made)
        row.addStretch(1)
        self.buttons[""].setChecked(True)

    @property
    def outcome(self) -> str:
        """What is to be shown."""
        return next(outcome for outcome, made in self.buttons.items() if made.isChecked())

    def set_counts(self, total: int, counts: CaptionsPlanned | None) -> None:
        """Show other numbers; what there is none of cannot be chosen, and is left when it was."""
        self._numbers[""] = total
        for outcome in OUTCOMES[1:]:
            self._numbers[outcome] = getattr(counts, outcome) if counts is not None else 0
        left = self.outcome
        for outcome, made in self.buttons.items():
            made.setVisible(not outcome or self._numbers[outcome] > 0)
        if left and not self._numbers[left]:
            self.buttons[""].setChecked(True)
            self.chosen.emit("")
        self.retranslate()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        names = {
            "": tr("All"),
            "new": tr("New"),
            "changed": tr("Changed"),
            "unchanged": tr("Unchanged"),
            "kept": tr("Kept"),
            "failed": tr("Failed"),
        }
        for outcome, made in self.buttons.items():
            made.setText(f"{names[outcome]} {self._numbers[outcome]}")
