"""The end of a run's log, followed while it is seen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtGui import QFontDatabase, QHideEvent, QShowEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from app import theme

FOLLOW_MS = 500
_TAIL_BYTES = 64 * 1024
_MAX_LINES = 3000


class LogView(QPlainTextEdit):
    """Shows the last part of a file and what is added to it; stays at the end unless somebody scrolled up."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setMaximumBlockCount(_MAX_LINES)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setFamilies([font.family(), *theme.FONTS])
        self.setFont(font)
        self._path: Path | None = None
        self._read_bytes = 0
        self._timer = QTimer(self)
        self._timer.setInterval(FOLLOW_MS)
        self._timer.timeout.connect(self.refresh)

    def follow(self, path: Path | None) -> None:
        """Show another file, from its last part on."""
        self._path = path
        self._read_bytes = 0
        self.clear()
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Read what was added."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._read_bytes:  # The file was started anew.
                    self._read_bytes = 0
                    self.clear()
                start = max(self._read_bytes, size - _TAIL_BYTES)
                if start == size:
                    return
                file.seek(start)
                data = file.read()
        except OSError:
            return  # Not there yet, or no longer.
        # A letter may be cut at the end; it comes whole with the next lines.
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return
        self._read_bytes = start + len(whole)
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        for line in whole.decode("utf-8", "replace")[:-1].split("\n"):
            # Progress bars rewrite their line; only its last state is worth keeping.
            self.appendPlainText(line.rstrip("\r").rsplit("\r", 1)[-1])
        if at_end:
            bar.setValue(bar.maximum())

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Follow from now on."""
        super().showEvent(event)
        self.refresh()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: read nothing."""
        super().hideEvent(event)
        self._timer.stop()
