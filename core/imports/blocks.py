"""Rates of blocks: kohya's twelve numbers down, one in the middle and twelve up, and Kiln's lines."""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.imports.draft import Argument, Arguments, Draft
from core.imports.values import UnfitError, number, numbers, shown
from core.text import tr

NUM_BLOCKS = 12

DOWN_PARTS = {
    3 * block + index + 1: f"down_blocks.{block}.attentions.{index}" for block in range(3) for index in (0, 1)
}
UP_PARTS = {3 * block + index: f"up_blocks.{block}.attentions.{index}" for block in (1, 2, 3) for index in (0, 1, 2)}
"""Position in kohya's lists -> the part of the denoiser that has LoRA pairs there; the other positions have none."""


def map_blocks(draft: Draft, arguments: Arguments) -> None:
    """Take the options about block weights."""
    wish = arguments.take("enable_block_weights")
    down, middle, up = (arguments.take(name) for name in ("down_lr_weight", "mid_lr_weight", "up_lr_weight"))
    limit = arguments.take("block_lr_zero_threshold")
    if wish is not None and str(wish.value).lower() == "false":
        for argument in (wish, down, middle, up, limit):
            if argument is not None:
                draft.leave_off(argument)
        return
    least = _threshold(limit)
    lines: list[str] = []
    for argument, parts in ((down, DOWN_PARTS), (middle, {0: "mid_block"}), (up, UP_PARTS)):
        if argument is None or draft.was_empty(argument):
            continue
        try:
            weights = _weights(argument.value, 1 if argument is middle else NUM_BLOCKS)
        except UnfitError as error:
            draft.leave(argument, str(error))
            continue
        found = [f"{part}={_short(weights[place], least)}" for place, part in parts.items()]
        found = [line for line in found if not line.endswith("=1")]
        draft.note(argument, "optimizer.block_rates", tuple(found))
        lines += found
    if lines:
        draft.changes["optimizer.block_rates"] = tuple(lines)
    for argument in (wish, limit):
        if argument is not None and lines and not draft.was_empty(argument):
            draft.note(argument, "optimizer.block_rates", tuple(lines))
        elif argument is not None and not lines:
            draft.leave(argument, tr("The file names no weights of blocks."), is_harmless=True)


def _threshold(argument: Argument | None) -> float:
    try:
        return number(argument.value) if argument is not None else 0.0
    except UnfitError:
        return 0.0  # Empty, as kohya_ss writes it, or no number: no weight is too small then.


def _short(weight: float, least: float) -> str:
    return f"{weight if weight > least else 0:.4g}"


def _weights(value: object, wanted: int) -> list[float]:
    """All weights of one direction: a list, or a curve such as `sine` or `cosine+0.5`. What is missing counts 1.

    Raises:
        UnfitError: It is neither numbers nor a curve, or a weight is below 0.
    """
    if isinstance(value, str) and value.strip()[:1].isalpha():
        weights = _curve(value, wanted)
    else:
        weights = numbers(value)
    if any(weight < 0 for weight in weights):
        raise UnfitError(tr("{value} holds a weight below 0.", value=shown(value)))
    return [*weights, *[1.0] * wanted][:wanted]


def _curve(words: str, wanted: int) -> list[float]:
    name, _, offset = words.replace(" ", "").lower().partition("+")
    base = number(offset) if offset else 0.0
    places = [index / (wanted - 1) if wanted > 1 else 0.0 for index in range(wanted)]
    curves = {
        "sine": [math.sin(math.pi / 2 * place) for place in places],
        "cosine": [math.sin(math.pi / 2 * place) for place in reversed(places)],
        "linear": places,
        "reverse_linear": places[::-1],
        "zeros": [0.0] * wanted,
    }
    if name not in curves:
        raise UnfitError(tr("Kiln does not know the curve {name}.", name=shown(words)))
    return [weight + base for weight in curves[name]]


def block_weights(lines: Iterable[str]) -> tuple[list[float], float, list[float]] | None:
    """Kiln's lines as kohya's weights: down, middle, up. None when they name a part that kohya has no word for."""
    rates: dict[str, float] = {}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        try:
            rates[name] = number(value)
        except UnfitError:
            return None
        known = (*DOWN_PARTS.values(), *UP_PARTS.values(), "mid_block")
        if not equals or not any(part == name or part.startswith(f"{name}.") for part in known):
            return None

    def weight(part: str) -> float:
        fitting = [name for name in rates if part == name or part.startswith(f"{name}.")]
        return rates[max(fitting, key=len)] if fitting else 1.0

    down = [weight(DOWN_PARTS[place]) if place in DOWN_PARTS else 1.0 for place in range(NUM_BLOCKS)]
    up = [weight(UP_PARTS[place]) if place in UP_PARTS else 1.0 for place in range(NUM_BLOCKS)]
    return down, weight("mid_block"), up
