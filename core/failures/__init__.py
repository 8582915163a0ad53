"""The catalogue of known failures: what happened, why, what to do, and the buttons that do it.

Errors that Kiln itself raises name their entry (`UserError(failure="disk_full")`) and say what happened in their own
words; errors of the system and of libraries are recognised here by class, number and words (`find`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from core.failures import device, ending, files, training
from core.failures.ending import code_text, key_of_exit
from core.failures.entry import Failure, Fix, FixAction, Trouble

if TYPE_CHECKING:
    from core.config.model import TrainConfig

__all__ = ["FAILURES", "Failure", "Fix", "FixAction", "Trouble", "code_text", "find", "fixes_of", "key_of_exit"]

FAILURES: Mapping[str, Failure] = {
    entry.key: entry for entry in (*device.ENTRIES, *files.ENTRIES, *training.ENTRIES, *ending.ENTRIES)
}
"""Key -> entry, in the order in which they are tried: the more exact ones come first."""


def find(trouble: Trouble) -> Failure | None:
    """The entry that a technical error belongs to, or None when nobody knows it yet.

    Windows' own number is more exact than what Python makes of it: a drive that is not ready, a locked file and a
    missing right all become the same one.
    """
    if trouble.windows_number is not None and trouble.number is not None:
        exact = find(replace(trouble, number=None))
        if exact is not None:
            return exact
    return next((entry for entry in FAILURES.values() if entry.match is not None and entry.match(trouble)), None)


def fixes_of(failure_key: str, config: TrainConfig | None) -> list[Fix]:
    """The ways out of a failure that make a difference now.

    Args:
        failure_key: Key of the entry; an unknown or empty one has no ways out.
        config: The settings of the run; without them, only ways out that change none are left.

    Returns:
        Fixes whose changes are values, and only those that differ from the settings.
    """
    entry = FAILURES.get(failure_key)
    fixes = []
    for fix in entry.fixes if entry else ():
        changes = _changes(fix, config) if config is not None else {}
        if changes or fix.action:
            fixes.append(Fix(fix.title, changes, fix.action))
    return fixes


def _changes(fix: Fix, config: TrainConfig) -> dict[str, object]:
    changes: dict[str, object] = {}
    for key, value in fix.changes.items():
        section, _, name = key.partition(".")
        new = value(config) if callable(value) else value
        if new != getattr(getattr(config, section), name):
            changes[key] = new
    return changes
