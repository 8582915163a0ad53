"""Choosing the base model: from what is known, by browsing, or by dropping it; what it is stands right below."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QGridLayout, QMenu, QPushButton, QSizePolicy, QWidget

from app.editors import Editor, browse_start, choice_label, guard_wheel, local_paths, mark_wrong
from app.widgets.card import button, label, set_role
from app.wording import size_text
from core.config import FieldSpec
from core.errors import UserError, explain
from core.models import BaseModel, describe_base, known_bases
from core.text import tr


class BaseModelPicker(QWidget):
    """A combo box of models, a button to browse, and a line that says family and size, or what is wrong."""

    chosen = Signal(object)
    more_requested = Signal()

    def __init__(self, parent: QWidget | None = None, *, offers_more: bool = False) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(12)
        guard_wheel(self.combo)
        self.combo.activated.connect(self._activate)
        self.browse_button: QPushButton = button(icon="folder-open")
        menu = QMenu(self.browse_button)
        self._browse_folder = menu.addAction("")
        self._browse_file = menu.addAction("")
        self._more = menu.addAction("")
        self._more.setVisible(offers_more)
        self._more.triggered.connect(self.more_requested)
        self._browse_folder.triggered.connect(self._choose_folder)
        self._browse_file.triggered.connect(self._choose_file)
        self.browse_button.setMenu(menu)
        self.info = label(role="small", wrap=True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.combo, 0, 0)
        grid.addWidget(self.browse_button, 0, 1)
        grid.addWidget(self.info, 1, 0, 1, 2)
        self.setAcceptDrops(True)
        self.setFocusProxy(self.combo)
        self.path = Path()
        self.problem = ""
        self._model: BaseModel | None = None
        self._offered: list[Path] = []
        self._known: list[BaseModel] = []
        self._look()
        self._describe()
        self.retranslate()

    @property
    def model(self) -> BaseModel | None:
        """The model chosen, when it can be trained for."""
        return self._model

    def offer(self, paths: Iterable[Path]) -> None:
        """Put more models into the list, for example those used lately."""
        known = {model.path for model in self._known}
        self._offered = [path for path in paths if path not in known]
        self._fill()

    def look_again(self) -> None:
        """See which models are here by now."""
        self._look()
        self._fill()

    def _look(self) -> None:
        try:
            self._known = known_bases()
        except (UserError, OSError) as error:
            # A damaged starter model must not keep the window from opening; choosing it says what is wrong.
            self.setToolTip(str(error))

    def show_path(self, path: Path) -> None:
        """Show the model at a path; says nothing to others."""
        if path != self.path:
            self.path = path
            self._describe()
            self._fill()

    def refresh(self) -> None:
        """Look at the files again."""
        self._describe()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.browse_button.setText(tr("Browse…"))
        self._browse_folder.setText(tr("Model folder…"))
        self._browse_file.setText(tr("Model file…"))
        self._more.setText(tr("Get more models…"))
        self.combo.setPlaceholderText(tr("Choose a base model, or drop one here"))
        self._describe()
        self._fill()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Say that a model may be dropped."""
        if local_paths(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Take what was dropped; a part of a model folder stands for the folder."""
        self._take(model_folder_of(local_paths(event.mimeData().urls())[0]))

    def _activate(self, index: int) -> None:
        self._take(self.combo.itemData(index))

    def _choose_folder(self) -> None:
        if text := QFileDialog.getExistingDirectory(self, tr("Choose a model folder"), self._place()):
            self._take(Path(text))

    def _choose_file(self) -> None:
        models = tr("Models")
        filters = f"{models} (*.safetensors *.ckpt model_index.json);;* (*)"
        if text := QFileDialog.getOpenFileName(self, tr("Choose a model file"), self._place(), filters)[0]:
            self._take(model_folder_of(Path(text)))

    def _place(self) -> str:
        return str(browse_start(self.path.parent))

    def _take(self, path: Path) -> None:
        if path != self.path:
            self.show_path(path)
            self.chosen.emit(path)

    def _describe(self) -> None:
        self._model, self.problem = None, ""
        try:
            self._model = describe_base(self.path)
        except (UserError, OSError) as error:
            known = explain(error)
            self.problem = str(known or error)
        if self._model is not None:
            text = f"{choice_label(self._model.family)} · {size_text(self._model.size_bytes)} · {self._model.path}"
        else:
            text = self.problem
        unset = self.path == Path()
        self.info.setText(text)
        set_role(self.info, "error" if self.problem and not unset else "small")
        mark_wrong(self.combo, bool(self.problem) and not unset)

    def _fill(self) -> None:
        self.combo.clear()
        for model in self._known:
            self.combo.addItem(base_title(model), model.path)
        for path in self._offered:
            self.combo.addItem(path.name, path)
        if self.path != Path() and self._index_of(self.path) < 0:
            self.combo.addItem(self.path.name, self.path)
        self.combo.setCurrentIndex(self._index_of(self.path))

    def _index_of(self, path: Path) -> int:
        return next((index for index in range(self.combo.count()) if self.combo.itemData(index) == path), -1)


class BaseModelEditor(Editor):
    """The picker as an editor of the form."""

    is_wide = True

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self.picker = BaseModelPicker()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.picker.chosen.connect(self.edited.emit)
        self._fill(self.picker)

    def show_value(self, value: Any) -> None:
        """Show the model at a path."""
        self.picker.show_path(value)

    def retranslate(self) -> None:
        """The texts of the picker."""
        self.picker.retranslate()

    def input(self) -> QWidget:
        """The combo box."""
        return self.picker.combo

    def set_wrong(self, wrong: bool) -> None:
        """The picker marks itself: it knows more than the form."""


def base_title(model: BaseModel) -> str:
    """What a model is called in the window."""
    return tr("Kiln Starter (small, for trying out)") if model.is_starter else model.title


def model_folder_of(path: Path) -> Path:
    """The model folder that a path means: `model_index.json` stands for its folder."""
    return path.parent if path.name == "model_index.json" else path
