"""The form of each LoRA tool, and the job that it describes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app import theme
from app.widgets.card import label
from app.widgets.lora_tool_fields import (
    ChoiceField,
    Field,
    LinesField,
    NumberField,
    OutputField,
    PathField,
    SwitchField,
    Words,
)
from app.widgets.lora_tool_list import LorasField
from core.jobs import ConvertJob, Job, ToolJob
from core.text import tr
from core.tools import tasks

ToolName = str


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
        """Use dropped files for the fields that are empty and want such, one after the other, else for the first."""
        wanting = [field for field in self.fields.values() if isinstance(field, (PathField, LorasField))]
        left = list(paths)
        for field in [field for field in wanting if field.value() is None] or wanting[:1]:
            used = field.take(left)
            left = [path for path in left if path not in used]

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
            value = self.fields[name].value() if name in self.fields else None
            if isinstance(value, Path):
                return value
            if isinstance(value, list):
                return Path(str(value[0]["file"]))
        return None


def _lora() -> PathField:
    return PathField(lambda: tr("LoRA file"))


def _base(title: Words) -> PathField:
    return PathField(title, folders=True)


def _output() -> OutputField:
    return OutputField(lambda: tr("New file"), lambda: tr("Nothing that exists is ever written over."))


def _precision(*, same: str = "keep") -> ChoiceField:
    """The number format of the result; `same` is the value that leaves it as it is, none for a result of its own."""
    choices: list[tuple[str, Words]] = [(same, lambda: tr("As it is"))] if same else []
    choices += [("fp16", lambda: "fp16"), ("bf16", lambda: "bf16"), ("fp32", lambda: "fp32")]
    return ChoiceField(lambda: tr("Number format"), choices)


def _rank(hint: Words, *, least: int = 0, value: int = 0) -> NumberField:
    return NumberField(lambda: tr("Rank"), hint, least=least, value=value)


def tool_forms() -> dict[ToolName, tuple[Words, ToolForm]]:
    """Every tool by name: its title, and its form."""
    return {
        "inspect": (
            lambda: tr("Inspect"),
            ToolForm(
                lambda: tr("Shows what a LoRA file holds and how much it changes each block of the model."),
                {"file": _lora()},
                lambda values: ToolJob(task=tasks.InspectTask(**values)),
            ),
        ),
        "verify": (
            lambda: tr("Check against a model"),
            ToolForm(
                lambda: tr("Tells whether a LoRA fits a base model, and whether its weights are sound."),
                {"file": _lora(), "base": _base(lambda: tr("Base model"))},
                lambda values: ToolJob(task=tasks.VerifyTask(**values)),
            ),
        ),
        "convert": (
            lambda: tr("Convert"),
            ToolForm(
                lambda: tr("Writes a LoRA with the names or the number format that another program wants."),
                {
                    "file": _lora(),
                    "spelling": ChoiceField(
                        lambda: tr("Names as of"),
                        [
                            ("kohya", lambda: tr("kohya (every program)")),
                            ("diffusers", lambda: "diffusers"),
                            ("peft", lambda: "peft"),
                        ],
                    ),
                    "precision": _precision(),
                    "rank": _rank(lambda: tr("LoHa, LoKr and full changes become pairs of this rank; 0 keeps them.")),
                    "alpha": NumberField(
                        lambda: tr("Alpha"),
                        lambda: tr("Only for a file that does not say its own; 0 takes what the file says."),
                        digits=1,
                    ),
                    "output": _output(),
                },
                lambda values: ToolJob(task=tasks.ConvertTask(**{**values, "alpha": values["alpha"] or None})),
                "converted",
            ),
        ),
        "resize": (
            lambda: tr("Shrink"),
            ToolForm(
                lambda: tr("Writes a LoRA with smaller ranks that changes the model as nearly the same as it can."),
                {
                    "file": _lora(),
                    "rank": _rank(lambda: tr("The highest rank of a module."), least=1, value=16),
                    "share": NumberField(
                        lambda: tr("Share to keep"),
                        lambda: tr("Part of each module's norm that is kept; below 100 % its rank may become smaller."),
                        least=1,
                        most=100,
                        value=100,
                        digits=1,
                        suffix=" %",
                    ),
                    "precision": _precision(),
                    "output": _output(),
                },
                lambda values: ToolJob(task=tasks.ResizeTask(**{**values, "share": float(str(values["share"])) / 100})),
                "small",
            ),
        ),
        "merge": (
            lambda: tr("Merge LoRAs"),
            ToolForm(
                lambda: tr("Writes one LoRA that does what several do together."),
                {
                    "loras": LorasField(lambda: tr("LoRA files and their strengths")),
                    "rank": _rank(lambda: tr("Cuts the sum to this rank; 0 keeps it exact.")),
                    "precision": _precision(),
                    "output": _output(),
                },
                lambda values: ToolJob(task=tasks.MergeTask(**values)),
                "merged",
            ),
        ),
        "bake": (
            lambda: tr("Merge into a model"),
            ToolForm(
                lambda: tr("Writes a base model with LoRAs in its weights; the original stays as it is."),
                {
                    "base": _base(lambda: tr("Base model")),
                    "loras": LorasField(lambda: tr("LoRA files and their strengths")),
                    "output": OutputField(
                        lambda: tr("New model"), lambda: tr("A file becomes a file, a folder a folder.")
                    ),
                },
                lambda values: ToolJob(task=tasks.BakeTask(**values)),
                "merged",
            ),
        ),
        "extract": (
            lambda: tr("Extract"),
            ToolForm(
                lambda: tr("Writes what a tuned base model has learned since the original one as a LoRA."),
                {
                    "original": _base(lambda: tr("Original model")),
                    "tuned": _base(lambda: tr("Tuned model")),
                    "rank": _rank(lambda: tr("32 to 128 is usual; a higher one keeps more."), least=1, value=64),
                    "conv_rank": NumberField(
                        lambda: tr("Rank of convolutions"), lambda: tr("0 leaves 3x3 convolutions out.")
                    ),
                    "text_encoder": SwitchField(lambda: tr("Text encoder too"), value=True),
                    "precision": _precision(same=""),
                    "output": _output(),
                },
                lambda values: ToolJob(task=tasks.ExtractTask(**values)),
                "lora",
            ),
        ),
        "edit": (
            lambda: tr("Edit metadata"),
            ToolForm(
                lambda: tr("Writes a copy of a LoRA with other metadata; its weights stay as they are."),
                {
                    "file": _lora(),
                    "put": LinesField(lambda: tr("Set"), lambda: tr("One line each: key=value"), are_pairs=True),
                    "remove": LinesField(lambda: tr("Remove"), lambda: tr("One key in each line")),
                    "output": _output(),
                },
                _edit_job,
                "edited",
            ),
        ),
        "model": (
            lambda: tr("Convert a model"),
            ToolForm(
                lambda: tr("Writes a base model as a single file, also an old .ckpt, or as a folder for diffusers."),
                {
                    "base": _base(lambda: tr("Base model")),
                    "to": ChoiceField(
                        lambda: tr("New form"),
                        [
                            ("file", lambda: tr("Single .safetensors file")),
                            ("folder", lambda: tr("Folder (diffusers)")),
                        ],
                    ),
                    "precision": _precision(same="same"),
                    "output": OutputField(
                        lambda: tr("New model"), lambda: tr("Nothing that exists is ever written over.")
                    ),
                },
                lambda values: ConvertJob(
                    **{name: values[name] for name in ("to", "precision")},
                    source=values["base"],
                    target=values["output"],
                ),
                "converted",
            ),
        ),
    }


def _edit_job(values: dict[str, object]) -> Job:
    """The job of the metadata form.

    Raises:
        ValueError: A line is no key with a value, or there is nothing to do.
    """
    lines = values["put"]
    assert isinstance(lines, tuple)
    pairs = [line.partition("=") for line in lines]
    if not all(key.strip() and equals for key, equals, _ in pairs) or not (lines or values["remove"]):
        raise ValueError("nothing to do")
    put = {key.strip(): value.strip() for key, _, value in pairs}
    return ToolJob(task=tasks.EditTask(**{**values, "put": put}))
