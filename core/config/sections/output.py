"""What a run leaves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from core.config.base import Section, form
from core.text import tr

LONGEST_NAME_BYTES = 200
"""What a name may have; file systems take 255, and saving adds the number of an epoch and an ending."""


def is_device_name(name: str) -> bool:
    """Whether Windows takes a file name for one of its devices, as it does with `con`, `COM1` and `nul.txt`."""
    stem = name.partition(".")[0].rstrip(" ")
    return re.fullmatch(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", stem, re.IGNORECASE) is not None


class OutputConfig(Section):
    """Where the LoRA goes and what is kept on the way."""

    folder: Path = Field(
        Path(),
        title="Output folder",
        description="LoRA files land here; previews, log and state in runs/<name>/ inside it.",
        json_schema_extra=form(widget="folder", also=("output_dir",)),
    )
    name: str = Field(
        "my_lora",
        title="Name",
        description="File name of the LoRA, without ending.",
        json_schema_extra=form(also=("output_name",)),
    )
    save_every_n_epochs: int = Field(
        2,
        ge=0,
        title="Save every",
        description="Also save the LoRA after every so many epochs; 0 saves only at the end.",
        json_schema_extra=form(unit="epochs", also=("save_every_n_epochs",)),
    )
    precision: Literal["fp16", "bf16", "fp32"] = Field(
        "fp16",
        title="File precision",
        description="Number format of the LoRA file; fp16 is read everywhere.",
        json_schema_extra=form(advanced=True, also=("save_precision",)),
    )
    state_every_n_steps: int = Field(
        100,
        ge=1,
        title="State every",
        description="How often the state of the run is kept: after a crash or power cut, at most so many steps are "
        "lost.",
        json_schema_extra=form(advanced=True, unit="steps", also=("save_state",)),
    )
    save_every_n_steps: int = Field(
        0,
        ge=0,
        title="Also save every",
        description="Save the LoRA also after every so many steps; 0 turns it off.",
        json_schema_extra=form(advanced=True, unit="steps", also=("save_every_n_steps",)),
    )
    keep_last: int = Field(
        0,
        ge=0,
        le=10000,
        title="Keep",
        description="Only so many of the LoRA files saved on the way stay on the disk, the newest; 0 keeps all.",
        json_schema_extra=form(
            advanced=True,
            unit="files",
            also=(
                "save_last_n_epochs",
                "save_last_n_steps",
            ),
        ),
    )
    keep_states: int = Field(
        2,
        ge=1,
        le=100,
        title="Keep states",
        description="So many states stay on the disk, the newest; if the last one is damaged the one before is used.",
        json_schema_extra=form(advanced=True, also=("save_last_n_epochs_state",)),
    )
    epoch_states: int = Field(
        2,
        ge=0,
        le=1000,
        title="States of epochs",
        description="For so many of the epochs that saved a LoRA file, the newest, the state is kept too, so that the "
        "run can go back there. Each takes about three times the size of the LoRA in 32 bits.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "save_last_n_epochs_state",
                "save_state",
            ),
        ),
    )
    sidecars: bool = Field(
        False,
        title="Card for A1111 / Forge",
        description="Beside the finished LoRA file also write its .json with the trigger word, and the last preview as "
        "its picture, as A1111 and Forge show them.",
        json_schema_extra=form(advanced=True, also=("sidecar", "preview.png")),
    )
    tensorboard: bool = Field(
        False,
        title="TensorBoard files",
        description="Also write the curves into the run as TensorBoard files.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "log_with",
                "logging_dir",
            ),
        ),
    )
    comment: str = Field(
        "",
        title="Comment",
        description="A note that is kept in the metadata of the LoRA file, for whoever uses it.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "training_comment",
                "ss_training_comment",
            ),
        ),
    )

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        forbidden = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
        if not name or any(char in forbidden for char in name) or name != name.strip(" ."):
            raise ValueError(tr('a name without / \\ : * ? " < > | and without a dot or space at its ends'))
        if is_device_name(name):
            raise ValueError(tr("a name that Windows does not keep for its devices, such as CON or COM1"))
        if len(name.encode()) > LONGEST_NAME_BYTES:
            raise ValueError(
                tr("a name of up to {number} bytes; a Chinese character takes three", number=LONGEST_NAME_BYTES)
            )
        return name
