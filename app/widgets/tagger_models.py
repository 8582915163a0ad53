"""The choice of a tagger or a sentence model: what is here, a folder of the user's, or one to download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from app import theme
from app.editors import browse_start, guard_wheel
from app.latest import Latest
from app.widgets.card import button, label
from core.text import tr

if TYPE_CHECKING:
    from app.model_store import ModelState

Kind = Literal["tagger", "captioner"]
_FOLDER, _MORE = "folder", "more"


class ModelBox(QWidget):
    """A box with the models of one kind; `Path()` is the starter tagger, or no sentence model."""

    changed = Signal()
    more_requested = Signal()

    def __init__(self, kind: Kind, folder: Path) -> None:
        super().__init__()
        self._kind = kind
        self._folder = folder
        self._here: list[tuple[str, Path]] = []
        self._latest = Latest(self)
        self.box = QComboBox()
        guard_wheel(self.box)
        self.box.setMinimumContentsLength(10)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.activated.connect(self._on_activated)
        self._problem = label(role="error", wrap=True)
        self._is_for_demo = True
        self.hint = label(role="small", wrap=True)
        self.better_button = button()
        self.better_button.clicked.connect(self._take_better)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self.box)
        column.addWidget(self._problem)
        column.addWidget(self.hint)
        column.addWidget(self.better_button)
        self.setFocusProxy(self.box)
        self.refresh()

    @property
    def folder(self) -> Path:
        """The folder of the chosen model."""
        return self._folder

    def set_folder(self, folder: Path) -> None:
        """Choose another model."""
        is_new = folder != self._folder
        self._folder = folder
        self._fill()
        if is_new:
            self.changed.emit()

    @property
    def is_usable(self) -> bool:
        """Whether the chosen folder looks like a model of this kind."""
        if self._folder == Path():
            return self._kind == "tagger"
        from core.tagging.base import taggers

        gives = "tags" if self._kind == "tagger" else "sentence"
        return any(found.gives == gives and found.fits(self._folder) for found in taggers().values())

    def set_for_demo(self, is_for_demo: bool) -> None:
        """Say whether the pictures are those of the demo, which the starter tagger knows."""
        self._is_for_demo = is_for_demo
        self._show()

    def _take_better(self) -> None:
        """Take a tagger that is here, else get one."""
        if self._here:
            self.set_folder(self._here[0][1])
        else:
            self.more_requested.emit()

    def refresh(self) -> None:
        """See anew which models are here; a disk may be slow, so the list follows later."""
        self._fill()
        kind = self._kind
        self._latest.start(lambda: _states(kind), self._take)

    def _take(self, result: tuple[ModelState, ...] | Exception) -> None:
        if not isinstance(result, Exception):  # A folder of models that cannot be read has none to offer.
            self._here = [(state.card.title, state.folder) for state in result if state.is_here]
            self._fill()

    def _fill(self) -> None:
        self.box.clear()
        self.box.addItem(tr("Starter tagger") if self._kind == "tagger" else tr("None"), Path())
        for title, folder in self._here:
            self.box.addItem(title, folder)
        if self._folder not in (Path(), *(folder for _, folder in self._here)):
            self.box.addItem(self._folder.name or str(self._folder), self._folder)
        self.box.insertSeparator(self.box.count())
        self.box.addItem(tr("A folder I have…"), _FOLDER)
        self.box.addItem(tr("Get more models…"), _MORE)
        self._show()

    def _show(self) -> None:
        place = next(row for row in range(self.box.count()) if self.box.itemData(row) == self._folder)
        self.box.setCurrentIndex(place)
        self.box.setToolTip(str(self._folder) if self._folder != Path() else "")
        is_stranger = self._kind == "tagger" and self._folder == Path() and not self._is_for_demo
        self.hint.setVisible(is_stranger)
        self.better_button.setVisible(is_stranger)
        if is_stranger:
            self.hint.setText(tr("It knows only the world of the starter model. Other pictures need another tagger."))
            self.better_button.setText(
                tr("Use {name}", name=self._here[0][0]) if self._here else tr("Get a tagger for my pictures…")
            )
        is_wrong = self._folder != Path() and not self.is_usable
        self._problem.setVisible(is_wrong)
        if is_wrong:
            self._problem.setText(
                tr("There is no complete tagger in this folder.")
                if self._kind == "tagger"
                else tr("There is no complete sentence model in this folder.")
            )

    def _on_activated(self, row: int) -> None:
        chosen = self.box.itemData(row)
        if isinstance(chosen, Path):
            self.set_folder(chosen)
            return
        self._show()
        if chosen == _MORE:
            self.more_requested.emit()
        else:
            title = (
                tr("Choose the folder of a tagger") if self._kind == "tagger" else tr("Choose the folder of a model")
            )
            found = QFileDialog.getExistingDirectory(self, title, str(browse_start(self._folder)))
            if found:
                self.set_folder(Path(found))


def _states(kind: Kind) -> tuple[ModelState, ...]:
    from app.model_store import model_states

    return model_states(kind)
