"""The folders of the dataset, and what holds for all pictures of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.project import Project
from app.widgets.card import button, label
from app.widgets.folder_card import FolderCard, FolderState
from core.dataset.edits import Concept
from core.dataset.statistics import concept_sums
from core.text import tr


class FoldersPanel(QWidget):
    """A card for each folder, and a button that adds one. All changes can be taken back."""

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._background = Background(self)
        self._there: dict[Path, bool] = {}
        self.cards: list[FolderCard] = []
        self.setAcceptDrops(True)
        self.add_button = button(icon="plus")
        self.add_button.clicked.connect(self.choose_folder)
        self._hint = label(role="small", wrap=True)
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        column.setSpacing(theme.SPACE_M)
        self._column = QVBoxLayout()
        self._column.setSpacing(theme.SPACE_M)
        column.addLayout(self._column)
        column.addWidget(self.add_button)
        column.addWidget(self._hint)
        column.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        self._showing = QTimer(self, singleShot=True, interval=0)
        self._showing.timeout.connect(self._show)
        project.concepts_changed.connect(self._on_folders_changed)
        project.records_changed.connect(self._on_folders_changed)
        project.scanning_changed.connect(self._on_scanning_changed)
        project.edits_changed.connect(lambda _images: self._showing.start())
        project.config_changed.connect(self._showing.start)
        self.retranslate()

    # What the user does

    def choose_folder(self) -> None:
        """Ask for a folder and add it."""
        chosen = QFileDialog.getExistingDirectory(self, tr("Add a folder of pictures"), str(self._project.folder or ""))
        if chosen:
            self.add_folder(Path(chosen))

    def add_folder(self, folder: Path) -> None:
        """Add a folder to the dataset; one that is in it already is told."""
        if not self._project.concepts or self._is_known(folder):
            return
        concepts = (*self._project.concepts, Concept(folder=folder))
        self._project.set_concepts(tr("Add the folder {name}", name=folder.name), concepts)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take folders."""
        if self._project.concepts and _folders_in(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Add what was dropped."""
        for folder in _folders_in(event):
            self.add_folder(folder)
        event.acceptProposedAction()

    def _is_known(self, folder: Path) -> bool:
        if all(concept.folder != folder for concept in self._project.concepts):
            return False
        self._project.problem.emit(
            tr("{name} is one of the folders already.", name=folder.name), tr("Its settings are on its card.")
        )
        return True

    def _change(self, card: FolderCard, name: str, **values: Any) -> None:
        """Set something about the folder of a card."""
        place = self.cards.index(card)
        concepts = list(self._project.concepts)
        if concepts[place].folder == card.concept.folder:
            concepts[place] = concepts[place].model_copy(update=values)
            self._project.set_concepts(name, concepts)

    def _remove(self, card: FolderCard) -> None:
        folder = card.concept.folder
        left = [concept for concept in self._project.concepts if concept.folder != folder]
        self._project.set_concepts(tr("Remove the folder {name}", name=folder.name), left)

    def _locate(self, card: FolderCard) -> None:
        """Ask where a missing folder is now. The first one names the dataset, so another one opens another dataset."""
        old = card.concept.folder
        chosen = QFileDialog.getExistingDirectory(self, tr("Where is {name} now?", name=old.name), str(old.parent))
        if not chosen:
            return
        if self.cards.index(card) == 0:
            self._project.open_folder(Path(chosen))
        elif not self._is_known(Path(chosen)):
            self._change(card, tr("Choose {name} again", name=old.name), folder=Path(chosen))

    # What the project says

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Catch up with what happened while nobody looked."""
        super().showEvent(event)
        self._on_folders_changed()

    def _on_scanning_changed(self, scanning: bool) -> None:
        if not scanning:  # Also after a look that failed, which changes no record.
            self._look()

    def _on_folders_changed(self) -> None:
        self._showing.start()
        self._look()

    def _look(self) -> None:
        """Find out beside the window which folders are there: a drive that sleeps may take seconds."""
        folders = [concept.folder for concept in self._project.concepts]
        if self.isVisible() and folders:
            self._background.start(lambda: {folder: _is_folder(folder) for folder in folders}, self._take_look)

    def _take_look(self, result: dict[Path, bool] | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        self._there |= result
        self._showing.start()

    def _show(self) -> None:
        if not self.isVisible():
            return
        states = self._states()
        if [card.concept.folder for card in self.cards] != [state.concept.folder for state in states]:
            self._build(len(states))
        for card, state in zip(self.cards, states, strict=True):
            card.show_state(state)
        self.add_button.setEnabled(bool(states))

    def _build(self, number: int) -> None:
        """Have so many cards. Those in front stay, so that the keyboard is not lost."""
        while len(self.cards) > number:
            card = self.cards.pop()
            self._column.removeWidget(card)
            card.deleteLater()
        while len(self.cards) < number:
            card = FolderCard(is_first=not self.cards, change=self._change, remove=self._remove, locate=self._locate)
            self.cards.append(card)
            self._column.addWidget(card)

    def _states(self) -> list[FolderState]:
        scan, dataset = self._project.scan, self._project.config.dataset
        if scan is None:
            return []
        sums = {total.concept: total for total in concept_sums(scan.records, scan.pictures, dataset.repeats)}
        numbers = [0] * len(self._project.concepts)
        named = [False] * len(numbers)
        for record in scan.records:
            if record.concept < len(numbers):  # While the folders are read anew, records may be of those before.
                numbers[record.concept] += 1
                named[record.concept] |= bool(record.repeats)
        problems = {problem.path: problem.message for problem in scan.problems}
        return [
            FolderState(
                concept=concept,
                number=numbers[place],
                total=sums.get(place),
                named_repeats=named[place],
                asked_repeats=dataset.repeats,
                trigger_word=dataset.trigger_word,
                caption_extension=dataset.caption_extension,
                is_there=self._there.get(concept.folder),
                problem=problems.get(concept.folder, ""),
            )
            for place, concept in enumerate(self._project.concepts)
        ]

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.add_button.setText(tr("Add folder…"))
        self.add_button.setToolTip(tr("Train the pictures of another folder, too"))
        self._hint.setText(tr("You can also drop folders here. Nothing in them is moved or changed."))
        for card in self.cards:
            card.retranslate()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # No right to look, or a drive that does not answer.
        return False


def _folders_in(event: QDropEvent) -> list[Path]:
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path for path in paths if path.is_dir()]
