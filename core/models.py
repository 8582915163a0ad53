"""What a base model is, read from its files in milliseconds, before anything heavy is imported."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from core.errors import UserError
from core.paths import STARTER_MODEL
from core.safetensors_header import Header

FamilyName = Literal["sd1", "sd2", "sdxl", "kolors"]
FAMILY_NAMES: tuple[FamilyName, ...] = get_args(FamilyName)
STARTER_GUIDANCE = 2.5  # What the starter model draws best with; from 6 on its colours break.


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A base model that Kiln can train for: a single file, or a folder in diffusers form (Kolors also its own).

    `native_size_px` is the side of the squares it was made for. `prediction` is what it answers, as far as its files
    say so or the user did when asked; None is not known, and taken for epsilon. `zero_terminal_snr` says whether its
    noise ends in noise alone. `warnings` are sentences for whoever chooses it. `is_prediction_unsure` says that the
    user should be asked (`core.checkpoints.answers`). `lineage` is the well-known model it was made from, such as Pony.
    """

    path: Path
    family: FamilyName
    title: str
    size_bytes: int
    native_size_px: int
    is_starter: bool = False
    prediction: Literal["epsilon", "v_prediction"] | None = None
    zero_terminal_snr: bool = False
    warnings: tuple[str, ...] = ()
    is_prediction_unsure: bool = False
    lineage: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is a single checkpoint file."""
        return self.path.is_file()


def known_bases() -> list[BaseModel]:
    """The base models that are there without asking: the starter model, then those that were downloaded."""
    from core.hub.catalog import folder_of, is_here, known_models

    starter = [describe_base(STARTER_MODEL)] if STARTER_MODEL.is_dir() else []
    downloaded = []
    for card in known_models("base"):
        if is_here(card):
            with contextlib.suppress(UserError, OSError):  # Changed since: it is told when that folder is chosen.
                downloaded.append(dataclasses.replace(describe_base(folder_of(card)), title=card.title))
    return starter + downloaded


def describe_base(path: Path) -> BaseModel:
    """What is at `path`.

    Raises:
        UserError: Nothing is there, or it is no base model that Kiln can train for; says what it is instead.
    """
    if path == Path():
        raise UserError(
            "No base model is chosen.",
            remedy="Choose the model that the LoRA is to be trained for.",
            failure="model_missing",
        )
    if not path.exists():
        raise UserError(
            "The base model {path} is missing.",
            remedy="Check the path, or choose another model.",
            failure="model_missing",
            path=path,
        )
    if path.is_file():
        from core.checkpoints.base_file import describe_file

        return describe_file(path)
    from core.checkpoints.base_folder import describe_folder

    return describe_folder(path)


def is_lora(header: Header) -> bool:
    """Whether a file holds a LoRA, in any of the usual spellings."""
    from core.checkpoints.recognition import recognise

    return recognise(header.shapes, header.metadata).kind == "lora"
