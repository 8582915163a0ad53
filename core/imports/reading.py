"""Reading a settings file of another program, whatever it is: its kind is told by what is in it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import field_specs
from core.config.toml import parsed_toml
from core.errors import UserError
from core.imports.datasets import dataset_arguments, tables
from core.imports.draft import Argument, Arguments, Draft
from core.imports.encoding import OwnSettingsError, decoded, no_settings, read_limited
from core.imports.formats import (
    flattened,
    kohya_arguments,
    kohya_dataset_arguments,
    kohya_ss_arguments,
    lora_easy_arguments,
    preset_arguments,
)
from core.imports.lora_file import lora_file_arguments
from core.imports.mapping import map_arguments
from core.imports.names import is_of_kohya
from core.imports.onetrainer import onetrainer_arguments
from core.imports.places import Places
from core.imports.records import Imported, Source
from core.safetensors_header import MAX_HEADER_BYTES, Header, read_header
from core.text import tr

Table = Mapping[str, object]

_READERS: Mapping[Source, Callable[[Draft, Table], list[Argument]]] = {
    "sd_trainer": kohya_arguments,
    "sd_trainer_preset": preset_arguments,
    "kohya": kohya_arguments,
    "kohya_dataset": kohya_dataset_arguments,
    "kohya_ss": kohya_ss_arguments,
    "lora_easy": lora_easy_arguments,
    "onetrainer": onetrainer_arguments,
}
_WHOLE_RUNS: tuple[Source, ...] = ("sd_trainer", "kohya", "kohya_ss", "lora_easy")
_ONLY_SD_TRAINER = (
    "model_train_type",
    "enable_preview",
    "lycoris_algo",
    "enable_block_weights",
    "optimizer_args_custom",
    "network_args_custom",
    "positive_prompts",
)
_ONLY_KOHYA_SS = ("LoRA_type", "max_resolution", "model_list", "stop_text_encoder_training_pct", "lr_warmup")


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, before it is understood."""

    source: Source
    values: Table


def read_settings(path: Path) -> Imported:
    """The settings of another program's file in Kiln's words.

    Knows the TOML files and presets of SD-Trainer, TOML and JSON files of kohya's scripts and their dataset files, the
    JSON of kohya_ss and OneTrainer, the TOML of LoRA Easy Training Scripts, and the metadata of LoRA files.

    Args:
        path: The file. Paths in it are relative to its folder or to one above it, where the trainer may be.

    Raises:
        UserError: The file cannot be read, is damaged, or holds no settings.
        OwnSettingsError: It holds Kiln's own settings.
    """
    return read_with_roots(path, ())


def rerooted(imported: Imported, old: Path, new: Path) -> Imported:
    """The same settings with their paths below `old` moved to `new`; what lies there is read, too.

    Args:
        imported: As it was read.
        old: A folder of the machine that the file comes from, as in `imported.paths`.
        new: The folder that it is now.

    Raises:
        UserError: The file cannot be read any more.
    """
    return read_with_roots(imported.file, (*imported.roots, (old, Path(os.path.abspath(new)))))  # noqa: PTH100


def read_with_roots(path: Path, roots: tuple[tuple[Path, Path], ...]) -> Imported:
    """As `read_settings`, with folders that are elsewhere now, as (old, new)."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - the folder of a link counts, not of what it leads to
    places = Places(path.parent, roots)
    if places.is_there(path) and not path.is_file():  # A folder, or a pipe that would never end.
        raise no_settings(path)
    if (header := _lora_header(path)) is not None:
        return _from_lora_file(path, header, places)
    content = _content(path)
    draft = Draft(path, content.source, places)
    arguments = Arguments(_READERS[content.source](draft, content.values))
    _follow_dataset_config(draft, arguments)
    names_a_run = any(name in arguments for name in ("pretrained_model_name_or_path", "train_data_dir"))
    is_complete = content.source in _WHOLE_RUNS and names_a_run
    map_arguments(draft, arguments, is_complete=is_complete)
    return draft.finished()


def _lora_header(path: Path) -> Header | None:
    """The header, when the file is one in safetensors form."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError):
        return None  # Reading it as a text says why.
    is_one = len(start) == 9 and struct.unpack("<Q", start[:8])[0] <= MAX_HEADER_BYTES and start[8:] == b"{"
    if not is_one and path.suffix.lower() != ".safetensors":
        return None
    try:
        header = read_header(path)
    except RecursionError as error:
        raise no_settings(path) from error
    if not isinstance(header.metadata, Mapping):
        raise no_settings(path)
    return header


