"""The configuration as a TOML file with each option's meaning as a comment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from core.config.fields import field_specs, sections, validated
from core.config.migrations import migrated
from core.config.model import TrainConfig
from core.errors import UserError
from core.files import write_text
from core.text import tr

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def to_toml(config: TrainConfig) -> str:
    """The whole config as TOML, sections in order, descriptions as comments in the user's language."""
    values = config.model_dump(mode="json")
    specs = field_specs()
    lines: list[str] = []
    for section, title, _ in sections():
        lines += [f"# {tr(title)}", f"[{section}]"]
        for spec in specs:
            if spec.section == section:
                value = values[section][spec.name]
                if spec.kind == "path" and value == ".":
                    value = ""  # Path() stands for "not chosen yet"
                lines += [f"# {tr(spec.description)}", f"{spec.name} = {literal(value)}"]
        lines.append("")
    return "\n".join(lines)


def literal(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, float):
        text = repr(value)
        return text if any(char in text for char in ".e") else text + ".0"
    return str(value)


def save_config(config: TrainConfig, path: Path) -> None:
    """Write the config as TOML, atomically."""
    write_text(path, to_toml(config))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file in UTF-8 (a byte-order mark is fine).

    Raises:
        UserError: The file is missing, not text, or not TOML; says where.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError("{path} is missing.", remedy="Check the path of the settings file.", path=path) from error
    except UnicodeDecodeError as error:
        raise UserError(
            "{path} is not a text in UTF-8.", remedy="Save it as UTF-8 and try again.", path=path
        ) from error
    except OSError as error:
        raise UserError(
            "{path} cannot be read: {reason}.",
            remedy="Choose a settings file that ends in .toml.",
            path=path,
            reason=error.strerror or error,
        ) from error
    return parsed_toml(text, path)


def parsed_toml(text: str, path: Path) -> dict[str, Any]:
    """The tables of a TOML text; its path is only named.

    Raises:
        UserError: It is not TOML; says where.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(
            "{path} is not a valid TOML file: {reason}.",
            remedy="Mend the line it names; on Windows write paths with / or in single quotes.",
            path=path,
            reason=error,
        ) from error


def with_home(path: Path) -> Path:
    """The path with `~` replaced by the user's home; a name that only begins like that stays."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def load_config(path: Path) -> TrainConfig:
    """The config of a TOML file. Paths in it are relative to the file's folder, and `~` is the user's home.

    Raises:
        UserError: The file cannot be read, or an option is unknown or out of range.
    """
    config = validated(migrated(read_toml(path)))
    home = path.resolve().parent
    values = config.model_dump()
    for spec in field_specs():
        value = values[spec.section][spec.name]
        if spec.kind == "path" and value != Path():
            values[spec.section][spec.name] = home / with_home(value)
    return validated(values)
