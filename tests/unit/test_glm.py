"""ChatGLM3 as a text encoder: its ids, and that every way of reading captions says what diffusers' whole model says."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from core.checkpoints.folders import folder_part
from core.checkpoints.opening import read_tensor
from core.errors import UserError
from core.families import glm
from core.families.base import LargeTextEncoder
from core.families.glm import GlmEncoder, choose_way
from core.families.glm_chunks import TextRead, groups_of, rows_for, with_padding
from core.families.glm_tokens import LENGTH, SPECIAL, GlmTokenizer
from tests.tiny.kolors import GLM_CONFIG, save_tiny_glm, save_tokenizer, tiny_glm

CAPTIONS = [
    "",
    "一只可爱的猫",
    "1girl, solo, smile, 蓝天白云",
    "a",
    "red ball, " * 12,
    "word " * 400,
    "😀 猫\n狗 [gMASK] sop",
]
GB = 1 << 30


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> GlmTokenizer:
    return GlmTokenizer(save_tokenizer(tmp_path_factory.mktemp("词 words")) / "tokenizer.model")


@pytest.fixture(scope="module", params=["diffusers", "original"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    found: Path = tmp_path_factory.mktemp(request.param) / "text_encoder"
    save_tiny_glm(found, request.param)
    return found


def encoder_of(folder: Path, dtype: torch.dtype = torch.float32) -> GlmEncoder:
    return GlmEncoder(folder_part(folder, "text_encoder"), dtype)


def all_read(encoder: GlmEncoder, tokens: list[list[int]], wish: LargeTextEncoder) -> dict[int, TextRead]:
    found: dict[int, TextRead] = {}
    for _, finished in encoder.read(tokens, wish):
        found |= finished
    return found


def test_special_tokens_are_numbered_behind_the_pieces(tokenizer: GlmTokenizer) -> None:
    """With the 64789 pieces of the published tokenizer these are the ids that Kolors was trained with."""
    published = {token: 64789 + number for number, token in enumerate(SPECIAL)}
    assert (published["[gMASK]"], published["sop"], published["<|observation|>"]) == (64790, 64792, 64797)
    pieces = tokenizer.size - len(SPECIAL)
    assert {token: number - pieces for token, number in tokenizer.special.items()} == {
        token: number - 64789 for token, number in published.items()
    }
    assert tokenizer.pad == 0


def test_captions_have_the_ids_of_the_published_tokenizer(tokenizer: GlmTokenizer) -> None:
    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

    plain: Any = ChatGLMTokenizer(str(tokenizer.file))
    for caption in CAPTIONS:
        theirs = plain(caption, padding="max_length", max_length=LENGTH, truncation=True)
        ours = tokenizer.read(caption)
        padding = LENGTH - len(ours)
        assert theirs["input_ids"] == [tokenizer.pad] * padding + ours
        assert theirs["attention_mask"] == [0] * padding + [1] * len(ours)
        assert theirs["position_ids"] == [0] * padding + list(range(len(ours)))


def test_an_empty_caption_is_the_two_tokens_in_front_and_a_long_one_is_cut(tokenizer: GlmTokenizer) -> None:
    assert tokenizer.read("") == [tokenizer.special["[gMASK]"], tokenizer.special["sop"]]
    long = tokenizer.pieces(CAPTIONS[5])
    assert len(long) > LENGTH
    assert tokenizer.read(CAPTIONS[5])[2:] == long[: LENGTH - 2]


@pytest.mark.parametrize(("content", "words"), [(b"no model", "is damaged"), (None, "is missing")])
def test_a_tokenizer_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(UserError, match=words):
        GlmTokenizer(tmp_path / "tokenizer.model")


def plainly(folder: Path, tokenizer: GlmTokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """What the whole model of diffusers says, all padding computed: [B, 256, D] and [B, D]."""
    model = tiny_glm()
    source = folder_part(folder, "text_encoder")
    names = set(model.state_dict())
    state = {at.key.removeprefix("transformer."): read_tensor(at).float() for at in source.tensors.values()}
    model.load_state_dict({name: state[name] for name in names & set(state)}, strict=False)
    tokens = [tokenizer.read(caption) for caption in CAPTIONS]
    padding = [LENGTH - len(ids) for ids in tokens]
    with torch.no_grad():
        said = model(
            torch.tensor([[0] * front + ids for front, ids in zip(padding, tokens, strict=True)]),
            position_ids=torch.tensor([[0] * front + list(range(LENGTH - front)) for front in padding]),
            attention_mask=torch.tensor([[0] * front + [1] * (LENGTH - front) for front in padding]),
            output_hidden_states=True,
            return_dict=True,
        ).hidden_states
    return said[-2].permute(1, 0, 2), said[-1][-1]


def test_every_way_says_what_the_whole_model_says(folder: Path, tokenizer: GlmTokenizer) -> None:
    rows, last = plainly(folder, tokenizer)
    encoder = encoder_of(folder)
    tokens = [tokenizer.read(caption) for caption in CAPTIONS]
    for wish, tolerance in (("whole", 5e-5), ("layers", 5e-5), ("int8", 0.5)):
        found = all_read(encoder, tokens, wish)  # type: ignore[arg-type]
        for number, caption in enumerate(CAPTIONS):
            assert len(found[number].rows) == min(len(tokens[number]) + 1, LENGTH), caption
            for ours, theirs in ((with_padding(found[number].rows), rows[number]), (found[number].last, last[number])):
                torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)
        one = {way: all_read(encoder, tokens[1:2], way)[0].rows for way in ("layers", "int8")}  # type: ignore[misc]
        assert 0 < float((one["int8"] - one["layers"]).norm() / one["layers"].norm()) < 0.05


def test_half_precision_is_no_further_off_than_that_of_the_whole_model(folder: Path, tokenizer: GlmTokenizer) -> None:
    exact, _ = plainly(folder, tokenizer)
    found = all_read(encoder_of(folder, torch.bfloat16), [tokenizer.read(caption) for caption in CAPTIONS], "layers")
    assert found[1].rows.dtype == torch.bfloat16
    for number in range(len(CAPTIONS)):
        ours = with_padding(found[number].rows).float()
        assert float((ours - exact[number]).norm() / exact[number].norm()) < 0.02


def test_fp16_is_computed_in_fp32_by_a_processor_and_rows_lie_one_behind_the_other(
    folder: Path, tokenizer: GlmTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, through = [], glm._through

    def looked_at(block: torch.nn.Module, chunk: Any, turns: torch.Tensor) -> torch.Tensor:
        seen.append((chunk.hidden.dtype, chunk.hidden.is_contiguous()))
        return through(block, chunk, turns)

    monkeypatch.setattr(glm, "_through", looked_at)
    tokens = [tokenizer.read(caption) for caption in CAPTIONS[:3]]
    half = all_read(encoder_of(folder, torch.float16), tokens, "layers")
    exact = all_read(encoder_of(folder), tokens, "layers")
    assert set(seen) == {(torch.float32, True)}
    assert all(torch.equal(half[number].rows, exact[number].rows.half()) for number in range(3))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[torch.nn.Module]]:
    """Every layer that was brought into memory, in order."""
    found: list[weakref.ref[torch.nn.Module]] = []
    block = GlmEncoder._block

    def remembered(self: GlmEncoder, number: int, *, in_int8: bool) -> torch.nn.Module:
        layer = block(self, number, in_int8=in_int8)
        found.append(weakref.ref(layer))
        return layer

    monkeypatch.setattr(GlmEncoder, "_block", remembered)
    return found


def alive(loaded: list[weakref.ref[torch.nn.Module]]) -> int:
    return sum(layer() is not None for layer in loaded)


@pytest.mark.parametrize(("wish", "most"), [("layers", 1), ("whole", 3), ("int8", 3)])
def test_layers_are_in_memory_only_while_captions_are_read(
    folder: Path,
    tokenizer: GlmTokenizer,
    loaded: list[weakref.ref[torch.nn.Module]],
    wish: LargeTextEncoder,
    most: int,
) -> None:
    encoder = encoder_of(folder)
    assert not list(encoder.parameters())
    tokens = [tokenizer.read(caption) for caption in CAPTIONS]
    shares = []
    for share, _ in encoder.read(tokens, wish):
        shares.append(share)
        assert alive(loaded) <= most
    assert len(loaded) == GLM_CONFIG["num_layers"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert alive(loaded) == 0
    half = encoder.read(tokens, wish)
    next(half)
    half.close()  # type: ignore[attr-defined]
    assert alive(loaded) == 0
    assert not list(encoder.parameters())


def test_a_card_that_is_too_small_after_all_gets_one_layer_at_a_time(
    folder: Path,
    tokenizer: GlmTokenizer,
    loaded: list[weakref.ref[torch.nn.Module]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through, calls = glm._through, []

    def short_of_memory(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 14:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return through(*arguments)

    encoder = encoder_of(folder)
    tokens = [tokenizer.read(caption) for caption in CAPTIONS]
    expected = all_read(encoder, tokens, "layers")
    monkeypatch.setattr(glm, "_through", short_of_memory)
    monkeypatch.setattr(glm, "choose_way", lambda wish, *_: "whole" if wish == "auto" else wish)
    found = all_read(encoder, tokens, "auto")
    assert len(loaded) > 2 * GLM_CONFIG["num_layers"]
    assert alive(loaded) == 0
    assert all(torch.equal(found[number].rows, expected[number].rows) for number in range(len(CAPTIONS)))
    calls.clear()
    with pytest.raises(torch.OutOfMemoryError):
        all_read(encoder, tokens, "whole")


@pytest.mark.parametrize(
    ("wish", "free", "device", "expected"),
    [
        ("auto", 16 * GB, "cuda", "whole"),
        ("auto", 12 * GB, "cuda", "layers"),
        ("auto", 16 * GB, "cpu", "layers"),
        ("auto", 32 * GB, "cpu", "whole"),
        ("auto", None, "cpu", "layers"),
        ("int8", 1 * GB, "cuda", "int8"),
        ("whole", 1 * GB, "cpu", "whole"),
        ("layers", 99 * GB, "cuda", "layers"),
    ],
)
def test_the_fastest_way_is_chosen_for_which_there_is_room(
    wish: LargeTextEncoder, free: int | None, device: str, expected: str
) -> None:
    assert choose_way(wish, 12 * GB, free, device) == expected


def test_captions_of_about_one_length_are_computed_together() -> None:
    lengths = {number: 2 + number * 37 % 255 for number in range(200)}
    groups = groups_of(lengths, 1024, 4096)
    chunks = [chunk for group in groups for chunk in group]
    assert sorted(number for chunk in chunks for number in chunk) == list(lengths)
    for chunk in chunks:
        rows = rows_for(max(lengths[number] for number in chunk))
        assert rows * len(chunk) <= 1024
        assert rows % 8 == 0
        assert all(lengths[number] < rows or rows == LENGTH for number in chunk)
    computed = sum(rows_for(max(lengths[number] for number in chunk)) * len(chunk) for chunk in chunks)
    assert computed < 1.2 * sum(lengths.values())
    assert len(groups) == pytest.approx(computed / 4096, abs=2)


def test_an_encoder_that_lacks_a_weight_or_has_another_shape_is_refused(folder: Path, tmp_path: Path) -> None:
    source = folder_part(folder, "text_encoder")
    name = next(name for name in source.tensors if "layers.1.mlp.dense_4h_to_h" in name)
    lacking = {other: at for other, at in source.tensors.items() if other != name}
    with pytest.raises(UserError, match="not complete"):
        GlmEncoder(type(source)(source.config, lacking, source.config_file), torch.float32)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"ffn_hidden_size": 80}
    with pytest.raises(UserError, match="dense_"):
        GlmEncoder(type(source)(config, source.tensors, source.config_file), torch.float32)
    config = {**source.config, "num_attention_heads": "four"}
    with pytest.raises(UserError, match=r"config.json is damaged"):
        GlmEncoder(type(source)(config, source.tensors, source.config_file), torch.float32)
