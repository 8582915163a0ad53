"""How fast the caption tools are: filter, bulk operations, statistics, tokens and completion for many pictures.

Run as `python tests/bench/bench_captions.py [--pictures N] [--rounds N]`. Prints one JSON object; times are in
milliseconds, the best of the rounds. "first" is with nothing remembered about the captions yet.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from core.dataset import bulk, statistics, tag_cache  # noqa: E402
from core.dataset.buckets import bucket_sizes  # noqa: E402
from core.dataset.query import Item, parse_query  # noqa: E402
from core.dataset.records import ImageRecord  # noqa: E402
from core.dataset.tag_names import suggestions  # noqa: E402
from core.dataset.tokens import CLIP_MERGES, TokenCounter  # noqa: E402

NOUNS = "hair eyes dress ribbon gloves background skirt hat ears wings flower shirt boots sky smile pose".split()  # noqa: SIM905


def make_records(number: int, num_tags: int) -> list[ImageRecord]:
    """Pictures with 20 to 30 tags each; a few tags are frequent and most are rare, as in real sets."""
    chance = random.Random(0)
    tags = [f"{chance.choice(['long', 'blue', 'red', 'small'])} {noun} {place}" for place in range(num_tags // 16 + 1)
            for noun in NOUNS][:num_tags]  # fmt: skip
    frequent = ["1girl", "solo", "long hair", "smile", "looking at viewer", "blue eyes", "hat", "outdoors"]
    records = []
    for place in range(number):
        chosen = chance.sample(frequent, 4) + [
            tags[int(len(tags) * chance.random() ** 4)] for _ in range(chance.randint(16, 26))
        ]
        path = Path(f"/pictures/10_miru/IMG_{place:05d}.png")
        size = (chance.randint(400, 2400), chance.randint(400, 2400))
        records.append(
            ImageRecord(path=path, size_px=size, caption_path=path.with_suffix(".txt"), caption=", ".join(chosen))
        )
    return records


def milliseconds(action: Callable[[], object], rounds: int = 1) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return round(min(times) * 1e3, 2)


def forget() -> None:
    for remembered in (tag_cache.key_of, tag_cache.tags_of, tag_cache.keys_of):
        remembered.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=10_000, help="different tags")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = options.rounds
    records = make_records(options.pictures, options.tags)
    captions = {record.path: record.caption or "" for record in records}
    texts = list(captions.values())
    times: dict[str, float] = {}

    times["load CLIP merges"] = milliseconds(lambda: TokenCounter.from_files(CLIP_MERGES), rounds)
    counter = TokenCounter.from_files(CLIP_MERGES)
    times["tokens of 1,000 captions, first"] = milliseconds(lambda: [counter.count(text) for text in texts[:1000]])
    times["tokens of 1,000 captions, again"] = milliseconds(
        lambda: [counter.count(text) for text in texts[:1000]], rounds
    )

    items = [Item(record) for record in records]
    three = parse_query("tag:long_hair tags:>=20 -tag:hat")
    times["filter of 3 conditions, first"] = milliseconds(lambda: three.filter(items))
    for name, text in (
        ("filter of 3 conditions", "tag:long_hair tags:>=20 -tag:hat"),
        ("filter of 3 words", "girl smile outdoors"),
        ("filter with a wildcard", "tag:*hair* OR tag:red* width:>1000"),
        ("filter by size", "width:>1024 ratio:>1.2 height:>500"),
    ):
        query = parse_query(text)
        times[name] = milliseconds(lambda query=query: query.filter(items), rounds)

    for operation in (
        bulk.AddTags(("masterpiece",), "front"),
        bulk.RemoveTags(("long hair", "hat")),
        bulk.ReplaceTag("smile", "grin"),
        bulk.ReplaceText("hair", "fur"),
        bulk.ReplaceText(r"\b(red|blue) (\w+)", r"\2", is_regex=True),
        bulk.SortTags("frequency", keep_first=1),
        bulk.Deduplicate(),
        bulk.UnderscoresToSpaces(),
    ):
        name = "bulk " + type(operation).__name__ + (" pattern" if getattr(operation, "is_regex", False) else "")
        times[name] = milliseconds(lambda operation=operation: bulk.apply(operation, captions), rounds)
    times["common tags"] = milliseconds(lambda: bulk.common_tags(texts), rounds)

    forget()
    times["tag counts, first"] = milliseconds(lambda: statistics.tag_counts(texts))
    times["tag counts"] = milliseconds(lambda: statistics.tag_counts(texts), rounds)
    times["together with"] = milliseconds(lambda: statistics.together_with(texts, "long hair"), rounds)
    sizes = [record.size_px for record in records]
    times["size histogram"] = milliseconds(lambda: statistics.size_histogram(sizes), rounds)
    times["shape histogram"] = milliseconds(lambda: statistics.shape_histogram(sizes, bucket_sizes(768)), rounds)
    times["concept sums"] = milliseconds(lambda: statistics.concept_sums(records), rounds)

    counts = [statistics.TagCount(f"{noun} {place}", 10_000 - place, 10_000) for place in range(625) for noun in NOUNS]
    tagger_tags = [count.tag.replace(" ", "_") + "_x" for count in counts]
    for typed in ("s", "q", "hair 6", "头发", "zzz"):
        times[f"completion of {typed}"] = milliseconds(
            lambda typed=typed: suggestions(typed, counts, tagger_tags), rounds + 1
        )
    print(json.dumps({"pictures": len(records), "own tags to complete": len(counts), "ms": times}, indent=1))


if __name__ == "__main__":
    main()
