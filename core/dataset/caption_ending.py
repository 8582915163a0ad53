"""Which endings caption files may have: never one of a picture, or text would be written over pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from core.text import tr


def no_picture_ending(ending: str) -> str:
    """The ending of caption files, for models to check it with.

    Raises:
        ValueError: It is one that pictures have.
    """
    if _is_of_pictures(ending):
        raise ValueError(tr("an ending that no pictures have, such as .txt or .caption"))
    return ending


def refuse_pictures(caption: Path) -> None:
    """The last guard before a caption is written, wherever its path came from.

    Raises:
        ValueError: The path is that of a picture.
    """
    if _is_of_pictures(caption.suffix):
        raise ValueError(f"a caption must not be written over the picture {caption}")


def _is_of_pictures(ending: str) -> bool:
    return ending.lower() in _picture_endings()


@cache
def _picture_endings() -> frozenset[str]:
    # Imported late: the modules about pictures know the settings, which check endings.
    from core.dataset.images import EXTENSIONS, OTHER_EXTENSIONS

    return EXTENSIONS | OTHER_EXTENSIONS
