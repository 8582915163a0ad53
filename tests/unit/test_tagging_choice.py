"""Which tags are written, how they are spelled, and what becomes of the old caption."""

from __future__ import annotations

import itertools
import random

import pytest

from core.dataset.captions import split_tags, tag_key, tidy
from core.tagging.base import LEAST_SCORE, Category, ScoredTag, Seen
from core.tagging.choice import KAOMOJI, caption_of, choose_tags, least_score, mcut, spelled
from core.tagging.options import BOTH_TEMPLATE, ON_EXISTING, SENTENCE_TEMPLATE, TagOptions, pair_of
from core.tagging.template import fill

SCORED = [
    ScoredTag("explicit", 0.99, "rating"),
    ScoredTag("1girl", 0.98, "general"),
    ScoredTag("miru_(kiln)", 0.9, "character"),
    ScoredTag("hatsune_miku", 0.8, "character"),
    ScoredTag("long_hair", 0.6, "general"),
    ScoredTag("some_artist", 0.5, "artist"),
    ScoredTag("^_^", 0.45, "general"),
    ScoredTag("some_series", 0.4, "copyright"),
    ScoredTag("blue_eyes", 0.35, "general"),
    ScoredTag("smile", 0.349, "general"),
    ScoredTag("best_quality", 0.3, "quality"),
    ScoredTag("sensitive", 0.01, "rating"),
]
ALL = dict.fromkeys(("threshold", "character_threshold", "copyright_threshold", "other_threshold"), 0)


def chosen(**options: object) -> list[str]:
    return [tag.name for tag in choose_tags(SCORED, TagOptions.model_validate(options))]


def options_of(**values: object) -> TagOptions:
    return TagOptions.model_validate(values)


def seen(*names: str, sentence: str = "", category: Category = "general") -> Seen:
    """Tags in this order, all of them certain."""
    return Seen(tuple(ScoredTag(name, 0.99 - index / 1000, category) for index, name in enumerate(names)), sentence)


# --- which ones -----------------------------------------------------------------------------------------------------


def test_each_category_has_its_own_threshold() -> None:
    assert chosen() == ["1girl", "miru_(kiln)", "long_hair", "some_artist", "^_^", "blue_eyes"]
    for field, threshold, new in (
        ("threshold", 0.34, {"smile"}),
        ("character_threshold", 0.8, {"hatsune_miku"}),
        ("copyright_threshold", 0.4, {"some_series"}),
        ("other_threshold", 0.3, {"best_quality"}),
    ):
        assert set(chosen(**{field: threshold})) - set(chosen()) == new
        own = {"threshold": "general", "character_threshold": "character", "copyright_threshold": "copyright"}
        left = {tag.category for tag in choose_tags(SCORED, options_of(**{**ALL, field: 1}))}
        assert own.get(field, "artist") not in left and len(left) >= 3


def test_order_is_by_confidence_or_by_name() -> None:
    assert [tag.name for tag in choose_tags(SCORED[::-1], TagOptions())] == chosen()
    assert chosen(order="name") == ["1girl", "^_^", "blue_eyes", "long_hair", "miru_(kiln)", "some_artist"]


def test_ratings_are_written_only_when_asked_and_only_the_most_certain_one() -> None:
    assert not {"explicit", "sensitive"} & set(chosen(**ALL))
    assert chosen(ratings=True) == [*chosen(), "explicit"]
    assert chosen(ratings=True, exclude=("explicit",)) == chosen()
    assert choose_tags([], options_of(ratings=True)) == []


def test_without_characters_there_is_no_series_either() -> None:
    assert set(chosen(**ALL)) - set(chosen(**ALL, characters=False)) == {"miru_(kiln)", "hatsune_miku", "some_series"}
    assert "miru_(kiln)" not in chosen(mcut=True, characters=False)


def test_the_cut_is_in_the_middle_of_the_widest_gap() -> None:
    assert mcut([0.9, 0.2, 0.85, 0.1]) == pytest.approx((0.85 + 0.2) / 2)
    assert mcut([0.9]) == pytest.approx((0.9 + LEAST_SCORE) / 2)  # All others were too low to be kept.
    assert mcut([0.9, 0.88, 0.86]) == pytest.approx((0.86 + LEAST_SCORE) / 2)
    assert mcut([]) == LEAST_SCORE


