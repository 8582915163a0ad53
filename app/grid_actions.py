"""What can be done with the selected pictures: leave out, turn, open, move to the trash; and the menu of all that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMenu, QWidget

from app.background import Background
from app.project import Project
from app.widgets.image_grid import ImageGrid
from app.widgets.message_dialog import MessageDialog
from app.widgets.picture_actions import set_excluded
from core.dataset.edits import PictureEdits, Turn
from core.dataset.fitting import turned_edits
from core.dataset.records import Scan
from core.errors import UserError
from core.text import tr

MOST_TOLD = 3  # of the files that could not be moved; they have the same cause as a rule


class GridActions(QObject):
    """Works on what is selected in the grid. All but the trash can be taken back by the project."""

    def __init__(self, project: Project, grid: ImageGrid, save_typed: Callable[[], object], window: QWidget) -> None:
        """Begin to serve a grid.

        Args:
            project: Its pictures.
            grid: Tells what is selected.
            save_typed: Called before anything is done, so that no caption in the making is lost.
            window: What questions and menus belong to.
        """
        super().__init__(window)
        self._project = project
        self._grid = grid
        self._save_typed = save_typed
        self._window = window
        self._background = Background(self)
        self.question: MessageDialog | None = None

    def toggle_excluded(self) -> None:
        """Leave the selected pictures out of the training, or take them back in when all of them are out."""
        self._save_typed()
        images = [record.path for record in self._grid.selected()]
        set_excluded(self._project, images, not all(self._project.edits(image).excluded for image in images))

    def forget_edits(self) -> None:
        """Forget what was decided about the selected pictures."""
        records = self._grid.selected()
        name = (
            tr("Forget the decisions about {name}", name=records[0].path.name)
            if len(records) == 1
            else tr("Forget the decisions about {n} pictures", n=len(records))
        )
        self._project.edit_pictures(name, {record.path: PictureEdits() for record in records})

    def turn(self, degrees: Turn) -> None:
        """Turn the selected pictures clockwise."""
        records = self._grid.selected()
        name = tr("Turn {n} pictures", n=len(records)) if len(records) != 1 else tr("Turn a picture")
        edits = self._project.edits
        self._project.edit_pictures(
            name, {record.path: turned_edits(edits(record.path), record.size_px, degrees) for record in records}
        )

    def ask_for_trash(self) -> None:
        """Ask whether the selected pictures and their captions should go to the trash of the system."""
        records = self._grid.selected()
        if not records or self.question is not None:
            return
        self._save_typed()
        images = tuple(record.path for record in records)  # A look may select others before the answer comes.
        number, name = len(records), records[0].path.name
        heading = (
            tr("Move {name} to the trash?", name=name)
            if number == 1
            else tr("Move {n} pictures to the trash?", n=number)
        )
        text = tr("The files leave their folder together with their captions. To only leave them out, press Delete.")
        self.question = MessageDialog("warning", "danger", heading, text, self._window)
        self.question.add_button("trash", tr("Move to the trash"), "danger")
        self.question.add_button("exclude", tr("Only leave out"))
        self.question.add_button("keep", tr("Cancel"), "primary", default=True)
        self.question.answered.connect(lambda answer: self._on_answered(answer, images))
        self.question.open()

    def _on_answered(self, answer: str, asked: Sequence[Path]) -> None:
        self.question = None
        scan = self._project.scan
        images = [image for image in asked if self._project.record(image) is not None]
        if answer == "exclude":
            set_excluded(self._project, images, True)
        elif answer == "trash" and scan is not None:
            self._background.start(lambda: _to_trash(images, scan), self._on_trashed)

    def _on_trashed(self, result: list[UserError] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.tell(result)
        else:
            for error in result[:MOST_TOLD]:
                self._project.problem.emit(error.message, error.remedy)
        self._project.look_again()

    def open_menu(self, place: QPoint, crop: Callable[[], object]) -> None:
        """Show what can be done with the selected pictures.

        Args:
            place: Where on the screen.
            crop: Opens the crop editor.
        """
        edits = [self._project.edits(record.path) for record in self._grid.selected()]
        if not edits:
            return
        menu = QMenu(self._window)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Crop…"), crop).setShortcut("C")
        menu.addAction(tr("Turn left"), lambda: self.turn(270))
        menu.addAction(tr("Turn right"), lambda: self.turn(90))
        menu.addSeparator()
        is_out = all(edit.excluded for edit in edits)
        text = tr("Take back in") if is_out else tr("Leave out of training")
        menu.addAction(text, self.toggle_excluded).setShortcut("Del")
        if any(edit != PictureEdits() for edit in edits):
            menu.addAction(tr("Forget all decisions"), self.forget_edits)
        menu.addSeparator()
        if (current := self._grid.current()) is not None:
            menu.addAction(tr("Open in the picture viewer"), lambda: _open(current.path))
            menu.addAction(tr("Show in the folder"), lambda: _open(current.path.parent))
        menu.addAction(tr("Move to the trash…"), self.ask_for_trash).setShortcut("Shift+Del")
        menu.popup(place)


def _to_trash(images: list[Path], scan: Scan) -> list[UserError]:
    from app.trash import move_to_trash

    return move_to_trash(images, scan)


def _open(path: Path) -> None:
    """Let the system show a file or a folder in the program it has for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
