"""Settings of other programs: read into Kiln's words, and Kiln's written in kohya's."""

from core.imports.applying import apply, dataset_file
from core.imports.encoding import OwnSettingsError
from core.imports.kohya_file import save_kohya, to_kohya_toml
from core.imports.reading import read_settings, rerooted
from core.imports.records import Ignored, Imported, ImportedPath, Mapped, Source, source_title

__all__ = [
    "Ignored",
    "Imported",
    "ImportedPath",
    "Mapped",
    "OwnSettingsError",
    "Source",
    "apply",
    "dataset_file",
    "read_settings",
    "rerooted",
    "save_kohya",
    "source_title",
    "to_kohya_toml",
]