def test_what_is_below_the_least_score_counts_as_the_least_score() -> None:
    """All scores would be cut at 0.235; those of a real tagger are so many that one is close to the least score."""
    assert mcut([0.9, 0.46]) == pytest.approx((0.9 + 0.46) / 2)
    assert mcut([0.9, 0.5]) == pytest.approx((0.5 + LEAST_SCORE) / 2)


def test_mcut_takes_the_place_of_two_thresholds() -> None:
    tags = [ScoredTag(f"g{score}", score, "general") for score in (0.9, 0.8, 0.3, 0.25)]
    tags += [ScoredTag("hero", 0.5, "character"), ScoredTag("other_hero", 0.1, "character")]
    tags += [ScoredTag("series", 0.5, "copyright")]
    options = options_of(mcut=True, threshold=1, character_threshold=1)
    assert [tag.name for tag in choose_tags(tags, options)] == ["g0.9", "g0.8", "hero"]
    faint = [ScoredTag("guess", 0.14, "character")]
    assert choose_tags(faint, options) == []


def test_nothing_below_the_least_score_counts() -> None:
    for values in ({}, {"threshold": 0.1}, {"copyright_threshold": 0.05}, {"mcut": True}, {"ratings": True}):
        options = options_of(**values)
        enough = [tag for tag in SCORED if tag.score >= least_score(options)]
        assert choose_tags(enough, options) == choose_tags(SCORED, options)


@pytest.mark.parametrize(
    "exclude",
    [("long_hair",), ("long hair",), (" Long Hair ",), ("long_hair", "never predicted"), ("LONG*",), ("*_h*r", "x*")],
)
def test_excluded_tags_in_any_spelling(exclude: tuple[str, ...]) -> None:
    assert chosen(exclude=exclude) == [name for name in chosen() if name != "long_hair"]


@pytest.mark.parametrize("pattern", [r"miru \(kiln\)", "miru (kiln)", "*(kiln)", "m*_(k*)", "**kiln**"])
def test_excluded_names_with_brackets(pattern: str) -> None:
    assert "miru_(kiln)" not in chosen(exclude=(pattern,))


def test_a_pattern_is_no_part_of_a_tag() -> None:
    assert chosen(exclude=("hair", "long", "eyes*", "*hair_long*hair", "aba*aba")) == chosen()
    assert chosen(exclude=("*",)) == []


# --- how they are spelled -------------------------------------------------------------------------------------------


def test_underscores_stay_when_asked_and_in_faces() -> None:
    assert spelled("long_hair", True) == "long hair"
    assert spelled("long_hair", False) == "long_hair"
    assert len(KAOMOJI) == 19
    assert all(spelled(face, True) == face for face in KAOMOJI)


def test_brackets_are_escaped_only_when_asked() -> None:
    assert spelled("miru_(kiln)", True) == "miru (kiln)"
    assert spelled("miru_(kiln)", True, escape_brackets=True) == r"miru \(kiln\)"
    assert caption_of(seen("miru_(kiln)"), "", options_of(escape_brackets=True)) == r"miru \(kiln\)"


def test_a_tag_with_a_comma_stays_one_tag() -> None:
    assert caption_of(seen("red_dress,_torn", "smile"), "", TagOptions()) == "red dress torn, smile"
    assert spelled("red_dress,_torn", False) == "red_dress _torn"
    assert caption_of(seen("red_dress,_torn"), "", options_of(exclude=("red_dress_torn",), trigger_word="m")) == "m"


def test_a_tag_of_underscores_stays_and_one_of_commas_goes() -> None:
    assert spelled("_", True) == "_" and spelled("_hair_", True) == "hair"
    assert caption_of(seen("_", "solo", ","), "", TagOptions()) == "_, solo"
    assert caption_of(seen("_", "solo"), "a, _", options_of(on_existing="append")) == "a, _, solo"


def test_replaced_tags_are_written_as_given_and_once() -> None:
    options = options_of(replace=("Long_Hair=very long hair", "smile = grin", "x=y"), exclude=("never",))
    assert caption_of(seen("long_hair", "smile", "grin"), "", options) == "very long hair, grin"
    assert caption_of(seen("a", "b"), "", options_of(replace=("a=c",), exclude=("c",))) == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Long_Hair = very long hair", ("Long_Hair", "very long hair")),
        ("=_==smile", ("=_=", "smile")),
        ("smile==_=", ("smile", "=_=")),
        ("a=b=c", ("a=b", "c")),
        ("=_=", None),
        ("==", None),
    ],
)
def test_a_pair_is_split_so_that_both_sides_are_there(text: str, expected: tuple[str, str] | None) -> None:
    assert pair_of(text) == expected


