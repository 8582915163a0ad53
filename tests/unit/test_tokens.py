"""Tokens are counted as the tokenizer of transformers counts them, from its files alone."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from app.caption_tokens import CaptionTokens
from core.config import TrainConfig, with_values
from core.dataset.tokens import CLIP_MERGES, TokenCounter, counter_for
from core.errors import UserError
from core.families.glm_tokens import GlmTokenizer
from core.paths import STARTER_MODEL
from tests.tiny.kolors import save_tokenizer

ROOT = Path(__file__).resolve().parents[2]
STARTER_TOKENIZER = STARTER_MODEL / "tokenizer"
PIECES = (
    "1girl, solo, it's don't we'll 'tis HELLO''s 12,345.6 long_hair (blue eyes:1.2) \\(kiln\\) >_< ^_^ :d ½ ² Ⅳ ٣ "
    "蓝色头发 かわいい ネコ 안녕 über E\u0301 Σας ΣΑΣ İ 😀 👩\u200d👩\u200d👧 ﬁ \u200b \u3000 \x1c \t\n ’s “q” "
    "||_|| <|endoftext|> ß ẞ ǅ ʰ ª 一二三 ① ௧ z\u0323\u0307 masterpiece supercalifragilistic a_1b2 !?!? ..."
)


WORDS = PIECES.split(" ")


def texts(number: int) -> list[str]:
    """Captions, words without blanks between them, and letters of all kinds."""
    chance = random.Random(7)
    kinds = [(32, 126), (0xA0, 0x24F), (0x370, 0x2FFF), (0x4E00, 0x9FFF), (0x1F300, 0x1F6FF)]
    made = []
    for place in range(number):
        size = chance.randint(0, 30)
        if place % 3 == 0:
            text = " ".join(chance.choice(WORDS) for _ in range(size))
        elif place % 3 == 1:
            text = "".join(chance.choice(WORDS) + chance.choice(["", "", " ", ", "]) for _ in range(size))
        else:
            text = "".join(chr(chance.randint(*chance.choice(kinds))) for _ in range(size))
        # Which letters there are depends on the version of Unicode.
        made.append("".join(letter for letter in text if unicodedata.category(letter) != "Cn"))
    return made


def clip_tokenizer() -> Any:
    """The tokenizer of transformers with the vocabulary that follows from the shipped merges."""
    from transformers import CLIPTokenizer

    merges = gzip.decompress(CLIP_MERGES.read_bytes()).decode("utf-8").split("\n")[1:-1]
    letters = sorted({letter for merge in merges for letter in merge if letter != " "} | set("".join(BYTES)))
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    return CLIPTokenizer(vocab=numbers, merges=[tuple(merge.split()) for merge in merges])


# The letters that stand for bytes, as tokenizers know them.
BYTES = [chr(letter) for letter in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100), *range(0x100, 0x144))]


def test_the_shipped_merges_are_all_of_clip() -> None:
    lines = gzip.decompress(CLIP_MERGES.read_bytes()).decode("utf-8").splitlines()
    assert lines[0].startswith("#version") and len(lines) == 1 + 48_894


def test_clip_counts_equal_those_of_transformers() -> None:
    tokenizer, counter = clip_tokenizer(), counter_for(None)
    different = {text for text in texts(3000) if counter.count(text) != len(tokenizer.tokenize(text))}
    assert not different


def test_counts_for_the_starter_model_equal_those_of_transformers() -> None:
    from transformers import CLIPTokenizer

    tokenizer, counter = CLIPTokenizer.from_pretrained(STARTER_TOKENIZER), counter_for(STARTER_TOKENIZER)
    different = {text for text in texts(1500) if counter.count(text) != len(tokenizer.tokenize(text))}
    assert not different
    assert counter.count("masterpiece") == 1 < counter.count("supercalifragilistic")


def test_known_counts() -> None:
    counter = counter_for(None)
    assert counter.count("") == counter.count(" \n") == 0
    assert counter.count("a photo of a cat") == 5
    assert counter.count("1girl, long hair") == 5
    assert counter.count("A  Photo of a CAT") == 5


@pytest.mark.parametrize(("number", "chunks"), [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)])
def test_chunks_of_75(number: int, chunks: int) -> None:
    assert TokenCounter.chunks(number) == chunks


def test_every_form_of_the_files_counts_the_same(tmp_path: Path) -> None:
    only_json = tmp_path / "底模 😀" / "tokenizer"
    only_json.mkdir(parents=True)
    (only_json / "tokenizer.json").write_bytes((STARTER_TOKENIZER / "tokenizer.json").read_bytes())
    windows = tmp_path / "windows"
    windows.mkdir()
    merges = (STARTER_TOKENIZER / "merges.txt").read_text(encoding="utf-8")
    (windows / "merges.txt").write_bytes(merges.replace("\n", "\r\n").encode())
    counters = [counter_for(folder) for folder in (STARTER_TOKENIZER, only_json, windows)]
    for text in texts(60):
        assert len({counter.count(text) for counter in counters}) == 1


def test_a_folder_without_merges_counts_as_clip(tmp_path: Path) -> None:
    assert counter_for(tmp_path) is counter_for(None) is counter_for(tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("merges.txt", b"\xff\xfe\x00"),
        ("merges.txt", b"<html>not found here</html>"),
        ("merges.txt", b""),
        ("tokenizer.json", b"{"),
        ("tokenizer.json", json.dumps({"model": {"type": "Unigram", "vocab": []}}).encode()),
        ("tokenizer.json", json.dumps({"model": {"end_of_word_suffix": "</w>"}}).encode()),
    ],
)
def test_damaged_files_are_told_of(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        counter_for(tmp_path)


def test_counting_and_filtering_import_nothing_heavy() -> None:
    code = (
        "import sys; from core.dataset import bulk, query, statistics, tag_names, tokens;"
        "tokens.counter_for(None).count('a'); tag_names.search('a');"
        "heavy = {'torch', 'transformers', 'tokenizers', 'numpy', 'PIL', 'PySide6'};"
        "print(sorted(heavy.intersection(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_captions_for_kolors_are_counted_by_its_own_tokenizer_and_limit(tmp_path: Path) -> None:
    file = save_tokenizer(tmp_path / "text_encoder") / "tokenizer.model"
    config = with_values(TrainConfig(), {"model.base": tmp_path})
    tokens = CaptionTokens.of(config)
    assert tokens.most == 254
    caption = "一只可爱的猫, a cat"
    assert tokens.counter.count(caption) == len(GlmTokenizer(file).pieces(caption))


def test_as_many_tokens_count_as_the_settings_say() -> None:
    assert CaptionTokens.of(with_values(TrainConfig(), {"model.max_tokens": 225})).most == 225
