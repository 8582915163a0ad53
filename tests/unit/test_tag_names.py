"""Chinese names of tags, and finding tags by what is typed: English, Chinese, pinyin."""

from __future__ import annotations

import json
import random
import time
from collections import Counter

import pytest

from core.dataset.captions import tag_key
from core.dataset.pinyin import PINYIN, is_readable, pinyin_of, syllables_of
from core.dataset.statistics import TagCount
from core.dataset.tag_names import NAMES, Suggestion, chinese_name, common_tags, search, suggestions


def test_names_are_chinese_and_each_tag_is_there_once() -> None:
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    assert len(names) >= 4000 and len({tag_key(tag) for tag in names}) == len(names)
    assert all(name.strip() == name and not name.isascii() for name in names.values())


def test_a_name_is_found_in_every_spelling() -> None:
    assert chinese_name("Long_Hair") == chinese_name("long hair") == "长发"
    assert chinese_name("^_^") and chinese_name("rose \\(x\\)") == ""


def test_search_in_both_languages() -> None:
    assert search("long_ha")[0] == "long hair" and "very long hair" in search("long ha")
    assert "long hair" in search("长发") and search("长发")[0] == "long hair"
    assert search("qqqq") == []


COUNTS = [TagCount("smile", 9, 9), TagCount("evil smile", 8, 9), TagCount("Small_Hat", 2, 9), TagCount("cosmos", 1, 9)]


def test_own_tags_come_first_and_beginnings_before_insides() -> None:
    found = suggestions("sm", COUNTS, ["smirk", "small_hat", "smug_x"])
    assert [each.tag for each in found[:6]] == ["smile", "Small_Hat", "evil smile", "cosmos", "smirk", "smug x"]
    assert found[0] == Suggestion("smile", 9, "微笑") and found[4].count == 0
    assert len({tag_key(each.tag) for each in found}) == len(found) <= 12


def test_suggestions_for_nothing_typed_are_the_most_frequent_tags() -> None:
    assert [each.tag for each in suggestions("", COUNTS, ["smirk"], limit=2)] == ["smile", "evil smile"]
    assert len(suggestions("", COUNTS, ["smirk"])) == len(COUNTS)


def test_suggestions_by_chinese_name_and_of_chinese_tags() -> None:
    counts = [TagCount("smile", 3, 3), TagCount("微光", 1, 3)]
    found = suggestions("微", counts, ["light_smile", "slightly_open_mouth"], limit=4)
    assert [each.tag for each in found[:3]] == ["smile", "微光", "slightly open mouth"] and len(found) == 4
    assert all("微" in each.tag + each.chinese for each in found)


def test_faces_and_wishes_keep_their_underscores() -> None:
    assert "^_^" in [each.tag for each in suggestions("^_", [], ["^_^"])]
    assert suggestions("smug", [], ["smug_x"], replace_underscores=False)[0].tag == "smug_x"


def test_no_two_tags_share_a_name_and_all_are_short() -> None:
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    assert [name for name, number in Counter(names.values()).items() if number > 1] == []
    assert [name for name in names.values() if sum(sign > "\u2e7f" for sign in name) > 8] == []


@pytest.mark.parametrize(
    ("tag", "name"),
    [("collar", "项圈"), ("sailor collar", "水手领"), ("vest", "马甲"), ("tank top", "背心"), ("ascot", "阔领巾"),
     ("nude", "裸体"), ("male focus", "男性为主"), ("arms_up", "双臂上举"), ("arrow_\\(symbol\\)", "箭头")],
)  # fmt: skip
def test_names_that_are_easily_mixed_up(tag: str, name: str) -> None:
    assert chinese_name(tag) == name


# Pinyin


@pytest.mark.parametrize(
    ("name", "syllables"),
    [("长发", "chang fa"), ("年长化", "nian zhang hua"), ("角色", "jue se"), ("音乐", "yin yue"), ("快乐", "kuai le"),
     ("绿色", "lv se"), ("女仆", "nv pu"), ("不对称刘海", "bu dui chen liu hai"), ("弹吉他", "tan ji ta"),
     ("子弹", "zi dan"), ("T恤", "t xu"), ("90年代风格", "90 nian dai feng ge"), ("睡觉", "shui jiao")],
)  # fmt: skip
def test_readings_of_characters_with_several(name: str, syllables: str) -> None:
    assert " ".join(syllables_of(name)) == syllables
    pinyin = pinyin_of(name)
    assert pinyin.text == syllables.replace(" ", "") and pinyin.initials == "".join(
        each[0] for each in syllables.split()
    )
    assert [pinyin.text[start] for start in pinyin.starts] == list(pinyin.initials)


def test_every_name_can_be_read() -> None:
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    signs = {sign for name in names.values() for sign in name if "\u4e00" <= sign <= "\u9fff"}
    assert [sign for sign in sorted(signs) if not is_readable(sign)] == []
    content = json.loads(PINYIN.read_text(encoding="utf-8"))
    assert all(syllable.isascii() and syllable.isalpha() for syllable in content["syllables"])


@pytest.mark.parametrize("typed", ["changfa", "chang fa", "ChangFa", "cf", "changf"])
def test_a_tag_is_found_by_pinyin(typed: str) -> None:
    found = suggestions(typed, [TagCount("Long_Hair", 3, 9), TagCount("smile", 2, 9)], limit=30)
    assert found[0] == Suggestion("Long_Hair", 3, "长发")
    assert "long hair" in search(typed)


def test_pinyin_is_typed_from_the_beginning_of_a_syllable() -> None:
    assert "very long hair" in search("changfa")  # 超长发
    assert search("hangfa") == [] and search("angf") == []


def test_english_comes_before_pinyin_wherever_it_is_from() -> None:
    # "se" begins the pinyin of 色... and is inside of English words; English of the tagger beats pinyin of the set.
    counts = [TagCount("greyscale", 5, 9), TagCount("colorful", 5, 9)]  # huidu, duocai
    found = [each.tag for each in suggestions("du", counts, ["dual_wielding", "red_duck"], limit=60)]
    english = [tag for tag in found if "du" in tag]
    assert found[: len(english)] == english and english[:2] == ["dual wielding", "red duck"]
    assert "colorful" not in found[: len(english)] and "colorful" not in english
    assert "greyscale" in found[len(english) :]


def test_one_letter_is_no_pinyin() -> None:
    assert all("q" in each.tag for each in suggestions("q", [TagCount("long hair", 1, 1)], limit=500))


def test_typing_takes_milliseconds_with_ten_thousand_tags() -> None:
    chance = random.Random(0)
    counts = [TagCount(f"{chance.choice(common_tags())} {place}", 1, 9) for place in range(10_000)]
    slow = []
    for typed in ("", "l", "lo", "long ha", "c", "ch", "cha", "changfa", "cf", "长", "qqqq"):
        suggestions(typed, counts)  # Remembers the keys of the tags.
        times = []
        for _ in range(5):
            start = time.thread_time()
            suggestions(typed, counts)
            times.append(time.thread_time() - start)
        if min(times) > 0.020:  # 2 to 5 ms on an idle machine
            slow.append((typed, min(times)))
    assert slow == []