def test_a_face_of_equals_signs_can_be_replaced() -> None:
    assert caption_of(seen("=_=", "smile"), "", options_of(replace=("=_==closed eyes",))) == "closed eyes, smile"
    assert caption_of(seen("smile"), "", options_of(replace=("smile==_=",))) == "=_="


def test_a_tag_that_becomes_several_stays_several() -> None:
    options = options_of(replace=("smile=grin, teeth",), on_existing="append", exclude=("hat",))
    assert caption_of(seen("smile", "grin"), "", options) == "grin, teeth"
    assert caption_of(seen("smile"), "a, grin, teeth", options) == "a, grin, teeth"
    assert caption_of(seen("smile"), "", options_of(replace=("smile=hat, teeth",), exclude=("hat",))) == "teeth"


@pytest.mark.parametrize("pair", ["a", "=a", "a=", " = "])
def test_what_is_no_pair_cannot_be_replaced(pair: str) -> None:
    with pytest.raises(ValueError, match="pairs such as"):
        options_of(replace=(pair,))


# --- the caption ----------------------------------------------------------------------------------------------------


def test_the_trigger_word_comes_first_then_what_is_added_and_each_once() -> None:
    options = options_of(trigger_word="Long Hair, my style", add=("best quality, a", "my_style"))
    assert caption_of(seen("a", "long_hair", "b"), "", options) == "Long Hair, my style, best quality, a, b"
    assert caption_of(seen("a", "A"), "", options_of(trigger_word=" , ")) == "a"
    assert caption_of(seen(), "", TagOptions()) == ""
    assert caption_of(seen(), "", options_of(trigger_word="miru")) == "miru"


@pytest.mark.parametrize(
    ("on_existing", "old", "expected"),
    [
        ("keep", "", "miru, a, b"),
        ("keep", "old, a", "old, a"),
        ("replace", "old, a", "miru, a, b"),
        ("append", "old, a", "miru, old, a, b"),
        ("prepend", "old, a", "miru, b, old, a"),
        ("merge", "old, a, old", "miru, old, a, b"),
        ("append", "", "miru, a, b"),
        ("append", "old,  miru, B, old", "old, miru, B, old, a"),
        ("merge", "old, miru, B", "miru, old, B, a"),
        ("prepend", "(x, y:1.1), b", "miru, a, (x, y:1.1), b"),
        ("append", "A fox runs, and jumps.", "miru, A fox runs, and jumps. a, b"),
        ("merge", "A fox runs, and jumps over it, and jumps.", "miru, A fox runs, and jumps over it, and jumps. a, b"),
    ],
)
def test_what_becomes_of_the_old_caption(on_existing: str, old: str, expected: str) -> None:
    options = options_of(on_existing=on_existing, trigger_word="miru")
    assert caption_of(seen("a", "b"), old, options) == expected


@pytest.mark.parametrize(
    ("on_existing", "expected"),
    [
        ("replace", "miru, 1girl. She smiles, and waves."),
        ("append", "miru, 1girl, solo. She smiles, and waves."),
        ("prepend", "miru, She smiles, and waves. 1girl, solo"),
        ("merge", "miru, 1girl, solo. She smiles, and waves."),
    ],
)
def test_a_sentence_stands_where_the_template_says(on_existing: str, expected: str) -> None:
    options = options_of(on_existing=on_existing, trigger_word="miru", template=BOTH_TEMPLATE)
    found = seen("1girl", sentence=" She smiles,\n and waves. ")
    assert caption_of(found, "1girl, solo", options) == expected


def test_a_short_sentence_is_not_taken_for_a_part_of_a_word() -> None:
    options = options_of(on_existing="append", template=BOTH_TEMPLATE)
    assert caption_of(seen("1girl", sentence="a cat"), "a catalogue", options) == "a catalogue, 1girl. a cat"
    assert caption_of(seen("1girl", sentence="a cat"), "a cat, 1girl", options) == "a cat, 1girl"


