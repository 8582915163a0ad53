"""How a download goes: what comes, how much of it, how fast, how long it will still take; and a way to cancel."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app import theme
from app.widgets.card import ElidedLabel, button, label, set_role
from app.wording import duration_text, size_text
from core.events import DownloadProgress, StageStarted
from core.text import tr

_STEPS = 1000


class DownloadProgressView(QWidget):
    """Follows the events of one download after another."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._progress: DownloadProgress | None = None
        self._stage = ""
        self._is_stopping = False
        self.headline = ElidedLabel()
        set_role(self.headline, "strong")
        self.numbers = label(role="muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = button(kind="danger", icon="stop")
        self.cancel_button.clicked.connect(self.cancelled)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.headline)
        words.addWidget(self.numbers)
        line = QHBoxLayout()
        line.setSpacing(theme.SPACE_M)
        line.addLayout(words, 1)
        line.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(line)
        column.addWidget(self.bar)

    def begin(self, title: str) -> None:
        """Show that a download of a model starts."""
        self.headline.setText(title)
        self._progress = None
        self._stage = ""
        self._is_stopping = False
        self.cancel_button.setEnabled(True)
        self._show()

    def take_stage(self, event: StageStarted) -> None:
        """A part of the download began."""
        self._stage = event.stage
        self._progress = None
        self._show()

    def take_progress(self, event: DownloadProgress) -> None:
        """More of it is here."""
        self._progress = event
        self._show()

    def show_stopping(self) -> None:
        """The user cancelled, and the job has not answered yet."""
        self._is_stopping = True
        self.cancel_button.setEnabled(False)
        self._show()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.cancel_button.setText(tr("Cancel"))
        self._show()

    def _show(self) -> None:
        progress = self._progress
        parts = [self._doing()]
        if progress is None or not progress.total_bytes:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(progress.done_bytes * _STEPS // progress.total_bytes)
            done, total = size_text(progress.done_bytes), size_text(progress.total_bytes)
            parts.append(tr("{done} of {total}", done=done, total=total))
            if progress.bytes_per_s and self._stage == "download" and not self._is_stopping:
                parts.append(tr("{size} per second", size=size_text(round(progress.bytes_per_s))))
                left_s = (progress.total_bytes - progress.done_bytes) / progress.bytes_per_s
                parts.append(tr("{time} left", time=duration_text(left_s)))
        self.numbers.setText(" · ".join(part for part in parts if part))

    def _doing(self) -> str:
        """What goes on where the numbers do not say it."""
        if self._is_stopping:
            return tr("Cancelling…")
        if self._stage == "connect":
            return tr("Connecting…")
        if self._stage == "verify":
            return tr("Checking what is here already…")
        if self._stage == "download" and self._progress is not None and not self._progress.bytes_per_s:
            return "" if self._progress.done_bytes == self._progress.total_bytes else tr("Waiting for the server…")
        return "" if self._stage else tr("Starting…")
