"""Text files of other programs: of any size, and in the encodings that they are found in."""

from __future__ import annotations

import codecs
from pathlib import Path

from core.errors import UserError

MAX_BYTES = 8 * 1024 * 1024
"""Settings are some kilobytes; anything longer is another kind of file."""


class OwnSettingsError(UserError):
    """The file holds Kiln's own settings, which need no import."""


def read_limited(path: Path) -> bytes:
    """The bytes of a settings file.

    Raises:
        UserError: It is missing, may not be read, or is too long to be settings.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UserError("{path} is missing.", remedy="Check the path of the settings file.", path=path) from error
    except (OSError, ValueError) as error:
        raise UserError(
            "{path} cannot be read: {reason}.",
            remedy="Choose a settings file: TOML, JSON, or a LoRA file in safetensors form.",
            path=path,
            reason=getattr(error, "strerror", None) or error,
        ) from error
    if len(data) > MAX_BYTES:
        raise no_settings(path)
    return data


def decoded(data: bytes, path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or the Chinese encoding of Windows.

    Raises:
        UserError: It is no text in any of these.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise no_settings(path)


def no_settings(path: Path) -> UserError:
    """The error for a file that is something else."""
    return UserError(
        "{path} holds no training settings that Kiln knows.",
        remedy="Choose a settings file: TOML, JSON, or a LoRA file in safetensors form.",
        path=path,
    )
