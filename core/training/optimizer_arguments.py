"""Further arguments of optimizers, as users write them: one `name=value` per line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from core.errors import UserError

OTHER_NAMES = {"decouple": "weight_decouple", "use_bias_correction": "bias_correction"}
"""What the authors of Prodigy and D-Adaptation call arguments, and so do settings of other programs."""
_OWN = frozenset({"self", "params", "kwargs", "lr"})
"""What every optimizer takes and has a place of its own in the settings, or none."""
_WORDS = {"true": True, "false": False, "none": None}


def parsed_arguments(lines: Sequence[str], optimizer: str, factory: Callable[..., Any]) -> dict[str, Any]:
    """The arguments that an optimizer is made with.

    Args:
        lines: As they were written; empty ones are ignored.
        optimizer: Its name, for messages.
        factory: What they go to; its signature tells the names.

    Raises:
        UserError: A line is no `name=value`, or the name is unknown.
    """
    known = [name for name in inspect.signature(factory).parameters if name not in _OWN]
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, lines)):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name or not value:
            raise UserError(
                '"{line}" is no argument of an optimizer.',
                remedy="Write one name=value on each line, for example: weight_decay=0.05",
                line=line,
            )
        name = name if name in known else OTHER_NAMES.get(name, name)
        if name not in known:
            raise UserError(
                "The optimizer {optimizer} has no argument {name}.",
                remedy="It knows: {names}",
                optimizer=optimizer,
                name=name,
                names=", ".join(known),
            )
        found[name] = parsed_value(value)
    return found


def parsed_value(text: str) -> Any:
    """A number, a truth value, None, a tuple of such, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
