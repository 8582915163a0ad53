"""Writes `resources/tag_lists/pinyin.json`: how Chinese is typed. Run `python packaging/tag_lists/pinyin.py`.

Needs pypinyin, which nothing else does. Run it again when `zh_CN.json` has changed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from pypinyin import Style, lazy_pinyin

LISTS = Path(__file__).resolve().parents[2] / "resources" / "tag_lists"

# Characters with several readings, as names of tags have them; all others are read as pypinyin reads them.
READINGS = {
    "了": "le", "乐": "le", "佛": "fo", "单": "dan", "发": "fa", "啜": "chuo", "地": "di", "曝": "bao", "爪": "zhua",
    "的": "de", "着": "zhe", "肋": "lei", "茄": "qie", "薄": "bo", "藏": "cang", "血": "xue", "行": "xing",
    "调": "diao", "都": "dou", "重": "chong", "长": "chang", "露": "lu",
}  # fmt: skip

# Words in which one of them, or another character, is read otherwise.
PHRASES = {
    "乐器": "yue qi", "乐谱": "yue pu", "乐队": "yue dui", "厌恶": "yan wu", "咖喱": "ga li", "对称": "dui chen",
    "年长": "nian zhang", "弹吉他": "tan ji ta", "成长": "cheng zhang", "校长": "xiao zhang", "浸没": "jin mo",
    "瑜伽": "yu jia", "睡觉": "shui jiao", "角色": "jue se", "调色": "tiao se", "邮差": "you chai",
    "银行": "yin hang", "队长": "dui zhang", "音乐": "yin yue",
}  # fmt: skip


def common_characters() -> str:
    """The 3,755 characters of the first level of GB 2312, which are nearly all that people use in names of folders."""
    rows = (bytes((row, column)) for row in range(0xB0, 0xD8) for column in range(0xA1, 0xFF))
    return "".join(pair.decode("gb2312", errors="ignore") for pair in rows)


def reading(character: str) -> str:
    """A character's pinyin without tones, with v for ü as it is typed."""
    return READINGS.get(character) or lazy_pinyin(character, style=Style.NORMAL, v_to_u=False)[0]


def main() -> None:
    """Write characters by syllable, and the words that are not read character by character."""
    names: list[str] = list(json.loads((LISTS / "zh_CN.json").read_text(encoding="utf-8")).values())
    used = sorted({character for name in names for character in name if "\u4e00" <= character <= "\u9fff"})
    syllables: dict[str, str] = defaultdict(str)
    for character in dict.fromkeys((*common_characters(), *used)):
        syllables[reading(character)] += character
    content = {"phrases": PHRASES, "syllables": dict(sorted(syllables.items()))}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (LISTS / "pinyin.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
