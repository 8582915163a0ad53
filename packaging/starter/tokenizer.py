"""A CLIP tokenizer for the world: byte pairs learned from its tags, and single bytes for every other word."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from starter.world import sample_character, tags_of

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import CLIPTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
MAX_TOKENS = 77
# CLIP's own way to cut a text into words.
WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
COMMON_WORDS = (
    "a photo of the and with style drawing character girl boy woman man masterpiece best quality worst quality "
    "low quality highres"
)


def write_tokenizer(folder: Path) -> None:
    """Learns the vocabulary from 4,000 captions of the full world and writes it as `vocab.json` and `merges.txt`."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix=WORD_END, continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    rng = random.Random(5)
    captions = [", ".join(tags_of(sample_character(rng, "full"))) for _ in range(4000)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1022,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
        special_tokens=[],
        show_progress=False,
        min_frequency=2,
    )
    learner.train_from_iterator(captions + [COMMON_WORDS] * 20, trainer)
    learned = json.loads(learner.to_str())["model"]
    vocabulary = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    vocabulary += [letter + WORD_END for letter in sorted(alphabet) if letter + WORD_END not in learned["vocab"]]
    vocabulary += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in learned["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    load_tokenizer(folder).save_pretrained(folder)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer of a folder."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = MAX_TOKENS
    return tokenizer
