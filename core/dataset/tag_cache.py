"""The tags of captions, split once: filter, statistics and completion ask for the same ones over and over."""

from __future__ import annotations

from functools import lru_cache

from core.dataset.captions import split_tags, tag_key

_MOST_CAPTIONS = 32_768
_MOST_TAGS = 131_072

key_of = lru_cache(maxsize=_MOST_TAGS)(tag_key)
"""As `tag_key`. Spellings of one tag share one string."""


@lru_cache(maxsize=_MOST_CAPTIONS)
def tags_of(caption: str) -> tuple[str, ...]:
    """As `split_tags`."""
    return tuple(split_tags(caption))


@lru_cache(maxsize=_MOST_CAPTIONS)
def keys_of(caption: str) -> tuple[str, ...]:
    """The key of each tag of a caption, in the order of `tags_of`."""
    return tuple(key_of(tag) for tag in tags_of(caption))
