"""The keys of the Tagger page."""

from __future__ import annotations

from app.widgets.cheat_sheet import Group
from core.text import tr


def tagger_keys() -> list[Group]:
    """The keys of the Tagger page, and those of the whole window."""
    return [
        (
            tr("Tagging"),
            [
                ("Ctrl+Return", tr("Start, or write what is planned")),
                ("Esc", tr("Cancel")),
                ("Ctrl+Z", tr("Undo")),
            ],
        ),
        (
            tr("Pictures"),
            [
                ("Up / Down", tr("Go to another picture")),
                ("Ctrl+Up / Ctrl+Down", tr("Go to another picture, from anywhere")),
                ("Ctrl+T", tr("Try on this picture")),
                ("Space", tr("Leave a tag out, or take it back in")),
            ],
        ),
        (
            tr("Everywhere"),
            [
                ("Ctrl+O", tr("Open a folder")),
                ("Ctrl+1 / Ctrl+4", tr("First to last page")),
                ("F1", tr("Show these keys")),
            ],
        ),
    ]
