"""What a tag speaks of: the hair, the eyes, the clothes, the whole picture.

The words are in `resources/tag_lists/traits.json`, by group, with * for any letters. A tag that a group names in full
belongs to it, whatever wildcards of others say; else the first group counts that has it.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import Literal, get_args

from core.dataset.captions import tag_key
from core.paths import RESOURCES

WORDS = RESOURCES / "tag_lists" / "traits.json"

Group = Literal["hair", "eyes", "face", "body", "animal", "accessories", "clothes", "style", "quality", "thing"]
"""What a trait is part of. `animal` are ears, tails, horns and wings; `thing` is what no list knows."""

GROUPS: tuple[Group, ...] = get_args(Group)
_MOST_TAGS = 1 << 16


@lru_cache(maxsize=_MOST_TAGS)
def group_of(tag: str) -> Group | None:
    """The group of a tag in any spelling; None for what passes: counts of people, views, poses, faces, places."""
    key = tag_key(tag)
    named, patterns = _words()
    group = named.get(key) or next((name for name, pattern in patterns if pattern.fullmatch(key)), "thing")
    return None if group == "picture" else next(known for known in GROUPS if known == group)


@cache
def _words() -> tuple[dict[str, str], tuple[tuple[str, re.Pattern[str]], ...]]:
    """The group of each word that is named in full, and what the others of a group look like, in order."""
    content: dict[str, list[str]] = json.loads(WORDS.read_text(encoding="utf-8"))
    named: dict[str, str] = {}
    patterns = []
    for group, words in content.items():
        for word in words:
            if "*" not in word:
                named.setdefault(tag_key(word), group)
        globs = [".*".join(map(re.escape, tag_key(word).split("*"))) for word in words if "*" in word]
        patterns.append((group, re.compile("|".join(globs), re.DOTALL)))
    return named, tuple(patterns)
