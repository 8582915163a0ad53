"""What came out of another program's settings: what maps, what does not, and where its paths lead."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.dataset.edits import Concept
from core.text import tr

Source = Literal[
    "sd_trainer",
    "sd_trainer_preset",
    "kohya",
    "kohya_dataset",
    "kohya_ss",
    "lora_easy",
    "onetrainer",
    "lora_file",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """An option that Kiln has.

    Attributes:
        source_key: Its name in the file.
        value: Its value there.
        key: Kiln's `section.name`, or `concepts.1.folder` for a further folder of pictures.
        new_value: What Kiln makes of it.
        note: A sentence where the two differ in meaning, else "".
        is_assumed: The file does not say it; it is what the other program does then, and differs from Kiln's default.
    """

    source_key: str
    value: object
    key: str
    new_value: object
    note: str = ""
    is_assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An option that has no effect in Kiln, and why. Keys of services are never kept: their value is empty.

    `is_harmless` says that nothing is lost: it is off or empty in the file, or Kiln does the same without being told.
    """

    source_key: str
    value: object
    reason: str
    is_harmless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPath:
    """A path of the file: for which option (as `Mapped.key`), where it leads, and whether something is there."""

    key: str
    path: Path
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The settings of a file in Kiln's words.

    Attributes:
        file: Where they were read from.
        source: What wrote it.
        config_changes: `section.name` -> value; all of them are within Kiln's limits.
        mapped: Each option that was understood.
        ignored: Each option that was not, with the reason.
        paths: Where its paths lead on this machine.
        concepts: The folders of pictures, when one folder in the settings cannot say it all: regularization, several
            folders, class words. The first is the picture folder. Otherwise empty.
        roots: Folders that were replaced, as (old, new).
    """

    file: Path
    source: Source
    config_changes: dict[str, object]
    mapped: tuple[Mapped, ...]
    ignored: tuple[Ignored, ...]
    paths: tuple[ImportedPath, ...]
    concepts: tuple[Concept, ...] = ()
    roots: tuple[tuple[Path, Path], ...] = ()

    @property
    def missing(self) -> tuple[ImportedPath, ...]:
        """The paths where something should be and is not; the output folder is made when it is needed."""
        return tuple(path for path in self.paths if not path.exists and path.key != "output.folder")

    @property
    def missing_root(self) -> Path | None:
        """The folder that all missing paths have in common: the one to ask for. None when nothing is missing."""
        missing = [path.path.as_posix() for path in self.missing]
        if not missing:
            return None
        try:
            common = Path(os.path.commonpath(missing))
        except ValueError:  # On different drives.
            common = Path()
        if common in (Path(), Path("/")):  # They have nothing in common: the first is asked for alone.
            return Path(missing[0]).parent
        return common.parent if common.as_posix() in missing else common


def source_title(source: Source) -> str:
    """What wrote the settings, in words."""
    return {
        "sd_trainer": tr("Settings of SD-Trainer"),
        "sd_trainer_preset": tr("Preset of SD-Trainer"),
        "kohya": tr("Settings of kohya's scripts"),
        "kohya_dataset": tr("Dataset file of kohya's scripts"),
        "kohya_ss": tr("Settings of kohya_ss"),
        "lora_easy": tr("Settings of LoRA Easy Training Scripts"),
        "onetrainer": tr("Settings of OneTrainer"),
        "lora_file": tr("A LoRA file"),
    }[source]
