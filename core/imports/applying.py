"""Putting imported settings into Kiln's own."""

from __future__ import annotations

from pathlib import Path

from core.config import TrainConfig, with_values
from core.dataset.edits import Concept, DatasetFile
from core.errors import UserError
from core.imports.records import Imported

_ONLY_READ = frozenset({"model.base", "dataset.folder", "network.start_from"})


def apply(imported: Imported, config: TrainConfig) -> TrainConfig:
    """The settings with those of a file in place of their own; what the file does not say stays.

    A path of another system leads nowhere here. What is only read keeps it, so that the missing model or folder is
    named and nothing else is trained in its place; where files would be written, it is left out until it is re-rooted.
    Further folders do not fit into the settings: see `dataset_file`.
    """
    changes = {
        key: value for key, value in imported.config_changes.items() if key in _ONLY_READ or not _is_elsewhere(value)
    }
    try:
        return with_values(config, changes)
    except UserError:
        # Each value has been tried alone; a rule between two of them must not cost the others.
        for key, value in changes.items():
            try:
                config = with_values(config, {key: value})
            except UserError:
                continue
        return config


def dataset_file(imported: Imported) -> DatasetFile | None:
    """The dataset file that the folders of an import need, for `core.dataset.edits.save_dataset`.

    None when the picture folder in the settings says it all, or while a folder is one of another system.
    """
    folders: list[Concept] = list(imported.concepts)
    if not folders or any(_is_elsewhere(concept.folder) for concept in folders):
        return None
    return DatasetFile(concepts=tuple(folders))


def _is_elsewhere(value: object) -> bool:
    return isinstance(value, Path) and value != Path() and not value.is_absolute()
