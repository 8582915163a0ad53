"""What is said of a picture in each showing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from core.config import DatasetConfig
from core.dataset.fitting import plan_fit
from core.dataset.records import ImageRecord, Scan
from core.training.captions import caption_now, captions_vary, full_caption
from core.training.data import Example, examples_of


def record_of(caption: str, **values: object) -> ImageRecord:
    path = Path("/pictures/a.png")
    return ImageRecord(
        path=path,
        size_px=(64, 64),
        caption_path=path.with_suffix(".txt"),
        caption=caption,
        **values,  # type: ignore[arg-type]
    )


def example_of(caption: str, config: DatasetConfig, **values: object) -> Example:
    record = record_of(caption, **values)
    return Example(
        record=record,
        plan=plan_fit((64, 64), (64, 64)),
        repeats=1,
        caption=full_caption(record, config),
        written=caption,
    )


def showings(caption: str, number: int = 200, step: int = 0, **options: object) -> list[str]:
    config = DatasetConfig(**options)  # type: ignore[arg-type]
    example, chance = example_of(caption, config), random.Random(5)
    return [caption_now(example, config, chance, step) for _ in range(number)]


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [
        ("masterpiece", "", "masterpiece, miru, 1girl, smile"),
        ("masterpiece,", "simple background", "masterpiece, miru, 1girl, smile, simple background"),
        (" a photo of: ", ", blurry", "a photo of: miru, 1girl, smile, blurry"),
        ("", ". End.", "miru, 1girl, smile. End."),
    ],
)
def test_prefix_and_suffix_go_around_every_caption(prefix: str, suffix: str, expected: str) -> None:
    config = DatasetConfig(caption_prefix=prefix, caption_suffix=suffix, trigger_word="miru")
    assert full_caption(record_of("1girl, smile"), config) == expected
    assert full_caption(record_of(""), DatasetConfig(caption_prefix=prefix.strip())) == prefix.strip()


def test_prefix_and_suffix_take_part_in_no_chance_but_that_of_the_whole_caption() -> None:
    around = {"caption_prefix": "first, second", "caption_suffix": "last", "keep_tags": 1}
    shuffled = showings("miru, a, b, c", shuffle_tags=True, tag_dropout=0.5, **around)
    assert all(text.startswith("first, second, miru") and text.endswith(", last") for text in shuffled)
    assert len(set(shuffled)) > 10
    assert set(showings("miru, a", caption_dropout=1.0, **around)) == {""}


def test_tags_before_a_keep_separator_stay_and_those_behind_a_second_one_too() -> None:
    options = {"keep_separator": "|||", "shuffle_tags": True, "tag_dropout": 0.3, "keep_tags": 0}
    shuffled = showings("x, y ||| a, b, c, d ||| z", **options)
    assert all(text.startswith("x, y, ") and text.endswith(", z") for text in shuffled)
    assert {tuple(sorted(text.split(", ")[2:-1])) for text in shuffled} > {("a", "b", "c", "d")}
    config = DatasetConfig(keep_separator="|||", trigger_word="miru", absorbed_tags=("b",))
    assert full_caption(record_of("x ||| a, b"), config) == "miru, x, a"


def test_a_caption_without_the_separator_keeps_its_first_tags() -> None:
    shuffled = showings("miru, a, b, c", keep_separator="|||", shuffle_tags=True, keep_tags=1)
    assert all(text.startswith("miru, ") for text in shuffled) and len(set(shuffled)) == 6


def test_wildcards_take_one_word_each_time() -> None:
    shown = showings("{red|blue} hair, {a {big|small} hat|} , {{x}}", wildcards=True)
    assert {text.split(" hair")[0] for text in shown} == {"red", "blue"}
    assert any("a big hat" in text for text in shown) and any("a small hat" in text for text in shown)
    assert any("hat" not in text for text in shown)
    assert all(text.endswith("{x}") and "|" not in text for text in shown)


def test_wildcards_take_one_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "图.png"
    path.with_suffix(".txt").write_bytes("one, a\r\n\r\n{two|三}, b\n".encode())
    record = ImageRecord(
        path=path, size_px=(64, 64), caption_path=path.with_suffix(".txt"), caption="one, a, {two|三}, b"
    )
    config = DatasetConfig(wildcards=True, trigger_word="miru")
    (example,) = examples_of(Scan(folder=tmp_path, records=(record,)), config)
    chance = random.Random(1)
    shown = {caption_now(example, config, chance) for _ in range(100)}
    assert shown == {"miru, one, a", "miru, two, b", "miru, 三, b"}
    (plain,) = examples_of(Scan(folder=tmp_path, records=(record,)), DatasetConfig())
    assert plain.caption == plain.text == "one, a, {two|三}, b"


def test_absorbed_tags_are_left_out_of_what_a_wildcard_gives() -> None:
    shown = set(showings("{red hair|smile}, hat", wildcards=True, absorbed_tags=("red hair",)))
    assert shown == {"hat", "smile, hat"}


def test_tags_grow_evenly_during_the_tag_warm_up() -> None:
    options = {"tag_warmup_steps": 100, "tag_warmup_min": 2, "keep_tags": 1}
    caption = "miru, a, b, c, d, e, f"

    def number(step: int) -> int:
        (text,) = showings(caption, 1, step, **options)
        assert caption.startswith(text)
        return text.count(",")

    assert [number(step) for step in (0, 24, 25, 50, 99, 100, 5000)] == [2, 2, 3, 4, 5, 6, 6]


def test_a_caption_shorter_than_the_least_of_the_tag_warm_up_is_shown_whole() -> None:
    assert showings("miru, a, b", 1, tag_warmup_steps=100, tag_warmup_min=5) == ["miru, a, b"]


def test_regularization_captions_get_prefix_and_suffix_but_no_trigger_word() -> None:
    config = DatasetConfig(trigger_word="miru", caption_prefix="photo", shuffle_tags=True, keep_tags=1)
    example = example_of("miru, girl, a", config, is_regularization=True)
    assert caption_now(example, config, random.Random(1)) == "photo, girl, a"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"caption_dropout": 0.5, "caption_dropout_every_n_epochs": 2, "flip": True, "caption_prefix": "a"}, False),
        ({"shuffle_tags": True}, True),
        ({"tag_dropout": 0.1}, True),
        ({"wildcards": True}, True),
        ({"tag_warmup_steps": 5}, True),
    ],
)
def test_captions_can_be_encoded_beforehand_when_there_are_few(options: dict[str, object], expected: bool) -> None:
    assert captions_vary(DatasetConfig(**options)) is expected  # type: ignore[arg-type]
