"""Rates of blocks: kohya's numbers down, in the middle and up, and Kiln's lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.imports.draft import Argument, Arguments, Draft
from core.imports.families import known_family
from core.imports.values import UnfitError, number, numbers, shown
from core.models import FamilyName
from core.text import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What kohya's lists of blocks stand for in a family: place -> the part of the denoiser that has LoRA pairs there.

    The other places have none, or only those of convolutions. `outside` counts the numbers in front of and behind a
    list of ranks that stand for parts outside of the blocks.
    """

    num_blocks: int
    num_middle: int
    outside: int
    down: Mapping[int, str]
    middle: Mapping[int, str]
    up: Mapping[int, str]

    @property
    def num_ranks(self) -> int:
        """Numbers in a list of ranks."""
        return 2 * self.num_blocks + self.num_middle + 2 * self.outside

    @property
    def places(self) -> dict[int, str]:
        """The same for the one list of ranks, which is down, middle and up together."""
        middle = self.outside + self.num_blocks
        return {
            **{self.outside + place: part for place, part in self.down.items()},
            **{middle + place: part for place, part in self.middle.items()},
            **{middle + self.num_middle + place: part for place, part in self.up.items()},
        }


def _parts(side: str, blocks: Iterable[int], layers: int, first: int) -> dict[int, str]:
    return {
        3 * block + layer + first: f"{side}_blocks.{block}.attentions.{layer}"
        for block in blocks
        for layer in range(layers)
    }


_SD = Layout(
    num_blocks=12,
    num_middle=1,
    outside=0,
    down=_parts("down", range(3), 2, 1),
    middle={0: "mid_block"},
    up=_parts("up", range(1, 4), 3, 0),
)
_SDXL = Layout(
    num_blocks=9,
    num_middle=3,
    outside=1,
    down=_parts("down", (1, 2), 2, 1),
    middle={1: "mid_block.attentions.0"},
    up=_parts("up", (0, 1), 3, 0),
)


def layout_of(family: FamilyName | None) -> Layout:
    """The layout of a family; of an unknown one that of Stable Diffusion 1 and 2."""
    return _SDXL if family in ("sdxl", "kolors") else _SD


def layout_for(draft: Draft, arguments: Arguments) -> Layout:
    """The layout of the family that a file is for; where it does not say so, its numbers are counted."""
    family = known_family(draft)
    if family is None:
        for name, wanted in (("mid_lr_weight", _SDXL.num_middle), ("block_dims", _SDXL.num_ranks)):
            argument = arguments.get(name)
            if argument is not None and _count(argument.value) == wanted:
                return _SDXL
    return layout_of(family)


def _count(value: object) -> int:
    try:
        return len(numbers(value))
    except UnfitError:
        return 0


def map_blocks(draft: Draft, arguments: Arguments) -> None:
    """Take the options about block weights."""
    layout = layout_for(draft, arguments)
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
    for argument, parts, wanted in (
        (down, layout.down, layout.num_blocks),
        (middle, layout.middle, layout.num_middle),
        (up, layout.up, layout.num_blocks),
    ):
        if argument is None or draft.was_empty(argument):
            continue
        try:
            weights = _weights(argument.value, wanted)
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


def block_weights(lines: Iterable[str], layout: Layout) -> tuple[list[float], list[float], list[float]] | None:
    """Kiln's lines as kohya's weights: down, middle, up. None when they name a part that kohya has no word for."""
    rates: dict[str, float] = {}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        try:
            rates[name] = number(value)
        except UnfitError:
            return None
        known = layout.places.values()
        if not equals or not any(part == name or part.startswith(f"{name}.") for part in known):
            return None

    def weight(part: str) -> float:
        fitting = [name for name in rates if part == name or part.startswith(f"{name}.")]
        return rates[max(fitting, key=len)] if fitting else 1.0

    down, middle, up = (
        [weight(parts[place]) if place in parts else 1.0 for place in range(count)]
        for parts, count in (
            (layout.down, layout.num_blocks),
            (layout.middle, layout.num_middle),
            (layout.up, layout.num_blocks),
        )
    )
    return down, middle, up
