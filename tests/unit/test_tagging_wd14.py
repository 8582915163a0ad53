"""The WD14 tagger gives the scores of the reference procedure, and says what is wrong with its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from core.dataset.images import open_image
from core.errors import UserError
from core.paths import STARTER_TAGGER
from core.tagging import wd14
from core.tagging.base import ScoredTag, load_tagger, taggers
from core.tagging.wd14 import TAGGER, WD14
from tests import pictures
from tests.taggers import TAGS, tiny_tagger, write_tags
from tests.unit.test_tagging_pixels import pattern, reference_square

NAMES = {0: "general", 3: "copyright", 4: "character", 9: "rating"}


def reference_scores(folder: Path, image: Image.Image, size: int) -> dict[str, float]:
    """One picture, one call, everything as it comes: what other programs do."""
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image.convert("RGB"), mask=image.convert("RGBA").getchannel("A"))
    batch = np.rint(reference_square(flat, size)).astype(np.float32)[None]
    scores = session.run(None, {session.get_inputs()[0].name: batch})[0][0]
    return dict(zip((name for name, _ in TAGS), scores.tolist(), strict=True))


class Session:
    """An onnxruntime session that runs something else."""

    def __init__(self, real: onnxruntime.InferenceSession, run: Callable[..., object], provider: str = "") -> None:
        self.run, self._provider = run, provider
        self.get_inputs, self.get_outputs = real.get_inputs, real.get_outputs

    def get_providers(self) -> list[str]:
        return [self._provider]


def as_dict(tags: list[ScoredTag]) -> dict[str, float]:
    return {tag.name: tag.score for tag in tags}


@pytest.mark.parametrize("size", [16, 24, 40])
@pytest.mark.parametrize("image_size", [(100, 60), (13, 29), (40, 40), (16, 16), (300, 20)])
def test_scores_of_the_reference(tmp_path: Path, size: int, image_size: tuple[int, int]) -> None:
    folder = tiny_tagger(tmp_path / "tagger", size=size)
    image = pattern(*image_size)
    (tags,) = WD14.load(folder).tag([image])
    # Sums of pixels end on exact halves here, and the model feels every level of every pixel.
    assert as_dict(tags) == pytest.approx(reference_scores(folder, image, size), abs=2e-3)
    assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)
    assert {tag.name: tag.category for tag in tags} == {name: NAMES[category] for name, category in TAGS}


@pytest.mark.parametrize(
    "name", ["rgba.png", "palette_rgba.png", "grey.jpg", "plain_bmp.bmp", "palette.png", "bilevel.bmp"]
)
def test_every_kind_of_picture_as_the_reference_sees_it(tmp_path: Path, name: str) -> None:
    folder = tiny_tagger(tmp_path / "tagger")
    path = tmp_path / name
    pictures.ODD[name](path)
    (tags,) = WD14.load(folder).tag([open_image(path)])
    assert as_dict(tags) == pytest.approx(reference_scores(folder, Image.open(path), 16), abs=2e-3)


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_batches_of_any_and_of_fixed_size(tmp_path: Path, batch: int | str) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path, batch=batch))
    images = [pattern(20 + index, 30) for index in range(6)]
    together = tagger.tag(images)
    assert [as_dict(tags) for tags in together] == [as_dict(tagger.tag([image])[0]) for image in images]
    assert tagger.tag([]) == []


def test_an_open_input_size(tmp_path: Path) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path, size=None))
    assert tagger.size == 448
    assert len(tagger.tag([pattern(40, 40)])[0]) == len(TAGS)


def test_an_open_number_of_scores_is_asked_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_tagger(tmp_path)
    import onnx

    model = onnx.load(folder / "model.onnx")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "tags"
    onnx.save(model, folder / "model.onnx")
    assert len(WD14.load(folder).tag([pattern(9, 9)])[0]) == len(TAGS)
    write_tags(folder / "selected_tags.csv", TAGS[:-1])
    with pytest.raises(UserError, match="lists 10 tags"):
        WD14.load(folder)


def test_low_scores_can_be_left_out(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path, bias=[5, 5, 2, -2, 0, 0, 0, 0, 0, 0, 0])
    (tags,) = WD14.load(folder).tag([pattern(16, 16)], least_score=0.8)
    assert {tag.name for tag in tags} == {"general", "sensitive", "1girl"}


def test_a_score_at_the_threshold_counts(tmp_path: Path) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path))
    tagger.session = Session(tagger.session, lambda *_: [np.array([[0.35] + [0.1] * 10], np.float32)])
    assert [tag.name for tag in tagger.tag([pattern(4, 4)], least_score=0.35)[0]] == ["general"]


def test_the_same_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    tagger = WD14.load(tiny_tagger(tmp_path))
    images = [pattern(10 + index, 50) for index in range(24)]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda image: tagger.tag([image])[0], images))
    assert parallel == tagger.tag(images)


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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"tag_id,name,category,count\n",
        b"id,label\n1,a\n",
        b"name,category\na,general\n",
        b"\xff\xfe\0\0",
        b"name,category\n,0\n",
    ],
)
def test_a_damaged_list_of_tags_is_named(tmp_path: Path, data: bytes) -> None:
    folder = tiny_tagger(tmp_path)
    (folder / "selected_tags.csv").write_bytes(data)
    assert refusal(folder).startswith(f"selected_tags.csv in {folder} is damaged")


def test_a_list_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = tiny_tagger(tmp_path)
    path = folder / "selected_tags.csv"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + b"name,category,tag_id\r\n"
        + b"".join(f"{n},{c},0\r\n".encode() for n, c in TAGS[:10])
        + b'"red_dress,_torn",0,0\r\n'
    )
    assert WD14.load(folder).tags[-1] == ("red_dress,_torn", "general")


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
    assert "no WD tagger" in refusal(folder)


# --- devices --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_accelerator_that_does_not_work_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    tagger = WD14.load(tiny_tagger(tmp_path))
    assert tagger.device == "CPU" and tagger.batch_size == 1 and tagger.parallel_calls >= 1


@pytest.mark.parametrize(("error", "slower", "device"), [(0.0, False, "CUDA"), (0.5, False, "CPU"), (0.0, True, "CPU")])
def test_an_accelerator_must_agree_and_be_no_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, slower: bool, device: str
) -> None:
    import time

    folder = tiny_tagger(tmp_path)
    real = wd14._session(folder / "model.onnx", "CPUExecutionProvider")

    def device_with(delay_s: float, error: float) -> Session:
        def run(*arguments: object) -> list[np.ndarray]:
            time.sleep(delay_s)
            return [real.run(*arguments)[0] + np.float32(error)]

        return Session(real, run, provider="CUDAExecutionProvider")

    sessions = {
        "CPUExecutionProvider": device_with(0.05, 0.0),
        "CUDAExecutionProvider": device_with(0.2 if slower else 0.0, error),
    }
    monkeypatch.setattr(wd14, "_session", lambda path, provider: sessions[provider])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(sessions))
    tagger = WD14.load(folder)
    assert tagger.device == device
    assert (tagger.batch_size > 1) == (device == "CUDA")


def test_a_failing_session_is_told_in_words(tmp_path: Path) -> None:
    tagger = WD14.load(tiny_tagger(tmp_path))

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA failure 700")

    tagger.session = Session(tagger.session, fail)
    with pytest.raises(UserError, match="The tagger failed"):
        tagger.tag([pattern(4, 4)])


def test_the_registry_finds_it() -> None:
    assert taggers()["wd14"] is TAGGER is WD14


@pytest.mark.skipif(not STARTER_TAGGER.is_dir(), reason="the starter tagger is not here")
def test_the_starter_tagger_keeps_the_contract() -> None:
    tagger = load_tagger(STARTER_TAGGER)
    (tags,) = tagger.tag([pictures.scene()])
    assert tags and all(0 <= tag.score <= 1 for tag in tags)
    assert {tag.name for tag in tags if tag.category == "rating"} == {
        "general",
        "sensitive",
        "questionable",
        "explicit",
    }
