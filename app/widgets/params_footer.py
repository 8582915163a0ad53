"""Name, place and *Start*: always in view below the settings."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.editors import browse_start, mark_wrong
from app.project import Project
from app.widgets.card import PathLabel, button, label, set_role
from app.widgets.toast import BOTTOM_BAR
from core.errors import UserError
from core.text import tr


class ParamsFooter(QWidget):
    """Edits name and folder of the LoRA; `checked` follows whatever may change `problem`."""

    checked = Signal()

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(BOTTOM_BAR)
        self._project = project
        self.problem = ""
        self.name = QLineEdit()
        self.name.setMinimumWidth(110)
        self.name.setMaximumWidth(240)
        self.name.textEdited.connect(self._rename)
        self._name_label = label(role="muted")
        self._ending = label(".safetensors", role="muted")
        self.output_label = PathLabel()
        set_role(self.output_label, "muted")
        self.output_button = QToolButton()
        icons.set_icon(self.output_button, "folder-open", 16)
        self.output_button.clicked.connect(self._choose_output)
        self.reason = label(role="muted", wrap=True)
        self.reason.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.reason.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.queue_button = button(icon="queue", size=18)
        self.queue_button.setProperty("big", True)
        self._edits_queue = False
        self.start_button = button(kind="primary", icon="play", size=18)
        self.start_button.setProperty("big", True)
        line = QFrame()
        line.setProperty("role", "line")
        row = QHBoxLayout()
        row.setContentsMargins(theme.SPACE_XL, theme.SPACE_M, theme.SPACE_XL, theme.SPACE_M)
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self._name_label)
        row.addWidget(self.name, 2)
        row.addWidget(self._ending)
        row.addWidget(self.output_button)
        row.addWidget(self.output_label, 3)
        row.addSpacing(theme.SPACE_M)
        row.addWidget(self.reason, 3)
        row.addWidget(self.queue_button)
        row.addWidget(self.start_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        column.addLayout(row)

    def refresh(self) -> None:
        """Show what the settings say; a name that is not allowed stays while it is being typed."""
        output = self._project.config.output
        if not self.problem and self.name.text() != output.name:
            self.name.setText(output.name)
        self.output_label.setText(tr("in {folder}", folder=output.folder))

    def show_reason(self, reason: str) -> None:
        """Say why a run cannot start; nothing when it can."""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))  # Without it the path of the output folder has its room.
        self.start_button.setEnabled(not reason)
        self.queue_button.setEnabled(not reason)

    def show_queue_edit(self, edits: bool) -> None:
        """Say what the second button does: put the settings into the queue, or back where they came from."""
        self._edits_queue = edits
        self.queue_button.setText(tr("Save in the queue") if edits else tr("Add to queue"))
        self.queue_button.setToolTip(
            tr("Puts the changed settings back in their place in the queue")
            if edits
            else tr("Runs of the queue are trained one after the other, on the Training page")
        )

    def retranslate(self) -> None:
        """Take up the language in use."""
        self._name_label.setText(tr("Saved as"))
        self.name.setAccessibleName(tr("Name of the LoRA"))
        self.output_button.setToolTip(tr("Choose the output folder…"))
        self.output_button.setAccessibleName(tr("Choose the output folder…"))
        self.start_button.setText(tr("Start training"))
        self.show_queue_edit(self._edits_queue)

    def _rename(self, text: str) -> None:
        self.problem = ""
        try:
            self._project.change({"output.name": text})
        except UserError as error:
            self.problem = error.remedy
        mark_wrong(self.name, bool(self.problem))
        self.checked.emit()

    def _choose_output(self) -> None:
        start = str(browse_start(self._project.config.output.folder))
        if text := QFileDialog.getExistingDirectory(self, tr("Choose the output folder"), start):
            self._project.change({"output.folder": Path(text)})