def test_only_what_the_template_names_is_written() -> None:
    both = seen("1girl", sentence="She smiles.")
    assert caption_of(both, "", options_of(template=SENTENCE_TEMPLATE, add=("best",))) == "best, She smiles."
    assert caption_of(both, "", options_of(template="{tags}", trigger_word="miru")) == "1girl"
    assert caption_of(both, "", options_of(template="photo of {trigger}: {tags}", trigger_word="m")) == (
        "photo of m: 1girl"
    )


OLD = (
    "",
    "1girl, solo",
    "long_hair, miru \\(kiln\\)",
    "._., 1girl",
    ":(, smile, :)",
    "love live!",
    "(x, long hair:1.2), solo",
    "a girl with hair sitting on a chair",
    "old.",
    "1girl,solo,",
    "A girl smiles, waving her hand. She has long hair, blue eyes, and a hat.",
    "miru, 1girl, long hair. A girl stands, with long hair.",
    "一个女孩。她在笑。",
)
TEMPLATES = (
    "{trigger}, {tags}",
    BOTH_TEMPLATE,
    SENTENCE_TEMPLATE,
    "{sentence}. {tags}",
    "{sentence}, {tags}",
    "photo of {trigger}, {tags}",
    "{trigger} wearing: {tags}",
    "{tags}.",
)
TAGS = ("1girl", "long_hair", "._.", ":)", "smile", "love_live!", "red_dress,_torn", "miru_(kiln)")


@pytest.mark.parametrize("on_existing", ON_EXISTING)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_second_run_changes_nothing(on_existing: str, template: str) -> None:
    others: tuple[dict[str, object], ...] = (
        {},
        {"trigger_word": "miru"},
        {"trigger_word": "miru", "prune": ("long hair",), "add": ("best",)},
        {"trigger_word": "miru", "escape_brackets": True, "replace_underscores": False, "order": "name"},
    )
    for other, old, sentence in itertools.product(others, OLD, ("", "A girl with a hat, smiling.", "a cat")):
        options = options_of(on_existing=on_existing, template=template, **other)
        found = seen(*TAGS, sentence=sentence)
        once = caption_of(found, old, options)
        assert caption_of(found, once, options) == once, (old, sentence, other)
        assert tidy(once) == once


@pytest.mark.parametrize("on_existing", ["prepend", "append"])
def test_prepend_and_append_keep_the_old_text_to_the_letter(on_existing: str) -> None:
    for old, template in itertools.product(OLD, TEMPLATES):
        options = options_of(on_existing=on_existing, template=template, trigger_word="miru", add=("best",))
        assert old in caption_of(seen(*TAGS, sentence="A girl with a hat, smiling."), old, options)


@pytest.mark.parametrize("template", [*TEMPLATES, "{tags}", "{sentence}", "{tags} | {sentence}"])
def test_merging_loses_nothing_of_the_old_caption(template: str) -> None:
    for old, sentence, trigger in itertools.product(OLD, ("", "A girl with a hat.", "smile"), ("", "miru", "1girl")):
        options = options_of(on_existing="merge", template=template, trigger_word=trigger, add=("solo",))
        caption = caption_of(seen(*TAGS, sentence=sentence), old, options)
        for tag in split_tags(old):
            assert tag_key(tag) in tag_key(caption), (old, sentence, trigger, caption)


def test_a_template_without_a_place_for_the_trigger_word_leaves_that_word_alone() -> None:
    options = options_of(on_existing="merge", template="{tags}", trigger_word="miru")
    assert caption_of(seen("solo"), "miru, smile", options) == "miru, smile, solo"
    assert caption_of(seen("miru", "solo"), "", options) == "miru, solo"


def test_a_template_without_tags_is_no_reason_to_make_a_list_of_the_old_caption() -> None:
    options = options_of(on_existing="merge", template=SENTENCE_TEMPLATE, trigger_word="miru")
    found = seen(sentence="A girl at sea.")
    assert caption_of(found, "long hair, smile", options) == "miru, long hair, smile. A girl at sea."
    assert caption_of(found, "miru, long hair", options) == "miru, long hair. A girl at sea."


ODD_TAGS = (
    *TAGS,
    *("dr._stone", "st._louis_(azur_lane)", "no.1", "k-on!", "what?!_no", "re:_zero", "re:zero", ":(", ";)", "=_="),
    *("fate/stay_night", "don't", "_", "a_b_c_d_e_f", "hatsune_miku"),
)
ODD_OLD = (
    *OLD,
    *(
        "A girl stands there in the sea",
        "A girl stands there in the sea.",
        "She asks: what?! no",
        "一个女孩，",
        "x (y, z",
    ),
    *("dr. stone, solo", "St. Louis (azur lane), smile. A girl stands there now.", "photo of miru, 1girl"),
)


