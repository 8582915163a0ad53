"""Brings over the settings of another trainer, or those that a LoRA file remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QDialog, QFileDialog, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app import theme
from app.editors import PathLine, browse_start, local_paths, remember_place
from app.latest import Latest
from app.project import Project
from app.widgets.card import button, label, set_role
from app.widgets.empty_state import EmptyState
from app.widgets.import_table import ImportTable
from core.errors import explain
from core.text import tr

if TYPE_CHECKING:
    from core.dataset.edits import Concept
    from core.imports import Imported

SIZE = (960, 600)


class ImportDialog(QDialog):
    """Choose a file, see what maps and what does not, point to folders that moved, apply.

    `applied` carries the settings that should be taken.
    """

    applied = Signal(object)

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._latest = Latest(self)
        self.imported: Imported | None = None
        self.setWindowTitle(tr("Import settings"))
        self.resize(*SIZE)
        self.setAcceptDrops(True)
        self.file = PathLine(wants_folder=False)
        self.file.line.setAccessibleName(tr("Settings file or LoRA file"))
        self.file.chosen.connect(self.read)
        self.status = label(role="muted", wrap=True)
        self.table = ImportTable()
        self.empty = EmptyState("download")
        self.empty.set_texts(
            tr("Bring your settings along"),
            tr(
                "Settings of SD-Trainer, kohya's scripts, kohya_ss, LoRA Easy Training Scripts or OneTrainer, a kohya "
                "dataset file, or a LoRA file that remembers how it was trained."
            ),
        )
        self._moved = QFrame()
        self._moved.setProperty("role", "notice")
        self.moved_words = label(wrap=True)
        self.moved_button = button(tr("Choose where it is…"), icon="folder-open")
        self.moved_button.clicked.connect(self._choose_root)
        self.apply_button = button(tr("Use these settings"), kind="primary")
        self.apply_button.clicked.connect(self.apply)
        self.close_button = button(tr("Cancel"))
        self.close_button.clicked.connect(self.reject)
        for made in (self.moved_button, self.close_button):
            made.setAutoDefault(False)
        self._lay_out()
        self._show()

    def _lay_out(self) -> None:
        moved = QHBoxLayout(self._moved)
        moved.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_S, theme.SPACE_S)
        moved.addWidget(self.moved_words, 1)
        moved.addWidget(self.moved_button)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.apply_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self.file)
        column.addWidget(self.status)
        column.addWidget(self._moved)
        column.addWidget(self.table, 1)
        column.addWidget(self.empty, 1)
        column.addLayout(buttons)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Say that a file may be dropped, anywhere here."""
        if local_paths(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Read the first file."""
        self.read(local_paths(event.mimeData().urls())[0])

    # Reading

    def read(self, path: Path) -> None:
        """Read a file; what is in it is shown when it is known."""
        self.file.show_path(path)
        self._begin(tr("Reading…"))

        def work() -> Imported:
            from core.imports import read_settings

            return read_settings(path)

        self._latest.start(work, self._take)

    def use_root(self, folder: Path) -> None:
        """Say where the folder is now that the file's missing paths have in common."""
        imported = self.imported
        if imported is None or (old := imported.missing_root) is None:
            return
        self._begin(tr("Reading…"))

        def work() -> Imported:
            from core.imports import rerooted

            return rerooted(imported, old, folder)

        self._latest.start(work, self._take)

    def _choose_root(self) -> None:
        start = str(browse_start(Path()))
        if text := QFileDialog.getExistingDirectory(self, tr("Choose a folder"), start):
            remember_place(Path(text))
            self.use_root(Path(text))

    def _begin(self, words: str) -> None:
        self.apply_button.setEnabled(False)
        self._say(words, "muted")

    def _take(self, result: Imported | Exception) -> None:
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                raise result
            self.imported = None
            self._show()
            self._say(str(known), "danger")
            return
        self.imported = result
        self._show()

    def _show(self) -> None:
        imported = self.imported
        self.table.show_imported(imported)
        self.table.setVisible(imported is not None)
        self.empty.setVisible(imported is None)
        self.apply_button.setEnabled(imported is not None and bool(imported.config_changes))
        missing = imported.missing_root if imported is not None else None
        self._moved.setVisible(missing is not None)
        if missing is not None:
            words = tr("The file names things in {folder}, which is not on this machine.", folder=missing)
            self.moved_words.setText(words)
        if imported is None:
            self._say("", "muted")
            return
        from core.imports import source_title

        self._say(
            tr(
                "{source}: {taken} options are taken over, {left} are left out.",
                source=source_title(imported.source),
                taken=sum(not each.is_assumed for each in imported.mapped),
                left=sum(not each.is_harmless for each in imported.ignored),
            ),
            "strong",
        )

    def _say(self, words: str, role: str) -> None:
        self.status.setText(words)
        self.status.setVisible(bool(words))
        set_role(self.status, role)

    # Applying

    def apply(self) -> None:
        """Hand over the settings; further folders follow when the picture folder is open."""
        if self.imported is None:
            return
        from core.imports import apply, dataset_file

        config = apply(self.imported, self._project.config)
        folders = dataset_file(self.imported)
        self.applied.emit(config)
        if folders is not None:
            _FoldersLater(self._project, folders.concepts).try_now()
        self.accept()


class _FoldersLater(QObject):
    """Sets the folders of a dataset once its first one is the open one; ends when that has happened or cannot."""

    def __init__(self, project: Project, concepts: tuple[Concept, ...]) -> None:
        super().__init__(project)
        self._project = project
        self._concepts = concepts
        project.folder_changed.connect(self.try_now)

    def try_now(self) -> None:
        """Set the folders if the project is where it should be."""
        first = self._concepts[0].folder
        if self._project.folder == first:
            self._project.set_concepts(tr("Import settings"), self._concepts)
        elif self._project.config.dataset.folder == first:
            return  # It is still being opened.
        self._project.folder_changed.disconnect(self.try_now)
        self.deleteLater()
