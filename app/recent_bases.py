"""The base models that were used last."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings

_KEY = "params/recent_bases"
_MOST = 8


def recent_bases(settings: Settings) -> list[Path]:
    """The base models that were used last, the newest first."""
    return [Path(line) for line in settings.value(_KEY, "").splitlines() if line]


def remember_base(settings: Settings, path: Path) -> list[Path]:
    """Note that a base model is used. Returns the list as it is now."""
    recent = [path, *(known for known in recent_bases(settings) if known != path)][:_MOST]
    settings.set_value(_KEY, "\n".join(str(known) for known in recent))
    return recent
