"""Where is it now? Asked before a run goes on whose base model or pictures are not where they were."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.editors import editor_for
from app.widgets.message_dialog import MessageDialog
from core.config import TrainConfig
from core.config.labels import specs_by_key, value_of
from core.text import tr


class PlaceDialog(MessageDialog):
    """`chosen` gives the new place when the user wants to go on with it."""

    chosen = Signal(object)

    def __init__(self, config: TrainConfig, key: str, parent: QWidget | None = None) -> None:
        """Build the dialog; `open` shows it.

        Args:
            config: The settings of the run.
            key: `model.base` or `dataset.folder`.
            parent: The window it belongs to.
        """
        if key == "model.base":
            heading = tr("Where is the base model now?")
            text = tr("The run goes on from its last state. It has to be the model that the run began with.")
        else:
            heading = tr("Where are the pictures now?")
            text = tr("The run goes on from its last state. Kiln lists the pictures that have changed since.")
        super().__init__("folder", "accent", heading, text, parent)
        self.path: Path = value_of(config, key)
        self.editor = editor_for(specs_by_key()[key])
        self.editor.show_value(self.path)
        self.editor.edited.connect(self._take)
        self.body.addWidget(self.editor)
        self.add_button("go", tr("Continue"), "primary", default=True)
        self.add_button("cancel", tr("Cancel"))
        self.answered.connect(self._on_answer)
        self._take(self.path)
        self.editor.input().setFocus()

    def _take(self, path: Path) -> None:
        self.path = path
        self.buttons["go"].setEnabled(path != Path() and os.path.exists(path))  # noqa: PTH110 - says no where `Path` raises
        self.adjustSize()

    def _on_answer(self, answer: str) -> None:
        if answer == "go":
            self.chosen.emit(self.path)
