"""The WD14 tagger gives the scores of its model in every batch, and says what is wrong with its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from core.paths import STARTER_TAGGER
from core.tagging.base import LEAST_SCORE, load_tagger, taggers
from core.tagging.wd14 import TAGGER, WD14
from tests import pictures
from tests.taggers import TAGS, tiny_tagger, write_tags
from tests.unit.test_tagging_pixels import pattern


def test_categories_and_order(tmp_path: Path) -> None:
    bias = [2, -1, 3, 2.5, 1, -0.5, 0, -2, 1.5, 0.5, -2.5]
    ((tags, sentence),) = WD14.load(tiny_tagger(tmp_path, bias=bias)).look([Image.new("RGB", (16, 16), "grey")])
    expected = [TAGS[index] for index in np.argsort(bias)[::-1]]
    names = {0: "general", 3: "copyright", 4: "character", 9: "rating"}
    assert [(name, category) for name, _, category in tags] == [(name, names[number]) for name, number in expected]
    assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True) and sentence == ""


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_batches_of_any_and_of_fixed_size(tmp_path: Path, batch: int | str) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path, batch=batch))
    images = [pattern(20 + index, 30) for index in range(6)]
    assert tagger.look(images) == [tagger.look([image])[0] for image in images]
    assert tagger.look(iter(images)) == tagger.look(images)
    assert tagger.look([]) == []


def test_an_open_input_size(tmp_path: Path) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path, size=None))
    assert tagger.model.size == 448
    assert len(tagger.look([pattern(40, 40)])[0].tags) == len(TAGS)


def test_an_open_number_of_scores_is_asked_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_tagger(tmp_path)
    import onnx

    model = onnx.load(folder / "model.onnx")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "tags"
    onnx.save(model, folder / "model.onnx")
    assert len(WD14.load(folder).look([pattern(9, 9)])[0].tags) == len(TAGS)
    write_tags(folder / "selected_tags.csv", TAGS[:-1])
    with pytest.raises(UserError, match="lists 10 tags"):
        WD14.load(folder)


def test_low_scores_are_left_out(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path, bias=[5, 5, 2, -2, -4, -4, -4, -4, -4, -4, -4])
    (seen,) = WD14.load(folder).look([pattern(16, 16)])
    assert {tag.name for tag in seen.tags} == {"general", "sensitive", "1girl", "long_hair"}
    assert all(tag.score >= LEAST_SCORE for tag in seen.tags) and seen.sentence == ""


def test_the_same_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tagger = WD14.load(tiny_tagger(tmp_path))
    images = [pattern(10 + index, 50) for index in range(24)]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda image: tagger.look([image])[0], images))
    assert parallel == tagger.look(images)


# --- files that are not right ---------------------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_tagger(folder)
    assert caught.value.remedy
    return caught.value.message


def test_missing_parts_are_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    assert "There is no tagger" in refusal(tmp_path / "empty")
    tiny_tagger(tmp_path / "hub" / "wd tagger")
    (tmp_path / "hub" / "a file").write_text("")
    assert refusal(tmp_path / "hub").endswith("but there is one in its folder wd tagger.")
    folder = tiny_tagger(tmp_path / "no csv")
    (folder / "selected_tags.csv").unlink()
    assert refusal(folder) == f"The tagger in {folder} has no selected_tags.csv."
    folder = tiny_tagger(tmp_path / "no model 模型")
    (folder / "model.onnx").unlink()
    assert refusal(folder) == f"The tagger in {folder} has no model.onnx."


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 5000, b"<!DOCTYPE html>", "half"],
    ids=["empty", "zeros", "web page", "half a download"],
)
def test_a_damaged_model_is_named(tmp_path: Path, data: bytes | str) -> None:
    folder = tiny_tagger(tmp_path)
    model = folder / "model.onnx"
    model.write_bytes(data if isinstance(data, bytes) else model.read_bytes()[: model.stat().st_size // 2])
    assert refusal(folder).startswith(f"model.onnx in {folder} is damaged")


def test_a_pointer_of_git_is_told(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path)
    (folder / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "only a pointer" in refusal(folder)


def test_model_and_list_of_different_taggers(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path, num_scores=7)
    assert refusal(folder) == f"selected_tags.csv lists 11 tags, but model.onnx in {folder} gives 7 scores."


def test_an_onnx_model_of_another_kind(tmp_path: Path) -> None:
    import onnx

    folder = tiny_tagger(tmp_path)
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 4
    del model.graph.node[:]
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["input"], ["output"], keepdims=0))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, folder / "model.onnx")
    assert "no tagger of this kind" in refusal(folder)


def test_the_registry_finds_it() -> None:
    assert taggers()["wd14"] is TAGGER is WD14


@pytest.mark.skipif(not STARTER_TAGGER.is_dir(), reason="the starter tagger is not here")
def test_the_starter_tagger_keeps_the_contract() -> None:
    tagger = load_tagger(STARTER_TAGGER)
    ((tags, sentence),) = tagger.look([pictures.scene()])
    assert tags and not sentence and all(LEAST_SCORE <= tag.score <= 1 for tag in tags)
    ratings = {"general", "sensitive", "questionable", "explicit"}
    assert tags[0].name in ratings or any(tag.name in ratings for tag in tags)
    assert {name for name, category in tagger.labels if category == "rating"} == ratings
