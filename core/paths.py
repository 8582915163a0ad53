"""Where things are: the shipped resources, the user's cache and the default output folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
STARTER = RESOURCES / "starter"
STARTER_MODEL = STARTER / "model"
STARTER_TAGGER = STARTER / "tagger"
STARTER_DEMO = STARTER / "demo"
STARTER_DEMO_OTHERS = STARTER / "demo_others"


def user_data_folder() -> Path:
    """The folder for what Kiln keeps between sessions (caches, settings, measured speeds); `KILN_HOME` overrides it."""
    if override := os.environ.get("KILN_HOME"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "Kiln"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Kiln"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "kiln"


def default_output_folder() -> Path:
    """Where LoRA files go unless the user says otherwise: `Kiln` in the documents of the user's home."""
    documents = Path.home() / "Documents"
    return (documents if documents.is_dir() else Path.home()) / "Kiln"
