"""The LoRA files of a run: of which epoch, how large, how it was measured, and which one is proposed."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.run_places import lora_file
from app.run_record import RunRecord
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.sample_strip import moment_words
from app.wording import size_text
from core.events import LoraSaved
from core.text import tr


class RunFiles(QWidget):
    """One line for each file, the newest first. `copied` follows a click that put a path on the clipboard."""

    copy_clicked = Signal(object)  # path
    folder_clicked = Signal(object)  # path

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = RunRecord()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(theme.SPACE_S, 0, theme.SPACE_S, 0)
        self._grid.setHorizontalSpacing(theme.SPACE_L)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._grid)
        column.addStretch(1)
        self.paths: list[Path] = []

    def show_record(self, record: RunRecord) -> None:
        """Show the files of a run."""
        self._record = record
        while item := self._grid.takeAt(0):
            if old := item.widget():
                old.hide()
                old.deleteLater()
        self.paths = []
        for row, saved in enumerate(reversed(record.loras)):
            self._add(row, saved)

    def _add(self, row: int, saved: LoraSaved) -> None:
        record = self._record
        path = lora_file(saved.path, record.folder)
        self.paths.append(path)
        is_there = path.is_file()
        name = ElidedLabel(path.name, elide=Qt.TextElideMode.ElideMiddle)
        set_role(name, "" if is_there else "muted")
        self._grid.addWidget(name, row, 0)
        measured = [known.loss for known in record.validations if known.step <= saved.step]
        texts = (
            moment_words(record, saved.step),
            size_text(saved.size_bytes) if is_there else tr("File missing"),
            tr("held-out loss {loss}", loss=f"{measured[-1]:.4f}") if measured else "",
        )
        for column, text in enumerate(texts, start=1):
            self._grid.addWidget(label(text, role="small"), row, column)
        is_best = record.best is not None and record.best.step == saved.step
        self._grid.addWidget(label(tr("best"), role="chipSuccess") if is_best else QLabel(), row, 4)
        for column, (icon, words, signal) in enumerate(
            (("copy", tr("Copy its path"), self.copy_clicked), ("folder-open", tr("Open folder"), self.folder_clicked)),
            start=5,
        ):
            tool = QToolButton()
            icons.set_icon(tool, icon, 16, "muted")
            tool.setToolTip(words)
            tool.setAccessibleName(f"{words}: {path.name}")
            tool.setEnabled(is_there)
            tool.clicked.connect(lambda _checked=False, signal=signal: signal.emit(path))
            self._grid.addWidget(tool, row, column)
