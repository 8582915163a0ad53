"""From scores to a caption: which tags are written, how they are spelled, and what becomes of the old caption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.dataset.captions import join_tags, split_tags, tag_key
from core.tagging.base import ScoredTag

if TYPE_CHECKING:
    from core.jobs import TagOptions

# Tags that are faces: their underscores are eyes and mouths.
KAOMOJI = frozenset(
    "0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||".split()  # noqa: SIM905
)


def choose_tags(scored: Iterable[ScoredTag], options: TagOptions) -> list[str]:
    """The tags to write, the most certain first, spelled as the options say.

    Names of characters need the threshold for characters, everything else the general one. Ratings (general,
    sensitive, explicit) are no part of a caption. Brackets are not escaped: the backslash is the syntax of prompts, and
    a trainer would learn it literally.
    """
    left_out = {tag_key(tag) for tag in options.exclude}
    chosen = [
        tag
        for tag in scored
        if tag.category != "rating"
        and tag.score >= (options.character_threshold if tag.category == "character" else options.threshold)
        and tag_key(tag.name) not in left_out
    ]
    chosen.sort(key=lambda tag: -tag.score)
    return [spelled(tag.name, options.replace_underscores) for tag in chosen]


def spelled(name: str, replace_underscores: bool) -> str:
    """A tag as it is written: `long hair` for `long_hair`, but `^_^` stays."""
    return name.replace("_", " ") if replace_underscores and name not in KAOMOJI else name


def compose(tags: list[str], old: str, options: TagOptions) -> str:
    """The new caption: the trigger word, then the new tags and, if they are to stay, those of the old caption.

    Args:
        tags: From `choose_tags`.
        old: The caption so far, or "".
        options: `on_existing` says what becomes of the old caption.

    Returns:
        Tags separated by ", ", each once, whatever its spelling.
    """
    trigger = split_tags(options.trigger_word)
    if not old or options.on_existing == "replace":
        return join_tags([*trigger, *tags])
    if options.on_existing == "append":
        return join_tags([*trigger, *split_tags(old), *tags])
    if options.on_existing == "prepend":
        return join_tags([*trigger, *tags, *split_tags(old)])
    return old
