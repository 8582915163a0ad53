"""A form of the LoRA tools: its fields, the job that they describe, and what goes along to the next form."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app import theme
from app.widgets.card import label
from app.widgets.lora_tool_fields import Field, OutputField, PathField, Words, is_there
from app.widgets.lora_tool_list import LorasField
from core.jobs import Job
from core.tools.metadata import is_lora_file

Role = Literal["lora", "base"]
_ROLES: Mapping[str, Role] = {"file": "lora", "loras": "lora", "base": "base"}
"""Name of a field -> what of it is wanted in other tools, too."""


class ToolForm(QWidget):
    """The fields of one tool. `job` is what they describe, None while something is missing or wrong."""

    changed = Signal()

    def __init__(
        self,
        about: Words,
        fields: Mapping[str, Field],
        make: Callable[[dict[str, object]], Job],
        ending: str = "",
    ) -> None:
        """Build the form.

        Args:
            about: Gives a sentence about the tool in the language in use.
            fields: Name of a value of the job -> its field, from above.
            make: Makes the job of the values.
            ending: What is added to the name of the first file to propose one for the result.
        """
        super().__init__()
        self._about_words = about
        self._make = make
        self._ending = ending
        self.fields = fields
        self.about = label(role="muted", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, theme.SPACE_S, 0)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self.about)
        for field in fields.values():
            column.addWidget(field)
            field.changed.connect(self._on_changed)
        column.addStretch(1)
        self.retranslate()

    def job(self) -> Job | None:
        """What is asked for."""
        values = {name: field.value() for name, field in self.fields.items()}
        if any(value is None for value in values.values()):
            return None
        try:
            return self._make(values)
        except (ValidationError, ValueError):
            return None

    def problem(self) -> str:
        """What is wrong with what was entered, in words; nothing while something is only missing."""
        return next(filter(None, (field.problem() for field in self.fields.values())), "")

    def take(self, paths: Sequence[Path]) -> None:
        """Use dropped files for the fields that are empty and want such, one after the other, else for the first.

        Where a form wants LoRAs as well as a base model, what a file is says which of them it becomes.
        """
        wanting = [field for field in self.fields.values() if isinstance(field, (PathField, LorasField))]
        loras = [field for field in wanting if not (isinstance(field, PathField) and field.folders)]
        bases = [field for field in wanting if field not in loras]
        if not loras or not bases:
            _fill(wanting, paths)
            return
        told = {path: is_lora_file(path) for path in paths}
        for fields, kind in ((loras, True), (bases, False), (wanting, None)):
            _fill(fields, [path for path in paths if told[path] is kind])

    def chosen(self) -> dict[Role, Path]:
        """The LoRA and the base model that were chosen here."""
        found: dict[Role, Path] = {}
        for name, role in _ROLES.items():
            path = _path_of(self.fields[name].value()) if name in self.fields else None
            if path is not None and is_there(path):
                found[role] = path
        return found

    def offer(self, chosen: Mapping[Role, Path]) -> None:
        """Put what was chosen in other tools into the fields where the user has chosen nothing."""
        for name, role in _ROLES.items():
            if name in self.fields and role in chosen:
                self.fields[name].offer(chosen[role])

    def propose(self) -> None:
        """Propose a free name for the result, unless the user gave one."""
        output, first = self.fields.get("output"), self._first_path()
        # A path that is being typed may be the root or a lone dot.
        if isinstance(output, OutputField) and first is not None and first.name:
            is_folder = os.path.isdir(first)  # noqa: PTH112 - false, not an error, where it cannot be looked at
            name = f"{first.name if is_folder else first.stem}-{self._ending}"
            if "to" in self.fields:
                makes_folder = self.fields["to"].value() == "folder"
            else:
                makes_folder = is_folder and "base" in self.fields  # A base model stays what it is.
            output.propose(first.with_name(name if makes_folder else f"{name}.safetensors"))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.about.setText(self._about_words())
        for field in self.fields.values():
            field.retranslate()

    def _on_changed(self) -> None:
        if self.sender() is not self.fields.get("output"):
            self.propose()
        self.changed.emit()

    def _first_path(self) -> Path | None:
        for name in ("base", "tuned", "file", "loras"):
            path = _path_of(self.fields[name].value()) if name in self.fields else None
            if path is not None:
                return path
        return None


def _path_of(value: object) -> Path | None:
    """The path of a field, of a list of LoRAs the first one."""
    if isinstance(value, list):
        return Path(str(value[0]["file"]))
    return value if isinstance(value, Path) else None


def _fill(fields: Sequence[Field], paths: Sequence[Path]) -> None:
    """Give paths to those fields that are empty, else to the first."""
    left = list(paths)
    for field in [field for field in fields if field.value() is None] or fields[:1]:
        used = field.take(left)
        left = [path for path in left if path not in used]
