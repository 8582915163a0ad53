"""Choosing the base model: from those on this machine, by a path, by browsing, or by dropping it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLineEdit, QMenu, QPushButton, QSizePolicy, QWidget

from app.editors import Editor, browse_start, guard_wheel, local_paths, mark_wrong, path_of
from app.latest import Latest
from app.widgets.base_model_list import ACTION, KIND_ROLE, BaseModelDelegate, BaseModelItems
from app.widgets.base_model_question import BaseModelQuestion
from app.widgets.card import button, label, set_role
from app.wording import size_text
from core.config import FieldSpec
from core.config.labels import choice_label
from core.errors import UserError, explain
from core.model_places import FoundModel, add_folder, described, own_models, remembered_models, search
from core.models import BaseModel, describe_base
from core.text import tr

_LIST_PX = 520
_MORE, _FOLDER = "more", "folder"


class BaseModelPicker(QWidget):
    """A field that unfolds a list of models and takes a path, a button to browse, and a line that says what it is.

    What is on this machine is looked for when the picker is first seen, beside the window.
    """

    chosen = Signal(object)
    came_or_went = Signal()  # the model that was chosen before is there now, or is gone
    more_requested = Signal()

    def __init__(self, parent: QWidget | None = None, *, offers_more: bool = False) -> None:
        super().__init__(parent)
        self._offers_more = offers_more
        self._items = BaseModelItems(self)
        self.combo = QComboBox()
        self.line = QLineEdit()
        self.combo.setLineEdit(self.line)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setCompleter(None)  # type: ignore[arg-type]  # Qt takes none; a path is not completed by a title.
        self.combo.setModel(self._items)
        self.combo.setItemDelegate(BaseModelDelegate(self.combo))
        self.combo.setMaxVisibleItems(14)
        self.combo.view().setMinimumWidth(_LIST_PX)
        self.combo.view().setMouseTracking(True)
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(12)
        guard_wheel(self.combo)
        self.combo.activated.connect(self._activate)
        self.line.setAcceptDrops(False)
        self.line.editingFinished.connect(self._typed)
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
        self.warnings = label(role="smallWarning", wrap=True)
        grid.addWidget(self.warnings, 2, 0, 1, 2)
        self.question = BaseModelQuestion()
        self.question.answered.connect(self._answered)
        self.question.failed.connect(self.info.setText)
        grid.addWidget(self.question, 3, 0, 1, 2)
        self.setAcceptDrops(True)
        self.setFocusProxy(self.combo)
        self.path = Path()
        self.problem = ""
        self._model: BaseModel | None = None
        self._was_there = False
        self._offered: list[Path] = []
        self._own: list[FoundModel] = own_models()
        self._found: list[FoundModel] = []
        self._lately: list[FoundModel] = []
        self._search = Latest(self)
        self._was_searched = False
        self._text_shown = ""
        self._describe()
        self.retranslate()

    @property
    def model(self) -> BaseModel | None:
        """The model chosen, when it can be trained for."""
        return self._model

    @property
    def first_usable(self) -> Path | None:
        """The model to begin with, where none is chosen."""
        return self._own[0].path if self._own else None

    def offer(self, paths: Iterable[Path]) -> None:
        """Put more models into the list, for example those used lately."""
        self._offered = list(paths)
        self._fill()

    def look_again(self) -> None:
        """See which models are here by now."""
        self._own = own_models()
        self._fill()
        if self._was_searched:
            self._start_search(search)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Look for models once somebody sees the list, and each time whether the chosen one is still there."""
        super().showEvent(event)
        if self._is_there() != self._was_there:
            self._describe()
            self.came_or_went.emit()
        if not self._was_searched:
            self._was_searched = True
            self._start_search(remembered_models)

    def _is_there(self) -> bool:
        # Says no where `Path` raises: a name that is too long, a folder that may not be looked into.
        return self.path != Path() and os.path.exists(self.path)  # noqa: PTH110

    def _start_search(self, work: Callable[[], list[FoundModel]]) -> None:
        offered, is_last = tuple(self._offered), work is search
        self._search.start(lambda: (work(), _still_there(offered)), lambda result: self._take_found(result, is_last))

    def _take_found(self, result: tuple[list[FoundModel], list[FoundModel]] | Exception, is_last: bool) -> None:
        if isinstance(result, Exception):
            raise result
        if result != (self._found, self._lately):
            self._found, self._lately = result
            self._fill()
        if not is_last:
            self._start_search(search)

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
        self.question.retranslate()
        self.line.setPlaceholderText(tr("Choose a base model, or drop one here"))
        self.combo.setAccessibleName(tr("Base model"))
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
        item = self._items.item(index)
        value = item.data(Qt.ItemDataRole.UserRole)
        if item.data(KIND_ROLE) != ACTION:
            self._take(value)
            return
        self._show_current()
        if value == _MORE:
            self.more_requested.emit()
        elif text := QFileDialog.getExistingDirectory(self, tr("Choose a folder with models"), self._place()):
            add_folder(Path(text))
            self._was_searched = True
            self._start_search(search)

    def _typed(self) -> None:
        """A path that was typed or pasted counts when it is finished; the title of a model is no path."""
        text = self.combo.currentText()
        if text == self._shown_text():
            return
        if not text.strip():
            self._show_current()
            return
        row = self.combo.findText(text)
        if row >= 0 and isinstance(path := self.combo.itemData(row), Path):
            self._take(path)
        else:
            self._take(model_folder_of(path_of(text)))

    def _choose_folder(self) -> None:
        if text := QFileDialog.getExistingDirectory(self, tr("Choose a model folder"), self._place()):
            self._take(Path(text))

    def _choose_file(self) -> None:
        models = tr("Models")
        filters = f"{models} (*.safetensors *.sft *.ckpt *.pt model_index.json);;* (*)"
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
        self._was_there = self._is_there()
        try:
            self._model = describe_base(self.path)
        except (UserError, OSError) as error:
            known = explain(error)
            self.problem = str(known or error)
        if self._model is not None:
            text = " · ".join(_facts(self._model))
        else:
            text = self.problem
        unset = self.path == Path()
        self.info.setText(text)
        set_role(self.info, "error" if self.problem and not unset else "small")
        mark_wrong(self.combo, bool(self.problem) and not unset)
        self.warnings.setText("\n".join(self._model.warnings) if self._model is not None else "")
        self.warnings.setVisible(bool(self.warnings.text()))
        self.question.ask_about(self._model)

    def _answered(self) -> None:
        self._describe()
        self.chosen.emit(self.path)  # What is learned with it changed, though its place did not.

    def _fill(self) -> None:
        known = {model.path for model in (*self._own, *self._found)}
        looked_at = {model.path: model for model in self._lately}
        lately = [
            looked_at.get(path) or FoundModel(path=path, place="", title=path.name)
            for path in dict.fromkeys((self.path, *self._offered))
            if path not in known and path != Path()
        ]
        groups: dict[str, list[FoundModel]] = {tr("In Kiln"): list(self._own), tr("Used lately"): lately}
        own = {model.path for model in self._own}
        for model in self._found:
            if model.path not in own:
                groups.setdefault(model.place, []).append(model)
        actions = [(_MORE, tr("Download a model…"))] if self._offers_more else []
        actions.append((_FOLDER, tr("Look in another folder…")))
        typed = None if self.combo.currentText() == self._text_shown else self.combo.currentText()
        self._items.fill(groups.items(), actions)
        self._show_current()
        if typed is not None and self.line.hasFocus():
            self.combo.setEditText(typed)  # The list changed while a path is being typed.

    def _shown_text(self) -> str:
        row = self._items.row_of(self.path)
        return self._items.item(row).text() if row >= 0 else ""

    def _show_current(self) -> None:
        self.combo.setCurrentIndex(self._items.row_of(self.path) if self.path != Path() else -1)
        self._text_shown = self._shown_text()
        self.combo.setEditText(self._text_shown)
        self.line.setCursorPosition(0)
        self.combo.setToolTip("" if self.path == Path() else str(self.path))


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


def _still_there(paths: Iterable[Path]) -> list[FoundModel]:
    """What is known of models that were used before."""
    return [described(path, "") for path in paths if path.exists()]


def _facts(model: BaseModel) -> list[str]:
    """Family, what is special about it, size and place."""
    facts = [choice_label(model.family)]
    if model.lineage:
        facts.append(model.lineage)
    if model.prediction == "v_prediction":
        facts.append(tr("Velocity, zero-terminal") if model.zero_terminal_snr else tr("Velocity (v)"))
    return [*facts, size_text(model.size_bytes), str(model.path)]


def base_title(model: BaseModel) -> str:
    """What a model is called in the window."""
    return tr("Kiln Starter (small, for trying out)") if model.is_starter else model.title


def model_folder_of(path: Path) -> Path:
    """The model folder that a path means: `model_index.json` stands for its folder."""
    return path.parent if path.name == "model_index.json" else path
