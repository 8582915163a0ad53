"""What can be done with the selected pictures beside their captions: crop them, leave them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app import icons, theme
from app.project import Project
from app.widgets.card import ElidedLabel, button
from core.text import tr


def set_excluded(project: Project, images: Sequence[Path], excluded: bool) -> None:
    """Leave pictures out of training, or take them back in, as one step that can be taken back."""
    changes = {image: project.edits(image).model_copy(update={"excluded": excluded}) for image in images}
    if len(images) == 1:
        name = images[0].name
        what = tr("Leave out {name}", name=name) if excluded else tr("Take {name} back in", name=name)
    else:
        number = len(images)
        what = tr("Leave out {n} pictures", n=number) if excluded else tr("Take {n} pictures back in", n=number)
    project.edit_pictures(what, changes)


class PictureActions(QWidget):
    """Buttons for the selected pictures, and a notice when they are left out."""

    crop_requested = Signal()
    exclusion_changed = Signal(bool)

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._images: tuple[Path, ...] = ()
        self.crop_button = button(icon="crop")
        self.crop_button.clicked.connect(self.crop_requested)
        self.exclude_button = button(icon="ban")
        self.exclude_button.clicked.connect(self.toggle_excluded)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.crop_button)
        row.addWidget(self.exclude_button)
        row.addStretch(1)
        self.notice = QFrame()
        self.notice.setProperty("role", "notice")
        self._words = ElidedLabel()  # On one line: what wraps would take the height of the preview.
        self._words.setProperty("role", "warning")
        inside = QHBoxLayout(self.notice)
        inside.setContentsMargins(theme.SPACE_M, theme.SPACE_XS, theme.SPACE_M, theme.SPACE_XS)
        inside.addWidget(self._words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.notice)
        column.addLayout(row)
        project.edits_changed.connect(self._show)
        project.records_changed.connect(self._show)
        self.retranslate()

    @property
    def num_excluded(self) -> int:
        """How many of the pictures are left out."""
        scan = self._project.scan
        excluded = {image for image, edits in scan.pictures.items() if edits.excluded} if scan is not None else set()
        return sum(image in excluded for image in self._images) if excluded else 0

    def set_images(self, images: Sequence[Path]) -> None:
        """Act on other pictures."""
        self._images = tuple(images)
        self._show()

    def toggle_excluded(self) -> None:
        """Take the pictures back in when all of them are left out, else leave all out."""
        if self._images:
            set_excluded(self._project, self._images, self.num_excluded < len(self._images))

    def _show(self, _images: tuple[Path, ...] = ()) -> None:
        number, excluded = len(self._images), self.num_excluded
        are_out = 0 < number == excluded
        self.notice.setVisible(excluded > 0)
        if number == 1:
            self._words.setText(tr("Left out: this picture is not trained."))
        else:
            self._words.setText(tr("{n} of {total} are left out and not trained.", n=excluded, total=number))
        self.exclude_button.setText(tr("Take back in") if are_out else tr("Leave out of training"))
        icons.set_icon(self.exclude_button, "undo" if are_out else "ban", 16)
        self.exclude_button.setToolTip(
            tr("Train with it again") if are_out else tr("Do not train with it. The file stays where it is.")
        )
        self.exclude_button.setEnabled(number > 0)
        self.crop_button.setEnabled(number == 1)
        self.exclusion_changed.emit(are_out)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.crop_button.setText(tr("Crop…"))
        self.crop_button.setToolTip(tr("Choose which parts of the picture are trained"))
        self._show()