def test_a_second_run_changes_nothing_whatever_the_tags() -> None:
    chance = random.Random(1)
    categories: tuple[Category, ...] = ("general", "general", "character", "copyright", "artist", "rating")
    for _ in range(3000):
        names = chance.sample(ODD_TAGS, chance.randint(0, 8))
        scores = sorted((round(chance.random(), 2) for _ in names), reverse=True)
        tags = tuple(
            ScoredTag(name, score, chance.choice(categories)) for name, score in zip(names, scores, strict=True)
        )
        sentence = chance.choice(("", "A girl with long hair, smiling.", "a cat", "She says hi: one, two."))
        options = options_of(
            template=chance.choice(
                (*TEMPLATES, "{trigger} | {tags}", "{trigger}/{tags} | {sentence}", "{tags}; {sentence}")
            ),
            on_existing=chance.choice(ON_EXISTING),
            trigger_word=chance.choice(("", "miru", "Miru Girl", "dr. miru")),
            add=chance.choice(((), ("best",), ("smile", "no. 1"))),
            prune=chance.choice(((), ("long hair",))),
            replace=chance.choice(((), ("smile=grin, st. elmo",))),
            escape_brackets=chance.random() < 0.3,
            threshold=0.3,
            character_threshold=0.5,
        )
        old = chance.choice(ODD_OLD)
        once = caption_of(Seen(tags, sentence), old, options)
        assert caption_of(Seen(tags, sentence), once, options) == once, (old, tags, sentence, options)


# --- what the trigger word absorbs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ("miru, long_hair, solo", "miru, solo, smile"),
        ("Long Hair, (long hair:1.2), solo", "miru, (long hair:1.2), solo, smile"),
        ("miru, 1girl, long hair. She stands, with long hair.", "miru, 1girl. She stands, with long hair. smile"),
        ("She has nice, long hair, and a hat. long hair, solo", None),
        ("long hair", "miru, smile"),
    ],
)
def test_pruned_tags_leave_new_and_old_captions(old: str, expected: str | None) -> None:
    options = options_of(on_existing="append", trigger_word="miru", prune=("long hair",))
    caption = caption_of(seen("long_hair", "smile"), old, options)
    if expected is None:
        assert caption.startswith("miru, She has nice, long hair, and a hat.")
    else:
        assert caption == expected
    assert caption_of(seen("long_hair", "smile"), old, options_of(on_existing="keep", prune=("long hair",))) == old


def test_the_trigger_word_itself_is_not_pruned() -> None:
    options = options_of(trigger_word="long hair", prune=("long*",), add=("long ears",), on_existing="append")
    assert (
        caption_of(seen("long_hair", "long_legs", "a"), "long hair, long_dress", options) == "long ears, long hair, a"
    )


# --- templates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "tags", "sentence", "expected"),
    [
        ("m", "a, b", "It runs.", "m, a, b. It runs."),
        ("", "a, b", "", "a, b"),
        ("m", "", "It runs.", "m, It runs."),
        ("", "", "It runs.", "It runs."),
        ("m", "a", "", "m, a"),
        ("", "", "", ""),
    ],
)
def test_what_is_empty_goes_with_its_separators(trigger: str, tags: str, sentence: str, expected: str) -> None:
    assert fill(BOTH_TEMPLATE, {"trigger": trigger, "tags": tags, "sentence": sentence}) == expected


def test_a_sentence_ends_once() -> None:
    values = {"tags": "a, ._.", "sentence": "It runs."}
    assert fill("{sentence}. {tags}", values) == "It runs. a, ._."
    assert fill("{sentence}, {tags}", values) == "It runs, a, ._."
    assert fill("{tags}, {sentence}.", values) == "a, ._., It runs."
    assert fill("{tags}\n{sentence}", {"tags": "a", "sentence": "It\nruns"}) == "a, It, runs"


@pytest.mark.parametrize("template", ["", "{trigger}", "{tag}", "{tags", "tags}", "{tags!r}", "{tags:>9}", "{}", "{0}"])
def test_templates_that_say_nothing_are_refused(template: str) -> None:
    with pytest.raises(ValueError):
        options_of(template=template)
