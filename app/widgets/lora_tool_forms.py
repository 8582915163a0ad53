"""The form of each LoRA tool, and the job that it describes."""

from __future__ import annotations

from dataclasses import asdict

from app.widgets.lora_tool_fields import ChoiceField, NumberField, OutputField, PathField, SwitchField, Words
from app.widgets.lora_tool_form import ToolForm
from app.widgets.lora_tool_list import LorasField
from app.widgets.lora_tool_metadata import MetadataField
from core.jobs import ConvertJob, ToolJob
from core.text import tr
from core.tools import tasks

ToolName = str


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
            _edit_form(),
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


def _edit_form() -> ToolForm:
    file = _lora()
    return ToolForm(
        lambda: tr("Writes a copy of a LoRA with other metadata; its weights stay as they are."),
        {"file": file, "changes": MetadataField(file, lambda: tr("Metadata")), "output": _output()},
        lambda values: ToolJob(
            task=tasks.EditTask(
                **{name: values[name] for name in ("file", "output")},
                **asdict(values["changes"]),  # type: ignore[call-overload]
            )
        ),
        "edited",
    )
