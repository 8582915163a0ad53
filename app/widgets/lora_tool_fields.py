"""What the forms of the LoRA tools are made of: files to choose or drop, numbers, choices."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.editors import browse_start, guard_wheel, path_of, remember_place
from app.widgets.card import button, label, pad_spin_box
from app.widgets.switch import Switch
from core.text import sentences, tr

Words = Callable[[], str]
LORA_ENDINGS = "*.safetensors *.ckpt *.pt *.pth *.bin"
NUMBER_WIDTH = 120


class Field(QWidget):
    """One value of a form with its title and a hint."""

    changed = Signal()

    def __init__(self, title: Words, hint: Words | None = None) -> None:
        """An empty field; whoever extends it fills `row`.

        Args:
            title: Gives the title in the language in use.
            hint: Gives a second line.
        """
        super().__init__()
        self._words, self._hint_words = title, hint
        self.title = label(role="strong")
        self.hint = label(role="small", wrap=True)
        self.hint.setVisible(hint is not None)
        self.row = QHBoxLayout()
        self.row.setSpacing(theme.SPACE_S)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self.title)
        column.addLayout(self.row)
        column.addWidget(self.hint)

    def value(self) -> object:
        """What was entered, None for nothing."""
        raise NotImplementedError

    def problem(self) -> str:
        """What is wrong with what was entered, in one sentence; nothing while nothing was."""
        return ""

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """Use dropped files; returns those that it used."""
        return []

    def offer(self, path: Path) -> None:
        """Use what was chosen in another form, unless the user has chosen something here."""

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.title.setText(self._words())
        self.hint.setText(self._hint_words() if self._hint_words is not None else "")


class PathField(Field):
    """A file, or where `folders` is set a file or a folder."""

    def __init__(self, title: Words, hint: Words | None = None, *, folders: bool = False) -> None:
        super().__init__(title, hint)
        self.folders = folders
        self._offered = ""
        self.line = QLineEdit()
        self.line.textChanged.connect(lambda: self.changed.emit())
        self.file_button = button()
        self.file_button.clicked.connect(self._choose_file)
        self.folder_button = button(icon="folder-open")
        self.folder_button.clicked.connect(self._choose_folder)
        self.folder_button.setVisible(folders)
        self.row.addWidget(self.line, 1)
        for made in (self.file_button, self.folder_button):
            made.setAutoDefault(False)
            self.row.addWidget(made)

    def value(self) -> Path | None:
        """The path."""
        text = self.line.text().strip().strip('"')
        return Path(text) if text else None

    def problem(self) -> str:
        """That nothing is there."""
        path = self.value()
        return tr("{path} does not exist.", path=path) if path is not None and not is_there(path) else ""

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """The first file that fits."""
        for path in paths:
            if self.folders or path.is_file():
                self.line.setText(str(path))
                return [path]
        return []

    def offer(self, path: Path) -> None:
        """Show it where nothing is, or what was offered before."""
        if self.line.text().strip() in ("", self._offered):
            self._offered = str(path)
            self.line.setText(self._offered)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.line.setAccessibleName(self._words())
        self.line.setPlaceholderText(tr("Choose or drop it here"))
        self.file_button.setText(tr("File…"))
        self.folder_button.setText(tr("Folder…"))

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self._words(), str(browse_start(path_of(self.line.text()))), f"{tr('Models')} ({LORA_ENDINGS})"
        )
        if name:
            remember_place(Path(name))
            self.line.setText(name)

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self._words(), str(browse_start(path_of(self.line.text()))))
        if name:
            remember_place(Path(name))
            self.line.setText(name)


class OutputField(Field):
    """Where the result goes; a name beside the first file is proposed until the user types another."""

    def __init__(self, title: Words, hint: Words | None = None) -> None:
        super().__init__(title, hint)
        self._is_own = False
        self.line = QLineEdit()
        self.line.textEdited.connect(self._on_edited)
        self.line.textChanged.connect(lambda: self.changed.emit())
        self.choose_button = button()
        self.choose_button.setAutoDefault(False)
        self.choose_button.clicked.connect(self._choose)
        self.row.addWidget(self.line, 1)
        self.row.addWidget(self.choose_button)

    def value(self) -> Path | None:
        """The path."""
        text = self.line.text().strip().strip('"')
        return Path(text) if text else None

    def problem(self) -> str:
        """That something is there already."""
        path = self.value()
        if path is None or not is_there(path):
            return ""
        return sentences(tr("{path} exists already.", path=path), tr("Choose another name."))

    def propose(self, path: Path) -> None:
        """Show a free name like this one, unless the user gave one."""
        if self._is_own:
            return
        free, number = path, 2
        while is_there(free):
            free = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        self.line.setText(str(free))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.line.setAccessibleName(self._words())
        self.choose_button.setText(tr("Choose…"))

    def _on_edited(self, text: str) -> None:
        self._is_own = bool(text)

    def _choose(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self._words(), self.line.text())
        if name:
            self._is_own = True
            self.line.setText(name)


class NumberField(Field):
    """A whole number, or one with digits after the point where `digits` is set."""

    def __init__(
        self,
        title: Words,
        hint: Words | None = None,
        *,
        least: float = 0,
        most: float = 1024,
        value: float = 0,
        digits: int = 0,
        suffix: str = "",
    ) -> None:
        super().__init__(title, hint)
        self.box: QSpinBox | QDoubleSpinBox
        if digits:
            self.box = QDoubleSpinBox(decimals=digits)
            self.box.setRange(least, most)
            self.box.setValue(value)
        else:
            self.box = QSpinBox()
            self.box.setRange(int(least), int(most))
            self.box.setValue(int(value))
        self.box.setSuffix(suffix)
        self.box.setFixedWidth(NUMBER_WIDTH)
        pad_spin_box(self.box)
        guard_wheel(self.box)
        self.row.addWidget(self.box)
        self.row.addStretch(1)

    def value(self) -> float:
        """The number."""
        return self.box.value()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.box.setAccessibleName(self._words())


class ChoiceField(Field):
    """One of several values."""

    def __init__(self, title: Words, choices: Sequence[tuple[str, Words]], hint: Words | None = None) -> None:
        super().__init__(title, hint)
        self._choices = choices
        self.box = QComboBox()
        for value, _ in choices:
            self.box.addItem("", value)
        self.box.currentIndexChanged.connect(lambda _index: self.changed.emit())
        guard_wheel(self.box)
        self.row.addWidget(self.box)
        self.row.addStretch(1)

    def value(self) -> str:
        """The chosen one."""
        return str(self.box.currentData())

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.box.setAccessibleName(self._words())
        for index, (_, words) in enumerate(self._choices):
            self.box.setItemText(index, words())


class SwitchField(Field):
    """Yes or no."""

    def __init__(self, title: Words, hint: Words | None = None, *, value: bool) -> None:
        super().__init__(title, hint)
        self.switch = Switch()
        self.switch.setChecked(value)
        self.row.addWidget(self.switch)
        self.row.addStretch(1)

    def value(self) -> bool:
        """Yes or no."""
        return self.switch.isChecked()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.switch.setAccessibleName(self._words())


def is_there(path: Path) -> bool:
    """Whether something has this name; what cannot be looked at counts as nothing."""
    return os.path.lexists(path)


def dropped_paths(event: QDragEnterEvent | QDropEvent) -> list[Path]:
    """The files and folders of a drag."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
