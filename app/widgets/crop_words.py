"""What the window calls fits, shapes and edges, in boxes to choose from."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox

from core.dataset.edits import Fit
from core.dataset.fitting import Edge
from core.text import tr

SHAPES = ("1:1", "4:5", "3:4", "2:3", "9:16", "5:4", "4:3", "3:2", "16:9")
"""Width to height of the crops of a whole dataset."""


def fit_names() -> dict[Fit, str]:
    """What the window calls the ways to bring a picture to size."""
    return {
        "buckets": tr("Keep the shape"),
        "smart": tr("Smart crop"),
        "crop": tr("Middle crop"),
        "pad": tr("Pad"),
    }


def edge_names() -> dict[Edge, str]:
    """What the window calls the ways to fill edges."""
    return {"blur": tr("Blurred picture"), "white": tr("White"), "grey": tr("Grey"), "black": tr("Black")}


def fill_box(box: QComboBox, entries: Iterable[tuple[str, str]]) -> None:
    """Give a box other words for its values; the chosen one stays, and no signal is sent.

    Args:
        box: Whose `currentData` is a value.
        entries: Values with their words.
    """
    chosen = box.currentData()
    with QSignalBlocker(box):
        box.clear()
        for value, words in entries:
            box.addItem(words, value)
        box.setCurrentIndex(max(0, box.findData(chosen)))
