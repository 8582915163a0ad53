"""The minute before the machine sleeps or shuts down, in which it can be called off."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QProgressBar, QWidget

from app.widgets.message_dialog import MessageDialog
from core.power import PowerAction
from core.text import tr

SECONDS = 60


class Countdown(MessageDialog):
    """`elapsed` says that nobody called it off."""

    elapsed = Signal()

    def __init__(self, action: PowerAction, parent: QWidget | None = None) -> None:
        """Begin to count; `open` shows it.

        Args:
            action: What follows.
            parent: The window it belongs to.
        """
        heading = (
            tr("The queue is done. The machine goes to sleep in a minute.")
            if action == "sleep"
            else tr("The queue is done. The machine shuts down in a minute.")
        )
        super().__init__(
            "power", "warning", heading, tr("Save what is open in other programs, or call it off."), parent
        )
        self.seconds = SECONDS
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, SECONDS)
        self.body.addWidget(self.bar)
        self.add_button("now", tr("Now"))
        self.add_button("cancel", tr("Call it off"), "primary", default=True)
        self.answered.connect(self._on_answer)
        self._timer = QTimer(self)
        self._timer.setInterval(1000)
        self._timer.timeout.connect(self.tick)
        self._timer.start()
        self._show()

    def tick(self) -> None:
        """A second has passed."""
        self.seconds -= 1
        self._show()
        if self.seconds <= 0:
            self._timer.stop()
            self.buttons["now"].click()

    def _show(self) -> None:
        self.bar.setValue(max(self.seconds, 0))
        self.buttons["cancel"].setText(tr("Call it off ({seconds} s)", seconds=self.seconds))

    def _on_answer(self, answer: str) -> None:
        self._timer.stop()
        if answer == "now":
            self.elapsed.emit()
