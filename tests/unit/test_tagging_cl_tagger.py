"""The tagger in cl_tagger's form gives the scores of the reference procedure, and says what is wrong with its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from core.errors import UserError
from core.tagging.base import LEAST_SCORE
from core.tagging.cl_tagger import TAGGER, CLTagger
from core.tagging.wd14 import WD14
from tests.taggers import CL_TAGS, tiny_cl_tagger, tiny_tagger
from tests.unit.test_tagging_pixels import pattern

KNOWN = {"Rating", "General", "Artist", "Character", "Copyright", "Meta", "Quality", "Model"}


def reference(folder: Path, image: Image.Image, size: int) -> list[tuple[str, float, str]]:
    """One picture after the public description: white square, Pillow's cubic, BGR, mean and deviation 0.5, sigmoid."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC)).astype(np.float64) / 255
    planes = np.stack([(pixels[:, :, channel] - 0.5) / 0.5 for channel in (2, 1, 0)])
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"input": planes[None].astype(np.float32)})[0][0].astype(np.float64)
    found = [
        (name, float(1 / (1 + np.exp(-logits[index]))), category.lower() if category in KNOWN else "other")
        for index, (name, category) in CL_TAGS.items()
    ]
    return sorted((tag for tag in found if tag[1] >= LEAST_SCORE), key=lambda tag: -tag[1])


def assert_same(tags: object, expected: list[tuple[str, float, str]]) -> None:
    assert [(name, category) for name, _, category in tags] == [(name, category) for name, _, category in expected]
    assert [score for _, score, _ in tags] == pytest.approx([score for _, score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("old", [False, True], ids=["entries", "two tables"])
@pytest.mark.parametrize("size", [24, 40])
@pytest.mark.parametrize("image_size", [(100, 60), (13, 29), (40, 40), (24, 24), (300, 20), (1, 1)])
def test_scores_of_the_reference(tmp_path: Path, size: int, image_size: tuple[int, int], old: bool) -> None:
    folder = tiny_cl_tagger(tmp_path, size=size, old=old)
    image = pattern(*image_size)
    (seen,) = CLTagger.load(folder).look([image])
    assert len(seen.tags) > 3 and not seen.sentence
    assert_same(seen.tags, reference(folder, image, size))


def test_the_model_feels_the_order_of_the_channels(tmp_path: Path) -> None:
    folder = tiny_cl_tagger(tmp_path)
    red, blue = (Image.new("RGB", (30, 30), name) for name in ("red", "blue"))
    first, second = CLTagger.load(folder).look([red, blue])
    assert first != second
    assert_same(first.tags, reference(folder, red, 24))


def test_the_optimized_model_alone(tmp_path: Path) -> None:
    folder = tiny_cl_tagger(tmp_path, model="model_optimized.onnx")
    assert CLTagger.fits(folder)
    assert CLTagger.load(folder).look([pattern(30, 30)])[0].tags


def test_a_model_in_half_precision(tmp_path: Path) -> None:
    image = pattern(50, 40)
    half = CLTagger.load(tiny_cl_tagger(tmp_path / "half", half=True)).look([image])[0]
    full = CLTagger.load(tiny_cl_tagger(tmp_path / "full")).look([image])[0]
    assert {tag.name: tag.score for tag in half.tags} == pytest.approx(
        {tag.name: tag.score for tag in full.tags}, abs=0.02
    )


def test_whose_folder_it_is(tmp_path: Path) -> None:
    wd, cl = tiny_tagger(tmp_path / "wd"), tiny_cl_tagger(tmp_path / "cl")
    assert CLTagger.fits(cl) and not CLTagger.fits(wd) and WD14.fits(wd)
    (cl / "model.onnx").unlink()
    assert CLTagger.fits(cl)
    (wd / "tag_mapping.json").write_text("{}")
    assert not CLTagger.fits(wd)
    assert TAGGER is CLTagger


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        CLTagger.load(folder)
    assert caught.value.remedy
    return caught.value.message


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    folder = tiny_cl_tagger(tmp_path / "a")
    (folder / "model.onnx").write_bytes(b"<!DOCTYPE html>")
    assert refusal(folder).startswith(f"model.onnx in {folder} is damaged")
    (folder / "model.onnx").unlink()
    assert refusal(folder) == f"The tagger in {folder} has no model.onnx."
    (folder / "tag_mapping.json").write_text("{}")
    assert refusal(folder).startswith(f"tag_mapping.json in {folder} is damaged")
    folder = tiny_cl_tagger(tmp_path / "b")
    (folder / "tag_mapping.json").write_text('{"0": {"tag": "a", "category": "General"}}')
    assert refusal(folder) == f"tag_mapping.json lists 1 tags, but model.onnx in {folder} gives 12 scores."


def test_a_model_of_the_wd_family_with_the_wrong_list(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path)
    (folder / "selected_tags.csv").unlink()
    tiny_cl_tagger(tmp_path / "other")
    (tmp_path / "other" / "tag_mapping.json").rename(folder / "tag_mapping.json")
    assert "no tagger of this kind" in refusal(folder)
