"""What options mean for each other: contradictions with a way out, and options that have no effect now.

The rules themselves are in `rules_learning`, `rules_networks`, `rules_running`, `rules_families` and `rules_idle`.
Loading and editing never refuse a contradiction, because a file may be old and an edit may be half done; a run does
not start with one of level `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.config.labels import specs_by_key, value_of, value_text
from core.config.model import TrainConfig
from core.errors import UserError
from core.text import tr

if TYPE_CHECKING:
    from core.models import FamilyName

Level = Literal["error", "warning", "info"]
Changes = Mapping[str, Any]

FINDS_THE_RATE = ("prodigy", "dadaptation")
"""Optimizers that find the learning rate themselves."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beyond the config; None while it is not.

    Attributes:
        num_pictures: Pictures that the LoRA learns, those of regularization folders left out.
        total_steps: Length of the run.
        family: Kind of the base model, where the settings leave it open.
    """

    num_pictures: int | None = None
    total_steps: int | None = None
    family: FamilyName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A combination of options that deserves a word.

    Attributes:
        keys: The options it is about, as `section.name`; the first is where it is shown in full.
        level: `error` keeps a run from starting, `warning` is likely a mistake, `info` is good to know.
        holds: Whether the combination is there.
        sentence: What it means, in the language in use.
        way_out: Changes after which it is gone.
    """

    keys: tuple[str, ...]
    level: Level
    holds: Callable[[TrainConfig, Facts], bool]
    sentence: Callable[[TrainConfig, Facts], str]
    way_out: Callable[[TrainConfig, Facts], Changes]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A rule that holds for a config: what is said, and the changes of the way out."""

    rule: Rule
    sentence: str
    changes: Changes

    @property
    def level(self) -> Level:
        """How bad it is."""
        return self.rule.level

    @property
    def keys(self) -> tuple[str, ...]:
        """The options it is about."""
        return self.rule.keys

    @property
    def button(self) -> str:
        """The words on the button of the way out."""
        return changes_text(self.changes)


@dataclass(frozen=True, slots=True)
class Idle:
    """Options that have no effect while another option has certain values."""

    keys: tuple[str, ...]
    because: str
    holds: Callable[[Any], bool]


def conflicts(config: TrainConfig, facts: Facts | None = None) -> tuple[Conflict, ...]:
    """All rules that hold, the worst first."""
    from core.config import rules_families, rules_learning, rules_networks, rules_running

    known = facts or Facts()
    found = [
        Conflict(rule, rule.sentence(config, known), rule.way_out(config, known))
        for rule in (*rules_learning.RULES, *rules_networks.RULES, *rules_running.RULES, *rules_families.RULES)
        if rule.holds(config, known)
    ]
    order: tuple[Level, ...] = ("error", "warning", "info")
    return tuple(sorted(found, key=lambda conflict: order.index(conflict.level)))


def idle_options(config: TrainConfig) -> dict[str, tuple[str, str]]:
    """Options without effect now: `section.name` -> (the option that is why, the reason as a sentence)."""
    from core.config.rules_idle import IDLE

    specs = specs_by_key()
    found: dict[str, tuple[str, str]] = {}
    for idle in IDLE:
        value = value_of(config, idle.because)
        if not idle.holds(value):
            continue
        spec = specs[idle.because]
        reason = tr("No effect while {title} is {value}.", title=tr(spec.title), value=value_text(spec, value))
        for key in idle.keys:
            found.setdefault(key, (idle.because, reason))
    return found


def changes_text(changes: Changes) -> str:
    """Changes as what a button does: *Set Rank to 16*, *Turn off Wildcards*."""
    specs = specs_by_key()
    words = []
    for key, value in changes.items():
        spec = specs[key]
        title = tr(spec.title)
        if spec.kind == "bool":
            words.append(tr("Turn on {title}", title=title) if value else tr("Turn off {title}", title=title))
        else:
            words.append(tr("Set {title} to {value}", title=title, value=value_text(spec, value)))
    return " · ".join(words)


def refuse_contradictions(config: TrainConfig, facts: Facts | None = None) -> None:
    """Refuse to start a run with options that contradict each other.

    Raises:
        UserError: The first rule of level `error` that holds; the remedy names the way out.
    """
    for conflict in conflicts(config, facts):
        if conflict.level == "error":
            raise UserError(
                "{sentence}",
                remedy="{changes}.",
                sentence=conflict.sentence,
                changes=changes_text(conflict.changes),
            )
