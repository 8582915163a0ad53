"""Which tags a trigger word is to stand for, and what a good trigger word is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.dataset.captions import tag_key
from core.demo import demo_facts
from core.paths import RESOURCES
from core.tagging.trait_words import GROUPS, WORDS, group_of
from core.tagging.traits import NEUTRAL_TRIGGER, Trait, propose_traits, propose_trigger

ROOT = Path(__file__).resolve().parents[2]


def pictures(*shares: tuple[str, int]) -> list[tuple[str, ...]]:
    """A hundred pictures; each tag is on so many of them."""
    return [("1girl", *(tag for tag, number in shares if place < number)) for place in range(100)]


def proposed(traits: tuple[Trait, ...]) -> list[str]:
    return [trait.tag for trait in traits if trait.is_proposed]


@pytest.mark.parametrize(
    ("tag", "group"),
    [
        ("long_hair", "hair"), ("Light Brown Hair", "hair"), ("hair_between_eyes", "hair"), ("twin braids", "hair"),
        ("ahoge", "hair"), ("hair_over_one_eye", "hair"), ("blue eyes", "eyes"), ("slit_pupils", "eyes"),
        ("heterochromia", "eyes"), ("mole_under_eye", "face"), ("fang", "face"), ("scar_across_eye", "face"),
        ("dark-skinned_female", "body"), ("huge_breasts", "body"), ("arm_tattoo", "body"), ("fox_ears", "animal"),
        ("cat_tail", "animal"), ("multiple_tails", "animal"), ("halo", "animal"), ("demon_girl", "animal"),
        ("hair_ornament", "accessories"), ("snowflake hair ornament", "accessories"),
        ("black-framed_eyewear", "accessories"), ("hat", "accessories"), ("red_bowtie", "accessories"),
        ("sailor_collar", "clothes"), ("white_shirt", "clothes"), ("black_thighhighs", "clothes"),
        ("detached_sleeves", "clothes"), ("watercolor_\\(medium\\)", "style"), ("1990s_(style)", "style"),
        ("monochrome", "style"), ("masterpiece", "quality"), ("absurdres", "quality"), ("teapot", "thing"),
        ("my own invention", "thing"),
    ],
)  # fmt: skip
def test_what_a_tag_speaks_of(tag: str, group: str) -> None:
    assert group_of(tag) == group


@pytest.mark.parametrize(
    "tag",
    """
    1girl 2boys 6+girls multiple_girls solo no_humans looking_at_viewer smile open_mouth closed_eyes
    one_eye_closed half-closed_eyes hand_on_own_hip holding_sword white_background simple_background from_side
    upper_body sitting arms_up wet_hair floating_hair adjusting_eyewear closed_mouth blush :d ^_^ outdoors
    watermark signature english_text sensitive tail_wagging eye_contact torn_clothes unworn_hat cowboy_shot nude
    child
    """.split(),  # noqa: SIM905 - words are easier to read this way
)
def test_what_passes_is_no_trait(tag: str) -> None:
    assert group_of(tag) is None
    assert propose_traits([(tag,)] * 5, "character") == propose_traits([(tag,)] * 5, "object") == ()


def test_the_word_lists_name_no_tag_twice() -> None:
    content: dict[str, list[str]] = json.loads(WORDS.read_text(encoding="utf-8"))
    assert set(content) == {"picture", *GROUPS} - {"thing"}
    seen: dict[str, str] = {}
    twice = [
        (word, group)
        for group, words in content.items()
        for word in words
        if seen.setdefault(tag_key(word), group) != group
    ]
    assert twice == []


def test_a_character_s_looks_are_proposed_from_half_of_the_pictures() -> None:
    traits = propose_traits(pictures(("aqua hair", 50), ("long hair", 49), ("fang", 20), ("mole", 19)), "character")
    assert traits == (
        Trait("aqua hair", 50, 0.5, "hair", True),
        Trait("long hair", 49, 0.49, "hair", False),
        Trait("fang", 20, 0.2, "face", False),
    )


def test_what_can_be_taken_off_is_proposed_when_it_is_nearly_always_there() -> None:
    traits = propose_traits(pictures(("white shirt", 90), ("glasses", 89), ("choker", 95), ("skirt", 40)), "character")
    assert proposed(traits) == ["choker", "white shirt"]
    assert [trait.tag for trait in traits] == ["choker", "glasses", "white shirt", "skirt"]


def test_a_style_keeps_what_is_in_the_pictures_named() -> None:
    tagged = pictures(("watercolor (medium)", 100), ("blue hair", 100), ("sketch", 30), ("highres", 70), ("tree", 80))
    traits = propose_traits(tagged, "style")
    assert [trait.tag for trait in traits] == ["watercolor (medium)", "sketch", "highres"]
    assert proposed(traits) == ["watercolor (medium)", "highres"]


def test_an_object_s_own_words_but_neither_people_nor_places() -> None:
    tagged = pictures(("teapot", 98), ("outdoors", 90), ("blonde hair", 80), ("bow", 60), ("smile", 70), ("candle", 30))
    traits = propose_traits(tagged, "object")
    assert proposed(traits) == ["bow", "teapot"]
    assert [trait.tag for trait in traits] == ["bow", "teapot", "candle"]


def test_spellings_count_together_and_pictures_without_tags_do_not() -> None:
    tagged = [["Aqua_Hair", "aqua hair"], ("aqua hair", "miru \\(kiln\\)"), ["aqua_hair"], ["aqua hair"], [], ()]
    assert propose_traits(tagged, "character") == (Trait("aqua hair", 4, 1.0, "hair", True),)
    assert propose_traits([], "character") == propose_traits([[]], "style") == ()


def test_the_trigger_word_is_no_trait_of_an_object() -> None:
    tagged = [("Kiln_Mug", "mug")] * 4
    assert [trait.tag for trait in propose_traits(tagged, "object", "kiln mug, sks")] == ["mug"]


def test_what_is_pruned_is_always_listed() -> None:
    traits = propose_traits(pictures(("aqua hair", 100), ("mole", 3)), "character", pruned=["Mole", "smile", "fin_x"])
    assert [(trait.tag, trait.number, trait.is_proposed) for trait in traits] == [
        ("aqua hair", 100, True),
        ("mole", 3, False),
        ("fin_x", 0, False),
        ("smile", 0, False),
    ]


def test_the_demo_character_is_recognized() -> None:
    truth: dict[str, list[str]] = json.loads((RESOURCES / "starter" / "demo_truth.json").read_text(encoding="utf-8"))
    found = proposed(propose_traits(list(truth.values()), "character"))
    assert set(demo_facts().traits) <= set(found)
    assert not {"1girl", "solo", "smile", "upper body", "simple background"} & set(found)


def test_ten_thousand_pictures_take_no_second() -> None:
    tagged = [tuple(f"tag {(place * 7 + each * each) % 3000}" for each in range(30)) for place in range(10_000)]
    start = time.perf_counter()
    propose_traits(tagged, "object")
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("folder", "word"),
    [
        ("10_miru", "miru"), ("10_Miru Kiln girl", "mirukiln"), ("5_sks girl", "sks"), ("miru_v2", "miruv2"),
        ("cat", "catzk"), ("10_girl", "girlzk"), ("Long Hair", "longzk"), ("10_hatsune_miku", "hatsunezk"),
        ("my pictures", NEUTRAL_TRIGGER), ("图片", NEUTRAL_TRIGGER), ("10_", NEUTRAL_TRIGGER),
        ("2024-08", NEUTRAL_TRIGGER),
        ("初音未来", "chuyinweilai"), ("10_长乐公主 girl", "changlegongzhu"), ("лиса", NEUTRAL_TRIGGER), ("Zoë", "zoe"),
        ("😀", NEUTRAL_TRIGGER), ("\udcff\udcfe", NEUTRAL_TRIGGER), ("q" * 70, "q" * 20),
    ],
)  # fmt: skip
def test_a_trigger_word_of_its_own(folder: str, word: str) -> None:
    tags = ["hatsune_miku"]
    assert propose_trigger(Path("/data") / folder, tags) == word
    assert propose_trigger(Path("/data") / folder, tags) == word
    assert word.isascii() and word.isalnum()


def test_a_trigger_word_is_no_tag_of_the_tagger() -> None:
    assert propose_trigger(Path("/data/10_miru")) == "miru"
    assert propose_trigger(Path("/data/10_miru"), ["miru_(kiln)"]) == "miruzk"


def test_traits_import_nothing_heavy() -> None:
    code = (
        "import sys; from core.tagging import traits; traits.propose_traits([['long hair']], 'character');"
        "print(sorted({'torch', 'transformers', 'onnxruntime', 'numpy', 'PIL', 'PySide6'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
