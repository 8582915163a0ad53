"""The top of the Dataset page: which folder, what is in it, and what can be done with all of it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import ElidedLabel, PathLabel, button, label
from core.text import tr


class DatasetHeader(QWidget):
    """Title, path, a line of facts, and buttons; whoever hears the signals acts."""

    keys_clicked = Signal()
    rescan_clicked = Signal()
    demo_clicked = Signal()
    open_clicked = Signal()
    export_clicked = Signal()
    next_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._needs_captions = False
        self._title = label(role="title")
        self._path = PathLabel()
        self._path.setProperty("role", "muted")
        self.summary = ElidedLabel()
        self.summary.setProperty("role", "small")
        self.keys_button = _tool("keyboard")
        self.rescan_button = _tool("refresh")
        self.demo_button = button(kind="quiet", icon="sparkles")
        self.open_button = button(icon="folder-open")
        self.export_button = button(icon="upload")
        self.next_button = button(kind="primary")
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_M)
        first.addWidget(self._title)
        first.addWidget(self._path, 1)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addLayout(first)
        texts.addWidget(self.summary)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_S)
        row.addLayout(texts, 1)
        for made, signal in (
            (self.keys_button, self.keys_clicked),
            (self.rescan_button, self.rescan_clicked),
            (self.demo_button, self.demo_clicked),
            (self.open_button, self.open_clicked),
            (self.export_button, self.export_clicked),
            (self.next_button, self.next_clicked),
        ):
            made.clicked.connect(signal)
            row.addWidget(made, 0, Qt.AlignmentFlag.AlignVCenter)

    def set_path(self, folder: Path | None) -> None:
        """Show another folder."""
        self._path.set_path(folder)

    def set_reading(self, text: str) -> None:
        """Say how far the reading of another folder is, whose pictures nothing can be done with yet; "" at its end."""
        self.summary.setText(text)
        for made in (self.export_button, self.next_button):
            made.setEnabled(not text)

    def set_next(self, *, needs_captions: bool, is_possible: bool) -> None:
        """Say what comes next, if there are pictures to go on with."""
        self._needs_captions = needs_captions
        self.next_button.setVisible(is_possible)
        if needs_captions:
            self.next_button.setText(tr("Next: tag pictures"))
            self.next_button.setToolTip(tr("Every picture needs a caption; the tagger writes them"))
        else:
            self.next_button.setText(tr("Next: train"))
            self.next_button.setToolTip(tr("All pictures have captions; choose how to train"))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._title.setText(tr("Dataset"))
        self.open_button.setText(tr("Open folder"))
        self.demo_button.setText(tr("Try the demo"))
        self.demo_button.setToolTip(
            tr("Ready pictures of a character and of others; your folder and settings come back when you open it again")
        )
        self.export_button.setText(tr("Export…"))
        self.export_button.setToolTip(tr("Write cropped and resized copies with their captions to a new folder"))
        for made, text in (
            (self.rescan_button, tr("Read the folder again (F5)")),
            (self.keys_button, tr("All keys (F1)")),
        ):
            made.setToolTip(text)
            made.setAccessibleName(text)
        self.set_next(needs_captions=self._needs_captions, is_possible=not self.next_button.isHidden())


def _tool(icon: str) -> QToolButton:
    made = QToolButton()
    icons.set_icon(made, icon, 18)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made
