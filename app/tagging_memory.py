"""How the user tagged the last time, kept for all folders."""

from __future__ import annotations

import json

from app.settings import Settings
from core.tagging.options import TagOptions

_KEY, _AT_ONCE_KEY = "tagger/options", "tagger/at_once"
_OF_THE_FOLDER = ("trigger_word", "on_existing", "prune")
"""What is chosen anew for each folder."""


def remembered_options(settings: Settings) -> TagOptions:
    """The options of last time, but for those that belong to a folder."""
    try:
        return TagOptions.model_validate(json.loads(settings.value(_KEY, "{}")))
    except ValueError:
        return TagOptions()


def remember_options(settings: Settings, options: TagOptions) -> None:
    """Keep these options for the next time."""
    usual = TagOptions()
    kept = options.model_copy(update={name: getattr(usual, name) for name in _OF_THE_FOLDER})
    settings.set_value(_KEY, kept.model_dump_json())


def writes_at_once(settings: Settings) -> bool:
    """Whether captions are written without another look at them."""
    return settings.value(_AT_ONCE_KEY, True)


def remember_at_once(settings: Settings, at_once: bool) -> None:
    """Keep this choice for the next time."""
    settings.set_value(_AT_ONCE_KEY, at_once)
