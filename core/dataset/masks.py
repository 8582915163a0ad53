"""Masks of pictures: their own transparency, or a picture beside them where white is what counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.dataset.images import open_image
from core.dataset.records import ImageRecord

if TYPE_CHECKING:
    from PIL.Image import Image

MaskKind = Literal["none", "alpha", "files"]

MASK_ENDING = "-masklabel.png"
"""What the name of a mask has instead of the ending of its picture's name."""


def is_mask_name(name: str) -> bool:
    """Whether a file is a mask by its name, and so no picture to train."""
    return name.lower().endswith(MASK_ENDING)


def mask_path(picture: Path) -> Path:
    """Where the mask of a picture is when it has one."""
    return picture.with_name(picture.stem + MASK_ENDING)


def mask_image(record: ImageRecord, kind: MaskKind) -> Image | None:
    """The mask of a picture, greyscale and as large as the picture: 255 where it counts. None when it has none.

    Args:
        record: The picture, which is readable.
        kind: Where its mask is: in its transparency, or in a file of its own.

    Raises:
        UserError: The file cannot be read as a picture.
    """
    if kind == "none":
        return None
    mask = _alpha(record.path) if kind == "alpha" else _file(mask_path(record.path))
    return mask if mask is None or mask.size == record.size_px else mask.resize(record.size_px)


def _file(path: Path) -> Image | None:
    return open_image(path).convert("L") if path.is_file() else None


def _alpha(path: Path) -> Image | None:
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if not picture.has_transparency_data:
            return None
        return ImageOps.exif_transpose(picture).convert("RGBA").getchannel("A")
