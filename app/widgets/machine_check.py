"""A check of the installation in a window: the doctor's text, to read and to copy."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QProgressBar, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.widgets.card import button, label
from core.installation import check
from core.text import tr

SIZE = (760, 520)


class InstallationCheck(QDialog):
    """Runs the check in the background and shows what it says. `open` shows it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._background = Background(self)
        self.heading = label(role="heading")
        self.text = label(role="muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.findings = QPlainTextEdit()
        self.findings.setReadOnly(True)
        self.findings.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.again_button = button(icon="refresh")
        self.copy_button = button(icon="copy")
        self.close_button = button(kind="primary")
        self._lay_out()
        self.again_button.clicked.connect(self.start)
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.findings.toPlainText()))
        self.close_button.clicked.connect(self.reject)
        self.retranslate()
        self.start()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.again_button)
        row.addStretch(1)
        row.addWidget(self.copy_button)
        row.addWidget(self.close_button)
        for made in (self.again_button, self.copy_button, self.close_button):
            made.setAutoDefault(False)
        self.close_button.setDefault(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_L)
        layout.setSpacing(theme.SPACE_S)
        layout.addWidget(self.heading)
        layout.addWidget(self.text)
        layout.addWidget(self.bar)
        layout.addWidget(self.findings, 1)
        layout.addSpacing(theme.SPACE_S)
        layout.addLayout(row)

    def retranslate(self) -> None:
        """Set the texts in the language in use."""
        self.setWindowTitle(tr("Check the installation"))
        self.heading.setText(tr("Check the installation"))
        self.text.setText(tr("Kiln looks at its packages, the graphics card, the disk and the network."))
        self.findings.setAccessibleName(tr("What the check found"))
        self.again_button.setText(tr("Check again"))
        self.copy_button.setText(tr("Copy details"))
        self.close_button.setText(tr("Close"))

    def start(self) -> None:
        """Check, from the beginning."""
        self.bar.show()
        self.again_button.setEnabled(False)
        self.copy_button.setEnabled(False)
        self.findings.setPlaceholderText(tr("This takes some seconds…"))
        self.findings.clear()
        self._background.start(check, self._show)

    def _show(self, found: str | Exception) -> None:
        self.bar.hide()
        self.again_button.setEnabled(True)
        self.copy_button.setEnabled(True)
        if isinstance(found, Exception):
            found = tr("The check could not be made: {error}", error=found)
        self.findings.setPlainText(found)
