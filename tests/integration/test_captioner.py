"""Sentence models write what plain transformers makes of the same files, and say what is wrong with these."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from core.errors import UserError
from core.tagging.base import Tagger, load_tagger, taggers
from core.tagging.captioner import TAGGER, Captioner, tidy
from tests.pictures import scene
from tests.taggers import tiny_blip, tiny_florence, tiny_tagger

MAKERS = {"blip": tiny_blip, "florence2": tiny_florence}
PICTURES = [scene((90, 60)), scene((31, 80), seed=3), Image.new("RGB", (1, 1), "red"), scene((40, 40), seed=9)]


def normalized(image: Image.Image) -> torch.Tensor:
    """[3, 32, 32]: cubic resize, 0 to 1, minus the mean, by the deviation that CLIP was trained with."""
    pixels = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return torch.tensor((pixels - np.float32(mean)) / np.float32(deviation)).permute(2, 0, 1)


def reference(folder: Path, image: Image.Image) -> str:
    """One picture with the parts of transformers, put together by hand."""
    pixels = normalized(image)[None]
    how = {"num_beams": 3, "do_sample": False}
    with torch.no_grad():
        if json.loads((folder / "config.json").read_text())["model_type"] == "blip":
            tokenizer: Any = transformers.BertTokenizer.from_pretrained(folder)
            model: Any = transformers.BlipForConditionalGeneration.from_pretrained(folder).eval()
            tokens = model.generate(pixel_values=pixels, max_new_tokens=75, **how)
        else:
            tokenizer = transformers.BartTokenizer.from_pretrained(folder)
            model = transformers.Florence2ForConditionalGeneration.from_pretrained(folder).eval()
            prompt = "<image>" * 17 + "<s>Describe in detail what is shown in the image.</s>"
            words = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
            tokens = model.generate(**words, pixel_values=pixels, max_new_tokens=256, **how)
    return " ".join(tokenizer.decode(tokens[0], skip_special_tokens=True).split())


@pytest.fixture(scope="module", params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp("models") / "描述 模型")


@pytest.fixture(scope="module")
def captioner(folder: Path) -> Tagger:
    return load_tagger(folder)


def test_sentences_of_plain_transformers(folder: Path, captioner: Tagger) -> None:
    seen = captioner.look(iter(PICTURES))
    assert [found.sentence for found in seen] == [tidy(reference(folder, image)) for image in PICTURES]
    assert len({found.sentence for found in seen}) > 1, "the model does not look at the pictures"
    assert all(found.tags == () and "\n" not in found.sentence for found in seen)


def test_the_same_sentences_each_time_and_in_batches(captioner: Captioner) -> None:
    first = captioner.look(PICTURES)
    captioner.batch_size = 3
    try:
        assert captioner.look(PICTURES) == first
    finally:
        captioner.batch_size = 1
    assert captioner.look([]) == []


def test_what_it_tells_of_itself(captioner: Tagger) -> None:
    assert captioner.gives == "sentence" and captioner.note == ""
    assert captioner.device and captioner.batch_size >= 1 and captioner.parallel_calls >= 1
    assert taggers()["captioner"] is TAGGER is Captioner


def test_no_connection_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load_tagger(folder).look(PICTURES[:1])


def test_too_little_memory_halves_the_batch(captioner: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, real, calls = captioner.look(PICTURES), captioner._generated, []

    def generated(images: list[Image.Image]) -> list[str]:
        calls.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(images)

    monkeypatch.setattr(Captioner, "_generated", lambda self, images: generated(images))
    captioner.batch_size = 4
    assert captioner.look(PICTURES) == expected
    assert calls == [4, 2, 1, 1, 2, 1, 1] and captioner.batch_size == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "The memory is not enough for this sentence model"),
        (RuntimeError("an illegal memory access"), "The graphics card stopped"),
        (RuntimeError("shapes cannot be multiplied"), "The sentence model failed"),
    ],
)
def test_failures_are_told_in_words(
    captioner: Tagger, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: object) -> list[str]:
        raise error

    monkeypatch.setattr(Captioner, "_generated", fail)
    with pytest.raises(UserError, match=message) as caught:
        captioner.look(PICTURES[:1])
    assert caught.value.remedy


# --- one tidy line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a girl\n  by the sea ", "a girl by the sea"),
        ("The image shows a girl. She smiles.", "A girl. She smiles."),
        ("In this image we can see a girl, and a dog.", "A girl, and a dog."),
        ("In this image, we can see the sea.", "The sea."),
        ("the image is of a cat", "a cat"),
        ("arafed woman in a dress", "woman in a dress"),
        ("The image shows", "The image shows"),
        ("a picture shows the sea", "a picture shows the sea"),
        ("", ""),
    ],
)
def test_a_tidy_line(text: str, line: str) -> None:
    assert tidy(text) == line


# --- files that are not right ---------------------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_tagger(folder)
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize("make", MAKERS.values())
def test_weights_of_other_kinds_are_not_opened(tmp_path: Path, make: Any) -> None:
    folder = make(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(folder) == f"The sentence model in {folder} has no model.safetensors."


@pytest.mark.parametrize("make", MAKERS.values())
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<!DOCTYPE html>", None])
def test_damaged_files_are_told(tmp_path: Path, make: Any, name: str, data: bytes | None) -> None:
    folder = make(tmp_path)
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if data is None else data)
    assert refusal(folder) == f"The sentence model in {folder} is damaged or not complete."


def rename_weights(folder: Path, old: str, new: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    renamed = {name.replace(old, new): weight for name, weight in weights.items()}
    assert renamed.keys() != weights.keys()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("is_early", [True, False], ids=["its words", "its weights"])
def test_a_florence_that_needs_its_own_program_is_told(tmp_path: Path, is_early: bool) -> None:
    folder = tiny_florence(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_florence2.Florence2ForConditionalGeneration"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_florence2.py").write_text("raise SystemExit('it was run')")
    if is_early:
        (folder / "tokenizer_config.json").unlink()
    else:
        rename_weights(folder, "language_model", "other_model")
    assert refusal(folder).startswith(f"The sentence model in {folder} needs a program of its own")


def test_a_blip_without_some_of_its_weights_is_told(tmp_path: Path) -> None:
    folder = tiny_blip(tmp_path)
    rename_weights(folder, "vision_model", "other_model")
    assert refusal(folder) == f"The sentence model in {folder} is damaged or not complete."


@pytest.mark.parametrize("config", ["", "{", "[]", "{}", '{"model_type": "clip"}', '{"model_type": ["blip"]}'])
def test_folders_of_other_models_are_none_of_its_own(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    assert not Captioner.fits(tmp_path)
    assert refusal(tmp_path) == f"There is no tagger in {tmp_path}."


def test_a_tagger_is_no_sentence_model(tmp_path: Path) -> None:
    assert not Captioner.fits(tiny_tagger(tmp_path))
    assert not Captioner.fits(tmp_path / "gone")
