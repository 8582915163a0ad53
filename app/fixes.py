"""The buttons of a failure: ways out of the catalogue, as actions of a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from app.widgets.card import ButtonKind
from app.widgets.run_card import Action
from core.config.labels import specs_by_key, value_of, value_text
from core.config.model import TrainConfig
from core.events import Failed
from core.failures import FAILURES, Fix, FixAction, fixes_of
from core.text import sentences, tr

MOST_BUTTONS = 3

_ICONS: dict[FixAction, str] = {
    "": "params",
    "continue": "play",
    "retry": "refresh",
    "free_space": "folder-open",
    "open_folder": "folder-open",
    "open_doctor": "search",
    "choose_model": "folder",
    "download_model": "download",
    "choose_pictures": "image",
    "choose_output": "folder",
    "check_pictures": "dataset",
    "other_name": "edit",
}


class FixDoer(Protocol):
    """Whoever shows a failed run, and can change its settings and start it again."""

    def can_do(self, action: FixAction) -> bool:
        """Whether an action is possible now: without a state, for example, nothing can be continued."""

    def apply(self, changes: Mapping[str, object], said: str) -> None:
        """Change the settings, show `said`, which tells what changed, and start the run again."""

    def do(self, action: FixAction) -> None:
        """Do what the action says (`core.failures.FixAction`)."""


def fix_actions(failed: Failed, config: TrainConfig | None, doer: FixDoer) -> list[Action]:
    """The buttons for a failure, the best way out first and marked as such.

    Args:
        failed: How the run ended.
        config: The settings it ran with, if they are known.
        doer: Does what a button says.
    """
    actions: list[Action] = []
    for fix in fixes_of(failed.failure, config):
        if len(actions) == MOST_BUTTONS:
            break
        if not fix.changes and not doer.can_do(fix.action):
            continue
        kind: ButtonKind = "secondary" if actions else "primary"
        said = changes_text(config, fix.changes) if config is not None else ""
        do = _doing(fix, said, doer)
        actions.append(Action(tr(fix.title), do, kind, _ICONS[fix.action], tooltip=said))
    return actions


def failure_text(failed: Failed) -> str:
    """What a failure card says below its heading: how it comes, and what to do about it."""
    known = FAILURES.get(failed.failure)
    return sentences(tr(known.why), failed.remedy) if known else failed.remedy


def changes_text(config: TrainConfig, changes: Mapping[str, object]) -> str:
    """What changes, option by option: "Batch size: 4 → 1"."""
    specs = specs_by_key()
    return ", ".join(
        tr(
            "{option}: {old} → {new}",
            option=tr(specs[key].title),
            old=value_text(specs[key], value_of(config, key)),
            new=value_text(specs[key], new),
        )
        for key, new in changes.items()
    )


def _doing(fix: Fix, said: str, doer: FixDoer) -> Callable[[], object]:
    if fix.changes:
        return lambda: doer.apply(fix.changes, said)
    return lambda: doer.do(fix.action)
