"""Report a problem: what would be told is shown first, then saved as one file. Nothing is sent anywhere."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QFontDatabase
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.background import Background
from app.editors import browse_start
from app.widgets.card import ElidedLabel, button, label, set_role
from app.wording import size_text
from core.errors import explain
from core.report import Part, collect, file_name, save
from core.run_folder import RunFolder
from core.text import tr

SIZE = (820, 620)
WORDS_FILE = "what-happened.txt"


class ReportDialog(QDialog):
    """Shows every file of the report, and saves it where the user says. `open` shows it."""

    def __init__(self, run: RunFolder | None = None, parent: QWidget | None = None) -> None:
        """Build the dialog and collect in the background.

        Args:
            run: The run that went wrong, or None for a report about Kiln and this machine.
            parent: The window it belongs to.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._run = run
        self._background = Background(self)
        self._parts: tuple[Part, ...] = ()
        self._saved: Path | None = None
        self._asked = 0
        self.heading = label(role="heading", wrap=True)
        self.text = label(role="muted", wrap=True)
        self.words = QPlainTextEdit()
        self.words.setFixedHeight(72)
        self.words.setTabChangesFocus(True)
        self.names = QCheckBox()
        self.names_hint = label(role="small", wrap=True)
        self.contents = label(role="strong")
        self.list = QListWidget()
        self.list.setProperty("role", "list")
        self.list.setFixedWidth(210)
        self.preview = QPlainTextEdit()
        self.preview.setReadOnly(True)
        self.preview.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.preview.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.outcome = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        set_role(self.outcome, "success")
        self.show_button = button(icon="folder-open")
        self.close_button = button()
        self.save_button = button(kind="primary", icon="save")
        self._lay_out()
        self.names.toggled.connect(self._collect)
        self.list.currentRowChanged.connect(self._show_part)
        self.show_button.clicked.connect(self._show_folder)
        self.close_button.clicked.connect(self.reject)
        self.save_button.clicked.connect(self._choose_place)
        self.retranslate()
        self._collect()

    def _lay_out(self) -> None:
        inside = QHBoxLayout()
        inside.setSpacing(theme.SPACE_S)
        inside.addWidget(self.list)
        inside.addWidget(self.preview, 1)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.outcome, 1)
        for made in (self.show_button, self.close_button, self.save_button):
            made.setAutoDefault(False)
            row.addWidget(made)
        self.save_button.setDefault(True)
        self.show_button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_L)
        layout.setSpacing(theme.SPACE_S)
        layout.addWidget(self.heading)
        layout.addWidget(self.text)
        layout.addSpacing(theme.SPACE_XS)
        layout.addWidget(self.words)
        layout.addSpacing(theme.SPACE_S)
        layout.addWidget(self.contents)
        layout.addLayout(inside, 1)
        layout.addWidget(self.names)
        layout.addWidget(self.names_hint)
        layout.addSpacing(theme.SPACE_S)
        layout.addLayout(row)

    def retranslate(self) -> None:
        """Set the texts in the language in use."""
        self.setWindowTitle(tr("Report a problem"))
        self.heading.setText(tr("Report a problem"))
        self.text.setText(
            tr(
                "Kiln puts what helps to find the cause into one file. Names of people, pictures and folders, "
                "captions, prompts and access tokens are taken out. Nothing is sent: you decide who gets the file."
            )
        )
        self.words.setPlaceholderText(
            tr("What did you do, what did you expect, and what happened? You may leave this out.")
        )
        self.words.setAccessibleName(tr("What happened"))
        self.names.setText(tr("Leave names of pictures and folders, captions and prompts in"))
        self.names_hint.setText(tr("Only when you are asked for them. People and access tokens stay out in any case."))
        self.contents.setText(tr("What the report holds"))
        self.list.setAccessibleName(tr("What the report holds"))
        self.preview.setAccessibleName(tr("Content of the chosen file"))
        self.show_button.setText(tr("Show in folder"))
        self.close_button.setText(tr("Close"))
        self.save_button.setText(tr("Save report"))

    # Collecting

    def _collect(self) -> None:
        """Read everything anew; a click in between makes the answer under way worthless."""
        self._asked += 1
        asked, run, with_names = self._asked, self._run, self.names.isChecked()
        self.save_button.setEnabled(False)
        self.preview.setPlaceholderText(tr("Reading…"))
        self._forget_saved()

        def then(found: tuple[Part, ...] | Exception) -> None:
            if asked == self._asked:
                self._take(found)

        self._background.start(lambda: collect(run, with_names=with_names), then)

    def _take(self, found: tuple[Part, ...] | Exception) -> None:
        if isinstance(found, Exception):
            raise found  # `collect` never fails; if it does, the window's own report of errors is the place.
        row = max(self.list.currentRow(), 0)
        self._parts = found
        self.list.clear()
        for part in found:
            item = QListWidgetItem(f"{part.name}  ·  {size_text(len(part.text.encode('utf-8', 'replace')))}")
            item.setToolTip(part.name)
            self.list.addItem(item)
        self.list.setCurrentRow(min(row, len(found) - 1))
        self.save_button.setEnabled(True)

    def _show_part(self, row: int) -> None:
        if 0 <= row < len(self._parts):
            self.preview.setPlainText(self._parts[row].text)

    # Saving

    def _choose_place(self) -> None:
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        start = browse_start(Path(documents)) / file_name()
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save report"), str(start), "ZIP (*.zip)")
        if chosen:
            self.save_to(Path(chosen if chosen.lower().endswith(".zip") else f"{chosen}.zip"))

    def save_to(self, target: Path) -> None:
        """Write the report there, in the background."""
        parts = self._parts
        if words := self.words.toPlainText().strip():
            parts = (Part(WORDS_FILE, words + "\n"), *parts)
        self.save_button.setEnabled(False)
        self._forget_saved()

        def then(error: Exception | None) -> None:
            self.save_button.setEnabled(True)
            if error is None:
                self._saved = target
                self._say("success", tr("Saved: {path}", path=target))
                self.show_button.show()
                self.show_button.setFocus()
            else:
                known = explain(error)
                self._say("danger", str(known) if known else str(error))

        self._background.start(lambda: save(parts, target), then)

    def _say(self, role: str, text: str) -> None:
        set_role(self.outcome, role)
        self.outcome.setText(text)

    def _forget_saved(self) -> None:
        self._saved = None
        self.show_button.hide()
        self.outcome.setText("")

    def _show_folder(self) -> None:
        if self._saved is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._saved.parent)))
