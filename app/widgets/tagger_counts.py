"""How many captions are new, changed and so on; a click shows only those."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QPushButton, QWidget

from core.events import CaptionsPlanned
from core.text import tr

OUTCOMES = ("", "new", "changed", "unchanged", "kept", "failed")
"""What can be shown; "" is all."""
IN_A_ROW = 4


class OutcomeCounts(QWidget):
    """A row of numbers to click."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = dict.fromkeys(OUTCOMES, 0)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self._grid.setColumnStretch(IN_A_ROW, 1)
        for outcome in OUTCOMES:
            made = QPushButton(self)
            made.setProperty("role", "segment")
            made.setProperty("narrow", True)
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            made.clicked.connect(lambda _checked=False, outcome=outcome: self.chosen.emit(outcome))
            self._group.addButton(made)
            self.buttons[outcome] = made
        self._lay_out()
        self.buttons[""].setChecked(True)

    def _lay_out(self) -> None:
        """Those that can be chosen, in rows that fit the narrowest window."""
        shown = [made for outcome, made in self.buttons.items() if not outcome or self._numbers[outcome]]
        for made in self.buttons.values():
            self._grid.removeWidget(made)
            made.setVisible(made in shown)
        for place, made in enumerate(shown):
            self._grid.addWidget(made, *divmod(place, IN_A_ROW))

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
        self._lay_out()
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
