"""The folder of models: where downloads go, and where the user can see them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from core.files import write_text
from core.paths import user_data_folder

_VARIABLE = "KILN_MODELS"


def models_folder() -> Path:
    """Where models are kept: what `KILN_MODELS` says, else what the user chose, else `models` in the user's data."""
    if override := os.environ.get(_VARIABLE):
        return Path(override)
    try:
        chosen = json.loads(_choice_file().read_text(encoding="utf-8"))["folder"]
    except (OSError, ValueError, KeyError, TypeError):  # Never chosen, or a damaged file: the usual place.
        return default_models_folder()
    return Path(chosen) if isinstance(chosen, str) and chosen else default_models_folder()


def default_models_folder() -> Path:
    """Where models are kept unless the user says otherwise."""
    return user_data_folder() / "models"


def models_folder_is_fixed() -> bool:
    """Whether the environment says where models are, so that a choice would change nothing."""
    return bool(os.environ.get(_VARIABLE))


def set_models_folder(path: Path) -> None:
    """Keep models in another folder from now on; it is made if need be. Models that are elsewhere stay there.

    Raises:
        OSError: The folder cannot be made.
    """
    folder = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links that may move
    folder.mkdir(parents=True, exist_ok=True)
    write_text(_choice_file(), json.dumps({"folder": str(folder)}) + "\n")


def _choice_file() -> Path:
    return user_data_folder() / "models.json"
