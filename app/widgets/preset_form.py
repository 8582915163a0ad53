"""Name, description and author of a preset that is to be kept."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from app import theme
from app.editors import mark_wrong
from app.widgets.card import button, label
from core.errors import UserError, explain
from core.presets import LONGEST_TEXT, LONGEST_TITLE
from core.text import tr

WIDTH = 460

Keep = Callable[[str, str, str], object]


class PresetForm(QDialog):
    """Asks what a preset is called; stays open until it could be kept or the user gives up."""

    def __init__(self, keep: Keep, *, title: str = "", only_name: bool = False, parent: QWidget | None = None) -> None:
        """Build the form.

        Args:
            keep: Takes name, description and author; its UserError or OSError is said in the form.
            title: The name to begin with.
            only_name: For another name of a preset that is there.
            parent: The window it belongs to.
        """
        super().__init__(parent)
        self._keep = keep
        self.setFixedWidth(WIDTH)
        self.setWindowTitle(tr("Rename preset") if only_name else tr("Save as preset"))
        self.name = QLineEdit(title)
        self.name.setMaxLength(LONGEST_TITLE)
        self.name.textChanged.connect(lambda: self._say(""))
        self.description = QPlainTextEdit()
        self.description.setTabChangesFocus(True)
        self.description.setFixedHeight(72)
        self.author = QLineEdit()
        self.author.setMaxLength(LONGEST_TITLE)
        self.problem = label(role="error", wrap=True)
        fields = QFormLayout()
        fields.setHorizontalSpacing(theme.SPACE_L)
        fields.setVerticalSpacing(theme.SPACE_M)
        fields.addRow(tr("Name"), self.name)
        if not only_name:
            self.description.setPlaceholderText(tr("What it is good for"))
            self.author.setPlaceholderText(tr("Shown to people you share it with; may stay empty"))
            fields.addRow(tr("Description"), self.description)
            fields.addRow(tr("Author"), self.author)
        self.save_button = button(tr("Save"), kind="primary")
        self.save_button.setDefault(True)
        self.save_button.clicked.connect(self.save)
        cancel = button(tr("Cancel"))
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.save_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        if not only_name:
            note = tr("Keeps what differs from Kiln's own choice. Paths, trigger word and prompts are never kept.")
            column.addWidget(label(note, role="muted", wrap=True))
        column.addLayout(fields)
        column.addWidget(self.problem)
        column.addLayout(buttons)
        self._say("")
        self.name.setFocus()
        self.name.selectAll()

    def save(self) -> None:
        """Keep the preset, or say why that is not possible."""
        try:
            self._keep(self.name.text(), self.description.toPlainText()[:LONGEST_TEXT], self.author.text())
        except (UserError, OSError) as error:
            known = explain(error)
            if known is None:
                raise
            self._say(str(known))
        else:
            self.accept()

    def _say(self, problem: str) -> None:
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        mark_wrong(self.name, bool(problem))
