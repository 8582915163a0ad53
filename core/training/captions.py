"""The caption of each showing of a picture: what is always said, and what chance does to it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.config.model import DatasetConfig
from core.dataset.captions import bytes_of, decode_caption, join_tags, split_tags, tag_key
from core.dataset.records import ImageRecord

if TYPE_CHECKING:
    from core.training.data import Example

_CHOICE = re.compile(r"\{([^{}]*)\}")
_LITERAL = {"{{": "\ue000", "}}": "\ue001"}
"""Braces that are meant as such, and what stands for them while choices are made."""
_ENDS_A_PHRASE = tuple(",.;:!?|，。、；：！？")


def captions_vary(config: DatasetConfig) -> bool:
    """Whether a picture may be shown with another caption than its own or none, which nobody can encode beforehand."""
    return bool(config.shuffle_tags or config.tag_dropout or config.wildcards or config.tag_warmup_steps)


def caption_text(record: ImageRecord, config: DatasetConfig) -> str:
    """What was written for a picture: with wildcards its lines, of which each showing takes one; else one line.

    The class word of a folder, or the words of one named like `10_name`, stand in for a missing caption.
    """
    if not record.caption:
        return record.class_tokens
    if config.wildcards and (data := bytes_of(record.caption_path)) and b"\n" in data.strip():
        lines = [decode_caption(line, record.caption_path)[0] for line in data.splitlines()]
        return "\n".join(line for line in lines if line) or record.caption
    return record.caption


def full_caption(record: ImageRecord, config: DatasetConfig, text: str | None = None) -> str:
    """The caption as it is trained where chance has no part: the trigger word in front, absorbed tags left out.

    Regularization pictures get neither trigger word nor absorption: they show what the words meant before. A trigger
    word in their captions is left out.

    Args:
        record: The picture.
        config: Trigger word, absorbed tags, and what goes around every caption.
        text: What was written for it; None for what is in the record.
    """
    parts = _parts(record, config, (record.caption or record.class_tokens) if text is None else text)
    return _surrounded(parts[0] if len(parts) == 1 else join_tags(parts), config)


def caption_now(example: Example, config: DatasetConfig, chance: random.Random, step: int = 0, epoch: int = 0) -> str:
    """The caption of one showing.

    Tags at the front that are kept, and those before a keep separator, take part in no chance; neither do those behind
    a second separator.

    Args:
        example: The picture.
        config: What chance may do.
        chance: Where the randomness comes from.
        step: Number of the step, from 0; the tag warm-up goes by it.
        epoch: Number of the epoch, from 0.
    """
    every = config.caption_dropout_every_n_epochs
    if every and (epoch + 1) % every == 0:
        return ""
    if config.caption_dropout and chance.random() < config.caption_dropout:
        return ""
    if not captions_vary(config):
        return example.caption
    text = _chosen(example.text, chance) if config.wildcards else example.text
    parts = _parts(example.record, config, text)
    if not (config.shuffle_tags or config.tag_dropout or config.tag_warmup_steps):
        return _surrounded(parts[0] if len(parts) == 1 else join_tags(parts), config)
    if len(parts) > 1:
        kept, loose = split_tags(parts[0]), split_tags(parts[1])
    else:
        tags = split_tags(parts[0])
        kept, loose = tags[: config.keep_tags], tags[config.keep_tags :]
    loose = loose[: _num_shown(len(loose), config, step)]
    if config.tag_dropout:
        loose = [tag for tag in loose if chance.random() >= config.tag_dropout]
    if config.shuffle_tags:
        chance.shuffle(loose)
    return _surrounded(join_tags([*kept, *loose, *parts[2:]]), config)


def _num_shown(number: int, config: DatasetConfig, step: int) -> int:
    """How many of so many loose tags are shown; during the tag warm-up they grow evenly from the least to all."""
    if step >= config.tag_warmup_steps or number <= config.tag_warmup_min:
        return number
    return config.tag_warmup_min + (number - config.tag_warmup_min) * step // config.tag_warmup_steps


def _chosen(text: str, chance: random.Random) -> str:
    """One of the lines, with one of the words of each `{red|blue}`, inner ones first; `{{` and `}}` are braces."""
    lines = text.splitlines()
    text = chance.choice(lines) if len(lines) > 1 else text
    for brace, place in _LITERAL.items():
        text = text.replace(brace, place)
    while found := _CHOICE.search(text):
        text = text[: found.start()] + chance.choice(found[1].split("|")) + text[found.end() :]
    for brace, place in _LITERAL.items():
        text = text.replace(place, brace[0])
    return text


def _parts(record: ImageRecord, config: DatasetConfig, text: str) -> list[str]:
    """The caption between its keep separators, with trigger word and absorption; one part when it has none of them."""
    parts = [part.strip(" ,") for part in text.split(config.keep_separator)] if config.keep_separator else [text]
    if record.is_regularization:
        return [_without(split_tags(config.trigger_word), part) for part in parts]
    parts = [_without(config.absorbed_tags, part) for part in parts]
    trigger = (record.trigger_word or config.trigger_word).strip()
    if trigger and not any(trigger in split_tags(part) for part in parts):
        parts[0] = f"{trigger}, {parts[0]}" if parts[0] else trigger
    return parts


def _without(unwanted: Sequence[str], text: str) -> str:
    """A caption without some tags; one that has none of them stays as it is spelled."""
    if not unwanted:
        return text
    keys = {tag_key(tag) for tag in unwanted}
    tags = split_tags(text)
    left = [tag for tag in tags if tag_key(tag) not in keys]
    return text if len(left) == len(tags) else join_tags(left)


def _surrounded(caption: str, config: DatasetConfig) -> str:
    """The caption between prefix and suffix; a comma goes between where neither of two neighbours has a sign."""
    whole = ""
    for part in (config.caption_prefix.strip(), caption, config.caption_suffix.strip()):
        if whole and part:
            whole += " " if whole.endswith(_ENDS_A_PHRASE) else "" if part.startswith(_ENDS_A_PHRASE) else ", "
        whole += part
    return whole
