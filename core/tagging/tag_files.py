"""The lists of ONNX taggers: which tag each score belongs to, and of what kind it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from core.errors import UserError
from core.tagging.base import LEAST_SCORE, Category, ScoredTag, Seen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CSV, MAPPING = "selected_tags.csv", "tag_mapping.json"
Label = tuple[str, Category]
"""Name and kind of the tag of one score; the name is empty where a score stands for nothing."""

# The numbers of Danbooru, which all lists of the WD family use.
_NUMBERS: dict[str, Category] = {
    "0": "general",
    "1": "artist",
    "3": "copyright",
    "4": "character",
    "5": "meta",
    "9": "rating",
}
_WORDS: dict[str, Category] = {word: word for word in get_args(Category)}
_MOST_TAGS = 10_000_000


def tag_list(folder: Path) -> tuple[str, ...]:
    """The names of all tags that a tagger knows, in the order of its file; ratings are none.

    Raises:
        UserError: The list is missing or damaged.
    """
    has_mapping = (folder / MAPPING).exists() and not (folder / CSV).exists()
    labels = read_mapping(folder / MAPPING) if has_mapping else read_csv(folder / CSV)
    return tuple(name for name, category in labels if name and category != "rating")


def read_csv(path: Path) -> list[Label]:
    """The labels of a `selected_tags.csv`: one row per score, with at least the columns name and category.

    Categories are numbers of Danbooru or words; those that nobody knows become "other".

    Raises:
        UserError: The file is missing or damaged.
    """
    if not path.is_file():
        raise missing(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(row["name"], _category(row["category"])) for row in csv.DictReader(file, strict=True)]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise damaged(path) from error
    if not rows or not all(name for name, _ in rows):
        raise damaged(path)
    return rows


def read_mapping(path: Path) -> list[Label]:
    """The labels of a `tag_mapping.json`, which comes in two forms.

    Either `{"idx_to_tag": {"0": tag, ...}, "tag_to_category": {tag: category, ...}}`, or
    `{"0": {"tag": tag, "category": category}, ...}`. Numbers that are left out have no tag.

    Raises:
        UserError: The file is missing or damaged.
    """
    if not path.is_file():
        raise missing(path)
    try:
        found = dict(_entries(json.loads(path.read_text(encoding="utf-8-sig"))))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(path) from error
    if not found or min(found) < 0 or max(found) >= _MOST_TAGS or not all(name for name, _ in found.values()):
        raise damaged(path)
    return [found.get(index, ("", "other")) for index in range(max(found) + 1)]


def _entries(mapping: Any) -> list[tuple[int, Label]]:
    if "idx_to_tag" not in mapping:
        return [(int(index), (_text(row["tag"]), _category(row["category"]))) for index, row in mapping.items()]
    names: Mapping[str, str] = mapping["idx_to_tag"]
    categories: Mapping[str, str] = mapping["tag_to_category"]
    return [(int(index), (_text(name), _category(categories.get(name, "other")))) for index, name in names.items()]


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no tag")
    return name


def _category(written: str) -> Category:
    """A number or a word, in whatever case, as the word that Kiln uses.

    Raises:
        ValueError: Nothing is written.
    """
    word = written.strip().lower()
    if not word:
        raise ValueError("no category")
    return _NUMBERS.get(word) or _WORDS.get(word, "other")


def seen_in(scores: NDArray[np.float32], labels: list[Label]) -> Seen:
    """The tags of one picture that reach `LEAST_SCORE`, the most certain first, equal ones in the order of the list.

    Args:
        scores: [tags] 0 to 1. What a damaged model gives beyond that counts as the nearest; what is no number as none.
        labels: As many.
    """
    import numpy as np

    # Rounded so that float32's nearest to 0.35 is 0.35.
    certain = scores.astype(np.float64).clip(0, 1).round(7)
    (kept,) = np.nonzero(certain >= LEAST_SCORE)
    order = kept[np.argsort(-certain[kept], kind="stable")]
    tags = zip(order.tolist(), certain[order].tolist(), strict=True)
    return Seen(
        tuple(ScoredTag(labels[index][0], score, labels[index][1]) for index, score in tags if labels[index][0])
    )


# --- files that are not right -------------------------------------------------------------------------------------


def check_count(model: Path, tags: Path, num_scores: int, num_tags: int) -> None:
    """Refuse a model and a list that do not belong together.

    Raises:
        UserError: There are more or fewer scores than tags.
    """
    if num_scores != num_tags:
        raise UserError(
            "{tags} lists {num_tags} tags, but {model} in {folder} gives {num_scores} scores.",
            remedy="Take both files from the same tagger; download them again if they should belong together.",
            tags=tags.name,
            model=model.name,
            folder=model.parent,
            num_tags=num_tags,
            num_scores=num_scores,
        )


def missing(path: Path) -> UserError:
    """For a file of a tagger that is not there."""
    return UserError(
        "The tagger in {folder} has no {file}.",
        remedy="Download the tagger again, or choose a folder that holds both model and list of tags.",
        folder=path.parent,
        file=path.name,
    )


def damaged(path: Path) -> UserError:
    """For a file of a tagger that cannot be read."""
    return UserError(
        "{file} in {folder} is damaged, incomplete, or no part of a tagger.",
        remedy="Download the tagger again; the download may have been cut off.",
        file=path.name,
        folder=path.parent,
    )