def _from_lora_file(path: Path, header: Header, places: Places) -> Imported:
    metadata = {str(key): str(value) for key, value in header.metadata.items()}
    draft = Draft(path, "lora_file", places)
    try:
        embedded = json.loads(metadata.pop("ot_config", "null"))
    except (ValueError, RecursionError):
        embedded = None
    found = lora_file_arguments(draft, metadata, header.shapes)
    if isinstance(embedded, Mapping):
        found += onetrainer_arguments(draft, embedded)
    if not found:
        raise UserError(
            "{path} does not say how it was trained.",
            remedy="Choose a LoRA file that keeps its metadata, or the settings file itself.",
            path=path,
        )
    map_arguments(draft, Arguments(found), is_complete=False)
    return draft.finished()


def _content(path: Path) -> Content:
    text = decoded(read_limited(path), path)
    try:
        values = json.loads(text) if text.lstrip()[:1] in ("{", "[") and _is_json(text) else parsed_toml(text, path)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "{path} is damaged: {reason}.",
            remedy="Save the settings again in the program that wrote them.",
            path=path,
            reason=error,
        ) from error
    if not isinstance(values, Mapping):
        raise no_settings(path)
    return Content(_source(path, values), values)


def _is_json(text: str) -> bool:
    """Whether a text that begins with a bracket is JSON: a TOML file may begin with a section, but not with `{`."""
    start = text.lstrip()
    return start[:1] == "{" or start[:2] in ("[{", "[]") or start[1:].lstrip()[:1] in ('"', "{")


def _source(path: Path, values: Table) -> Source:
    """Which program wrote the values.

    Raises:
        UserError: None that Kiln knows.
        OwnSettingsError: Kiln itself.
    """
    if _is_kiln(values):
        raise OwnSettingsError(
            "{path} is a settings file of Kiln itself.",
            remedy="Open it as it is; nothing needs to be brought over.",
            path=path,
        )
    if "training_method" in values and ("__version" in values or "base_model_name" in values):
        return "onetrainer"
    if tables(values.get("datasets")):
        return "kohya_dataset"
    parts = [table for table in values.values() if isinstance(table, Mapping)]
    if tables(values.get("subsets")) or any(isinstance(part.get("args"), Mapping) for part in parts):
        return "lora_easy"
    if isinstance(values.get("data"), Mapping) and isinstance(values.get("metadata"), Mapping):
        return "sd_trainer_preset"
    flat = flattened(values)
    if not is_of_kohya(flat):
        raise no_settings(path)
    if any(name in flat for name in _ONLY_KOHYA_SS):
        return "kohya_ss"
    # Only SD-Trainer writes this number, which is none that kohya's scripts offer.
    is_sd_trainer = any(name in flat for name in _ONLY_SD_TRAINER) or flat.get("max_token_length") == 255
    return "sd_trainer" if is_sd_trainer else "kohya"


def _is_kiln(values: Table) -> bool:
    own = {(spec.section, spec.name) for spec in field_specs()}
    names = [(section, name) for section, table in values.items() if isinstance(table, Mapping) for name in table]
    return bool(names) and len(names) >= len(values) and all(name in own for name in names)


def _follow_dataset_config(draft: Draft, arguments: Arguments) -> None:
    """Read the dataset file that a settings file names, as kohya's scripts do."""
    argument = arguments.take("dataset_config")
    path = draft.place(argument, "dataset_config")
    if argument is None or path is None:
        return
    if not draft.places.is_there(path):
        draft.leave(argument, tr("The dataset file is not there: {path}.", path=argument.value))
        return
    try:
        content = _content(path)
    except UserError as error:
        draft.leave(argument, error.message)
        return
    if content.source != "kohya_dataset":
        draft.leave(argument, tr("{path} is no dataset file.", path=argument.value))
        return
    # Its paths are relative to where the other program runs, as all others are.
    for found in dataset_arguments(draft, content.values):
        arguments.add(Argument(f"{argument.source}: {found.source}", found.name, found.value))
    draft.note(argument, "dataset.folder", draft.changes.get("dataset.folder", ""))
